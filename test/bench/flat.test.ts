import { expect, test } from 'vitest';
import { flatness } from '../../bench/soak/flat.ts';

test('what swings and comes back is flat, what grows is not', () => {
  const swings = Array.from({ length: 30 }, (_, n) => 100 + (n % 3) * 20);
  expect(flatness(swings, 1.15)).toMatchObject({ flat: true });
  const grows = Array.from({ length: 30 }, (_, n) => 100 + n * 2);
  expect(flatness(grows, 1.15)).toMatchObject({ flat: false });
});

test('the warm-up, and one bad minute, do not count', () => {
  const values = [5, 20, 100, ...Array.from({ length: 27 }, () => 100)];
  values[25] = 9000;
  expect(flatness(values, 1.15)).toEqual({ first: 100, last: 100, flat: true });
});

test('a few values say nothing', () => {
  expect(flatness([1, 1, 1, 1, 1, 1], 1.15)).toBeUndefined();
  expect(flatness([], 1.15)).toBeUndefined();
});
