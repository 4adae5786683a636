import { hash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  CompactTree,
  consistencyProof,
  emptyRoot,
  inclusionProof,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from '../../verify/src/merkle.ts';

// The vectors of the Certificate Transparency reference implementation for RFC 6962.
const inputs = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const roots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const n96 = '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7';
const n5f = '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e';
const n6b = '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4';
const nbc = 'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b';
const nca = 'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0';
const n0e = '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a';

const leaves = inputs.map((hex) =>
  hash('sha256', Buffer.concat([Buffer.of(0), Buffer.from(hex, 'hex')]), 'buffer'),
);
const hex = (hashes: readonly Buffer[]) => hashes.map((one) => one.toString('hex'));
const leaf = (n: number) => hash('sha256', `\0${n}`, 'buffer');

test('the roots are those of RFC 6962', () => {
  expect(emptyRoot.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(new CompactTree().root()).toEqual(emptyRoot);
  expect(roots.map((_, i) => rootOf(leaves.slice(0, i + 1)).toString('hex'))).toEqual(roots);
});

test.each([
  [0, 1, []],
  [0, 8, [n96, n5f, n6b]],
  [5, 8, [nbc, nca, roots[3]]],
  [2, 3, [roots[1]]],
  [1, 5, [roots[0], n5f, nbc]],
] as const)('leaf %i of %i has the published inclusion proof', (index, size, expected) => {
  const tree = leaves.slice(0, size);
  const proof = inclusionProof(tree, index);
  expect(hex(proof)).toEqual(expected);
  expect(verifyInclusion(leaves[index]!, index, size, proof, rootOf(tree))).toBe(true);
});

test.each([
  [1, 1, []],
  [1, 8, [n96, n5f, n6b]],
  [6, 8, [n0e, nca, roots[3]]],
  [2, 5, [n5f, nbc]],
] as const)(
  'the tree of %i is shown to begin the tree of %i by the published proof',
  (first, second, expected) => {
    const proof = consistencyProof(leaves.slice(0, second), first);
    expect(hex(proof)).toEqual(expected);
    const [a, b] = [rootOf(leaves.slice(0, first)), rootOf(leaves.slice(0, second))];
    expect(verifyConsistency(first, a, second, b, proof)).toBe(true);
  },
);

test('every inclusion proof holds, and for no other leaf, index, size or root', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70 }), fc.nat(), (size, pick) => {
      const index = pick % size;
      const tree = Array.from({ length: size }, (_, n) => leaf(n));
      const proof = inclusionProof(tree, index);
      const root = rootOf(tree);
      expect(verifyInclusion(tree[index]!, index, size, proof, root)).toBe(true);
      expect(verifyInclusion(leaf(-1), index, size, proof, root)).toBe(false);
      expect(verifyInclusion(tree[index]!, index, size, proof, leaf(-1))).toBe(false);
      expect(verifyInclusion(tree[index]!, index, size, [...proof, leaf(1)], root)).toBe(false);
      if (size > 1) {
        expect(verifyInclusion(tree[index]!, (index + 1) % size, size, proof, root)).toBe(false);
        expect(verifyInclusion(tree[index]!, index, size, proof.slice(1), root)).toBe(false);
      }
    }),
    { numRuns: 100 },
  );
});

test('every consistency proof holds, and none holds for a tree that was rewritten', () => {
  for (let second = 1; second <= 33; second += 1) {
    const tree = Array.from({ length: second }, (_, n) => leaf(n));
    for (let first = 1; first <= second; first += 1) {
      const proof = consistencyProof(tree, first);
      const [a, b] = [rootOf(tree.slice(0, first)), rootOf(tree)];
      expect(verifyConsistency(first, a, second, b, proof)).toBe(true);
      expect(verifyConsistency(first, leaf(-1), second, b, proof)).toBe(false);
      if (first < second) expect(verifyConsistency(first, a, second, leaf(-1), proof)).toBe(false);
    }
  }
});

test('a tree goes on from its range', () => {
  const whole = new CompactTree();
  for (let n = 0; n < 50; n += 1) {
    const copy = new CompactTree(whole.size, whole.range);
    expect(copy.root()).toEqual(whole.root());
    whole.append(leaf(n));
    copy.append(leaf(n));
    expect(copy.root()).toEqual(whole.root());
  }
  expect(() => new CompactTree(3, [leaf(0)])).toThrow(RangeError);
});
