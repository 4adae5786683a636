import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { cpuUsOf, memoryKiBOf, parsePssKiB, parseStat, treeOf } from '../../bench/cost/procfs.ts';
import { cpuUsPerUnit } from '../../bench/cost/watch.ts';

const linux = existsSync('/proc/self/stat');

test('the name of a process may hold spaces and parentheses', () => {
  const rest = 'S 41 42 42 0 -1 4194560 100 200 0 0 150 50 30 20 20 0 11 0 555 1000 200';
  for (const name of ['node', 'a b', 'x) S 1 (y', 'pgpool: wait (for) connection)', '']) {
    expect(parseStat(`42 (${name}) ${rest}\n`)).toEqual({ pid: 42, parent: 41, cpuUs: 2_500_000 });
  }
});

test('what is no line of stat is refused', () => {
  expect(() => parseStat('')).toThrow('not a line of /proc/PID/stat');
  expect(() => parseStat('42 (node) S 41')).toThrow('not a line of /proc/PID/stat');
});

test('the proportional set size is the one of all pages, not of a kind of them', () => {
  const text = 'Rss:   9000 kB\nPss:                1234 kB\nPss_Anon:  99 kB\nSwapPss:  7 kB\n';
  expect(parsePssKiB(text)).toBe(1234);
  expect(parsePssKiB('SwapPss:  7 kB\n')).toBeUndefined();
});

test.runIf(linux)('a tree is a process and all below it', async () => {
  const child = spawn('/bin/sh', ['-c', 'sleep 30 & echo up; wait']);
  await once(child.stdout, 'data');
  const tree = treeOf(child.pid!);
  expect(tree[0]).toBe(child.pid);
  expect(tree).toHaveLength(2);
  expect(memoryKiBOf(tree)).toBeGreaterThan(0);
  for (const pid of tree.toReversed()) process.kill(pid, 'SIGKILL');
  await once(child, 'exit');
  expect(treeOf(child.pid!)).toEqual([]);
  expect(cpuUsOf(tree)).toBe(0);
});

test('CPU counts between the first and the last look within the work', () => {
  const samples = [
    // Logins: before anything was done.
    { ms: 0, cpuUs: 0 },
    { ms: 100, cpuUs: 50_000 },
    { ms: 200, cpuUs: 51_000 },
    { ms: 300, cpuUs: 53_000 },
    // After the last.
    { ms: 400, cpuUs: 99_000 },
  ];
  // Four between 100 and 300, one before.
  expect(cpuUsPerUnit(samples, [90, 150, 199, 250, 300, 310])).toBe(750);
});

test('work that no two looks fall into has no CPU time', () => {
  const samples = [
    { ms: 0, cpuUs: 0 },
    { ms: 100, cpuUs: 50_000 },
  ];
  expect(cpuUsPerUnit(samples, [90, 150])).toBeUndefined();
  expect(cpuUsPerUnit(samples, [])).toBeUndefined();
});
