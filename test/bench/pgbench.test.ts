import { expect, test } from 'vitest';
import { cycles, latencies, parseLog, parseRate } from '../../bench/cost/pgbench.ts';

test('a line of the log is client, transaction, µs, script and when it ended', () => {
  expect(parseLog('3 199 2241 0 1175850568 995598\n0 1 500 0 1175850569 1000\n')).toEqual([
    { client: 3, ms: 2.241, endedMs: 1175850568995.598 },
    { client: 0, ms: 0.5, endedMs: 1175850569001 },
  ]);
});

test('a transaction that failed, and a line that was cut off, have no time', () => {
  expect(parseLog('3 0 failed 0 1499414498 84905\n3 1 77 0\n')).toEqual([]);
});

test('the rate is the one after the logins, or with them where each transaction logs in', () => {
  const output = 'number of transactions actually processed: 100\nlatency average = 1.5 ms\n';
  expect(
    parseRate(`${output}initial connection time = 3 ms\ntps = 1234.5 (without initial connection time)\n`),
  ).toBe(1234.5);
  expect(parseRate(`${output}tps = 56.78 (including reconnection times)\n`)).toBe(56.78);
  expect(parseRate(output)).toBeUndefined();
});

test('a cycle is from one end to the next of the same client, in whatever order the files are read', () => {
  const at = (client: number, endedMs: number) => ({ client, ms: 1, endedMs });
  expect(cycles([at(0, 30), at(1, 12), at(0, 10), at(1, 19), at(0, 15)])).toEqual([5, 7, 15]);
});

test('latencies are of all transactions', () => {
  const ms = Array.from({ length: 100 }, (_, n) => 100 - n);
  expect(latencies(ms)).toEqual({ p50Ms: 51, p99Ms: 100 });
});
