// Retry: does a piece of work again and again for as long as the process lives: at once while there is more to do, after
// a pause when there is not, and ever more rarely while it fails. Refuses to know what the work is.

/** A failure whose other side says when to come again. */
export class RetryLater extends Error {
  override readonly name = 'RetryLater';
  /** Milliseconds. */
  readonly afterMs: number;

  constructor(message: string, afterMs: number) {
    super(message);
    this.afterMs = afterMs;
  }
}

export interface RetryOptions {
  /** Does some of the work; true if there is more. `signal` aborts when its time is up or everything ends. */
  readonly round: (signal: AbortSignal) => Promise<boolean>;
  /** Pause when there is nothing to do. */
  readonly idleMs: number;
  /** How long one round may take. */
  readonly roundMs: number;
  /** Told of each failure, and (undefined) of each round that went well. */
  readonly outcome: (why: string | undefined) => void;
  /** A number from 0 up to 1. */
  readonly random: () => number;
}

/** Pause after the first failure and at most; doubled from one to the other. */
const firstPauseMs = 500;
const longestPauseMs = 30_000;
/** How long another side may ask us to wait. */
const askedMsMax = 15 * 60_000;

/** Milliseconds to wait after so many failures in a row: between half and all of the doubled pause. */
export function pauseMs(failures: number, random: number): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures - 1, 20)) * (0.5 + random / 2);
}

/** Work under way. It begins when it is made. */
export class Retry {
  readonly #options: RetryOptions;
  readonly #closing = new AbortController();
  readonly #done: Promise<void>;
  #wake: (() => void) | undefined;
  #isWoken = false;

  constructor(options: RetryOptions) {
    this.#options = options;
    this.#done = this.#run();
  }

  /** There is something to do: ends a pause, also one after a failure, but that not before the first pause's time. */
  wake(): void {
    this.#isWoken = true;
    this.#wake?.();
  }

  /** Aborts what is under way. Never rejects. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake?.();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { round, idleMs, roundMs, outcome, random } = this.#options;
    const closing = this.#closing.signal;
    for (let failures = 0; !closing.aborted; ) {
      this.#isWoken = false;
      try {
        const more = await round(AbortSignal.any([closing, AbortSignal.timeout(roundMs)]));
        failures = 0;
        outcome(undefined);
        if (!more) await this.#pause(idleMs, 0);
      } catch (error) {
        if (closing.aborted) return;
        failures += 1;
        outcome(reasonOf(error));
        if (error instanceof RetryLater) {
          const asked = Math.min(error.afterMs, askedMsMax);
          await this.#pause(asked, asked);
        } else await this.#pause(pauseMs(failures, random()), firstPauseMs);
      }
    }
  }

  async #pause(ms: number, leastMs: number): Promise<void> {
    await this.#sleep(Math.min(ms, leastMs), false);
    if (!this.#isWoken) await this.#sleep(ms - leastMs, true);
  }

  async #sleep(ms: number, canWake: boolean): Promise<void> {
    if (ms <= 0 || this.#closing.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        if (!canWake && !this.#closing.signal.aborted) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}

/** What went wrong, in one line that holds no secret of ours. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  const more = cause instanceof Error && !error.message.includes(cause.message) ? `: ${cause.message}` : '';
  return `${error.message || (error as NodeJS.ErrnoException).code || error.name}${more}`
    .replace(/\s+/g, ' ')
    .slice(0, 500);
}
