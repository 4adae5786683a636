// Pace: when the next group is committed. One timer, moved forward only, so that a stream of callers cannot put it off
// for ever. Refuses to know what a commit is.

/** Calls `due` once for any number of calls of `within`, at the earliest time any of them asked for. */
export class Pace {
  readonly #mono: () => number;
  readonly #due: () => void;
  #last: number;
  #at = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;

  /** `mono` in ms. The first commit may come at once. */
  constructor(mono: () => number, due: () => void) {
    this.#mono = mono;
    this.#due = due;
    this.#last = Number.NEGATIVE_INFINITY;
  }

  /** A commit begins now; the next is counted from here. */
  begin(): void {
    this.#last = this.#mono();
  }

  /** True if the last one began `ms` ago or earlier. */
  isDue(ms: number): boolean {
    return this.#mono() - this.#last >= ms;
  }

  /** Asks for a commit at once, whenever the last one was. */
  soon(): void {
    this.within(Number.NEGATIVE_INFINITY);
  }

  /** Asks for a commit no later than `ms` after the last one began; at once if that is past. */
  within(ms: number): void {
    const now = this.#mono();
    const at = Math.max(now, this.#last + ms);
    if (this.#at <= at) return;
    this.stop();
    this.#at = at;
    const run = () => {
      this.stop();
      this.#due();
    };
    if (at === now) {
      // A timer of 0 ms takes a millisecond; somebody waits for this one.
      const immediate = setImmediate(run);
      this.#cancel = () => clearImmediate(immediate);
    } else {
      const timer = setTimeout(run, at - now);
      this.#cancel = () => clearTimeout(timer);
    }
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#at = Number.POSITIVE_INFINITY;
  }
}
