// Tiling: has the tiles of a log kept while it is written, in a thread of its own. Owns the thread and when it works:
// after some records, or some time after any. Never waited for by a statement; if it fails, the log goes on without
// tiles and proofs are made by a pass over it.

import { Worker } from 'node:worker_threads';
import type { LogListener } from './logstate.ts';
import type { TilingAnswer } from './tiling-worker.ts';

const workerUrl = new URL(
  import.meta.url.endsWith('.ts') ? './tiling-worker.ts' : './tiling-worker.js',
  import.meta.url,
);

/** So many records without tiles are not waited with; a full tile is 256. */
const recordsMax = 1024;
/** Nor is so long, for fewer. */
const waitMs = 60_000;

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
  /** Then only the time makes it try again: it may have read all of the log for nothing. */
  #failing = false;
  #closed = false;

  constructor(options: TilingOptions) {
    this.#options = options;
  }

  /** Records that the tiles are known to be over. */
  get size(): number {
    return this.#tiled;
  }

  sealed(size: number): void {
    this.#sealed = size;
    if (size - this.#tiled >= recordsMax && !this.#failing) this.#work();
    else this.#timer ??= setTimeout(() => this.#work(), waitMs).unref();
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
