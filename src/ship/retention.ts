// Retention: takes away the oldest closed segments once they are older or larger than what is to be kept. The log says so
// first, in a record that is sealed and on disk; then they go, oldest first, with their values and with the long texts
// that nothing else names. Manifest lines, keys and certificates stay, so that what is left still verifies. Never goes:
// what a required destination has not got, and the last closed segment, behind which the log is taken up.

import { readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { packedName, segmentName, storedNumber } from '../../verify/src/names.ts';
import type { RecordBody } from '../audit/record.ts';
import { Feed, type Position } from './feed.ts';
import type { Closed, Manifest } from './manifest.ts';

export interface RetentionOptions {
  /** The log's folder. */
  readonly folder: string;
  readonly manifest: Manifest;
  readonly log: {
    append(body: RecordBody): number;
    durable(seq: number): Promise<void>;
    readonly health: { readonly records: number; readonly sealed: number };
  };
  /** Undefined: no limit. */
  readonly days: number | undefined;
  readonly bytes: number | undefined;
  /** Segments before this one are wherever they have to be before they may go. */
  readonly shipped: () => number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly pruned: (segments: number) => void;
}

/** Prunes one log, by rounds. */
export class Retention {
  readonly #with: RetentionOptions;

  constructor(options: RetentionOptions) {
    this.#with = options;
  }

  /** Prunes what may go now. Always false: there is no more until another segment is closed or has aged. */
  async round(): Promise<boolean> {
    const { manifest, shipped, log, pruned } = this.#with;
    await this.#bringBack();
    const first = await this.#oldest();
    if (first === undefined) return false;
    // The last closed one stays.
    const end = Math.min((await manifest.count()) - 1, shipped());
    const found = await this.#judge(first, end);
    if (found === undefined) return false;
    const { last, reason } = found;
    await log.durable(log.append({ kind: 'prune', first, last: last.n, size: last.size, reason }));
    const begin: Position = { segment: first, offset: 0, seq: (await manifest.of(first))!.first };
    const blobs = await this.#named(begin, last.size);
    for (let n = first; n <= last.n; n += 1) await this.#remove(n);
    await this.#removeBlobs(blobs, { segment: last.n + 1, offset: 0, seq: last.size });
    pruned(last.n - first + 1);
    return false;
  }

  /** The last segment that has to go, and why; segments from `end` on may not. */
  async #judge(first: number, end: number): Promise<{ last: Closed; reason: string } | undefined> {
    const { manifest, days, bytes, now } = this.#with;
    let kept = 0;
    if (bytes !== undefined)
      for (let n = first; n < (await manifest.count()); n += 1) kept += await this.#bytesOf(n);
    let found: { last: Closed; reason: string } | undefined;
    for (let n = first; n < end; n += 1) {
      const tooMany = bytes !== undefined && kept > bytes;
      const tooOld = days !== undefined && (await this.#endedMs(n)) < now() - days * 86_400_000;
      if (!tooMany && !tooOld) break;
      kept -= await this.#bytesOf(n);
      found = {
        last: (await manifest.of(n))!,
        reason: tooOld ? `older than ${days} days` : `more than ${bytes} bytes`,
      };
    }
    return found;
  }

  /** The oldest segment that is there. */
  async #oldest(): Promise<number | undefined> {
    const numbers = (await readdir(this.#with.folder)).map(storedNumber).filter((n) => n !== undefined);
    return numbers.length === 0 ? undefined : Math.min(...numbers);
  }

  async #bytesOf(n: number): Promise<number> {
    for (const name of [segmentName(n), packedName(n)]) {
      const found = await stat(join(this.#with.folder, name)).catch(() => undefined);
      if (found !== undefined) return found.size;
    }
    return 0;
  }

  /** When the segment was closed, which is when the one behind it began; ms since 1970. */
  async #endedMs(n: number): Promise<number> {
    const { folder, manifest, log } = this.#with;
    const { size } = (await manifest.of(n))!;
    const feed = new Feed(
      folder,
      manifest,
      { segment: n + 1, offset: 0, seq: size },
      () => log.health.sealed,
    );
    try {
      const [next] = await feed.take(1, 1);
      return next === undefined ? Number.POSITIVE_INFINITY : Number(next.members?.ts) / 1000;
    } finally {
      await feed.close();
    }
  }

  async #remove(n: number): Promise<void> {
    const { folder } = this.#with;
    const plain = segmentName(n);
    // Values first: what is left of a segment without them is a whole segment.
    for (const name of [plain.replace(/\.jsonl$/, '.prv'), `${packedName(n)}.new`, plain, packedName(n)])
      await rm(join(folder, name), { force: true });
  }

  /** The long texts that the log names from a position on, up to record `end`. */
  async #named(at: Position, end: number): Promise<Set<string>> {
    const { folder, manifest, log } = this.#with;
    const feed = new Feed(folder, manifest, at, () => log.health.sealed);
    const named = new Set<string>();
    try {
      while (feed.position.seq < end) {
        const entries = await feed.take(500, 1 << 20);
        if (entries.length === 0) break;
        for (const { members, begin } of entries)
          if (begin.seq < end)
            for (const { sha } of Object.values((members?.blobs ?? {}) as Record<string, { sha: string }>))
              named.add(sha);
      }
      return named;
    } finally {
      await feed.close();
    }
  }

  /**
   * Removes the texts among `candidates` that nothing names any more. They go in two steps, because the log may come to
   * name one of them again while it is looked for, and then does not write it, having found it.
   */
  async #removeBlobs(candidates: Set<string>, from: Position): Promise<void> {
    if (candidates.size === 0) return;
    const blobs = join(this.#with.folder, 'blobs');
    const gone = [...candidates].filter((sha) => /^[0-9a-f]{64}$/.test(sha));
    for (const sha of gone) await rename(join(blobs, sha), join(blobs, `${sha}.gone`)).catch(ifMissing);
    const { log } = this.#with;
    const records = log.health.records;
    await log.durable(records - 1);
    const named = await this.#named(from, records);
    for (const sha of gone) {
      const path = join(blobs, `${sha}.gone`);
      if (named.has(sha)) await rename(path, join(blobs, sha)).catch(ifMissing);
      else await unlink(path).catch(ifMissing);
    }
  }

  /** What a crash left half removed is there again; it costs room only. */
  async #bringBack(): Promise<void> {
    const blobs = join(this.#with.folder, 'blobs');
    for (const name of await readdir(blobs).catch(() => []))
      if (name.endsWith('.gone'))
        await rename(join(blobs, name), join(blobs, name.slice(0, -'.gone'.length)));
  }
}

function ifMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
