// The Merkle tree of RFC 6962 (RFC 9162 §2.1): leaves and nodes, root, inclusion and consistency proofs.
// Knows hashes of 32 bytes and sizes; refuses to know what a leaf means and where hashes are kept. Leaf hashes come
// from leaf.ts. Proofs verify against the vectors that Certificate Transparency publishes.

import { hash } from 'node:crypto';

/** Hashes are 32 bytes. */
export type Hash = Buffer;
export const hashBytes = 32;

/** SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Hash, right: Hash): Hash {
  pair[0] = 1;
  left.copy(pair, 1);
  right.copy(pair, 33);
  // A third of what it takes to have the digest as a buffer.
  return Buffer.from(hash('sha256', pair, 'binary'), 'latin1');
}

// One scratch for all: nodeHash is synchronous and the digest is a new buffer.
const pair = Buffer.alloc(65);

/** Root of the tree without leaves: SHA-256 of nothing. */
export const emptyRoot: Hash = hash('sha256', Buffer.alloc(0), 'buffer');

/**
 * A tree that keeps only the roots of its perfect subtrees, largest first: at most 53 hashes for any size. Appending
 * and taking the root need nothing else.
 */
export class CompactTree {
  #size: number;
  readonly #peaks: Hash[];

  /** Begins empty, or where `range` of another tree of that size left off. Throws RangeError if they do not fit. */
  constructor(size = 0, range: readonly Hash[] = []) {
    if (!Number.isSafeInteger(size) || size < 0 || range.length !== peakCount(size))
      throw new RangeError(`a tree of ${size} leaves has ${peakCount(size)} peaks, not ${range.length}`);
    if (range.some((peak) => peak.length !== 32)) throw new RangeError('a hash of the range is not 32 bytes');
    this.#size = size;
    this.#peaks = [...range];
  }

  get size(): number {
    return this.#size;
  }

  /** The roots of the perfect subtrees, largest first. A copy. */
  get range(): Hash[] {
    return [...this.#peaks];
  }

  /** Takes ownership of `leaf`. `formed` is told of each perfect subtree that it completes, itself being the first. */
  append(leaf: Hash, formed?: (height: number, index: number, hash: Hash) => void): void {
    let node = leaf;
    let rest = this.#size;
    formed?.(0, rest, node);
    // Each trailing one of the size is a perfect subtree that the new leaf completes to the next power.
    for (let height = 1; rest % 2 === 1; height += 1) {
      node = nodeHash(this.#peaks.pop()!, node);
      rest = (rest - 1) / 2;
      formed?.(height, rest, node);
    }
    this.#peaks.push(node);
    this.#size += 1;
  }

  root(): Hash {
    return this.#peaks.length === 0
      ? emptyRoot
      : this.#peaks.reduceRight((right, left) => nodeHash(left, right));
  }
}

/** Root over leaf hashes. */
export function rootOf(leaves: readonly Hash[]): Hash {
  const tree = new CompactTree();
  for (const leaf of leaves) tree.append(leaf);
  return tree.root();
}

/** RFC 9162 §2.1.3.1: the hashes that lead from leaf `index` to the root over `leaves`. */
export function inclusionProof(leaves: readonly Hash[], index: number): Hash[] {
  if (!(index >= 0 && index < leaves.length))
    throw new RangeError(`no leaf ${index} in a tree of ${leaves.length}`);
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  return index < k
    ? [...inclusionProof(leaves.slice(0, k), index), rootOf(leaves.slice(k))]
    : [...inclusionProof(leaves.slice(k), index - k), rootOf(leaves.slice(0, k))];
}

/** RFC 9162 §2.1.3.2. True if `proof` shows that `leaf` is number `index` of the tree of `size` leaves and this root. */
export function verifyInclusion(
  leaf: Hash,
  index: number,
  size: number,
  proof: readonly Hash[],
  root: Hash,
): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  let at = index;
  let last = size - 1;
  let node = leaf;
  for (const step of proof) {
    if (step.length !== 32 || last === 0) return false;
    if (at % 2 === 1 || at === last) {
      node = nodeHash(step, node);
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = half(last);
      }
    } else {
      node = nodeHash(node, step);
    }
    at = half(at);
    last = half(last);
  }
  return last === 0 && node.equals(root);
}

/** RFC 9162 §2.1.4.1: the hashes that show the tree of the first `size` leaves to be a beginning of this one. */
export function consistencyProof(leaves: readonly Hash[], size: number): Hash[] {
  if (!(size >= 0 && size <= leaves.length))
    throw new RangeError(`no tree of ${size} in one of ${leaves.length}`);
  return size === 0 ? [] : subproof(leaves, size, true);
}

/** RFC 9162 §2.1.4.2. True if `proof` shows the tree (`first`, `firstRoot`) to be a beginning of (`second`, `secondRoot`). */
export function verifyConsistency(
  first: number,
  firstRoot: Hash,
  second: number,
  secondRoot: Hash,
  proof: readonly Hash[],
): boolean {
  if (first > second || first < 0 || proof.some((step) => step.length !== 32)) return false;
  if (first === second) return proof.length === 0 && firstRoot.equals(secondRoot);
  if (first === 0) return proof.length === 0 && firstRoot.equals(emptyRoot);
  const steps = isPower(first) ? [firstRoot, ...proof] : [...proof];
  let at = first - 1;
  let last = second - 1;
  while (at % 2 === 1) {
    at = half(at);
    last = half(last);
  }
  const start = steps.shift();
  if (start === undefined) return false;
  let old = start;
  let now = start;
  for (const step of steps) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      old = nodeHash(step, old);
      now = nodeHash(step, now);
      while (at % 2 === 0 && at !== 0) {
        at = half(at);
        last = half(last);
      }
    } else {
      now = nodeHash(now, step);
    }
    at = half(at);
    last = half(last);
  }
  return last === 0 && old.equals(firstRoot) && now.equals(secondRoot);
}

function subproof(leaves: readonly Hash[], size: number, whole: boolean): Hash[] {
  if (size === leaves.length) return whole ? [] : [rootOf(leaves)];
  const k = split(leaves.length);
  return size <= k
    ? [...subproof(leaves.slice(0, k), size, whole), rootOf(leaves.slice(k))]
    : [...subproof(leaves.slice(k), size - k, false), rootOf(leaves.slice(0, k))];
}

/** The largest power of two below `size`, which is at least 2. */
function split(size: number): number {
  let k = 1;
  while (k * 2 < size) k *= 2;
  return k;
}

function isPower(size: number): boolean {
  return peakCount(size) === 1;
}

function half(value: number): number {
  // Not a shift: sizes may pass 2^31.
  return Math.floor(value / 2);
}

/** How many perfect subtrees a tree of that size has: the ones in it. */
export function peakCount(size: number): number {
  let count = 0;
  for (let rest = size; rest > 0; rest = half(rest)) count += rest % 2;
  return count;
}
