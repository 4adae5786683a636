// Reader: asks a thread of its own about the log, one question at a time. Owns the thread, the queue before it and the
// time that an answer may take: a question that takes longer is given up with its thread. The process that writes the log
// is never held up by somebody who reads it.

import { Worker } from 'node:worker_threads';
import { HoldpointError } from '../errors.ts';
import type { Answers, Question } from './question.ts';
import type { Reply } from './reading-worker.ts';

export interface ReaderOptions {
  /** The log's folder. */
  readonly path: string;
  /** Longest time for one answer; default 20 s. */
  readonly answerMs?: number;
}

const answerMsDefault = 20_000;
/** Questions that may wait for the thread. */
const waitingMax = 32;
/** A thread that nobody asks for so long is ended. */
const idleMs = 60_000;
const heapMbMax = 512;

interface Waiting {
  readonly question: Question;
  readonly settle: (reply: Reply) => void;
}

const workerUrl = new URL(
  import.meta.url.endsWith('.ts') ? './reading-worker.ts' : './reading-worker.js',
  import.meta.url,
);

export class Reader {
  readonly #options: ReaderOptions;
  readonly #queue: Waiting[] = [];
  #worker: Worker | undefined;
  #busy: Waiting | undefined;
  #clock: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  /** Throws `too-many-connections` where too many wait, `too-complex` where it took too long, `not-found` for what failed. */
  async ask<Q extends Question>(question: Q): Promise<Answers[Q['kind']]> {
    if (this.#closed) throw new HoldpointError('shutdown', 'this Holdpoint is ending');
    if (this.#queue.length >= waitingMax)
      throw new HoldpointError(
        'too-many-connections',
        'too many are reading the log just now; ask again later',
      );
    const reply = await new Promise<Reply>((settle) => {
      this.#queue.push({ question, settle });
      this.#next();
    });
    if ('error' in reply) throw new HoldpointError('too-complex', reply.error);
    return reply.answer as Answers[Q['kind']];
  }

  /** Ends the thread; who waits is told. */
  close(): void {
    this.#closed = true;
    this.#end('this Holdpoint is ending');
    for (const { settle } of this.#queue.splice(0)) settle({ error: 'this Holdpoint is ending' });
  }

  #next(): void {
    if (this.#busy !== undefined) return;
    const next = this.#queue.shift();
    clearTimeout(this.#clock);
    if (next === undefined) {
      this.#clock = setTimeout(() => this.#end(''), idleMs).unref();
      return;
    }
    this.#busy = next;
    const ms = this.#options.answerMs ?? answerMsDefault;
    const late = `the log could not be read for this within ${ms} ms; ask for less, or use holdpoint audit`;
    this.#clock = setTimeout(() => this.#end(late), ms);
    this.#worker ??= this.#start();
    this.#worker.postMessage(next.question);
  }

  #start(): Worker {
    const { path } = this.#options;
    const worker = new Worker(workerUrl, {
      workerData: path,
      resourceLimits: { maxOldGenerationSizeMb: heapMbMax },
    });
    worker.unref();
    worker.on('message', (reply: Reply) => {
      if (worker === this.#worker) this.#settle(reply);
    });
    worker.on('error', (error: Error) => {
      if (worker === this.#worker) this.#end(`the log could not be read: ${error.message}`);
    });
    return worker;
  }

  #end(error: string): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
    clearTimeout(this.#clock);
    if (this.#busy !== undefined) this.#settle({ error });
  }

  #settle(reply: Reply): void {
    const busy = this.#busy;
    this.#busy = undefined;
    busy?.settle(reply);
    this.#next();
  }
}
