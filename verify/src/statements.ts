// Statements: whether every statement of a log has its one outcome. audit-approval §6, A22.
// A second outcome, one of no statement, and one that never came are all faults: somebody would be told two things, or
// nothing. What a boot left open its successor answers for; only the statements of the boot that wrote last may still be
// running. Holds what is open and nothing else, and is bounded: a log with more than a proxy can have is refused. Pure.

import { Offence, type Place } from './offence.ts';

/** Statements without an outcome at one time. A proxy has a few for each of its connections. */
export const openMax = 1 << 20;

/** Statements that are open at one point of a log. */
export class Statements {
  /** Records before this one are not looked at here: their outcomes belong to whoever looks at those. */
  readonly since: number;
  /** Line and file of each by its seq. */
  readonly #open = new Map<number, Place>();
  /** Those whose outcome tells something of a release. */
  readonly #told = new Set<number>();

  constructor(since = 0) {
    this.since = since;
  }

  get size(): number {
    return this.#open.size;
  }

  /** A `stmt` record. `told`: its outcome is to be told. */
  begin(seq: number, file: string, line: number, told: boolean): void {
    if (this.#open.size >= openMax)
      throw new Offence(
        'outcome',
        { file, line },
        `${openMax} statements are open at once: no proxy has so many; their outcomes are missing`,
      );
    this.#open.set(seq, { file, line });
    if (told) this.#told.add(seq);
  }

  /** A record other than its outcome names statement `ref`. */
  tell(ref: number): void {
    if (this.#open.has(ref)) this.#told.add(ref);
  }

  /**
   * Record `seq`, an `outcome` of statement `ref`. Returns whether it is to be told: also where the statement stands before
   * `since`. Throws Offence if there is no such statement, or it has an outcome already.
   */
  end(seq: number, ref: number, place: Place): boolean {
    const isOpen = this.#open.delete(ref);
    if (isOpen) return this.#told.delete(ref);
    if (ref >= 0 && ref < this.since) return true;
    throw new Offence(
      'outcome',
      place,
      `record ${seq} is the outcome of statement ${ref}, which has one already or is none of this log`,
    );
  }

  /** Takes over what another, that looked at what follows, found open. */
  add(open: Iterable<readonly [number, Place]>): void {
    for (const [seq, { file, line }] of open) this.begin(seq, file, line, true);
  }

  [Symbol.iterator](): IterableIterator<[number, Place]> {
    return this.#open[Symbol.iterator]();
  }

  /** The oldest that is open. */
  first(): { readonly seq: number; readonly place: Place } | undefined {
    for (const [seq, place] of this.#open) return { seq, place };
    return undefined;
  }
}
