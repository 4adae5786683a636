// Tiling: has the tiles of a log kept while it is written, in a thread of its own. Owns the thread and when it works: a
// while after something was written, and not while much is, for to hash all of it again would cost as much as to write
// it. What the tiles are not over yet, proofs find by a pass over those lines. Never waited for by a statement; if it fails, the log goes on without
// tiles and proofs are made by a pass over it.

import { Worker } from 'node:worker_threads';
import type { LogListener } from './logstate.ts';
import type { TilingAnswer } from './tiling-worker.ts';

const workerUrl = new URL(
  import.meta.url.endsWith('.ts') ? './tiling-worker.ts' : './tiling-worker.js',
  import.meta.url,
);

/** Looked at so often. */
const waitMs = 15_000;
/** Once it failed: it may have read all of the log for nothing. */
const failedWaitMs = 60_000;
/** With more records than that since the last look, the log is busy. */
const busyRecords = 15_000;

export interface TilingOptions {
  /** The log's folder. */
  readonly path: string;
  /** Told of each failure in words. */
  readonly failed: (reason: string) => void;
}

/** Keeps the tiles of one log. Listen with it to the log; `close` it before the log's folder goes. */
export class Tiling implements LogListener {
  readonly #options: TilingOptions;
  #worker: Worker | undefined;
  #sealed = 0;
  #tiled = 0;
  #busy: PromiseWithResolvers<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failing = false;
  #closed = false;

  constructor(options: TilingOptions) {
    this.#options = options;
  }

  /** Records that the tiles are known to be over. */
  get size(): number {
    return this.#tiled;
  }

  /** The thread has something to do. */
  get isAtWork(): boolean {
    return this.#busy !== undefined;
  }

  sealed(size: number): void {
    this.#sealed = size;
    this.#timer ??= setTimeout(() => this.#look(size), this.#failing ? failedWaitMs : waitMs).unref();
  }

  /** Settles when the tiles are over what is sealed now, or cannot be. */
  async reach(): Promise<void> {
    await this.#busy?.promise;
    if (this.#tiled < this.#sealed) this.#work();
    await this.#busy?.promise;
  }

  /** Ends the thread; what it is about to write is made again by the next. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#worker?.terminate();
    this.#settle();
  }

  /** `before`: the size at the last look. */
  #look(before: number): void {
    this.#timer = undefined;
    if (this.#sealed - before < busyRecords) this.#work();
    else this.sealed(this.#sealed);
  }

  #work(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#busy !== undefined || this.#closed) return;
    this.#busy = Promise.withResolvers<void>();
    this.#worker ??= this.#start();
    this.#worker.postMessage(this.#sealed);
  }

  #start(): Worker {
    const worker = new Worker(workerUrl, { workerData: this.#options.path });
    worker.unref();
    worker.on('message', (answer: TilingAnswer) => {
      if ('error' in answer) this.#fail(answer.error);
      else {
        this.#tiled = answer.size;
        this.#failing = false;
      }
      this.#settle();
    });
    worker.on('error', (error: Error) => {
      this.#worker = undefined;
      this.#fail(error.message);
      this.#settle();
    });
    return worker;
  }

  #fail(reason: string): void {
    this.#failing = true;
    this.#options.failed(reason);
  }

  #settle(): void {
    this.#busy?.resolve();
    this.#busy = undefined;
  }
}
