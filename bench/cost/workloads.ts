// What the load does: each workload is one run of a client program of PostgreSQL, and what a unit of it is.

import { closeSync, openSync } from 'node:fs';
import type { Address } from '../subjects/subject.ts';
import { client, cycles, latencies, pgbench } from './pgbench.ts';

/** What workloads need besides an address. */
export interface Bulk {
  readonly megabytes: number;
  /** A file as COPY FROM reads it. */
  file(): string;
  script(name: string): string;
  emptySink(): Promise<void>;
}

export interface Load {
  readonly clients: number;
  readonly seconds: number;
  readonly encrypted: boolean;
  readonly bulk: Bulk;
}

export interface Done {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** When each unit was done, since the epoch; undefined where the units are not single moments. */
  readonly endedMs?: readonly number[];
  /** How many, where there are no moments. */
  readonly units?: number;
}

export interface Workload {
  readonly name: string;
  /** What is counted, and what CPU time is said of. */
  readonly unit: string;
  /** At how many clients where nobody says so. */
  readonly clients: number;
  readonly what: string;
  /** Of the client programs, which. */
  readonly program: 'pgbench' | 'psql';
  run(address: Address, load: Load): Promise<Done>;
}

type Timing = (transactions: Parameters<typeof cycles>[0]) => number[];

const durations: Timing = (transactions) => transactions.map(({ ms }) => ms);

function byPgbench(
  name: string,
  unit: string,
  clients: number,
  what: string,
  args: (bulk: Bulk) => string[],
  timing: Timing = durations,
): Workload {
  const run: Workload['run'] = async (address, load) => {
    const { perSecond, transactions } = await pgbench(address, { ...load, args: args(load.bulk) });
    const endedMs = transactions.map((each) => each.endedMs);
    return { perSecond, endedMs, ...latencies(timing(transactions)) };
  };
  return { name, unit, clients, what, program: 'pgbench', run };
}

/** One COPY, timed by psql. The clock of psql begins after its login. */
function byCopy(name: string, what: string, command: string, reads: boolean): Workload {
  const run: Workload['run'] = async (address, { encrypted, bulk }) => {
    if (reads) await bulk.emptySink();
    const input = reads ? openSync(bulk.file(), 'r') : undefined;
    try {
      const args = [
        '-X',
        '-q',
        '-v',
        'ON_ERROR_STOP=1',
        '-c',
        '\\timing on',
        '-c',
        '\\o /dev/null',
        '-c',
        command,
      ];
      const output = await client('psql', args, address, {
        encrypted,
        limitMs: 600_000,
        ...(input === undefined ? {} : { input }),
      });
      const ms = Number(/Time: ([\d.]+) ms/.exec(output)?.[1]);
      return { perSecond: (bulk.megabytes * 1000) / ms, p50Ms: ms, p99Ms: ms, units: bulk.megabytes };
    } finally {
      if (input !== undefined) closeSync(input);
    }
  };
  return { name, unit: 'MB', clients: 1, what, program: 'psql', run };
}

const script =
  (name: string, protocol = 'simple') =>
  (bulk: Bulk) => ['-M', protocol, '-f', bulk.script(name)];

export const workloads: readonly Workload[] = [
  byPgbench(
    'prepared',
    'statement',
    16,
    'reads of one row by key, prepared once',
    script('read', 'prepared'),
  ),
  byPgbench('extended', 'statement', 16, 'the same, parsed each time', script('read', 'extended')),
  byPgbench('simple', 'statement', 16, 'the same as simple queries, every text different', script('simple')),
  byPgbench(
    'tpcb',
    'transaction',
    16,
    'seven statements, three updates of one row and an insert, as simple queries',
    script('tpcb'),
  ),
  byPgbench('tpcb-prepared', 'transaction', 16, 'the same, prepared once', script('tpcb', 'prepared')),
  byPgbench('select', 'statement', 1, 'a SELECT of 100,000 rows', script('select')),
  byPgbench('connect', 'connection', 1, 'log in with SCRAM, read one row, close', () => ['-S', '-C'], cycles),
  byCopy('copy-out', 'COPY TO STDOUT of a table', 'COPY bulk TO STDOUT', false),
  byCopy('copy-in', 'COPY FROM STDIN into an unlogged table', 'COPY sink FROM STDIN', true),
];

/**
 * Accounts that are read and written. Of all of them each process of the server, which is new with each run wherever nobody
 * pools it, would map another page at nearly every statement, some five page faults each: what was measured then was those.
 */
export const accountsUsed = 5000;

/** As pgbench has them built in, but for the accounts. `scale`: of its tables. */
export const scriptsFor = (scale: number): Readonly<Record<string, string>> => ({
  read: `\\set aid random(1, ${accountsUsed})
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
`,
  simple: `\\set aid random(1, ${accountsUsed})
\\set n random(1, 1000000000)
SELECT abalance, :n AS n FROM pgbench_accounts WHERE aid = :aid;
`,
  tpcb: `\\set aid random(1, ${accountsUsed})
\\set bid random(1, ${scale})
\\set tid random(1, ${10 * scale})
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
`,
  select: 'SELECT aid, bid, abalance, filler FROM pgbench_accounts WHERE aid <= 100000;\n',
});
