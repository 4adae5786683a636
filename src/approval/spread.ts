// Spread: what an approver signed so that another may decide in their name holds on every node, whichever it was handed
// in on. A node lays it out in the shared store, and the others take it as if it had been handed in there: its signature
// is verified, it is recorded in their logs and kept. The store only carries it. Refuses to know what it covers.

import type { Store } from '../store/store.ts';
import type { DelegationShelf } from './ports.ts';
import { rounds } from './rounds.ts';

/** How often the store is looked at. */
const lookMs = 3_000;
/** What was refused is not verified again and again. */
const refusedMax = 10_000;

const prefix = 'delegation:';

export interface SpreadOptions {
  readonly store: Pick<Store, 'lease' | 'leases'>;
  readonly shelf: Pick<DelegationShelf, 'all'>;
  /** Takes one as if it had been handed in here. Untrusted; rejects what is wrong with it. */
  readonly take: (delegation: unknown, evidence: unknown) => Promise<unknown>;
  readonly now: () => number;
  /** Runs `then` once after `ms`; returns the way to stop it. */
  readonly after: (ms: number, then: () => void) => () => void;
}

/** One a process, where the store is shared. `close` stops its timer. */
export class Spread {
  readonly #options: SpreadOptions;
  readonly #refused = new Set<string>();
  readonly #stop: () => void;

  constructor(options: SpreadOptions) {
    this.#options = options;
    this.#stop = rounds(lookMs, () => this.look(), options.after);
  }

  close(): void {
    this.#stop();
  }

  /** Takes what others laid out, and lays out what is not there. Rejects with `store-unreachable`. */
  async look(): Promise<void> {
    const { store, shelf, now } = this.#options;
    const laidOut = await store.leases(prefix);
    const own = new Set(shelf.all().map(({ id }) => prefix + id));
    for (const { name, text } of laidOut) {
      if (!own.has(name) && !this.#refused.has(text)) await this.#take(text);
    }
    const there = new Set(laidOut.map(({ name }) => name));
    for (const { id, text, evidence, exp } of shelf.all()) {
      if (there.has(prefix + id) || exp <= now()) continue;
      const lease = { name: prefix + id, holder: id, text: JSON.stringify({ text, evidence }) };
      await store.lease(lease, exp - now());
    }
  }

  async #take(laidOut: string): Promise<void> {
    try {
      const { text, evidence } = JSON.parse(laidOut) as { text: string; evidence: string };
      await this.#options.take(JSON.parse(text), JSON.parse(evidence));
    } catch {
      // Not signed by anybody who may, past its time, or for another Holdpoint: here it holds nothing.
      if (this.#refused.size >= refusedMax) this.#refused.clear();
      this.#refused.add(laidOut);
    }
  }
}
