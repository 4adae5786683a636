// AuditLog: the log as the proxy writes it. Chains records, writes them once per turn of the event loop, seals and
// syncs them in groups, closes segments, changes keys. audit-approval §3.5 and §4.
// Refuses to know why something is recorded, and to go on after the disk refused anything: an error poisons the log,
// everybody who waits hears of it, and only a new start, which checks the folder, takes the log up again.

import { hash } from 'node:crypto';
import { canonical } from '../../verify/src/jcs.ts';
import { leafHash, lineBytesMax } from '../../verify/src/leaf.ts';
import { tokenIndex } from '../../verify/src/sidefile.ts';
import { digest, type Seal } from '../../verify/src/token.ts';
import { HoldpointError } from '../errors.ts';
import { nextKey } from './epoch.ts';
import type { LogHealth, LogListener, LogState } from './logstate.ts';
import type { OpenWork } from './openwork.ts';
import { Pace } from './pace.ts';
import { encodeRecord, moveLongMembers, type RecordBody } from './record.ts';
import type { SigningKey } from './seal.ts';
import { addToManifest, Segment, type SegmentStart } from './segment.ts';
import type { Kept, ValuesMode } from './values.ts';

/** Characters of a turn that are written at once rather than at the turn's end. */
const turnCharactersMax = 1 << 20;
/** A line of so many UTF-16 units cannot exceed the limit in bytes. */
const surelyShort = Math.floor(lineBytesMax / 3);

/** Runs of open statements that a manifest line tells of; older ones are ended as unknown when a segment closes. */
const openRunsMax = 1000;
/** After so long without the disk's answer nothing more is recorded until it comes. */
const stallMsMax = 10_000;
/** Groups are so many times rarer when nobody waits for one. */
const idleFactor = 10;

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: HoldpointError) => void;
}

/** A group that is on disk: the segment it ended in and where the log stood behind it. */
interface Sealed {
  readonly segment: Segment;
  readonly start: SegmentStart;
  readonly open: OpenWork;
}

/** The writer of one log. One per process and origin; `openLog` makes it. */
export class AuditLog {
  readonly values: ValuesMode;
  readonly origin: string;
  readonly boot: string;
  readonly #at: LogState;
  readonly #monoStart: number;

  // The chain as appended, ahead of the files by the current turn.
  #seq: number;
  #head: string;
  #turn = '';
  #turnLeaves: string[] = [];
  #turnScheduled = false;
  #writers: ((error?: HoldpointError) => void)[] = [];

  // The log as sealed and on disk.
  #sealed: number;
  #psh: string;
  #pmh: string;
  #segment: Segment;
  #blobFds: number[] = [];
  #epoch: number;
  #key: SigningKey;
  #epochSince: number;
  #waiters: Waiter[] = [];
  readonly #listeners = new Set<LogListener>();

  // The group commit: one in flight.
  readonly #pace: Pace;
  #committing: Promise<void> | undefined;
  // When the oldest record was appended that the group in flight covers, or that the next one will.
  #sealingSince: number | undefined;
  #oldestUnsealed: number | undefined;
  readonly #heartbeat: NodeJS.Timeout | undefined;
  #lastBeat = 0;
  #closing: Promise<void> | undefined;
  #failed: HoldpointError | undefined;

  constructor(state: LogState) {
    this.#at = state;
    this.values = state.values;
    this.origin = state.origin;
    this.boot = state.boot;
    this.#seq = state.tree.size;
    this.#head = state.head;
    this.#sealed = state.sealed;
    this.#psh = state.psh;
    this.#pmh = state.pmh;
    this.#segment = state.segment;
    this.#epoch = state.epoch;
    this.#key = state.key;
    this.#monoStart = state.clock.mono();
    this.#epochSince = this.#monoStart;
    this.#pace = new Pace(state.clock.mono, () => void this.#commit());
    if (state.heartbeatMs > 0) {
      this.#heartbeat = setInterval(() => this.#beat(), state.heartbeatMs);
      this.#heartbeat.unref();
    }
  }

  /** Why nothing can be recorded any more; undefined while all is well. */
  get failed(): HoldpointError | undefined {
    return this.#failed;
  }

  /** Records appended so far. */
  get size(): number {
    return this.#seq;
  }

  /** How many of them, from the first on, are sealed and on disk. */
  get sealed(): number {
    return this.#sealed;
  }

  get health(): LogHealth {
    const stalled = this.#stalled();
    return {
      writable: this.#failed === undefined && this.#closing === undefined && stalled === undefined,
      reason: (this.#failed ?? stalled)?.message,
      records: this.#seq,
      sealed: this.#sealed,
      unsealedMs: this.#unsealedMs(),
    };
  }

  /**
   * Chains a record and puts it into the current turn; returns its seq. Nothing is in the file yet: see `written` and
   * `durable`. Throws `log-unwritable` once the log is poisoned or closed, and while the disk does not answer; TypeError
   * on a malformed body (the log then goes on without it). `kept`: values of it to put aside for auditors.
   */
  append(body: RecordBody, kept?: readonly Kept[]): number {
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#closing !== undefined && body.kind !== 'bye')
      throw new HoldpointError(
        'log-unwritable',
        `the log ${this.origin} is closed: Holdpoint is shutting down`,
      );
    const stalled = this.#sealingSince === undefined ? undefined : this.#stalled();
    if (stalled !== undefined) throw stalled;
    // The log has ended this statement itself, and a statement has one outcome.
    if (this.#at.open.repeats(body)) return this.#seq - 1;
    // Without auditors an ID token is kept in clear: it is what proves a decision. On disk before its record.
    if (kept !== undefined && this.#at.side === undefined) this.#keepTokens(kept);
    const seq = this.#append(body);
    if (kept !== undefined) this.#keep(seq, kept);
    return seq;
  }

  /**
   * Calls `done` once everything appended so far has been passed to write(2), always in a later turn of the event loop.
   * With an error, nothing that depends on those records may go on.
   */
  written(done: (error?: HoldpointError) => void): void {
    this.#writers.push(done);
    this.#scheduleTurn();
  }

  /** Where it lies. */
  get path(): string {
    return this.#at.folder.path;
  }

  /** Lets `rewrite` put another file in the place of the values of a segment; none are written to it meanwhile. */
  replaceSide(n: number, rewrite: (path: string) => void): void {
    const { side, folder } = this.#at;
    if (side === undefined) rewrite(folder.side(n));
    else side.replace(n, rewrite);
    folder.syncNames();
  }

  /**
   * Keeps a text beside the log, for a record that holds its digest. On disk when it returns. It may be removed later
   * without breaking the chain: what it proved is then unproved.
   */
  keepAside(sha256: string, text: string): void {
    if (this.#failed !== undefined) throw this.#failed;
    const { folder } = this.#at;
    try {
      folder.writeWhole(folder.evidence(sha256), text);
      folder.syncNames('evidence');
    } catch (cause) {
      throw this.#poison('evidence could not be written', cause);
    }
  }

  /** Settles when record `seq` is sealed and on disk; rejects with `log-unwritable` if that can no longer happen. */
  durable(seq: number): Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    if (seq < this.#sealed) return Promise.resolve();
    if (seq >= this.#seq) return Promise.reject(new RangeError(`there is no record ${seq}`));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiters.push({ seq, resolve, reject });
    this.#keepPace();
    return promise;
  }

  /** Has `listener` told from now on; returns what ends that. What is sealed already is in `health`. */
  listen(listener: LogListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Begins a new epoch now. Settles when the old key's last seal is on disk. */
  async changeKey(): Promise<void> {
    await this.#committing;
    this.#epochSince = Number.NEGATIVE_INFINITY;
    await this.#commit();
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Writes `bye`, seals, syncs and lets go of the folder. A poisoned log only lets go. Never rejects; see `failed`. */
  close(reason = 'shutdown'): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  async #close(reason: string): Promise<void> {
    clearInterval(this.#heartbeat);
    // `bye` is the last record, so it waits for the group that is on its way.
    await this.#committing;
    if (this.#failed === undefined) {
      // Sessions that could not be heard out: nobody will say more of their statements than is known now.
      for (const body of this.#at.open.endings()) this.#append(body);
      this.#append({ kind: 'bye', reason });
    }
    while (this.#failed === undefined && this.#sealed < this.#seq) await this.#commit();
    this.#pace.stop();
    this.#at.side?.close();
    this.#segment.close();
    this.#at.lock.release();
  }

  #append(body: RecordBody): number {
    const { clock, origin, boot, open } = this.#at;
    const mono = clock.mono();
    const stamp = {
      seq: this.#seq,
      prev: this.#head,
      ts: Math.floor(clock.now() * 1000),
      mono: Math.max(0, Math.round((mono - this.#monoStart) * 1e6)),
      node: origin,
      boot,
    };
    let line = encodeRecord(body, stamp);
    if (line.length > surelyShort && Buffer.byteLength(line) > lineBytesMax)
      line = this.#appendLong(body, (short) => encodeRecord(short, stamp));
    this.#head = leafHash(line);
    this.#turn += `${line}\n`;
    this.#turnLeaves.push(this.#head);
    this.#seq += 1;
    open.note(body, stamp.seq);
    this.#oldestUnsealed ??= mono;
    if (this.#turn.length > turnCharactersMax) this.#flush();
    else this.#scheduleTurn();
    return stamp.seq;
  }

  #keepTokens(kept: readonly Kept[]): void {
    for (const { index, value } of kept) {
      if (index !== tokenIndex || value === undefined) continue;
      this.keepAside(hash('sha256', value, 'hex'), Buffer.from(value).toString('utf8'));
    }
  }

  #keep(seq: number, kept: readonly Kept[]): void {
    try {
      this.#at.side?.keep(seq, kept);
    } catch (error) {
      throw this.#poison('a value could not be put aside', error);
    }
  }

  /** The line of a record whose long members go to blobs. The blobs are on disk before the seal that covers it. */
  #appendLong(body: RecordBody, encode: (body: RecordBody) => string): string {
    for (const charactersMax of [4096, 256]) {
      const { body: short, blobs } = moveLongMembers(body, charactersMax);
      const line = encode(short);
      if (Buffer.byteLength(line) > lineBytesMax) continue;
      try {
        for (const blob of blobs) {
          const fd = this.#at.folder.writeBlob(blob.sha, blob.bytes);
          if (fd !== undefined) this.#blobFds.push(fd);
        }
      } catch (error) {
        throw this.#poison('a long statement could not be written', error);
      }
      return line;
    }
    throw new TypeError(`a ${body.kind} record cannot be brought below ${lineBytesMax} bytes`);
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    setImmediate(() => {
      this.#turnScheduled = false;
      this.#flush();
      const writers = this.#writers;
      this.#writers = [];
      for (const done of writers) done(this.#failed);
      this.#keepPace();
    });
  }

  /** One write(2) with everything appended since the last. After it the tree and the file say the same. */
  #flush(): void {
    if (this.#turn === '' || this.#failed !== undefined) return;
    const leaves = this.#turnLeaves;
    const bytes = Buffer.from(this.#turn, 'utf8');
    this.#turn = '';
    this.#turnLeaves = [];
    try {
      this.#segment.write(bytes);
    } catch (error) {
      this.#poison('a record could not be written', error);
      return;
    }
    for (const leaf of leaves) this.#at.tree.append(Buffer.from(leaf, 'base64url'));
    this.#at.meter.records?.(leaves.length);
  }

  /** Sees to it that what is unsealed gets its group: soon if somebody waits for it. */
  #keepPace(): void {
    if (this.#committing !== undefined || this.#failed !== undefined || this.#sealed === this.#seq) return;
    this.#pace.within(this.#waiters.length > 0 ? this.#at.sealMs : this.#at.sealMs * idleFactor);
  }

  /** One group at a time: whoever comes while one is in flight gets that one's end. */
  #commit(): Promise<void> {
    this.#pace.stop();
    this.#committing ??= this.#group()
      .catch((error: unknown) => {
        this.#poison('the log could not be sealed', error);
      })
      .then(() => {
        this.#committing = undefined;
        this.#keepPace();
      });
    return this.#committing;
  }

  async #group(): Promise<void> {
    const { segmentBytesMax, epochMs, clock, open } = this.#at;
    this.#pace.begin();
    const closes = this.#segment.bytes + this.#turn.length >= segmentBytesMax;
    const changes = closes || clock.mono() - this.#epochSince >= epochMs;
    const next = changes ? await nextKey(this.#at, this.#epoch + 1, this.#key) : undefined;
    if (closes) await this.#at.side?.prepare(this.#segment.n + 1);
    if (closes) for (const body of open.forgo(openRunsMax)) this.#append(body);
    // Between the key record and the snapshot nothing may be appended: the old key's last seal ends with it.
    if (next !== undefined) this.#append(next.record);
    const sealed = await this.#sealAll(closes);
    if (sealed === undefined) return;
    if (next !== undefined) this.#adopt(next.key);
    if (closes) await this.#closeSegment(sealed);
  }

  /**
   * Flush, snapshot, sign, write the seal, sync, and only then answer those who wait for what the snapshot covers.
   * Records appended while the signature is made go to the file before the seal: a seal may stand later than it speaks.
   */
  async #sealAll(closes: boolean): Promise<Sealed | undefined> {
    this.#flush();
    const { tree, clock, open, folder, side } = this.#at;
    if (this.#failed !== undefined || tree.size === this.#sealed) return undefined;
    const segment = this.#segment;
    const first = tree.size;
    const start = { first, head: this.#head, range: tree.range };
    const since = this.#oldestUnsealed;
    this.#sealingSince = since;
    this.#oldestUnsealed = undefined;
    const payload = this.#sealPayload();
    const openThen = closes ? open.copy() : open;
    side?.write();
    const values = side?.sync();
    // Somebody else hears of it: a rejection that nobody waits for yet would end the process.
    values?.catch(() => undefined);
    // From here on records go to the next segment, so that the seal is this one's last line.
    if (closes) this.#segment = new Segment(folder, segment.n + 1, start);
    const closeValues = closes ? side?.turnTo(segment.n + 1) : undefined;
    const line = await this.#at.sign(this.#key, 'holdpoint-seal+jws', payload);
    this.#flush();
    if (this.#failed !== undefined) return undefined;
    segment.write(Buffer.from(`${line}\n`, 'utf8'));
    const blobFds = this.#blobFds.splice(0);
    for (const fd of blobFds) folder.syncAndClose(fd);
    if (blobFds.length > 0) folder.syncNames('blobs');
    await Promise.all([segment.sync(), values]);
    closeValues?.();
    this.#psh = digest(line);
    this.#sealed = first;
    this.#sealingSince = undefined;
    if (since !== undefined) this.#at.meter.sealLag?.((clock.mono() - since) / 1000);
    this.#settle();
    for (const listener of this.#listeners) listener.sealed?.(first);
    return { segment, start, open: openThen };
  }

  #sealPayload(): string {
    const { origin, boot, clock, tree } = this.#at;
    const seal: Seal = {
      v: 1,
      origin,
      size: tree.size,
      root: tree.root().toString('base64url'),
      head: this.#head,
      psh: this.#psh,
      ts: Math.floor(clock.now() * 1000),
      mono: Math.max(0, Math.round((clock.mono() - this.#monoStart) * 1e6)),
      boot,
      epoch: this.#epoch,
    };
    return canonical(seal);
  }

  #adopt(key: SigningKey): void {
    this.#key = key;
    this.#epoch += 1;
    this.#epochSince = this.#at.clock.mono();
    this.#at.keyring.forgetAllBut(this.#epoch);
  }

  async #closeSegment({ segment, start, open }: Sealed): Promise<void> {
    const { folder, sign, origin } = this.#at;
    segment.close();
    this.#pmh = await addToManifest(folder, sign, this.#key, segment, {
      origin,
      size: start.first,
      head: start.head,
      range: start.range,
      psh: this.#psh,
      epoch: this.#epoch,
      pmh: this.#pmh,
      open,
    });
    for (const listener of this.#listeners) listener.segmentClosed?.(segment.n);
  }

  #settle(): void {
    const rest: Waiter[] = [];
    for (const waiter of this.#waiters) {
      if (waiter.seq < this.#sealed) waiter.resolve();
      else rest.push(waiter);
    }
    this.#waiters = rest;
  }

  #unsealedMs(): number {
    const since = this.#sealingSince ?? this.#oldestUnsealed;
    return since === undefined ? 0 : this.#at.clock.mono() - since;
  }

  #stalled(): HoldpointError | undefined {
    const ms = this.#unsealedMs();
    if (ms <= stallMsMax) return undefined;
    return new HoldpointError(
      'log-unwritable',
      `the log has been waiting for its disk for ${Math.round(ms / 1000)} s; ` +
        'statements are refused until it answers',
    );
  }

  #poison(what: string, cause: unknown): HoldpointError {
    if (this.#failed !== undefined) return this.#failed;
    const { meter } = this.#at;
    const error = new HoldpointError(
      'log-unwritable',
      // Agents read this: it names no path of ours.
      `${what}: ${(cause as Error).message}. Statements are refused until Holdpoint is started again; ` +
        'see to the disk of its data folder first',
      { cause },
    );
    this.#failed = error;
    this.#turn = '';
    this.#turnLeaves = [];
    this.#pace.stop();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    if (this.#writers.length > 0) this.#scheduleTurn();
    meter.failure?.(error);
    return error;
  }

  #beat(): void {
    // Only where nothing else happened: any sealed record says as much.
    if (this.#failed === undefined && this.#closing === undefined && this.#seq === this.#lastBeat)
      this.#append({ kind: 'hb' });
    this.#lastBeat = this.#seq;
  }
}
