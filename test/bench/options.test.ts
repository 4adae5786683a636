import { expect, test } from 'vitest';
import { readOptions } from '../../bench/cost/options.ts';
import { cellName, estimateSeconds } from '../../bench/cost/rounds.ts';

const cells = (...args: string[]) => readOptions(args).cells.map(cellName);

test('without options, a selection at the usual clients, in at least seven rounds', () => {
  expect(cells()).toContain('prepared 1');
  expect(cells()).toContain('tpcb 16');
  expect(readOptions([]).rounds).toBeGreaterThanOrEqual(7);
});

test('workloads and clients are crossed; a COPY is one session', () => {
  expect(cells('--workloads', 'simple,connect')).toEqual(['simple 16', 'connect 1']);
  expect(cells('--workloads', 'prepared,copy-out', '--clients', '1,64')).toEqual([
    'prepared 1',
    'prepared 64',
    'copy-out 1',
  ]);
});

test('what nobody knows is refused by name', () => {
  expect(() => readOptions(['--workloads', 'tpch'])).toThrow('no workload is called tpch');
  expect(() => readOptions(['--subjects', 'odyssey'])).toThrow('no subject is called odyssey');
  expect(() => readOptions(['--rounds', '0'])).toThrow('--rounds is a whole number from 1, not 0');
  expect(() => readOptions(['--clients', '1,two'])).toThrow('--clients is a whole number from 1, not two');
  expect(() => readOptions(['--nope'])).toThrow("'--nope'");
});

test('the estimate grows with rounds, subjects and seconds', () => {
  const estimate = (...args: string[]) => estimateSeconds(readOptions(args), 3);
  const least = estimate('--rounds', '1', '--seconds', '1');
  expect(least).toBeGreaterThan(0);
  expect(estimate('--rounds', '2', '--seconds', '1')).toBeGreaterThan(least);
  expect(estimate('--rounds', '1', '--seconds', '2')).toBeGreaterThan(least);
  expect(estimateSeconds(readOptions(['--rounds', '1', '--seconds', '1']), 6)).toBeGreaterThan(least);
});
