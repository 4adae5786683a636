import { expect, test } from 'vitest';
import { type Figures, percentile, spread, together, values } from '../../bench/cost/figures.ts';

const figures = (perSecond: number, cpuUs?: number): Figures => ({
  perSecond,
  p50Ms: 1,
  p99Ms: 2,
  ...(cpuUs === undefined ? {} : { cpuUs }),
});

test('median and range do not depend on the order, and leave the values as they were', () => {
  const given = [30, 1, 200];
  expect(spread(given)).toEqual({ median: 30, least: 1, most: 200 });
  expect(given).toEqual([30, 1, 200]);
});

test('of an even count, the median is between the two in the middle', () => {
  expect(spread([4, 1, 10, 2])?.median).toBe(3);
});

test('nothing has no median', () => {
  expect(spread([])).toBeUndefined();
});

test('a percentile is a value that was measured', () => {
  const sorted = Array.from({ length: 200 }, (_, n) => n + 1);
  expect(percentile(sorted, 0.5)).toBe(101);
  expect(percentile(sorted, 0.99)).toBe(199);
  expect(percentile(sorted, 1)).toBe(200);
  expect(percentile([], 0.5)).toBeNaN();
});

test('two subjects are compared within a round, and a round in which one failed does not count', () => {
  const one = [figures(10), undefined, figures(30), figures(8)];
  const other = [figures(20), figures(1), undefined, figures(2)];
  expect(together(one, other, (of, to) => of.perSecond / to.perSecond)).toEqual([0.5, 4]);
  expect(together(one, undefined, () => 1)).toEqual([]);
});

test('a division by nothing is no figure', () => {
  expect(together([figures(10)], [figures(0)], (of, to) => of.perSecond / to.perSecond)).toEqual([]);
});

test('values are those that were measured', () => {
  expect(values([figures(1, 7), undefined, figures(2), figures(3, 9)], 'cpuUs')).toEqual([7, 9]);
});
