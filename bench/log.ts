// What does the log cost? Prepared reads of 16 clients at an offered rate (pgbench, arrivals as of a Poisson process) through
// one Holdpoint for each class of durability, interleaved round by round with one whose log keeps nothing; prints CPU µs a
// statement and latency from when a statement was due, and the difference to that one. A line of its own has the same log on
// a disk whose fdatasync costs nothing.
// Run: node bench/log.ts [rate] [rounds] [seconds]; rate 0: as fast as they are answered.

import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../test/support/postgres.ts';
import { type Figures, spread } from './cost/figures.ts';
import { installed } from './cost/machine.ts';
import { latencies, pgbench } from './cost/pgbench.ts';
import { makeAccounts } from './load/accounts.ts';
import { ask, end, start } from './load/ask.ts';
import type { GuardAddress, GuardSetting } from './load/guard.ts';

const [rate = 10_000, rounds = 7, seconds = 4] = process.argv.slice(2).map(Number);
const clients = 16;
const catchUpMs = 1000;

const settings: Readonly<Record<string, Omit<GuardSetting, 'url'>>> = {
  off: { log: 'off', audit: { values: 'none' } },
  'kill-safe': { log: 'on', audit: { values: 'none' } },
  'kill-safe without fsync': { log: 'no-fsync', audit: { values: 'none' } },
  'output-commit': { log: 'on', audit: { values: 'none', reads: 'output-commit' } },
  'write-ahead': { log: 'on', audit: { values: 'none', reads: 'write-ahead' } },
};

type Measured = Required<Omit<Figures, 'memoryMiB'>>;

interface Subject {
  readonly name: string;
  readonly guard: ChildProcess;
  readonly address: GuardAddress;
  readonly figures: Measured[];
}

async function subject(name: string, url: string): Promise<Subject> {
  const guard = start('guard.ts');
  const address = await ask<GuardAddress>(guard, { url, ...settings[name]! });
  return { name, guard, address, figures: [] };
}

async function measured({ guard, address }: Subject, script: string, seconds: number): Promise<Measured> {
  const offered = rate === 0 ? [] : ['-R', String(rate)];
  const args = ['-M', 'prepared', '-f', script, ...offered];
  const before = await ask<NodeJS.CpuUsage>(guard, 'cpu');
  const { perSecond, transactions } = await pgbench(address, { clients, seconds, args, encrypted: false });
  const after = await ask<NodeJS.CpuUsage>(guard, 'cpu');
  const micros = after.user + after.system - before.user - before.system;
  // At first it catches up with what was due while it logged in.
  const begun = transactions.reduce(
    (least, { endedMs }) => Math.min(least, endedMs),
    Number.POSITIVE_INFINITY,
  );
  const steady = transactions.filter(({ endedMs }) => endedMs > begun + catchUpMs);
  return { perSecond, cpuUs: micros / transactions.length, ...latencies(steady.map(({ ms }) => ms)) };
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'holdpoint-bench-log-'));
  const script = join(folder, 'read.sql');
  writeFileSync(script, '\\set aid random(1, 1000)\nSELECT abalance FROM accounts WHERE aid = :aid;\n');
  const server = await startPostgres();
  const subjects: Subject[] = [];
  try {
    await makeAccounts(server.url(), 1000);
    for (const name of Object.keys(settings)) subjects.push(await subject(name, server.url()));
    for (const each of subjects) await measured(each, script, 2);
    for (let n = 0; n < rounds; n += 1)
      for (const each of subjects) each.figures.push(await measured(each, script, seconds));
    print(subjects);
  } finally {
    for (const { guard } of subjects) await end(guard);
    await server.stop();
    rmSync(folder, { recursive: true });
  }
}

function print(subjects: readonly Subject[]): void {
  const off = subjects[0]!.figures;
  const offered = rate === 0 ? 'as fast as answered' : `${rate}/s offered`;
  console.log(
    `prepared reads, ${clients} clients, ${offered}, medians of ${rounds} rounds of ${seconds} s (in brackets: of the rounds)`,
  );
  const rows = subjects.map(({ name, figures }) => {
    const of = (key: keyof Measured) => spread(figures.map((figure) => figure[key]))!.median;
    // Of pairs measured one after the other, so that what the machine does meanwhile falls on both.
    const more = (key: keyof Measured, digits: number) => {
      const { median, least, most } = spread(figures.map((figure, i) => figure[key] - off[i]![key]))!;
      return `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
    };
    return [
      name,
      {
        'statements/s': Math.round(of('perSecond')),
        'CPU µs': of('cpuUs').toFixed(1),
        '+ CPU µs': more('cpuUs', 1),
        'p50 ms': of('p50Ms').toFixed(3),
        '+ p50 ms': more('p50Ms', 3),
        'p99 ms': of('p99Ms').toFixed(2),
      },
    ] as const;
  });
  console.table(Object.fromEntries(rows));
}

if (installed('pgbench')) await main();
else {
  console.error('pgbench is not installed, and the load is made with it: apt-get install postgresql-contrib');
  process.exitCode = 1;
}
