// Owed: reviews that are owed on one node are owed on every node that shares the store, so that an agent does not go on
// elsewhere; and a review that was made on one is made on all. A node lays both out in the store. That something is owed
// is believed, since it only makes stricter; a review counts by its signature, which each node verifies. audit-approval
// §17.9.

import type { Store } from '../store/store.ts';
import type { Emergencies } from './emergency.ts';
import type { OwedReview } from './ports.ts';
import { rounds } from './rounds.ts';

/** How often the store is looked at. */
const lookMs = 3_000;
/** How long something stays laid out: much longer than a review may take. */
const keptMs = 30 * 86_400_000;
/** What was refused is not verified again and again. */
const refusedMax = 1_000;

const owedPrefix = 'breakglass:';
const reviewPrefix = 'reviewed:';

export interface OwedOptions {
  readonly store: Pick<Store, 'lease' | 'leases' | 'release'>;
  readonly emergencies: Pick<Emergencies, 'owed' | 'heard' | 'review' | 'reviews'>;
  /** Runs `then` once after `ms`; returns the way to stop it. */
  readonly after: (ms: number, then: () => void) => () => void;
}

/** One a process, where the store is shared. `close` stops its timer. */
export class OwedSpread {
  readonly #options: OwedOptions;
  readonly #refused = new Set<string>();
  readonly #stop: () => void;

  constructor(options: OwedOptions) {
    this.#options = options;
    this.#stop = rounds(lookMs, () => this.look(), options.after);
  }

  close(): void {
    this.#stop();
  }

  /** Takes what others laid out, and lays out what is not there. Rejects with `store-unreachable`. */
  async look(): Promise<void> {
    const { store, emergencies } = this.#options;
    const owed = await store.leases(owedPrefix);
    const reviews = await store.leases(reviewPrefix);
    for (const { text } of owed) {
      const read = readOwed(text);
      if (read !== undefined) emergencies.heard(read);
    }
    for (const { name, text } of reviews) await this.#take(name.slice(reviewPrefix.length), text);
    const there = new Set([...owed, ...reviews].map(({ name }) => name));
    const layOut = async (name: string, value: unknown) => {
      if (!there.has(name))
        await store.lease({ name, holder: 'holdpoint', text: JSON.stringify(value) }, keptMs);
    };
    for (const one of emergencies.owed()) await layOut(owedPrefix + one.rid, one);
    for (const [rid, signed] of emergencies.reviews()) {
      await layOut(reviewPrefix + rid, signed);
      if (there.has(owedPrefix + rid)) await store.release(owedPrefix + rid, 'holdpoint');
    }
  }

  async #take(rid: string, laidOut: string): Promise<void> {
    const { emergencies } = this.#options;
    if (this.#refused.has(laidOut) || !emergencies.owed().some((one) => one.rid === rid)) return;
    try {
      const { review, evidence } = JSON.parse(laidOut) as { review: unknown; evidence: unknown };
      await emergencies.review(rid, review, evidence);
    } catch {
      // Not signed by anybody who may: here nothing has been reviewed.
      if (this.#refused.size >= refusedMax) this.#refused.clear();
      this.#refused.add(laidOut);
    }
  }
}

function readOwed(text: string): OwedReview | undefined {
  try {
    const given = JSON.parse(text) as OwedReview;
    const { rid, rd, target, agent, by, reason, due } = given;
    const fine = [rid, rd, target, agent, by, reason].every(
      (member) => typeof member === 'string' && member.length <= 500,
    );
    return fine && Number.isSafeInteger(due) ? { rid, rd, target, agent, by, reason, due } : undefined;
  } catch {
    return undefined;
  }
}
