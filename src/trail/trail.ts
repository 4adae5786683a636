// Trail: one log as people read it: which segments there are and where a record or a moment stands in them, without
// reading what lies between. Reads only, believes nothing, needs no lock: a log grows while it is read, its oldest
// segments may be gone and closed ones compressed. audit-approval §11.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { storedNumber } from '../../verify/src/names.ts';
import type { Entry } from './entry.ts';
import { firstEntry, SegmentFile } from './segment.ts';

/** The wall clock of the writer may step; a moment is looked for this much earlier and later. */
export const clockStepMicros = 2_000_000;

export interface SegmentName {
  readonly n: number;
  readonly name: string;
}

/** Where a line begins, or where the lines end. */
export interface Position {
  readonly n: number;
  readonly at: number;
}

export class Trail {
  readonly path: string;
  /** What the first record of a segment says does not change. */
  readonly #firsts = new Map<number, Entry>();

  /** `path`: the folder with the segments. */
  constructor(path: string) {
    this.path = path;
  }

  /** The segments that are there now, oldest first. */
  segments(): SegmentName[] {
    const found = new Map<number, string>();
    for (const name of readdirSync(this.path).sort()) {
      const n = storedNumber(name);
      // Plain before compressed: while one is being made of the other, both are there.
      if (n !== undefined && !found.has(n)) found.set(n, name);
    }
    return [...found].map(([n, name]) => ({ n, name })).sort((a, b) => a.n - b.n);
  }

  /** Opens a segment; the caller closes it. */
  open(segment: SegmentName): Promise<SegmentFile> {
    return this.#under(segment, (path) => SegmentFile.open(segment.n, path));
  }

  /** Where to begin reading for records from `seq` on; undefined if there are none at all. */
  async atSeq(seq: number): Promise<Position | undefined> {
    return this.#find((entry) => entry.seq < seq);
  }

  /** Where to begin reading for records from a moment (µs since 1970) on. */
  async atTime(ts: number): Promise<Position | undefined> {
    return this.#find((entry) => entry.ts < ts - clockStepMicros);
  }

  /** The end of the last segment. */
  async end(): Promise<Position | undefined> {
    const last = this.segments().at(-1);
    if (last === undefined) return undefined;
    const file = await this.open(last);
    try {
      return { n: last.n, at: await file.size() };
    } finally {
      await file.close();
    }
  }

  /** The first record that is still there. */
  async beginning(): Promise<Entry | undefined> {
    for (const segment of this.segments()) {
      const found = await this.#firstOf(segment);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #find(before: (entry: Entry) => boolean): Promise<Position | undefined> {
    const segments = this.segments();
    let low = 0;
    let high = segments.length - 1;
    // The last segment that begins with a record before the one that is looked for.
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const first = await this.#firstOf(segments[middle]!);
      if (first !== undefined && before(first)) low = middle;
      else high = middle - 1;
    }
    const segment = segments[low];
    if (segment === undefined) return undefined;
    const file = await this.open(segment);
    try {
      return { n: segment.n, at: await file.seek(before) };
    } finally {
      await file.close();
    }
  }

  async #firstOf({ n, name }: SegmentName): Promise<Entry | undefined> {
    const known = this.#firsts.get(n);
    if (known !== undefined) return known;
    const first = await this.#under({ n, name }, firstEntry);
    if (first !== undefined) this.#firsts.set(n, first);
    return first;
  }

  /** Does something with a segment's file, which may have become a compressed one since it was listed. */
  async #under<T>({ n, name }: SegmentName, act: (path: string) => Promise<T>): Promise<T> {
    try {
      return await act(join(this.path, name));
    } catch (error) {
      const other = this.segments().find((each) => each.n === n && each.name !== name);
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || other === undefined) throw error;
      return act(join(this.path, other.name));
    }
  }
}
