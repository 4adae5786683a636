// Growing: the tree of a log while it is written: what CompactTree keeps, in one buffer, so that many leaves go in with one
// call. Knows hashes and sizes.

import { CompactTree, hashBytes } from '../../verify/src/merkle.ts';
import { finish, hashesOf } from './finish.ts';

/** More than a tree of 2^53 leaves has. */
const peaksMax = 64;

export class GrowingTree {
  readonly #peaks = Buffer.alloc(peaksMax * hashBytes);
  #count: number;
  #size: number;

  /** Goes on from `tree`, which stays as it is. */
  constructor(tree: CompactTree) {
    const { range, size } = tree;
    for (const [at, peak] of range.entries()) peak.copy(this.#peaks, at * hashBytes);
    this.#count = range.length;
    this.#size = size;
  }

  /** Appends the first `count` hashes of `leaves`, 32 bytes each. */
  append(leaves: Buffer, count: number): void {
    this.#count = finish.grow(this.#peaks, this.#size, leaves, count);
    this.#size += count;
  }

  /** As it is now. */
  compact(): CompactTree {
    return new CompactTree(this.#size, hashesOf(this.#peaks, this.#count));
  }
}
