// Crew: the threads that read segments ahead. audit-approval §12. Owns the threads and their end; refuses to know what
// they find. A thread that dies is replaced, and what it read is read in its turn.

import { Worker } from 'node:worker_threads';
import type { AheadJob, ReadAhead, Readers } from './ahead.ts';
import type { Question } from './worker.ts';

const workerUrl = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);
/** A thread holds a few MiB of a segment and what it has to tell of it. */
const heapMbMax = 512;

interface Thread {
  readonly worker: Worker;
  done: ((answer: ReadAhead | undefined) => void) | undefined;
}

/** Threads that read the segments of the log in one folder. To be closed. */
export class Crew implements Readers {
  readonly width: number;
  readonly #path: string;
  readonly #threads = new Set<Thread>();
  readonly #waiting: { readonly job: AheadJob; readonly done: NonNullable<Thread['done']> }[] = [];
  #closed = false;

  constructor(path: string, width: number) {
    this.#path = path;
    this.width = width;
  }

  read(job: AheadJob): Promise<ReadAhead | undefined> {
    return new Promise((done) => {
      this.#waiting.push({ job, done });
      this.#assign();
    });
  }

  /** Ends the threads; what was being read counts as not read. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { done } of this.#waiting.splice(0)) done(undefined);
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #assign(): void {
    if (this.#closed || this.#waiting.length === 0) return;
    let idle = [...this.#threads].find((thread) => thread.done === undefined);
    if (idle === undefined && this.#threads.size < this.width) idle = this.#start();
    if (idle === undefined) return;
    const { job, done } = this.#waiting.shift()!;
    idle.done = done;
    idle.worker.postMessage({ path: this.#path, job } satisfies Question);
  }

  #start(): Thread {
    const worker = new Worker(workerUrl, { resourceLimits: { maxOldGenerationSizeMb: heapMbMax } });
    const thread: Thread = { worker, done: undefined };
    const settle = (answer: ReadAhead | undefined) => {
      const { done } = thread;
      thread.done = undefined;
      done?.(answer);
      this.#assign();
    };
    worker.on('message', settle);
    // Its exit follows.
    worker.on('error', () => {});
    worker.on('exit', () => {
      this.#threads.delete(thread);
      settle(undefined);
    });
    this.#threads.add(thread);
    return thread;
  }
}
