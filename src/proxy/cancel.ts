// Cancel: which open session a CancelRequest means, and what becomes of it. Clients hold a process number and key of
// ours, never the target's. A held statement is canceled here; a running one by a cancel request of our own; a session
// with nothing under way is left alone, because a late cancel would hit its next statement. Source: wire.md §1.6.

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { HoldpointError } from '../errors.ts';

/** What a session lets a cancel request do. */
export interface Cancelable {
  /** True if a hold was ended by it. */
  cancelHold(): boolean;
  readonly busy: boolean;
  /** Keeps the next statement back until the returned function is called. */
  delayForCancel(): () => void;
  /** Delivers the cancel request to the target; resolves when the target has taken notice. */
  cancelUpstream(): Promise<void>;
}

interface Slot {
  readonly key: Buffer;
  session: Cancelable | undefined;
  delivering: boolean;
}

/** Wrong keys an address may send in a minute: a 3.0 key has 32 bits only. */
const missesMax = 100;
const missWindowMs = 60_000;
const addressesMax = 10_000;

export class CancelKeys {
  readonly #slots = new Map<number, Slot>();
  readonly #misses = new Map<string, number>();
  #missesSince = 0;
  #next = 1;

  /**
   * A process number and key for a new session: 4 random bytes in protocol 3.0, 32 in 3.2. `bind` gives it the session
   * once there is one, `free` ends it.
   */
  allocate(minor: 0 | 2): {
    pid: number;
    key: Buffer;
    bind: (session: Cancelable) => void;
    free: () => void;
  } {
    const slot: Slot = { key: randomBytes(minor === 0 ? 4 : 32), session: undefined, delivering: false };
    const pid = this.#freePid();
    this.#slots.set(pid, slot);
    return {
      pid,
      key: slot.key,
      bind: (session) => {
        slot.session = session;
      },
      free: () => this.#slots.delete(pid),
    };
  }

  /** Acts on a CancelRequest. Never answers, whatever happens: neither does PostgreSQL. */
  async request(pid: number, key: Buffer, address: string, now: number): Promise<void> {
    if (this.#tooManyMisses(address, now)) return;
    const slot = this.#slots.get(pid);
    if (slot === undefined || slot.key.length !== key.length || !timingSafeEqual(slot.key, key)) {
      this.#misses.set(address, (this.#misses.get(address) ?? 0) + 1);
      return;
    }
    const { session } = slot;
    if (session === undefined || session.cancelHold() || !session.busy || slot.delivering) return;
    const resume = session.delayForCancel();
    slot.delivering = true;
    try {
      await session.cancelUpstream();
    } finally {
      slot.delivering = false;
      resume();
    }
  }

  #freePid(): number {
    for (let tries = 0; tries <= 0x7fffffff; tries += 1) {
      const pid = this.#next;
      this.#next = this.#next === 0x7fffffff ? 1 : this.#next + 1;
      if (!this.#slots.has(pid)) return pid;
    }
    throw new HoldpointError('too-many-connections', 'no process number is free for another connection');
  }

  #tooManyMisses(address: string, now: number): boolean {
    if (now - this.#missesSince > missWindowMs || this.#misses.size > addressesMax) {
      this.#missesSince = now;
      this.#misses.clear();
    }
    return (this.#misses.get(address) ?? 0) >= missesMax;
  }
}
