// Vault: keeps a log in a bucket where nobody can change it: its public keys, every closed segment with its manifest
// line, the new lines of the open one in pieces, and checkpoints. What is there is enough to verify the log when
// nothing else is left (fetch.ts). Never the values or the evidence beside the log: those must stay erasable.
// Follows the files, at least once, in order. audit-approval §5 and §11.
//
// Objects, under PREFIX/ORIGIN/: keys/root.jwk, keys/N.jwk, keys/N.cert · seg-NNNNNNNN.jsonl[.zst] ·
// manifest/NNNNNNNN.jws (one line each) · chunks/seg-NNNNNNNN/FROM-TO.jsonl (these bytes of the plain segment, up to a
// seal; after a crash two may overlap) · blobs/SHA256 · checkpoints/SIZE-TIME.note

import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packedName, segmentName } from '../../verify/src/names.ts';
import { type Bucket, type FileBody, fileBody, type Lock } from './bucket.ts';
import type { Cursor } from './cursor.ts';
import { beginning, type Entry, Feed, type Position } from './feed.ts';
import type { Closed, Manifest } from './manifest.ts';

/** How far the bucket has got. */
export interface VaultState {
  /** Segments that are there whole, with their manifest lines. */
  readonly closed: number;
  /** Behind the last line that is there, whole or in a piece. */
  readonly at: Position;
  /** The records that the newest seal there vouches for. */
  readonly sealed: number;
}

export const emptyVault: VaultState = { closed: 0, at: beginning, sealed: 0 };

export interface VaultOptions {
  /** The log's folder. */
  readonly folder: string;
  readonly bucket: Bucket;
  /** Where in the bucket, with a slash at the end. */
  readonly prefix: string;
  readonly lock: Lock;
  readonly cursor: Cursor<VaultState>;
  readonly manifest: Manifest;
  /** Records that are sealed and on disk. */
  readonly durable: () => number;
  /** Whether closed segments are compressed, so that it is their compressed form that is put. */
  readonly packed: boolean;
  /** How old the newest lines may get before they are put though nobody waits. */
  readonly pieceMs: number;
  readonly now: () => number;
  readonly mono: () => number;
  readonly put: (bytes: number) => void;
}

interface Waiter {
  readonly size: number;
  readonly note: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A piece is about so large at most. */
const pieceBytesMax = 8 << 20;
/** And at least goes to the next seal, which comes every few milliseconds. */
const takeEntries = 5_000;
const takeBytes = 1 << 20;

/** The log's way into one bucket. */
export class Vault {
  readonly #with: VaultOptions;
  #state: VaultState | undefined;
  #feed: Feed | undefined;
  #waiters: Waiter[] = [];
  #pieceMono = Number.NEGATIVE_INFINITY;
  #isLocked = false;
  #ts: number | undefined;

  constructor(options: VaultOptions) {
    this.#with = options;
  }

  /** How far the bucket has got; undefined before the first round. */
  get state(): VaultState | undefined {
    return this.#state;
  }

  /** µs since 1970 of the last record that this process has put, or is about to. */
  get ts(): number | undefined {
    return this.#ts;
  }

  /**
   * Settles once the first `size` records and the checkpoint over them, a signed note, are in the bucket, which the
   * rounds do; rejects when one of them fails.
   */
  keep(size: number, note: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiters.push({ size, note, resolve, reject });
    return promise;
  }

  /** Puts the newest lines with the next round, however new they are. */
  flush(): void {
    this.#pieceMono = Number.NEGATIVE_INFINITY;
  }

  /** Puts the next object or few. True if there is more to put. Whoever waits for a checkpoint is told why it failed. */
  async round(signal: AbortSignal): Promise<boolean> {
    try {
      return await this.#round(signal);
    } catch (error) {
      for (const waiter of this.#waiters.splice(0)) waiter.reject(error as Error);
      // A round that has nothing to put must not pass for a bucket that is back.
      this.#isLocked = false;
      throw error;
    }
  }

  async #round(signal: AbortSignal): Promise<boolean> {
    if (!this.#isLocked) await this.#with.bucket.requireLock(signal);
    this.#isLocked = true;
    this.#state ??= await this.#with.cursor.read(emptyVault);
    if (await this.#segment(signal)) return true;
    const wanted = Math.max(0, ...this.#waiters.map(({ size }) => size));
    const isDue = this.#with.mono() - this.#pieceMono >= this.#with.pieceMs;
    if ((wanted > this.#at.sealed || isDue) && (await this.#piece(signal))) return true;
    if (isDue) this.#pieceMono = this.#with.mono();
    return this.#checkpoint(signal);
  }

  async close(): Promise<void> {
    const error = new Error('shipping ends');
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    await this.#feed?.close();
    this.#with.bucket.close();
  }

  get #at(): VaultState {
    return this.#state!;
  }

  async #keep(state: Partial<VaultState>): Promise<void> {
    const next = { ...this.#at, ...state };
    await this.#with.cursor.write(next);
    this.#state = next;
  }

  async #put(name: string, body: Buffer | FileBody, signal: AbortSignal): Promise<void> {
    const { bucket, prefix, lock, now, put } = this.#with;
    await bucket.put(`${prefix}${name}`, body, lock, now(), signal);
    put(Buffer.isBuffer(body) ? body.length : body.bytes);
  }

  /** The next closed segment, whole. False if there is none, or none yet in its final form. */
  async #segment(signal: AbortSignal): Promise<boolean> {
    const { manifest, folder, packed } = this.#with;
    const n = this.#at.closed;
    const closed = await manifest.of(n);
    if (closed === undefined) return false;
    const isPacked = await access(join(folder, packedName(n))).then(
      () => true,
      () => false,
    );
    if (packed && !isPacked) return false;
    const name = isPacked ? packedName(n) : segmentName(n);
    await this.#restBeside(closed, signal);
    await this.#put(name, await fileBody(join(folder, name)), signal);
    await this.#put(`manifest/${String(n).padStart(8, '0')}.jws`, Buffer.from(`${closed.line}\n`), signal);
    const end: Position = { segment: n + 1, offset: 0, seq: closed.size };
    const isAhead = this.#at.at.segment > n;
    await this.#keep({
      closed: n + 1,
      sealed: Math.max(this.#at.sealed, closed.size),
      ...(!isAhead && { at: end }),
    });
    if (!isAhead) await this.#feed?.rewind(end);
    return true;
  }

  /** What lies beside the rest of a segment. */
  async #restBeside(closed: Closed, signal: AbortSignal): Promise<void> {
    if (this.#at.at.segment > closed.n) return;
    const feed = await this.#reader();
    while (feed.position.segment === closed.n && feed.position.offset < closed.bytes)
      // What is taken may reach into the next segment, whose turn comes.
      await this.#besides(
        (await feed.take(takeEntries, takeBytes)).filter(({ begin }) => begin.segment === closed.n),
        signal,
      );
  }

  /** What lines speak of and that lies beside the log: public keys with their certificates, and long texts. */
  async #besides(entries: readonly Entry[], signal: AbortSignal): Promise<void> {
    for (const { members } of entries) {
      if (members === undefined) continue;
      // Before a record says so, a crash may put another key in a key's place.
      if (members.kind === 'genesis') await this.#copy('keys/root.jwk', signal);
      if (members.kind === 'key')
        for (const form of ['jwk', 'cert']) await this.#copy(`keys/${Number(members.epoch)}.${form}`, signal);
      for (const { sha } of Object.values((members.blobs ?? {}) as Record<string, { sha: string }>))
        if (/^[0-9a-f]{64}$/.test(sha)) await this.#copy(`blobs/${sha}`, signal);
      this.#ts = members.ts as number;
    }
  }

  async #copy(name: string, signal: AbortSignal): Promise<void> {
    const bytes = await readFile(join(this.#with.folder, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (bytes !== undefined) await this.#put(name, bytes, signal);
  }

  /** The next lines of the open segment, up to a seal. False if there are none. */
  async #piece(signal: AbortSignal): Promise<boolean> {
    const { at } = this.#at;
    const feed = await this.#reader();
    const entries: Entry[] = [];
    let sealed = 0;
    for (let bytes = 0; bytes < pieceBytesMax || sealed === 0; ) {
      const more = await feed.take(takeEntries, takeBytes);
      const inside = more.filter(({ begin }) => begin.segment === (entries[0] ?? more[0])!.begin.segment);
      entries.push(...inside);
      sealed = entries.findLastIndex(({ kind }) => kind === 'seal') + 1;
      bytes = (entries.at(-1)?.end.offset ?? at.offset) - at.offset;
      if (more.length === 0 || inside.length < more.length) break;
    }
    const whole = entries.slice(0, sealed);
    const begin = whole[0]?.begin;
    const end = whole.at(-1)?.end;
    if (begin === undefined || end === undefined) return false;
    await this.#besides(whole, signal);
    const text = whole.map(({ line }) => `${line}\n`).join('');
    await this.#put(chunkName(begin, end), Buffer.from(text), signal);
    await this.#keep({ at: end, sealed: whole.at(-1)?.size ?? this.#at.sealed });
    return true;
  }

  /** The newest checkpoint that somebody waits for and that is covered. */
  async #checkpoint(signal: AbortSignal): Promise<boolean> {
    const covered = this.#waiters.filter(({ size }) => size <= this.#at.sealed);
    if (covered.length === 0) return false;
    const newest = covered.reduce((a, b) => (b.size >= a.size ? b : a));
    await this.#put(checkpointName(newest.size, this.#with.now()), Buffer.from(newest.note), signal);
    this.#waiters = this.#waiters.filter((waiter) => !covered.includes(waiter));
    for (const { resolve } of covered) resolve();
    return this.#waiters.length > 0;
  }

  async #reader(): Promise<Feed> {
    const { folder, manifest, durable } = this.#with;
    this.#feed ??= new Feed(folder, manifest, this.#at.at, durable);
    await this.#feed.rewind(this.#at.at);
    return this.#feed;
  }
}

function chunkName({ segment, offset }: Position, end: Position): string {
  const digits = (n: number) => String(n).padStart(12, '0');
  return `chunks/${segmentName(segment).replace(/\.jsonl$/, '')}/${digits(offset)}-${digits(end.offset)}.jsonl`;
}

function checkpointName(size: number, nowMs: number): string {
  return `checkpoints/${String(size).padStart(15, '0')}-${new Date(nowMs).toISOString().replace(/[-:]/g, '')}.note`;
}
