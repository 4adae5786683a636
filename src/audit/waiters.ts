// Waiters: those who may not go on before the log has what they told it: in the file, on disk, or sealed there.
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
  #forDisk: Waiter[] = [];
  #forSeal: Waiter[] = [];

  /** True if somebody waits for the file. */
  get forFile(): boolean {
    return this.#writers.length > 0;
  }

  /** True if somebody waits for the disk, and for no seal. */
  get forDisk(): boolean {
    return this.#forDisk.length > 0;
  }

  get forSeal(): boolean {
    return this.#forSeal.length > 0;
  }

  written(done: Written): void {
    this.#writers.push(done);
  }

  /** Settles with `onDisk` or `reject`. */
  disk(seq: number): Promise<void> {
    return waitIn(this.#forDisk, seq);
  }

  /** Settles with `sealed` or `reject`. */
  seal(seq: number): Promise<void> {
    return waitIn(this.#forSeal, seq);
  }

  /** Everything appended so far is in the file; with an error, it will not be in time. */
  inFile(error?: HoldpointError): void {
    const writers = this.#writers;
    this.#writers = [];
    for (const done of writers) done(error);
  }

  /** The first `size` records are on disk. */
  onDisk(size: number): void {
    this.#forDisk = settled(this.#forDisk, size);
  }

  /** The first `size` records are sealed, and that is on disk. */
  sealed(size: number): void {
    this.#forSeal = settled(this.#forSeal, size);
  }

  /** Nobody who waits for the disk may go on. */
  reject(error: HoldpointError): void {
    for (const waiter of [...this.#forDisk.splice(0), ...this.#forSeal.splice(0)]) waiter.reject(error);
  }
}

function waitIn(waiters: Waiter[], seq: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  waiters.push({ seq, resolve, reject });
  return promise;
}

/** Those who wait on. */
function settled(waiters: readonly Waiter[], size: number): Waiter[] {
  const rest: Waiter[] = [];
  for (const waiter of waiters) {
    if (waiter.seq < size) waiter.resolve();
    else rest.push(waiter);
  }
  return rest;
}
