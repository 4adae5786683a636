// Lives: until when each request in a log can matter, so that the verifier need not remember all there ever were.
// While few are remembered none is forgotten. Beyond that go those whose end is long past by the log's own time; a log with
// more that could still be used than any Holdpoint has is refused. Pure.

import { forgottenMs } from './ballots.ts';
import type { ChainedRecord } from './chain.ts';
import type { Offence } from './offence.ts';

/** Requests of which nothing is forgotten, and those that may be remembered at once. */
const easyMax = 10_000;
const livesMax = 100_000;

/** Of one log, as it is walked. */
export class Lives {
  /** Ends by request, ms since 1970. */
  readonly #ends = new Map<string, number>();
  readonly #forget: (rid: string) => void;
  #sweepAt = easyMax;

  /** `forget` is told of each request that can matter no more. */
  constructor(forget: (rid: string) => void) {
    this.#forget = forget;
  }

  /** The request can matter until `endMs`, by a record of now. Throws what `fail` makes if there are too many. */
  note(rid: string, endMs: number, { ts }: ChainedRecord, fail: (message: string) => Offence): void {
    const end = Number.isFinite(endMs) ? endMs : Number.POSITIVE_INFINITY;
    this.#ends.set(rid, Math.max(end, this.#ends.get(rid) ?? 0));
    if (this.#ends.size <= this.#sweepAt) return;
    this.#sweep(ts / 1000 - forgottenMs);
    if (this.#ends.size >= livesMax)
      throw fail(`${livesMax} requests can be decided or used at once: no Holdpoint has so many`);
    // So that a log with many that live is not gone through again for each of them.
    this.#sweepAt = Math.min(livesMax - 1, Math.max(easyMax, this.#ends.size * 2));
  }

  #sweep(sinceMs: number): void {
    for (const [rid, endMs] of this.#ends) {
      if (endMs >= sinceMs) continue;
      this.#ends.delete(rid);
      this.#forget(rid);
    }
  }
}
