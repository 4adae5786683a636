// What finishes the lines of a turn, in C and in TypeScript: the same bytes, hashes and tree, whatever the lines say, and
// those that the verifier computes.

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Addon, loadAddon } from '../../src/addon.ts';
import { type Finish, finish, hashesOf, here } from '../../src/audit/finish.ts';
import { GrowingTree } from '../../src/audit/growing.ts';
import { commit, leafHash, originHash } from '../../verify/src/leaf.ts';
import { CompactTree, hashBytes, peakCount, rootOf } from '../../verify/src/merkle.ts';

const isBuilt = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);
const native = loadAddon<Addon & Finish>('finish');
const ways = Object.entries({ here, ...(native && { native }) });

const blank = Buffer.from('b'.repeat(43), 'latin1');
const start = originHash('test');

/** Lines as a chain makes them: members before and behind the one that is blank. */
const line = fc
  .record({
    before: fc.oneof(
      fc.string({ unit: 'binary' }),
      // What looks like the place and is none: in a text, and as a member of what somebody else said.
      fc.constant('"prev":"'),
      fc.constant(`"prev":"${blank}"`),
    ),
    nested: fc.option(fc.dictionary(fc.constantFrom('prev', 'a'), fc.string({ maxLength: 60 }))),
    behind: fc.string({ unit: 'binary', maxLength: 3000 }),
  })
  .map(({ before, nested, behind }) =>
    JSON.stringify({ a: before, ev: nested, prev: String(blank), sql: behind, v: 1 }),
  );

/** What the lines are with the hash of the one before in each, by the verifier's own hash. */
function chained(lines: readonly string[], head: string): { lines: string[]; hashes: string[] } {
  const hashes: string[] = [];
  const whole = lines.map((text) => {
    const prev = hashes.at(-1) ?? head;
    const full = JSON.stringify({ ...JSON.parse(text), prev });
    hashes.push(leafHash(full));
    return full;
  });
  return { lines: whole, hashes };
}

test('the addon is used where it was built for', () => {
  expect(native !== undefined).toBe(isBuilt);
  expect(finish === here).toBe(!isBuilt);
});

describe.each(ways)('in %s', (_name, way) => {
  test('each line names the one before, and each hash is the verifier’s', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.nat(50), fc.nat(5), (lines, from, at) => {
        const wanted = chained(lines, start);
        const text = lines.map((each) => `${each}\n`).join('');
        const block = Buffer.concat([Buffer.alloc(from, 'x'), Buffer.from(text), Buffer.from('behind')]);
        const to = block.length - 'behind'.length;
        const head = Buffer.from(start, 'latin1');
        const leaves = Buffer.alloc((at + lines.length) * hashBytes);
        expect(way.finish(block, from, to, blank, head, leaves, at)).toBe(lines.length);
        expect(block.toString()).toBe(
          `${'x'.repeat(from)}${wanted.lines.map((each) => `${each}\n`).join('')}behind`,
        );
        expect(String(head)).toBe(wanted.hashes.at(-1) ?? start);
        const spelled = hashesOf(leaves, at + lines.length).map((hash) => hash.toString('base64url'));
        expect(spelled.slice(at)).toEqual(wanted.hashes);
        expect(leaves.subarray(0, at * hashBytes).every((byte) => byte === 0)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['that does not end', `{"prev":"${blank}"}`, 1],
    ['without a place', '{"a":1}\n', 1],
    ['whose place holds something else', `{"prev":"${'c'.repeat(43)}"}\n`, 1],
    ['that ends within its place', `{"prev":"${blank}`.slice(0, -1).concat('\n'), 1],
    ['too many', `{"prev":"${blank}"}\n`, 0],
  ])('a line %s is refused, and nothing is written beyond what there is room for', (_what, text, room) => {
    const block = Buffer.from(text);
    const memory = Buffer.alloc(4 * hashBytes);
    const leaves = memory.subarray(0, room * hashBytes);
    const head = Buffer.from(start, 'latin1');
    expect(() => way.finish(block, 0, block.length, blank, head, leaves, 0)).toThrow(TypeError);
    expect(memory.subarray(room * hashBytes).every((byte) => byte === 0)).toBe(true);
  });

  test('a tree grows as the verifier’s does, from any size', () => {
    const size = fc.oneof(fc.nat(300), fc.nat(2 ** 31), fc.integer({ min: 2 ** 40, max: 2 ** 52 }));
    const seed = fc.uint8Array({ minLength: hashBytes, maxLength: hashBytes });
    fc.assert(
      fc.property(size, fc.nat(40), seed, (of, count, bytes) => {
        const hashOf = (at: number) => createHash('sha256').update(bytes).update(String(at)).digest();
        const range = Array.from({ length: peakCount(of) }, (_, at) => hashOf(-1 - at));
        const tree = new CompactTree(of, range);
        const peaks = Buffer.alloc(64 * hashBytes);
        Buffer.concat(range).copy(peaks);
        const leaves = Buffer.concat(Array.from({ length: count }, (_, at) => hashOf(at)));
        const peak = way.grow(peaks, of, leaves, count);
        for (let at = 0; at < count; at += 1) tree.append(hashOf(at));
        expect(hashesOf(peaks, peak)).toEqual(tree.range);
      }),
    );
  });
});

test('a commitment is the verifier’s', () => {
  const salt = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const oid = fc.oneof(fc.nat(3000), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
  const value = fc.option(fc.uint8Array({ maxLength: 3000 }), { nil: undefined });
  fc.assert(
    fc.property(salt, oid, value, (...given) => {
      expect(finish.commit(...given)).toBe(commit(...given));
    }),
  );
});

test('arguments of another form are refused', () => {
  if (native === undefined) return;
  const block = Buffer.alloc(10);
  const hashes = Buffer.alloc(hashBytes);
  const head = Buffer.alloc(43);
  const wrong: readonly unknown[][] = [
    [],
    [block, 0, 11, blank, head, hashes, 0],
    [block, 5, 4, blank, head, hashes, 0],
    ['text', 0, 4, blank, head, hashes, 0],
    [block, 0, 4, hashes, head, hashes, 0],
    [block, 0, 4, blank, hashes, hashes, 0],
  ];
  for (const given of wrong)
    expect(() => (native.finish as (...given: unknown[]) => number)(...given), String(given)).toThrow(
      TypeError,
    );
  const salt = Buffer.alloc(16);
  for (const given of [[], [hashes, 0, salt], [salt, '0', salt], [salt, 0, null], [salt, 0, 'text']])
    expect(() => (native.commit as (...given: unknown[]) => string)(...given), String(given)).toThrow(
      TypeError,
    );
  expect(() => native.grow(hashes, 0, hashes, 1)).toThrow(TypeError);
  expect(() => native.grow(Buffer.alloc(64 * hashBytes), 0, hashes, 2)).toThrow(TypeError);
  expect(() => native.grow(Buffer.alloc(64 * hashBytes), -1, hashes, 1)).toThrow(TypeError);
});

test('a growing tree says at any time what was put into it', () => {
  const tree = new GrowingTree(new CompactTree());
  const all: Buffer[] = [];
  for (const count of [1, 0, 5, 256, 3]) {
    const leaves = Array.from({ length: count }, (_, at) =>
      createHash('sha256')
        .update(`${all.length + at}`)
        .digest(),
    );
    tree.append(Buffer.concat(leaves), count);
    all.push(...leaves);
    expect(tree.compact().root()).toEqual(rootOf(all));
  }
});
