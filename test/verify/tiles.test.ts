import { hash } from 'node:crypto';
import { RFC9162 } from '@transmute/rfc9162';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  CompactTree,
  consistencyProof,
  inclusionProof,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from '../../verify/src/merkle.ts';
import {
  assemble,
  consistencyParts,
  inclusionParts,
  Passing,
  peaksOf,
  type Subtree,
} from '../../verify/src/subtrees.ts';
import { TileBuilder, TiledTree, tileName, widthOf } from '../../verify/src/tiles.ts';

const entry = (n: number) => Buffer.from(`entry ${n}`);
const all = Array.from({ length: 70_001 }, (_, n) =>
  hash('sha256', Buffer.concat([Buffer.of(0), entry(n)]), 'buffer'),
);
const leaf = (n: number) => all[n]!;
const leaves = (size: number) => all.slice(0, size);

/** The tiles of a tree, as files; the partial ones are of `size` only, unless every size keeps its own. */
function tilesOf(size: number, keep: (size: number) => boolean = () => false) {
  const files = new Map<string, Buffer>();
  const builder = new TileBuilder();
  for (let n = 0; n < size; n += 1) {
    for (const { name, bytes } of builder.append(leaf(n))) files.set(name, bytes);
    if (keep(n + 1) || n + 1 === size)
      for (const { name, bytes } of builder.partial()) files.set(name, bytes);
  }
  return { files, builder, read: async (name: string) => files.get(name) };
}

/** What a pass over the leaves gives. */
function passedBy(wanted: readonly Subtree[], size: number) {
  const passing = new Passing(wanted);
  for (let n = 0; n < size; n += 1) passing.append(leaf(n));
  return passing.found;
}

test('tiles have the names of C2SP tlog-tiles', () => {
  expect(tileName(0, 0)).toBe('tile/0/000');
  expect(tileName(1, 999)).toBe('tile/1/999');
  expect(tileName(0, 1_234_067)).toBe('tile/0/x001/x234/067');
  expect(tileName(2, 1000, 17)).toBe('tile/2/x001/000.p/17');
});

test('a tree of 70000 has the tiles that C2SP tlog-tiles lists for it', () => {
  const { files } = tilesOf(70_000);
  const names = [...files.keys()];
  expect(names.filter((name) => /^tile\/0\/\d{3}$/.test(name))).toHaveLength(273);
  expect(names.filter((name) => !/^tile\/0\/\d{3}$/.test(name)).sort()).toEqual([
    'tile/0/273.p/112',
    'tile/1/000',
    'tile/1/001.p/17',
    'tile/2/000.p/1',
  ]);
  for (const [name, bytes] of files)
    expect(bytes).toHaveLength(32 * Number(/\.p\/(\d+)$/.exec(name)?.[1] ?? 256));
  expect([...tilesOf(256).files.keys()]).toEqual(['tile/0/000', 'tile/1/000.p/1']);
  expect(widthOf(0, 274, 70_000)).toBe(0);
});

test('proofs by one pass are those by definition, for every leaf and every two sizes up to 40', () => {
  for (let size = 1; size <= 40; size += 1) {
    const tree = leaves(size);
    const wanted = Array.from({ length: size }, (_, n) => [
      inclusionParts(n, size),
      consistencyParts(n, size),
    ]);
    const found = passedBy(wanted.flat(3), size);
    for (const [n, [inclusion, consistency]] of wanted.entries()) {
      expect(assemble(inclusion!, found)).toEqual(inclusionProof(tree, n));
      expect(assemble(consistency!, found)).toEqual(consistencyProof(tree, n));
    }
  }
});

test('every inclusion and every consistency proof by tiles holds, for all sizes up to 300', {
  timeout: 120_000,
}, async () => {
  const { read } = tilesOf(300, () => true);
  const tree = leaves(300);
  const roots = Array.from({ length: 301 }, (_, size) => rootOf(tree.slice(0, size)));
  for (let size = 1; size <= 300; size += 1) {
    const tiles = new TiledTree(read, size);
    const parts = Array.from({ length: size }, (_, n) => [
      inclusionParts(n, size),
      consistencyParts(n, size),
    ]);
    const found = await tiles.hashes(parts.flat(3));
    for (const [n, [inclusion, consistency]] of parts.entries()) {
      if (!verifyInclusion(tree[n]!, n, size, assemble(inclusion!, found), roots[size]!))
        throw new Error(`leaf ${n} of ${size}`);
      if (!verifyConsistency(n, roots[n]!, size, roots[size]!, assemble(consistency!, found)))
        throw new Error(`tree of ${n} in ${size}`);
    }
  }
});

test('tiles and one pass agree in large trees of any size, and a builder goes on from its tiles', async () => {
  const size = 70_000;
  const { read, builder, files } = tilesOf(size, (at) => at % 997 === 0);
  const compact = new CompactTree();
  for (let n = 0; n < size; n += 1) compact.append(leaf(n));
  expect(builder.root()).toEqual(compact.root());
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 70 }), fc.nat(), async (factor, pick) => {
      const some = factor * 997;
      const tiles = new TiledTree(read, some);
      const parts = [
        ...inclusionParts(pick % some, some),
        ...consistencyParts(pick % some, some),
        peaksOf(some),
      ];
      expect(await tiles.hashes(parts.flat())).toEqual(passedBy(parts.flat(), some));
      const again = await TileBuilder.of(read, some);
      expect(again.partial()).toEqual((await TileBuilder.of(read, some)).partial());
      for (let n = some; n < Math.min(size, some + 300); n += 1)
        for (const { name, bytes } of again.append(leaf(n))) expect(bytes).toEqual(files.get(name));
      expect(again.root()).toEqual(rootUpTo(again.size));
    }),
    { numRuns: 5 },
  );
});

function rootUpTo(size: number): Buffer {
  const tree = new CompactTree();
  for (let n = 0; n < size; n += 1) tree.append(leaf(n));
  return tree.root();
}

test('a full tile stands for the partial ones that went when it came', async () => {
  const { read } = tilesOf(300);
  const parts = [...inclusionParts(3, 200), ...consistencyParts(150, 200), peaksOf(200)].flat();
  expect(await new TiledTree(read, 200).hashes(parts)).toEqual(passedBy(parts, 200));
});

test('a size beyond the tiles, a missing tile and a short one are refused', async () => {
  const { files, read } = tilesOf(300);
  await expect(new TiledTree(read, 300).hashes([{ height: 0, index: 300 }])).rejects.toThrow(RangeError);
  await expect(new TiledTree(read, 600).hashes([{ height: 0, index: 599 }])).rejects.toThrow('is missing');
  files.set('tile/0/000', files.get('tile/0/000')!.subarray(1));
  await expect(new TiledTree(read, 300).hashes([{ height: 0, index: 3 }])).rejects.toThrow('8191 bytes');
});

// The definitions and the algorithms of RFC 9162 in code that is not ours.
test('an independent implementation accepts our inclusion proofs, and its own are ours', async () => {
  for (const size of [1, 2, 3, 7, 8, 64, 65, 100]) {
    const entries = Array.from({ length: size }, (_, n) => new Uint8Array(entry(n)));
    const root = await RFC9162.treeHead(entries);
    expect(Buffer.from(root)).toEqual(rootUpTo(size));
    const { read } = tilesOf(size);
    for (let index = 0; index < size; index += size > 20 ? 7 : 1) {
      const parts = inclusionParts(index, size);
      const ours = assemble(parts, await new TiledTree(read, size).hashes(parts.flat()));
      const theirs = await RFC9162.inclusionProof(entries[index]!, entries);
      expect(ours).toEqual(theirs.inclusion_path.map((step) => Buffer.from(step)));
      const proof = { log_id: '', tree_size: size, leaf_index: index, inclusion_path: ours };
      expect(await RFC9162.verifyInclusionProof(root, await RFC9162.leaf(entries[index]!), proof)).toBe(true);
      const foreign = theirs.inclusion_path.map((step) => Buffer.from(step));
      expect(verifyInclusion(leaf(index), index, size, foreign, Buffer.from(root))).toBe(true);
    }
  }
});

test('an independent implementation accepts our consistency proofs, and ours accepts its own', async () => {
  for (const size of [2, 3, 8, 13, 64, 100]) {
    const entries = Array.from({ length: size }, (_, n) => new Uint8Array(entry(n)));
    const root = Buffer.from(await RFC9162.treeHead(entries));
    const { read } = tilesOf(size);
    for (let old = 1; old < size; old += size > 20 ? 5 : 1) {
      const before = Buffer.from(await RFC9162.treeHead(entries.slice(0, old)));
      const parts = consistencyParts(old, size);
      const ours = assemble(parts, await new TiledTree(read, size).hashes(parts.flat()));
      // It leaves the old root in the proof where the RFC has whoever checks put it there (§2.1.4.2, step 2).
      const isPower = Number.isInteger(Math.log2(old));
      const path = isPower ? [before, ...ours] : ours;
      const sizes = { log_id: '', tree_size_1: old, tree_size_2: size };
      expect(await RFC9162.verifyConsistencyProof(before, root, { ...sizes, consistency_path: path })).toBe(
        true,
      );
      const before9162 = { log_id: '', tree_size: old, leaf_index: 0, inclusion_path: [] };
      const theirs = (await RFC9162.consistencyProof(before9162, entries)).consistency_path.map((step) =>
        Buffer.from(step),
      );
      expect(verifyConsistency(old, before, size, root, isPower ? theirs.slice(1) : theirs)).toBe(true);
    }
  }
});

test('thousands of changed proofs are refused', () => {
  const flipped = (steps: readonly Buffer[], at: number, bit: number) =>
    steps.map((step, i) => {
      const copy = Buffer.from(step);
      if (i === at) copy[Math.floor(bit / 8) % 32]! ^= 1 << (bit % 8);
      return copy;
    });
  let refused = 0;
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 3000 }), fc.nat(), fc.nat(), (size, pick, bit) => {
      const index = pick % size;
      const inclusion = inclusionParts(index, size);
      const consistency = consistencyParts(index, size);
      const found = passedBy([...inclusion, ...consistency, peaksOf(size), peaksOf(index)].flat(), size);
      const [root] = assemble([peaksOf(size)], found);
      const steps = assemble(inclusion, found);
      const changes = [
        ...steps.map((_, i) => flipped(steps, i, bit)),
        steps.slice(1),
        steps.slice(0, -1),
        [...steps, steps[0]!],
        [steps[0]!, ...steps],
        ...(steps.length > 1 ? [[...steps.slice(1), steps[0]!]] : []),
      ];
      expect(verifyInclusion(leaf(index), index, size, steps, root!)).toBe(true);
      for (const changed of changes)
        expect(verifyInclusion(leaf(index), index, size, changed, root!)).toBe(false);
      for (const [i, n] of [
        [index + 1, size],
        [index - 1, size],
        [index, size * 2],
        [index, index],
      ] as const)
        expect(verifyInclusion(leaf(index), i, n, steps, root!)).toBe(false);
      refused += changes.length + 4;
      if (index === 0) return;
      const [before] = assemble([peaksOf(index)], found);
      const path = assemble(consistency, found);
      expect(verifyConsistency(index, before!, size, root!, path)).toBe(true);
      const bent = [
        ...path.map((_, i) => flipped(path, i, bit)),
        path.slice(1),
        path.slice(0, -1),
        [...path, path[0]!],
      ];
      for (const changed of bent) expect(verifyConsistency(index, before!, size, root!, changed)).toBe(false);
      refused += bent.length;
    }),
    { numRuns: 150 },
  );
  expect(refused).toBeGreaterThan(3000);
});
