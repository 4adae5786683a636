// Pool: the queue before the worker threads that parse large texts. Owns the threads, their time budget and their end.
// Refuses to know SQL. A thread that runs over its time or its memory is terminated and replaced.

import { Worker } from 'node:worker_threads';
import { tooComplex } from './analyze.ts';
import type { Analysis } from './statement.ts';
import type { Answer } from './worker.ts';

export interface PoolLimits {
  readonly threads: number;
  /** Time for one text, from the moment a thread takes it. */
  readonly parseMs: number;
  /** Bytes of texts that may wait; a text beyond it is refused. */
  readonly queueBytesMax: number;
}

interface Job {
  readonly sql: Uint8Array;
  readonly settle: (analysis: Analysis) => void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | undefined;
  clock: NodeJS.Timeout | undefined;
}

/** JavaScript heap of one thread: above what the largest tree that an engine gives out takes, so never reached. */
const heapMbMax = 1024;

const queueFull: Analysis = {
  kind: 'refused',
  code: 'too-complex',
  message: 'too many large statements are waiting to be understood; try again in a moment',
};

const workerUrl = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

export class Pool {
  readonly #limits: PoolLimits;
  readonly #threads: Thread[] = [];
  readonly #queue: Job[] = [];
  #queueBytes = 0;
  #closed = false;

  constructor(limits: PoolLimits) {
    this.#limits = limits;
  }

  /** Copies `sql`. Resolves always: with `too-complex` when time, memory or the thread itself fails. */
  analyze(sql: Buffer): Promise<Analysis> {
    if (this.#closed || this.#queueBytes + sql.length > this.#limits.queueBytesMax) {
      return Promise.resolve(queueFull);
    }
    this.#queueBytes += sql.length;
    return new Promise((settle) => {
      this.#queue.push({ sql: Uint8Array.from(sql), settle });
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0)) job.settle(tooComplex);
    await Promise.all(this.#threads.splice(0).map((thread) => this.#end(thread)));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const thread = this.#threads.find((candidate) => candidate.job === undefined) ?? this.#start();
      if (thread === undefined) return;
      const job = this.#queue.shift();
      if (job === undefined) return;
      this.#queueBytes -= job.sql.length;
      thread.job = job;
      thread.clock = setTimeout(() => this.#replace(thread), this.#limits.parseMs);
      thread.worker.ref();
      thread.worker.postMessage(job.sql, [job.sql.buffer as ArrayBuffer]);
    }
  }

  #start(): Thread | undefined {
    if (this.#threads.length >= this.#limits.threads) return undefined;
    const worker = new Worker(workerUrl, { resourceLimits: { maxOldGenerationSizeMb: heapMbMax } });
    const thread: Thread = { worker, job: undefined, clock: undefined };
    worker.on('message', (answer: Answer) => {
      this.#finish(thread, answer.analysis);
      if (answer.spent) {
        this.#replace(thread);
        // So that the next large text finds a thread that has loaded its parser.
        if (!this.#closed && this.#threads.length === 0) this.#start()?.worker.unref();
      } else this.#dispatch();
    });
    worker.on('error', () => this.#replace(thread));
    worker.on('exit', () => this.#replace(thread));
    this.#threads.push(thread);
    return thread;
  }

  #finish(thread: Thread, analysis: Analysis): void {
    clearTimeout(thread.clock);
    const job = thread.job;
    thread.job = undefined;
    // An idle thread must not keep the process alive.
    thread.worker.unref();
    job?.settle(analysis);
  }

  #replace(thread: Thread): void {
    const index = this.#threads.indexOf(thread);
    if (index === -1) return;
    this.#threads.splice(index, 1);
    void this.#end(thread);
    this.#dispatch();
  }

  async #end(thread: Thread): Promise<void> {
    this.#finish(thread, tooComplex);
    await thread.worker.terminate();
  }
}
