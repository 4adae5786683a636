// Unsealed: the leaf hashes of the records that no seal covers yet, and where each record stands. audit-approval §3.5.
// A seal may stand later than it speaks, so the hashes wait here for it. Bounded: a log that goes on without seals is
// refused rather than kept. Pure.

import { Offence, type Place } from './offence.ts';

/** Records without a seal. A writer stops long before: a signer that does not answer for ten seconds ends it. */
export const unsealedMax = 1 << 20;

/** What an `Unsealed` holds, to be handed to another thread. */
export interface UnsealedState {
  readonly leaves: Uint8Array;
  readonly lines: Float64Array;
  readonly files: readonly { readonly from: number; readonly file: string }[];
}

/** A queue of leaf hashes. `first`: seq of the oldest. */
export class Unsealed {
  #first: number;
  #count = 0;
  #leaves = Buffer.alloc(32 * 256);
  #lines = new Float64Array(256);
  /** From which seq on records stand in which file. */
  #files: { readonly from: number; readonly file: string }[] = [];

  constructor(first: number, state?: UnsealedState) {
    this.#first = first;
    if (state === undefined) return;
    this.#count = state.lines.length;
    this.#resize(Math.max(this.#lines.length, this.#count));
    this.#leaves.set(state.leaves);
    this.#lines.set(state.lines);
    this.#files = [...state.files];
  }

  get count(): number {
    return this.#count;
  }

  /** Adds the next record's leaf, base64url of 32 bytes. */
  push(leaf: string, file: string, line: number): void {
    const n = this.#count;
    if (n === this.#lines.length) this.#grow();
    this.#leaves.write(leaf, n * 32, 'base64url');
    this.#lines[n] = line;
    if (this.#files.at(-1)?.file !== file) this.#files.push({ from: this.#first + n, file });
    this.#count = n + 1;
  }

  /** Leaf `i` of those that wait; a view, good until the next call. */
  leaf(i: number): Buffer {
    return this.#leaves.subarray(i * 32, i * 32 + 32);
  }

  place(i: number): Place {
    const seq = this.#first + i;
    const file = this.#files.findLast(({ from }) => from <= seq)?.file ?? '';
    return { file, line: this.#lines[i] ?? 0 };
  }

  /** Removes the first `n`: a seal covers them. */
  remove(n: number): void {
    this.#leaves.copyWithin(0, n * 32, this.#count * 32);
    this.#lines.copyWithin(0, n, this.#count);
    this.#count -= n;
    this.#first += n;
    while (this.#files.length > 1 && this.#files[1]!.from <= this.#first) this.#files.shift();
  }

  state(): UnsealedState {
    return {
      leaves: Uint8Array.from(this.#leaves.subarray(0, this.#count * 32)),
      lines: this.#lines.slice(0, this.#count),
      files: [...this.#files],
    };
  }

  #grow(): void {
    if (this.#count >= unsealedMax) throw this.#tooMany();
    this.#resize(this.#count * 2);
  }

  #resize(capacity: number): void {
    const leaves = Buffer.alloc(capacity * 32);
    leaves.set(this.#leaves.subarray(0, capacity * 32));
    const lines = new Float64Array(capacity);
    lines.set(this.#lines.subarray(0, capacity));
    this.#leaves = leaves;
    this.#lines = lines;
  }

  #tooMany(): Offence {
    return new Offence(
      'unsealed',
      this.place(this.#count - 1),
      `${this.#count} records and more follow one another without a seal: no writer does that`,
    );
  }
}
