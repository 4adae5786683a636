// Values: what a log keeps of a literal or a bound parameter instead of the value itself, and what it may put aside of it,
// encrypted, for an auditor. audit-approval §10. Refuses to know where a value comes from and who may open it.

import { finish } from './finish.ts';

/**
 * What becomes of values. `none`: the log commits to them and they are forgotten. `auditor`: it commits to them and they
 * are put aside, encrypted to auditors. `clear`: they stand in the log.
 */
export type ValuesMode = 'none' | 'auditor' | 'clear';

/** A value put aside for a record. `salt`: 16 bytes; `value`: undefined for NULL. Copied when it is handed over. */
export interface Kept {
  /** Which of the record's values. */
  readonly index: number;
  readonly oid: number;
  readonly salt: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** Salts of 16 random bytes, drawn many at a time: one draw costs what thirty salts do. */
export class Salts {
  readonly #random: (bytes: number) => Buffer;
  #pool: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(random: (bytes: number) => Buffer) {
    this.#random = random;
  }

  /** Sixteen bytes that nothing else gets. */
  next(): Buffer {
    if (this.#at === this.#pool.length) {
      // A new one every time: the salts of the last are still being read.
      this.#pool = this.#random(16 * 256);
      this.#at = 0;
    }
    this.#at += 16;
    return this.#pool.subarray(this.#at - 16, this.#at);
  }
}

/** A commitment to a value under a salt. `value`: undefined for NULL. */
export function committed(salt: Uint8Array, oid: number, value: Uint8Array | undefined): string {
  return finish.commit(salt, oid, value);
}
