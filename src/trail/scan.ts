// Scan: the lines of a log over its segments, onward from a position and back from one, and onward for as long as the
// log grows. Holds one piece of one segment at a time. Refuses to know what a line says.

import type { Allow, Line, SegmentFile } from './segment.ts';
import type { Position, Trail } from './trail.ts';

/** Lines of one segment, in the order they are given. */
export interface Batch {
  readonly n: number;
  readonly lines: readonly Line[];
}

/** Lines from a position (the beginning, without one) to the end as it is now. */
export async function* onward(
  trail: Trail,
  from: Position | undefined,
  allow?: Allow,
): AsyncGenerator<Batch> {
  const follower = new Follower(trail, from, allow);
  try {
    yield* follower.fresh();
  } finally {
    await follower.close();
  }
}

/** Lines that end before a position, last one first. */
export async function* back(trail: Trail, to: Position, allow?: Allow): AsyncGenerator<Batch> {
  for (const segment of trail.segments().reverse()) {
    if (segment.n > to.n) continue;
    const file = await trail.open(segment);
    try {
      const end = segment.n === to.n ? to.at : await file.size();
      for await (const lines of file.backward(end, allow)) yield { n: segment.n, lines };
    } finally {
      await file.close();
    }
  }
}

/** Reads a log that grows: each call of `fresh` gives the whole lines that were not there at the last. */
export class Follower {
  readonly #trail: Trail;
  readonly #allow: Allow | undefined;
  #position: Position | undefined;
  /** Kept open: a segment that is deleted or compressed while it is followed can still be read to its end. */
  #file: SegmentFile | undefined;

  constructor(trail: Trail, from: Position | undefined, allow?: Allow) {
    this.#trail = trail;
    this.#position = from;
    this.#allow = allow;
  }

  async *fresh(): AsyncGenerator<Batch> {
    for (;;) {
      // Listed before it is read: whatever a segment gets, it gets before there is a next one.
      const segments = this.#trail.segments();
      const here = this.#position ?? { n: segments[0]?.n ?? 0, at: 0 };
      const next = segments.find(({ n }) => n > here.n);
      const segment = segments.find(({ n }) => n === here.n);
      if (this.#file === undefined && segment !== undefined) this.#file = await this.#trail.open(segment);
      let at = here.at;
      if (this.#file !== undefined)
        for await (const lines of this.#file.forward(at, this.#allow)) {
          const last = lines.at(-1);
          if (last !== undefined) at = last.at + last.bytes.length + 1;
          this.#position = { n: here.n, at };
          yield { n: here.n, lines };
        }
      if (next === undefined) return;
      await this.close();
      this.#position = { n: next.n, at: 0 };
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}
