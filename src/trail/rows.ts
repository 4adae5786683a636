// Rows: a statement and what came of it as one. Records come in the order of the log, rows go out in it; a statement
// waits for its outcome while few stand behind it, and one whose outcome comes later gets a second row then. Bounded in
// memory however long the log is. Pure; refuses to know files and where a row is shown.

import type { Entry } from './entry.ts';
import { type Filter, fits, outcomeFits, type Related } from './filter.ts';

/** One row of what is shown. */
export interface Row {
  /** The statement; or, by itself, a record of another kind. */
  readonly entry: Entry;
  /** Of a statement, if it is known. */
  readonly outcome?: Entry | undefined;
  /** Of an outcome that comes long after its statement: that statement. */
  readonly of?: Entry | undefined;
}

/** Rows that wait for the outcome of a statement before them. */
const waitingMax = 1_000;

/** Statements that were shown without their outcome and are remembered for it. */
const lateMax = 10_000;

interface Waiting {
  readonly entry: Entry;
  outcome?: Entry;
  of?: Entry;
  done: boolean;
}

export class Rows {
  readonly #filter: Filter;
  readonly related: Related = new Set();
  #waiting: Waiting[] = [];
  readonly #open = new Map<number, Waiting>();
  /** By sequence number, oldest first. */
  readonly #late = new Map<number, Entry>();

  constructor(filter: Filter) {
    this.#filter = filter;
  }

  /** True while a row waits for an outcome. */
  get waits(): boolean {
    return this.#open.size > 0;
  }

  /** A statement that was shown before, without its outcome. */
  shown(entry: Entry): void {
    this.#remember(entry);
  }

  /** Takes the next record of the log, and gives the rows that are complete by now. */
  push(entry: Entry): Row[] {
    const { kind, members } = entry;
    if (kind === 'outcome' && this.#ends(entry, Number(members.ref))) return this.#ready(waitingMax);
    if (!fits(entry, this.#filter, this.related)) return this.#ready(waitingMax);
    const opens = kind === 'stmt' && this.#filter.kinds?.includes('outcome') !== true;
    const waiting: Waiting = { entry, done: !opens };
    this.#waiting.push(waiting);
    if (opens) this.#open.set(entry.seq, waiting);
    return this.#ready(waitingMax);
  }

  /** Everything that waits, without waiting longer. */
  flush(): Row[] {
    return this.#ready(0);
  }

  /** True if the outcome is that of a statement which is known here. */
  #ends(outcome: Entry, ref: number): boolean {
    const waiting = this.#open.get(ref);
    if (waiting !== undefined) {
      Object.assign(waiting, { outcome, done: true });
      this.#open.delete(ref);
      return true;
    }
    const of = this.#late.get(ref);
    if (of === undefined) return false;
    this.#late.delete(ref);
    if (outcomeFits(outcome, this.#filter)) this.#waiting.push({ entry: outcome, of, done: true });
    return true;
  }

  #ready(waitingMax: number): Row[] {
    let count = 0;
    while (count < this.#waiting.length) {
      const { done } = this.#waiting[count]!;
      if (!done && this.#waiting.length - count <= waitingMax) break;
      count += 1;
    }
    if (count === 0) return [];
    return this.#waiting.splice(0, count).flatMap((waiting) => this.#row(waiting));
  }

  #row({ entry, outcome, of, done }: Waiting): Row[] {
    if (entry.kind !== 'stmt') return [of === undefined ? { entry } : { entry, of }];
    if (!done) {
      this.#open.delete(entry.seq);
      this.#remember(entry);
    }
    if (!outcomeFits(outcome, this.#filter)) return [];
    return [outcome === undefined ? { entry } : { entry, outcome }];
  }

  #remember(entry: Entry): void {
    const [oldest] = this.#late.keys();
    if (this.#late.size >= lateMax && oldest !== undefined) this.#late.delete(oldest);
    this.#late.set(entry.seq, entry);
  }
}
