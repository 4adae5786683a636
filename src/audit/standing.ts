// Standing: whether a log takes records, and why not: it was stopped by a failure, or disk or signer have been silent for
// too long. Tries again after a stop; looks at the clock while somebody is asked. audit-approval §4.
// Refuses to know what failed and how it is mended.

import type { HoldpointError } from '../errors.ts';
import type { LogMeter } from './logstate.ts';
import * as trouble from './trouble.ts';

/** Times in milliseconds. */
export interface StandingOptions {
  readonly mono: () => number;
  readonly stallMs: number;
  readonly retryMs: number;
  readonly meter: LogMeter;
  /** It is time to try whether the log can go on. */
  readonly retry: () => void;
  /** Whoever waits may wait no longer. */
  readonly refuse: (error: HoldpointError) => void;
}

export class Standing {
  readonly #options: StandingOptions;
  #stopped: HoldpointError | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** Since when `#waitsFor` has been asked without an answer. */
  #askedAt: number | undefined;
  #waitsFor: 'disk' | 'signer' = 'disk';
  #look: NodeJS.Timeout | undefined;
  #isTold = false;

  constructor(options: StandingOptions) {
    this.#options = options;
  }

  /** Why nothing is taken; undefined while all is well. */
  get refusal(): HoldpointError | undefined {
    return this.#stopped ?? this.stall;
  }

  get stopped(): HoldpointError | undefined {
    return this.#stopped;
  }

  /** Why nothing is taken although nothing has failed. */
  get stall(): HoldpointError | undefined {
    const ms = this.#silentMs;
    return ms > this.#options.stallMs ? trouble.stalled(ms, this.#waitsFor) : undefined;
  }

  /** Somebody is asked now; who was asked before has answered. */
  asks(waitsFor: 'disk' | 'signer'): void {
    this.#waitsFor = waitsFor;
    this.#askedAt = this.#options.mono();
    if (this.#look === undefined) this.#lookIn(this.#options.stallMs);
  }

  /** Nobody is asked any more. */
  rests(): void {
    clearTimeout(this.#look);
    this.#look = undefined;
    this.#askedAt = undefined;
    if (this.#isTold && this.#stopped === undefined) this.#options.meter.stopped?.(undefined);
    this.#isTold = false;
  }

  /** Nothing is taken from now on. Whoever waits hears of it; after a while the log is told to try again. */
  stop(error: HoldpointError): void {
    const { meter, refuse } = this.#options;
    if (this.#stopped?.message !== error.message) meter.stopped?.(error);
    this.#stopped = error;
    refuse(error);
    this.tryLater();
  }

  /** Has the log told to try again after a while, if it is stopped: a try has ended without an end of that. */
  tryLater(): void {
    clearTimeout(this.#retry);
    if (this.#isClosed || this.#stopped === undefined) return;
    this.#retry = setTimeout(this.#options.retry, this.#options.retryMs);
    this.#retry.unref();
  }

  /** Records are taken again. */
  goOn(): void {
    clearTimeout(this.#retry);
    if (this.#stopped === undefined) return;
    this.#stopped = undefined;
    this.#options.meter.stopped?.(undefined);
  }

  /** Nothing is tried any more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#look);
  }

  get #silentMs(): number {
    return this.#askedAt === undefined ? 0 : this.#options.mono() - this.#askedAt;
  }

  #lookIn(ms: number): void {
    this.#look = setTimeout(() => {
      this.#tell();
      const ms = this.#options.stallMs - this.#silentMs;
      this.#lookIn(ms < 0 ? this.#options.stallMs : ms + 1);
    }, ms);
    this.#look.unref();
  }

  #tell(): void {
    const { stall } = this;
    if (stall === undefined) return;
    const { meter, refuse } = this.#options;
    if (!this.#isTold) {
      meter.failure?.(stall);
      meter.stopped?.(stall);
    }
    this.#isTold = true;
    refuse(stall);
  }
}
