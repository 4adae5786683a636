// What the verifier remembers of a log does not grow with it, and a log made to fill its memory is refused.

import { expect, test } from 'vitest';
import { Lives } from '../../verify/src/lives.ts';
import { Offence } from '../../verify/src/offence.ts';
import { openMax, Statements } from '../../verify/src/statements.ts';
import { Unsealed, unsealedMax } from '../../verify/src/unsealed.ts';

const dayMs = 86_400_000;
const fail = (message: string) => new Offence('approval', { file: '', line: 0 }, message);
const at = (ms: number) => ({ seq: 0, kind: 'hold', ts: ms * 1000, boot: '', members: {} });

test('of many requests, those that ended long ago are forgotten and no other', () => {
  const alive = new Set<string>();
  const lives = new Lives((rid) => alive.delete(rid));
  let most = 0;
  for (let n = 0; n < 300_000; n += 1) {
    const now = n * 60_000;
    alive.add(`${n}`);
    lives.note(`${n}`, now + 3_600_000, at(now), fail);
    most = Math.max(most, alive.size);
  }
  expect(most).toBeLessThan(25_000);
  for (let n = 300_000 - 60 - dayMs / 60_000; n < 300_000; n += 1) expect(alive.has(`${n}`)).toBe(true);
});

test('more requests that can still be used than any Holdpoint has are refused', () => {
  const lives = new Lives(() => {});
  const fill = () => {
    for (let n = 0; n < 200_000; n += 1) lives.note(`${n}`, Number.MAX_SAFE_INTEGER, at(0), fail);
  };
  expect(fill).toThrow(/requests can be decided or used at once/);
});

test('more statements without an outcome than any proxy has are refused', () => {
  const statements = new Statements();
  const fill = () => {
    for (let n = 0; n <= openMax; n += 1) statements.begin(n, 'seg', n + 1, false);
  };
  expect(fill).toThrow(/statements are open at once/);
  expect(statements.size).toBe(openMax);
});

test('more records without a seal than any writer makes are refused', () => {
  const unsealed = new Unsealed(0);
  const leaf = 'A'.repeat(43);
  const fill = () => {
    for (let n = 0; n <= unsealedMax; n += 1) unsealed.push(leaf, 'seg', n + 1);
  };
  expect(fill).toThrow(/without a seal/);
  expect(unsealed.count).toBe(unsealedMax);
});

test('what waits for its seal keeps its order and place while it grows, is cut and is handed on', () => {
  const leaf = (n: number) => Buffer.alloc(32, n % 251).toString('base64url');
  let unsealed = new Unsealed(100);
  let next = 100;
  let first = 100;
  for (const [push, remove] of [
    [300, 10],
    [5, 200],
    [700, 795],
    [1, 0],
    [400, 401],
  ] as const) {
    for (let i = 0; i < push; i += 1, next += 1) unsealed.push(leaf(next), next < 500 ? 'a' : 'b', next);
    unsealed.remove(remove);
    first += remove;
    unsealed = new Unsealed(first, unsealed.state());
    expect(unsealed.count).toBe(next - first);
    for (let i = 0; i < unsealed.count; i += 97) {
      expect(unsealed.leaf(i).toString('base64url')).toBe(leaf(first + i));
      expect(unsealed.place(i)).toEqual({ file: first + i < 500 ? 'a' : 'b', line: first + i });
    }
  }
});
