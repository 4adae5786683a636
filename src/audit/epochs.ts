// Epochs: the key that seals now, and how it gives way to the next: the next is kept, certified and named in the log,
// sealed by the one before, and only then is that one destroyed. audit-approval §7. Refuses to know files of the log.

import { nextKey } from './epoch.ts';
import type { Folder } from './folder.ts';
import type { Keyring } from './keyring.ts';
import type { RecordBody } from './record.ts';
import type { Sign, SigningKey } from './seal.ts';

export interface EpochState {
  readonly origin: string;
  readonly folder: Folder;
  readonly keyring: Keyring;
  readonly epoch: number;
  readonly key: SigningKey;
  /** How long a key signs, in ms. */
  readonly epochMs: number;
  readonly clock: { readonly mono: () => number };
}

/** A key that is kept and certified, and the record that names it. */
export interface NextKey {
  readonly key: SigningKey;
  readonly record: RecordBody;
}

export class Epochs {
  readonly #at: EpochState;
  #epoch: number;
  #key: SigningKey;
  #since: number;
  #othersForgotten = true;

  constructor(state: EpochState) {
    this.#at = state;
    this.#epoch = state.epoch;
    this.#key = state.key;
    this.#since = state.clock.mono();
  }

  get epoch(): number {
    return this.#epoch;
  }

  get key(): SigningKey {
    return this.#key;
  }

  /** True if this key has signed for long enough. */
  get isOver(): boolean {
    return this.#at.clock.mono() - this.#since >= this.#at.epochMs;
  }

  /** The key has signed for long enough, however short that was. */
  end(): void {
    this.#since = Number.NEGATIVE_INFINITY;
  }

  /** Makes the next epoch's key, keeps it, and has this epoch's key speak for it. */
  next(sign: Sign): Promise<NextKey> {
    const { origin, keyring, folder } = this.#at;
    return nextKey({ folder, keyring, origin, sign }, this.#epoch + 1, this.#key);
  }

  /** The log names `key`, under a seal of the present one that is on disk. */
  adopt(key: SigningKey): void {
    this.#key = key;
    this.#epoch += 1;
    this.#since = this.#at.clock.mono();
    this.#othersForgotten = false;
  }

  /** Destroys the keys that are over. Throws what the file system says; then it has to be called again. */
  forgetOthers(): void {
    if (this.#othersForgotten) return;
    this.#at.keyring.forgetAllBut(this.#epoch);
    this.#othersForgotten = true;
  }
}
