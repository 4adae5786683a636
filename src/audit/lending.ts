// Lending: the end of a log while somebody else writes to it: when it may be lent, to whom it was, and what comes back. Refuses
// to know what the records say, and who borrows.

import type { Blobs } from './blobs.ts';
import type { Chain, ChainEnd, Made } from './chain.ts';
import { type LogState, systemClock } from './logstate.ts';
import type { Sealer } from './sealer.ts';
import type { Segments } from './segments.ts';
import type { Kept } from './values.ts';

/** Whom the end of the log is lent to; as hop has it. */
export interface Borrower {
  /** It is about to be used: `settle` is called before this returns. */
  recall(): void;
  /** There is news in it, lent or not: what rested on what it said before does not any more. */
  revoke(): void;
  /** It may be lent again. */
  again(): void;
  /** Nothing is taken now: who waits for the disk is to ask. */
  refused(): void;
}

/** What is lent, as hop has it. */
export interface Lent extends ChainEnd {
  readonly fd: number;
  readonly synced: { readonly file: Named; readonly lock: Named } | undefined;
}

interface Named {
  readonly fd: number;
  readonly path: string;
}

/** Whose end it is, and whom it tells. */
export interface LendingParts {
  readonly chain: Chain;
  readonly blobs: Pick<Blobs, 'unconfirmedBytes'>;
  readonly segments: Pick<Segments, 'file' | 'wrote'>;
  readonly sealer: Pick<Sealer, 'isClosing' | 'appended'>;
  /** Puts values of a record aside. */
  keepValues(seq: number, kept: readonly Kept[]): void;
  /** The file must not be used any more. */
  brokeOff(what: string, cause: unknown): void;
  /** There is something to be sealed. */
  keepPace(): void;
}

export class Lending {
  readonly #at: LogState;
  readonly #parts: LendingParts;
  /** Whom it was lent to last, and whether it is. */
  #borrower: Borrower | undefined;
  #isLent = false;

  constructor(state: LogState, parts: LendingParts) {
    this.#at = state;
    this.#parts = parts;
  }

  /** Undefined where that is not possible now, though the log takes records. */
  lend(borrower: Borrower): Lent | undefined {
    const { lock, clock, open, side } = this.#at;
    const { chain, blobs, segments, sealer } = this.#parts;
    if (sealer.isClosing || open.hasForgone || lock.isLost || clock !== systemClock) return undefined;
    const { file } = segments;
    const end = file === undefined ? undefined : chain.lend();
    if (file === undefined || end === undefined) return undefined;
    this.#borrower = borrower;
    this.#isLent = true;
    // What lies beside the file and is to be on disk with it is for the log to sync.
    const isAlone = side === undefined && blobs.unconfirmedBytes === 0;
    return { ...end, fd: file.fd, synced: isAlone ? { file, lock: lock.named } : undefined };
  }

  /** These records were made meanwhile; `kept`: values of each to put aside. */
  settle(made: Made, briefs: Float64Array, kept: readonly (readonly Kept[] | undefined)[]): void {
    const { chain, segments, sealer, keepValues, brokeOff, keepPace } = this.#parts;
    this.#isLent = false;
    const first = chain.size;
    const [inFile, rest] = chain.takeBack(made, briefs);
    if (briefs.length === 0) return;
    sealer.appended();
    segments.wrote(inFile, rest, made.error);
    this.#at.meter.records?.(briefs.length);
    for (const [at, values] of kept.entries()) if (values !== undefined) keepValues(first + at, values);
    if (made.error !== undefined) brokeOff('a record could not be written', made.error);
    keepPace();
  }

  /** Before the chain or the file is used. */
  takeBack(): void {
    if (this.#isLent) this.#borrower?.recall();
  }

  /** What the log itself does with its end is done, or goes on without it. */
  offer(): void {
    if (!this.#isLent) this.#borrower?.again();
  }

  /** The log has news. */
  revoke(): void {
    this.#borrower?.revoke();
  }

  /** The log takes nothing now. */
  refused(): void {
    this.#borrower?.refused();
  }
}
