// Finish: what lines still lack when they are made, many at once: in each the hash of the line before, the hash of each,
// and the tree grown by those; and the commitments that stand in them. native/finish.c where it can be loaded, else the
// same here. Pure; the bytes are the caller's. audit-approval §3, RFC 9162 §2.1.1.

import { hash } from 'node:crypto';
import { commit } from '../../verify/src/leaf.ts';
import { CompactTree, type Hash, hashBytes, peakCount } from '../../verify/src/merkle.ts';
import { type Addon, loadAddon } from '../addon.ts';

export interface Finish {
  /**
   * `block` holds lines between `from` and `to`, each with its LF and with `blank` where the hash of the one before is to
   * stand: behind `"prev":"`. Writes that in, beginning with `head`, which then is the hash of the last line (both base64url).
   * Writes the hash of each line into `leaves`, the first as its number `at`. Returns how many there are.
   */
  finish(
    block: Buffer,
    from: number,
    to: number,
    blank: Buffer,
    head: Buffer,
    leaves: Buffer,
    at: number,
  ): number;
  /**
   * Takes the first `count` hashes of `leaves` into a tree of `size`: `peaks`, which has room for 64, holds the roots of
   * its perfect subtrees, largest first. Returns how many those are then.
   */
  grow(peaks: Buffer, size: number, leaves: Buffer, count: number): number;
  /** As leaf.ts has it. */
  commit(salt: Uint8Array, oid: number, value: Uint8Array | undefined): string;
}

const finishHere: Finish['finish'] = (block, from, to, blank, head, leaves, at) => {
  const place = Buffer.concat([marker, blank]);
  let made = 0;
  for (let line = from; line < to; made += 1) {
    const end = block.indexOf(0x0a, line);
    const prev = block.indexOf(place, line);
    if (end < 0 || end >= to) throw new TypeError('a line does not end');
    if (prev < 0 || prev + place.length > end)
      throw new TypeError('a line has no place for the hash of the one before');
    if ((at + made + 1) * hashBytes > leaves.length) throw new TypeError('there are too many lines');
    head.copy(block, prev + marker.length);
    const leaf = hash('sha256', Buffer.concat([leafMark, block.subarray(line, end)]), 'buffer');
    leaf.copy(leaves, (at + made) * hashBytes);
    head.write(leaf.toString('base64url'), 'latin1');
    line = end + 1;
  }
  return made;
};

const growHere: Finish['grow'] = (peaks, size, leaves, count) => {
  const tree = new CompactTree(size, hashesOf(peaks, peakCount(size)));
  for (const leaf of hashesOf(leaves, count)) tree.append(leaf);
  const { range } = tree;
  for (const [at, peak] of range.entries()) peak.copy(peaks, at * hashBytes);
  return range.length;
};

/** In TypeScript. */
export const here: Finish = { finish: finishHere, grow: growHere, commit };

/** Of this process. */
export const finish: Finish = loadAddon<Addon & Finish>('finish') ?? here;

const marker = Buffer.from('"prev":"', 'latin1');
const leafMark = Buffer.from([0]);

/** The first of them, each with memory of its own. */
export function hashesOf(hashes: Buffer, count: number): Hash[] {
  return Array.from({ length: count }, (_, at) =>
    Buffer.from(hashes.subarray(at * hashBytes, (at + 1) * hashBytes)),
  );
}
