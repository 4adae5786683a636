// What does the log cost? Prepared reads of 16 clients at an offered rate through one Holdpoint for each class of
// durability, interleaved round by round with one whose log keeps nothing; prints CPU µs a statement and latency, and the
// difference to that one. A line of its own has the same log on a disk whose fdatasync costs nothing.
// Run: node bench/log.ts [rate] [rounds] [seconds]

import type { ChildProcess } from 'node:child_process';
import { startPostgres } from '../test/support/postgres.ts';
import { makeAccounts } from './load/accounts.ts';
import { ask, end, start } from './load/ask.ts';
import type { Figures, LoadAddress, Round } from './load/client.ts';
import type { GuardSetting } from './load/guard.ts';

const [rate = 10_000, rounds = 7, seconds = 4] = process.argv.slice(2).map(Number);
const clients = 16;

const settings: Readonly<Record<string, Omit<GuardSetting, 'url'>>> = {
  off: { log: 'off', audit: { values: 'none' } },
  'kill-safe': { log: 'on', audit: { values: 'none' } },
  'kill-safe without fsync': { log: 'no-fsync', audit: { values: 'none' } },
  'output-commit': { log: 'on', audit: { values: 'none', reads: 'output-commit' } },
  'write-ahead': { log: 'on', audit: { values: 'none', reads: 'write-ahead' } },
};

interface Subject {
  readonly name: string;
  readonly guard: ChildProcess;
  readonly load: ChildProcess;
  readonly cpu: number[];
  readonly figures: Figures[];
}

async function subject(name: string, url: string): Promise<Subject> {
  const guard = start('guard.ts');
  const address = await ask<LoadAddress>(guard, { url, ...settings[name]! });
  const load = start('client.ts');
  await ask(load, { ...address, clients });
  return { name, guard, load, cpu: [], figures: [] };
}

async function measure({ guard, load, cpu, figures }: Subject, round: Round, counts: boolean): Promise<void> {
  const before = await ask<NodeJS.CpuUsage>(guard, 'cpu');
  const figure = await ask<Figures>(load, round);
  const after = await ask<NodeJS.CpuUsage>(guard, 'cpu');
  if (!counts) return;
  figures.push(figure);
  cpu.push((after.user + after.system - before.user - before.system) / figure.statements);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Of pairs measured one after the other, so that what the machine does meanwhile falls on both. */
function difference(of: readonly number[], to: readonly number[]): number {
  return median(of.map((value, i) => value - to[i]!));
}

const server = await startPostgres();
await makeAccounts(server.url(), 1000);

const subjects: Subject[] = [];
try {
  for (const name of Object.keys(settings)) subjects.push(await subject(name, server.url()));
  for (const each of subjects) await measure(each, { rate, seconds: 2 }, false);
  for (let n = 0; n < rounds; n += 1)
    for (const each of subjects) await measure(each, { rate, seconds }, true);
  const off = subjects[0]!;
  console.log(
    `prepared reads, ${clients} clients, ${rate === 0 ? 'as fast as answered' : `${rate}/s offered`}, medians of ${rounds} rounds of ${seconds} s`,
  );
  console.table(
    Object.fromEntries(
      subjects.map(({ name, cpu, figures }) => {
        const of = (key: keyof Figures) => figures.map((figure) => figure[key]);
        return [
          name,
          {
            'statements/s': Math.round(median(figures.map((each) => each.statements / each.seconds))),
            'CPU µs': Number(median(cpu).toFixed(1)),
            '+ CPU µs': Number(difference(cpu, off.cpu).toFixed(1)),
            'p50 ms': Number(median(of('p50')).toFixed(3)),
            '+ p50 ms': Number(
              difference(
                of('p50'),
                of('p50').map((_, i) => off.figures[i]!.p50),
              ).toFixed(3),
            ),
            'p99 ms': Number(median(of('p99')).toFixed(2)),
          },
        ];
      }),
    ),
  );
} finally {
  for (const { guard, load } of subjects) {
    await end(load);
    await end(guard);
  }
  await server.stop();
}
