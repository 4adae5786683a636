// Tally: the requests that this process has opened and that nobody has decided yet, for the metrics. Each node counts its
// own, whoever decides them, so that the sum over the nodes is the number of requests that wait. Pure.

import type { Request } from './request.ts';

interface Opened {
  readonly target: string;
  /** Milliseconds since the epoch. */
  readonly exp: number;
  /** When it was opened, by the monotonic clock. */
  readonly mono: number;
}

/** One a desk. */
export class Tally {
  readonly #opened = new Map<string, Opened>();

  opened({ rid, exp, db }: Request, mono: number): void {
    this.#opened.set(rid, { target: db.target, exp, mono });
  }

  has(rid: string): boolean {
    return this.#opened.has(rid);
  }

  /** It is pending no more: what there was of it, once. */
  left(rid: string): Opened | undefined {
    const opened = this.#opened.get(rid);
    this.#opened.delete(rid);
    return opened;
  }

  /** Those past their time. */
  overdue(now: number): string[] {
    return [...this.#opened].filter(([, { exp }]) => exp <= now).map(([rid]) => rid);
  }
}
