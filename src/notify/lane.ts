// Lane: the queue in front of one channel. Keeps each letter once, however often it is put in while it waits, so that a
// channel that was down gets the last state and not all of them. Backs off when deliveries fail, waits as long as the
// other side asks to, and never holds more than its bound. Refuses to know what a letter says and whom it is for.

import type { Delivery } from './channel.ts';

/** Letters that wait, in all. */
export const lettersMax = 2_000;

/** Waiting time after the first failure and at most, in milliseconds; doubled from one to the other. */
const firstWaitMs = 1_000;
const longestWaitMs = 60_000;
/** How long a server may ask us to wait; one that asks for more is asked again then. */
const retryAfterMsMax = 15 * 60_000;
/** A letter that could not be delivered for so long is given up. */
const keptMs = 24 * 3_600_000;

export type LaneOutcome = 'sent' | 'updated' | 'unchanged' | 'retried' | 'refused' | 'given-up' | 'dropped';

export interface LaneOptions {
  readonly atOnce: number;
  /** Delivers the letter of that name. A rejection counts as a failure of ours, and the letter is given up. */
  readonly deliver: (letter: string) => Promise<Delivery>;
  /** Told once of each attempt; `why` where it failed. */
  readonly outcome: (outcome: LaneOutcome, letter: string, why?: string) => void;
  /** Told when deliveries begin to fail (with the reason), and when they work again. */
  readonly trouble: (why: string | undefined) => void;
  /** Monotonic clock, milliseconds. */
  readonly mono: () => number;
  /** Runs `then` once after `ms`; returns the way to stop it. */
  readonly after: (ms: number, then: () => void) => () => void;
  /** A number from 0 up to 1. */
  readonly random: () => number;
}

interface Letter {
  readonly name: string;
  /** By the monotonic clock: when it was put in. */
  readonly sinceMono: number;
  failures: number;
  notBeforeMono: number;
}

/** The queue of one channel. Nothing in it outlives the process. */
export class Lane {
  readonly #options: LaneOptions;
  /** In the order in which they came. */
  readonly #waiting = new Map<string, Letter>();
  /** Under way; `again` if it was put in meanwhile. */
  readonly #flying = new Map<string, { letter: Letter; again: boolean }>();
  readonly #idle = new Set<() => void>();
  /** Failures since the last delivery. */
  #failures = 0;
  #pausedUntilMono = Number.NEGATIVE_INFINITY;
  #why: string | undefined;
  #stopTimer: () => void = () => {};
  #closed = false;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Letters waiting or under way. */
  get length(): number {
    return this.#waiting.size + this.#flying.size;
  }

  /** Milliseconds that the oldest letter has waited; 0 when there is none. */
  get lagMs(): number {
    const oldest = [...this.#waiting.values(), ...[...this.#flying.values()].map(({ letter }) => letter)];
    if (oldest.length === 0) return 0;
    return this.#options.mono() - Math.min(...oldest.map(({ sinceMono }) => sinceMono));
  }

  /** Why deliveries fail now; undefined while they do not. */
  get why(): string | undefined {
    return this.#why;
  }

  /** Queues a letter; one that waits already stays where it is. False if there is no room for it. Never throws. */
  put(name: string): boolean {
    if (this.#closed) return false;
    const flying = this.#flying.get(name);
    if (flying !== undefined) flying.again = true;
    else if (!this.#waiting.has(name)) {
      if (this.#waiting.size >= lettersMax) {
        this.#options.outcome('dropped', name);
        return false;
      }
      this.#waiting.set(name, this.#fresh(name));
    }
    this.#pump();
    return true;
  }

  /** Resolves when nothing waits any more, or after `ms`; then nothing more is sent. */
  async close(ms: number): Promise<void> {
    if (this.length > 0) {
      await new Promise<void>((done) => {
        const stop = this.#options.after(ms, done);
        this.#idle.add(() => {
          stop();
          done();
        });
      });
    }
    this.#closed = true;
    this.#stopTimer();
    this.#waiting.clear();
  }

  #pump(): void {
    if (this.#closed) return;
    const now = this.#options.mono();
    // After a failure one letter tries whether the way is open again.
    const most = this.#failures > 0 ? 1 : this.#options.atOnce;
    if (now >= this.#pausedUntilMono) {
      for (const letter of this.#waiting.values()) {
        if (this.#flying.size >= most) break;
        if (letter.notBeforeMono <= now) this.#fly(letter);
      }
    }
    this.#stopTimer();
    if (this.#waiting.size === 0 || this.#flying.size >= most) return;
    const next = Math.min(...[...this.#waiting.values()].map(({ notBeforeMono }) => notBeforeMono));
    const waitMs = Math.max(next, this.#pausedUntilMono) - now;
    this.#stopTimer = this.#options.after(Math.max(1, Math.ceil(waitMs)), () => this.#pump());
  }

  #fly(letter: Letter): void {
    this.#waiting.delete(letter.name);
    this.#flying.set(letter.name, { letter, again: false });
    const failed = (): Delivery => ({ refused: 'it could not be written' });
    this.#options
      .deliver(letter.name)
      .catch(failed)
      .then((delivery) => this.#landed(letter, delivery));
  }

  #landed(letter: Letter, delivery: Delivery): void {
    const again = this.#flying.get(letter.name)?.again === true;
    this.#flying.delete(letter.name);
    if ('later' in delivery) {
      if (this.#fail(letter, delivery)) this.#waiting.set(letter.name, letter);
    } else {
      if ('done' in delivery) this.#failures = 0;
      if ('done' in delivery) this.#options.outcome(delivery.done, letter.name);
      else this.#options.outcome('refused', letter.name, delivery.refused);
      if (again) this.#waiting.set(letter.name, this.#fresh(letter.name));
    }
    this.#mended();
    if (this.length === 0) {
      for (const done of this.#idle) done();
      this.#idle.clear();
    }
    this.#pump();
  }

  /** True if the letter stays. */
  #fail(letter: Letter, { later, afterMs, all }: Extract<Delivery, { later: string }>): boolean {
    const now = this.#options.mono();
    letter.failures += 1;
    const asked = afterMs === undefined ? undefined : Math.min(afterMs, retryAfterMsMax);
    letter.notBeforeMono = now + (asked ?? this.#backoffMs(letter.failures));
    if (all) {
      this.#failures += 1;
      // Never shortened by a delivery that succeeds meanwhile: the other side has said when.
      this.#pausedUntilMono = Math.max(
        this.#pausedUntilMono,
        now + (asked ?? this.#backoffMs(this.#failures)),
      );
    }
    if (this.#why === undefined) this.#options.trouble(later);
    this.#why = later;
    const kept = now - letter.sinceMono < keptMs;
    this.#options.outcome(kept ? 'retried' : 'given-up', letter.name, later);
    return kept;
  }

  /** The trouble is over when nothing is left that failed. */
  #mended(): void {
    if (this.#why === undefined) return;
    const all = [...this.#waiting.values(), ...[...this.#flying.values()].map(({ letter }) => letter)];
    if (all.some(({ failures }) => failures > 0)) return;
    this.#why = undefined;
    this.#options.trouble(undefined);
  }

  #fresh(name: string): Letter {
    return { name, sinceMono: this.#options.mono(), failures: 0, notBeforeMono: Number.NEGATIVE_INFINITY };
  }

  /** Half of it is chance, so that several proxies do not come back in step. */
  #backoffMs(failures: number): number {
    const ms = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(failures - 1, 10));
    return ms / 2 + (this.#options.random() * ms) / 2;
  }
}
