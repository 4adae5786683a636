// Pool: the queue before the worker threads that parse and scan large texts. Owns the threads, their time budget and their end.
// Refuses to know SQL. A thread that runs over its time or its memory is terminated and replaced.

import { Worker } from 'node:worker_threads';
import { tooComplex } from './analyze.ts';
import type { Analysis } from './statement.ts';
import type { Answer, Question } from './worker.ts';

export interface PoolLimits {
  readonly threads: number;
  /** Time for one text, from the moment a thread takes it. */
  readonly parseMs: number;
  /** Bytes of texts that may wait; a text beyond it is refused. */
  readonly queueBytesMax: number;
}

interface Job extends Question {
  /** Undefined when time, memory or the thread itself failed. */
  readonly settle: (result: Answer['result'] | undefined) => void;
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
  async analyze(sql: Buffer): Promise<Analysis> {
    if (!this.#takes(sql)) return queueFull;
    return ((await this.#ask(sql, 'analysis')) as Analysis | undefined) ?? tooComplex;
  }

  /** As `packed` has them; undefined where the text does not scan or nobody has time for it. */
  async tokens(sql: Buffer): Promise<Uint32Array | undefined> {
    if (!this.#takes(sql)) return undefined;
    return ((await this.#ask(sql, 'tokens')) as Uint32Array | null | undefined) ?? undefined;
  }

  #takes(sql: Buffer): boolean {
    return !this.#closed && this.#queueBytes + sql.length <= this.#limits.queueBytesMax;
  }

  #ask(sql: Buffer, want: Question['want']): Promise<Answer['result'] | undefined> {
    this.#queueBytes += sql.length;
    return new Promise((settle) => {
      this.#queue.push({ sql: Uint8Array.from(sql), want, settle });
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0)) job.settle(undefined);
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
      const { sql, want } = job;
      thread.worker.postMessage({ sql, want } satisfies Question, [sql.buffer as ArrayBuffer]);
    }
  }

  #start(): Thread | undefined {
    if (this.#threads.length >= this.#limits.threads) return undefined;
    const worker = new Worker(workerUrl, { resourceLimits: { maxOldGenerationSizeMb: heapMbMax } });
    const thread: Thread = { worker, job: undefined, clock: undefined };
    worker.on('message', (answer: Answer) => {
      this.#finish(thread, answer.result);
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

  #finish(thread: Thread, result: Answer['result'] | undefined): void {
    clearTimeout(thread.clock);
    const job = thread.job;
    thread.job = undefined;
    // An idle thread must not keep the process alive.
    thread.worker.unref();
    job?.settle(result);
  }

  #replace(thread: Thread): void {
    const index = this.#threads.indexOf(thread);
    if (index === -1) return;
    this.#threads.splice(index, 1);
    void this.#end(thread);
    this.#dispatch();
  }

  async #end(thread: Thread): Promise<void> {
    this.#finish(thread, undefined);
    await thread.worker.terminate();
  }
}
