// Outcomes: each statement in a log has one outcome, or none while it runs. A second one, one of no statement, and one that
// never came are all faults of the log: somebody would be told two things, or nothing. Part of the offline verifier:
// pure, and nothing of the proxy. The records fit the chain already.

import { type ChainedRecord, Offence, type Place } from './chain.ts';

/** A `stmt` record without an outcome. */
export interface Unended {
  readonly seq: number;
  readonly place: Place;
  readonly boot: string;
}

/** Follows statements through a log, or through a part of it. `note` takes every record in order and throws Offence. */
export class Outcomes {
  readonly #open = new Map<number, Unended | undefined>();

  /** `before`: seqs of the statements without an outcome where the part begins, as the manifest tells. */
  constructor(before: Iterable<number> = []) {
    for (const seq of before) this.#open.set(seq, undefined);
  }

  note({ kind, seq, boot, members }: ChainedRecord, place: Place): void {
    if (kind === 'stmt') this.#open.set(seq, { seq, place, boot });
    else if (kind === 'outcome' && !this.#open.delete(Number(members.ref)))
      throw new Offence(
        'outcome',
        place,
        `record ${seq} is the outcome of statement ${members.ref}, which has one already or is none of this log`,
      );
  }

  /** Statements of the records noted that have no outcome, in log order. */
  open(): Unended[] {
    return [...this.#open.values()].filter((unended) => unended !== undefined);
  }
}
