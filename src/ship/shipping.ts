// Shipping: the proxy's side of the shipping thread: tells it how far the log is on disk, passes checkpoints on to it
// and answers from it, knows how each destination is, and starts it again should it die. The log never waits for it.

import { Worker } from 'node:worker_threads';
import type { Anchor } from '../audit/anchor.ts';
import type { LogListener } from '../audit/logstate.ts';
import type { DestinationName, DestinationState, FromThread, ThreadData, ToThread } from './settings.ts';

export interface ShippingOptions extends Omit<ThreadData, 'durable'> {
  readonly log: { readonly health: { readonly sealed: number }; listen(listener: LogListener): () => void };
  /** For operators: a destination went away (with the reason) or came back; the thread died. */
  readonly report: (
    level: 'info' | 'warn' | 'error',
    message: string,
    more: Readonly<Record<string, unknown>>,
  ) => void;
  /** Records that a destination will not have. */
  readonly refused: (name: DestinationName, records: number) => void;
}

/** A thread that dies is started again after this time. */
const againMs = 1_000;

const threadUrl = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js', import.meta.url);

interface Asked {
  readonly resolve: (signatures: readonly never[]) => void;
  readonly reject: (error: Error) => void;
}

/** One a process that ships anything. It begins when it is made. */
export class Shipping {
  readonly #with: ShippingOptions;
  readonly #durable = new SharedArrayBuffer(8);
  readonly #stopListening: () => void;
  #states: readonly DestinationState[] = [];
  /** Failures and bytes of threads that have died. */
  readonly #before = new Map<DestinationName, { failures: number; bytes: number }>();
  #worker: Worker | undefined;
  #asked = new Map<number, Asked>();
  #lastId = 0;
  #again: NodeJS.Timeout | undefined;
  #closed: (() => void) | undefined;

  constructor(options: ShippingOptions) {
    this.#with = options;
    const counter = new BigInt64Array(this.#durable);
    Atomics.store(counter, 0, BigInt(options.log.health.sealed));
    this.#stopListening = options.log.listen({ sealed: (size) => Atomics.store(counter, 0, BigInt(size)) });
    this.#start();
  }

  /** How every destination was a moment ago. Empty until the thread has told. */
  get states(): readonly DestinationState[] {
    return this.#states.map((state) => {
      const before = this.#before.get(state.name);
      if (before === undefined) return state;
      return { ...state, failures: state.failures + before.failures, bytes: state.bytes + before.bytes };
    });
  }

  /** The bucket as one who keeps checkpoints; undefined if none is configured. */
  get anchor(): Anchor | undefined {
    const { s3 } = this.#with.settings;
    if (s3 === undefined) return undefined;
    return {
      name: `s3 ${s3.place.bucket}`,
      kind: 'store',
      restMs: s3.everyMs,
      keep: ({ size, note }) => this.#keep(size, note),
    };
  }

  /** Sends what is there, for at most `ms`, and ends. Never rejects. */
  async close(ms: number): Promise<void> {
    this.#stopListening();
    clearTimeout(this.#again);
    const worker = this.#worker;
    if (worker !== undefined) {
      const done = new Promise<void>((resolve) => {
        this.#closed = resolve;
      });
      this.#say({ kind: 'close', ms });
      const late = new Promise<void>((resolve) => setTimeout(resolve, ms + againMs).unref());
      await Promise.race([done, late]);
      await worker.terminate();
    }
    this.#refuse('Holdpoint is shutting down');
  }

  #start(): void {
    const { log: _log, report: _report, refused: _refused, ...data } = this.#with;
    const worker = new Worker(threadUrl, {
      workerData: { ...data, durable: this.#durable } satisfies ThreadData,
    });
    this.#worker = worker;
    worker.on('message', (message: FromThread) => this.#heard(message));
    worker.once('error', (error) =>
      this.#with.report('error', 'the shipping thread died', { cause: error.message }),
    );
    worker.once('exit', () => this.#died());
  }

  #died(): void {
    this.#worker = undefined;
    this.#closed?.();
    this.#refuse('the shipping thread died');
    if (this.#closed !== undefined) return;
    for (const { name, failures, bytes } of this.states)
      this.#before.set(name, { failures: failures + 1, bytes });
    this.#states = this.#states.map((state) => ({
      ...state,
      failures: 0,
      bytes: 0,
      problem: 'it is being started again',
    }));
    this.#again = setTimeout(() => this.#start(), againMs).unref();
  }

  #keep(size: number, note: string): Promise<readonly never[]> {
    if (this.#worker === undefined)
      return Promise.reject(new Error('the shipping thread is being started again'));
    const { promise, resolve, reject } = Promise.withResolvers<readonly never[]>();
    this.#lastId += 1;
    this.#asked.set(this.#lastId, { resolve, reject });
    this.#say({ kind: 'keep', id: this.#lastId, size, note });
    return promise;
  }

  #heard(message: FromThread): void {
    const { report } = this.#with;
    switch (message.kind) {
      case 'states':
        this.#states = message.states;
        return;
      case 'kept':
        this.#asked.get(message.id)?.resolve([]);
        this.#asked.delete(message.id);
        return;
      case 'missed':
        this.#asked.get(message.id)?.reject(new Error(message.why));
        this.#asked.delete(message.id);
        return;
      case 'said':
        if (message.problem === undefined) report('info', `the log reaches ${message.name} again`, {});
        else report('warn', `the log does not reach ${message.name}; it will`, { cause: message.problem });
        return;
      case 'lost':
        report('error', `records were pruned before ${message.name} had them`, {
          from: message.from,
          to: message.to - 1,
        });
        return;
      case 'refused':
        this.#with.refused(message.name, message.records);
        report('error', `${message.name} will not have some records of the log`, {
          records: message.records,
          cause: message.why,
        });
        return;
      case 'closed':
        this.#closed?.();
    }
  }

  #refuse(why: string): void {
    for (const { reject } of this.#asked.values()) reject(new Error(why));
    this.#asked.clear();
  }

  #say(message: ToThread): void {
    this.#worker?.postMessage(message);
  }
}
