// Subtrees: which perfect subtrees of an RFC 6962 tree a proof is made of, and their hashes out of leaves that pass by once.
// RFC 9162 §2.1.3.1 and §2.1.4.1. So a proof needs as much memory as it is long, whatever the log: every hash in it is the
// root of a few perfect subtrees, and a perfect subtree is the same in every tree that holds it. Pure: numbers and hashes;
// refuses to know where leaves and tiles are kept.

import { CompactTree, type Hash, nodeHash } from './merkle.ts';

/** The leaves from `index`·2^`height` to before (`index` + 1)·2^`height`. */
export interface Subtree {
  readonly height: number;
  readonly index: number;
}

/** Whoever can give the hashes of subtrees. Believed no more than the proof that is made of them. */
export interface Subtrees {
  /** By `subtreeName`. Throws RangeError or Error if one cannot be had. */
  hashes(wanted: readonly Subtree[]): Promise<ReadonlyMap<string, Hash>>;
}

export function subtreeName({ height, index }: Subtree): string {
  return `${height}/${index}`;
}

/** The first leaf behind it. */
export function endOf({ height, index }: Subtree): number {
  return (index + 1) * 2 ** height;
}

/** Each hash of the proof that leaf `index` is in the tree of `size`, in order, as the subtrees it is made of. */
export function inclusionParts(index: number, size: number): Subtree[][] {
  if (!(Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size))
    throw new RangeError(`no leaf ${index} in a tree of ${size}`);
  const parts: Subtree[][] = [];
  let first = 0;
  let end = size;
  while (end - first > 1) {
    const middle = first + powerBelow(end - first);
    if (index < middle) {
      parts.push(range(middle, end));
      end = middle;
    } else {
      parts.push(range(first, middle));
      first = middle;
    }
  }
  return parts.reverse();
}

/** Each hash of the proof that the tree of `old` begins the tree of `size`, in order, as the subtrees it is made of. */
export function consistencyParts(old: number, size: number): Subtree[][] {
  if (!(Number.isSafeInteger(old) && Number.isSafeInteger(size) && old >= 0 && old <= size))
    throw new RangeError(`no tree of ${old} in one of ${size}`);
  if (old === 0 || old === size) return [];
  const parts: Subtree[][] = [];
  let first = 0;
  let end = size;
  while (old !== end) {
    const middle = first + powerBelow(end - first);
    if (old <= middle) {
      parts.push(range(middle, end));
      end = middle;
    } else {
      parts.push(range(first, middle));
      first = middle;
    }
  }
  // The old tree's root is known to whoever checks, unless it is only a part of it that is left.
  if (first > 0) parts.push(range(first, end));
  return parts.reverse();
}

/** The peaks of the tree of `size`, largest first: what `CompactTree` goes on from. */
export function peaksOf(size: number): Subtree[] {
  return range(0, size);
}

/** The hashes of a proof. Throws Error if one of its subtrees is not in `hashes`. */
export function assemble(parts: readonly (readonly Subtree[])[], hashes: ReadonlyMap<string, Hash>): Hash[] {
  return parts.map((subtrees) =>
    subtrees.map((one) => hashOf(one, hashes)).reduceRight((right, left) => nodeHash(left, right)),
  );
}

export function hashOf(subtree: Subtree, hashes: ReadonlyMap<string, Hash>): Hash {
  const hash = hashes.get(subtreeName(subtree));
  if (hash === undefined) throw new Error(`the tree has no subtree ${subtreeName(subtree)}`);
  return hash;
}

/** Takes leaves in order and keeps the hashes of the subtrees that are wanted. */
export class Passing {
  readonly #tree: CompactTree;
  readonly #wanted: Set<number>[] = [];
  readonly #found = new Map<string, Hash>();

  /** Begins behind the first `size` leaves, of which it needs only the peaks. */
  constructor(wanted: readonly Subtree[], size = 0, peaks: readonly Hash[] = []) {
    this.#tree = new CompactTree(size, peaks);
    for (const { height, index } of wanted) {
      this.#wanted[height] ??= new Set();
      this.#wanted[height].add(index);
    }
    for (const [i, peak] of peaksOf(size).entries()) this.#formed(peak.height, peak.index, peaks[i]!);
  }

  get size(): number {
    return this.#tree.size;
  }

  get found(): ReadonlyMap<string, Hash> {
    return this.#found;
  }

  /** Takes ownership of `leaf`. */
  append(leaf: Hash): void {
    this.#tree.append(leaf, this.#formed);
  }

  readonly #formed = (height: number, index: number, hash: Hash): void => {
    if (this.#wanted[height]?.has(index) === true) this.#found.set(subtreeName({ height, index }), hash);
  };
}

/** The perfect subtrees that cover the leaves from `first` to before `end`, as RFC 9162 splits them; largest first. */
function range(first: number, end: number): Subtree[] {
  const subtrees: Subtree[] = [];
  for (let at = first; at < end; ) {
    let height = 0;
    while (at % 2 ** (height + 1) === 0 && at + 2 ** (height + 1) <= end) height += 1;
    subtrees.push({ height, index: at / 2 ** height });
    at += 2 ** height;
  }
  return subtrees;
}

/** The largest power of two below `size`, which is at least 2. */
function powerBelow(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}
