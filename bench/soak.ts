// Does Holdpoint stay what it was? Small reads at an offered rate for an hour, while clients come, go, hang and die:
// memory and p50/p99 for each interval, and at the end whether both are flat.
// Run: node bench/soak.ts [--minutes 60] [--interval SECONDS] [--rate 1000]

import { parseArgs } from 'node:util';
import { startPostgres } from '../test/support/postgres.ts';
import { cpuUsOf, memoryKiBOf, treeOf } from './cost/procfs.ts';
import { digits } from './cost/table.ts';
import { makeAccounts } from './load/accounts.ts';
import { ask, end, start } from './load/ask.ts';
import type { Churned } from './load/churn.ts';
import type { Figures } from './load/client.ts';
import type { GuardAddress, GuardSetting } from './load/guard.ts';
import { flatness } from './soak/flat.ts';

const text = { type: 'string' } as const;
const { values: given } = parseArgs({ options: { minutes: text, interval: text, rate: text } });
const [minutes, intervalSeconds, rate] = [given.minutes ?? 60, given.interval ?? 60, given.rate ?? 1000].map(
  Number,
) as [number, number, number];
const clients = 16;
/** What the same process may come to at the end, as a multiple of the beginning. */
const growthMax = { 'memory MiB': 1.15, 'p50 ms': 1.5, 'p99 ms': 2 };

const server = await startPostgres();
await makeAccounts(server.url(), 10_000);

const guard = start('guard.ts');
const load = start('client.ts');
const churn = start('churn.ts');
const found: Record<keyof typeof growthMax, number[]> = { 'memory MiB': [], 'p50 ms': [], 'p99 ms': [] };
try {
  const address = await ask<GuardAddress>(guard, {
    url: server.url(),
    log: 'on',
    // An hour of records takes gigabytes of the disk.
    audit: { values: 'none', retainBytes: 1 << 30 },
  } satisfies GuardSetting);
  await ask(load, { ...address, clients });
  await ask(churn, address);
  const intervals = Math.max(1, Math.round((minutes * 60) / intervalSeconds));
  console.log(
    `${intervals} intervals of ${intervalSeconds} s, ${rate} reads/s offered by ${clients} clients`,
  );
  console.log('minute  memory MiB   p50 ms   p99 ms   CPU %  clients that came');
  for (let n = 1; n <= intervals; n += 1) {
    const before = cpuUsOf(treeOf(guard.pid!));
    const figures = await ask<Figures>(load, { rate, seconds: intervalSeconds });
    const cpuShare = (cpuUsOf(treeOf(guard.pid!)) - before) / (figures.seconds * 1e6);
    const churned = await ask<Churned>(churn, 'count');
    found['memory MiB'].push(memoryKiBOf(treeOf(guard.pid!)) / 1024);
    found['p50 ms'].push(figures.p50);
    found['p99 ms'].push(figures.p99);
    const columns = [((n * intervalSeconds) / 60).toFixed(1).padStart(6)];
    columns.push(digits(found['memory MiB'].at(-1)!).padStart(11), digits(figures.p50).padStart(8));
    columns.push(digits(figures.p99).padStart(8), (cpuShare * 100).toFixed(0).padStart(7));
    const came = Object.entries(churned).map(([kind, count]) => `${count} ${kind}`);
    console.log(`${columns.join(' ')}  ${came.join(', ')}`);
  }
} finally {
  for (const child of [churn, load, guard]) await end(child);
  await server.stop();
}

for (const [figure, most] of Object.entries(growthMax) as [keyof typeof growthMax, number][]) {
  const result = flatness(found[figure], most);
  if (result === undefined) console.log(`${figure}: too few intervals to say`);
  else {
    const { first, last, flat } = result;
    console.log(
      `${figure}: ${digits(first)} at first, ${digits(last)} at last: ${flat ? 'flat' : 'not flat'}`,
    );
    if (!flat) process.exitCode = 1;
  }
}
