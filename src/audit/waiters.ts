// Waiters: those who may not go on before the log has what they told it: in the file, or sealed and on disk.
// Refuses to know how it gets there.

import type { HoldpointError } from '../errors.ts';

/** Called once: without an error when what was waited for is so; with one, nothing that rests on it may go on. */
export type Written = (error?: HoldpointError) => void;

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: HoldpointError) => void;
}

export class Waiters {
  #writers: Written[] = [];
  #waiters: Waiter[] = [];

  /** True if somebody waits for the file. */
  get forFile(): boolean {
    return this.#writers.length > 0;
  }

  /** True if somebody waits for the disk. */
  get forDisk(): boolean {
    return this.#waiters.length > 0;
  }

  written(done: Written): void {
    this.#writers.push(done);
  }

  /** Settles with `sealed` or `reject`. */
  durable(seq: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiters.push({ seq, resolve, reject });
    return promise;
  }

  /** Everything appended so far is in the file; with an error, it will not be in time. */
  inFile(error?: HoldpointError): void {
    const writers = this.#writers;
    this.#writers = [];
    for (const done of writers) done(error);
  }

  /** The first `size` records are sealed and on disk. */
  sealed(size: number): void {
    const rest: Waiter[] = [];
    for (const waiter of this.#waiters) {
      if (waiter.seq < size) waiter.resolve();
      else rest.push(waiter);
    }
    this.#waiters = rest;
  }

  /** Nobody who waits for the disk may go on. */
  reject(error: HoldpointError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}
