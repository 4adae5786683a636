// Turns: one queue a name. Steps under the same name run one after the other, in the order in which they were asked for;
// steps under different names do not wait for each other. Refuses to know what the steps do.

/** Holds nothing for a name whose queue has run empty. A failed step does not stop those behind it. */
export class Turns {
  /** The end of each queue. Never rejects. */
  readonly #last = new Map<string, Promise<void>>();

  /** Runs `step` after every step taken before under this name; resolves or rejects as it does. */
  take<T>(name: string, step: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(name) ?? Promise.resolve()).then(step);
    const over: Promise<void> = turn.then(
      () => this.#leave(name, over),
      () => this.#leave(name, over),
    );
    this.#last.set(name, over);
    return turn;
  }

  #leave(name: string, over: Promise<void>): void {
    if (this.#last.get(name) === over) this.#last.delete(name);
  }
}
