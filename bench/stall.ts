// Do small reads wait for others? The p99 of prepared reads at an offered rate through one Holdpoint, quiet and while
// another session sends statements of 1 MiB, holds 1,000 requests, or reads a large result slowly; in turns, each compared
// with the quiet value of its round.
// Run: node bench/stall.ts [rounds] [seconds] [rate] [held requests]

import { startPostgres } from '../test/support/postgres.ts';
import { spread } from './cost/figures.ts';
import { asText, shown } from './cost/table.ts';
import { makeAccounts } from './load/accounts.ts';
import { ask, end, start } from './load/ask.ts';
import type { Figures } from './load/client.ts';
import type { GuardAddress, GuardSetting } from './load/guard.ts';
import type { Nuisance } from './load/nuisance.ts';

const [rounds = 7, seconds = 4, rate = 2000, held = 1000] = process.argv.slice(2).map(Number);
const clients = 16;
const ratioMax = 2;
const p99MaxMs = 10;

const kinds: readonly ('quiet' | Nuisance['kind'])[] = [
  'quiet',
  'large statements',
  'slow reader',
  'held requests',
];

const server = await startPostgres({ settings: { max_connections: String(held + 100) } });
await makeAccounts(server.url(), 10_000);

const guard = start('guard.ts');
const load = start('client.ts');
const nuisance = start('nuisance.ts');
const p99: Record<string, number[]> = Object.fromEntries(kinds.map((kind) => [kind, []]));
const p50: Record<string, number[]> = Object.fromEntries(kinds.map((kind) => [kind, []]));
const failures = new Set<string>();
try {
  const setting: GuardSetting = {
    url: server.url(),
    log: 'on',
    audit: { values: 'none' },
    connectionsMax: held + 100,
    hold: { pendingMax: held, waitMs: 3_600_000 },
  };
  const address = await ask<GuardAddress>(guard, setting);
  await ask(load, { ...address, clients });
  await ask(load, { rate, seconds });
  for (let round = 0; round < rounds; round += 1) {
    for (const kind of kinds) {
      if (kind !== 'quiet') await ask(nuisance, { kind, address, count: held } satisfies Nuisance);
      const figures = await ask<Figures>(load, { rate, seconds });
      if (kind !== 'quiet') await ask(nuisance, 'end');
      p50[kind]!.push(figures.p50);
      p99[kind]!.push(figures.p99);
      // What the one before leaves behind must not fall on the next.
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
} catch (error) {
  failures.add((error as Error).message);
} finally {
  for (const child of [nuisance, load, guard]) await end(child);
  await server.stop();
}

const rows = kinds.map((kind) => {
  const ratio = spread(p99[kind]!.map((value, round) => value / p99.quiet![round]!));
  const most = spread(p99[kind]!);
  const reached = (ratio?.median ?? Infinity) <= ratioMax && (most?.median ?? Infinity) < p99MaxMs;
  const verdict =
    kind === 'quiet' ? '' : most === undefined ? 'not measured' : reached ? 'reached' : 'missed';
  return [kind, shown(spread(p50[kind]!)), shown(most), kind === 'quiet' ? '' : shown(ratio), verdict];
});
const title = `small reads, ${clients} clients, ${rate}/s offered, medians and ranges of ${rounds} rounds of ${seconds} s; wanted: p99 at most ${ratioMax} × quiet and under ${p99MaxMs} ms`;
console.log(asText({ title, head: ['', 'p50 ms', 'p99 ms', '× quiet', ''], rows }));
for (const failure of failures) console.log(`failed: ${failure}`);
if (failures.size > 0) process.exitCode = 1;
