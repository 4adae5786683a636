// One run of pgbench against an address, and what its log says of it. Refuses to know what it runs against.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Address } from '../subjects/subject.ts';
import { percentile } from './figures.ts';

export interface Transaction {
  readonly client: number;
  readonly ms: number;
  /** Since the epoch. */
  readonly endedMs: number;
}

/** How long a run may take beyond its seconds: many logins, or a statement that somebody holds. */
const graceMs = 45_000;

/** Of `pgbench -l`: client, transaction, µs, script, epoch seconds, µs of them. A transaction that failed has no time. */
export function parseLog(text: string): Transaction[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      const [client, , us, , seconds, fraction] = line.split(' ').map(Number);
      const transaction = { client: client!, ms: us! / 1000, endedMs: seconds! * 1000 + fraction! / 1000 };
      return Object.values(transaction).every(Number.isFinite) ? [transaction] : [];
    });
}

/** The rate after the logins, or with them where each transaction logs in. */
export function parseRate(output: string): number | undefined {
  const found = /^tps = ([\d.]+) \((?:without initial connection time|including reconnection times)\)$/m.exec(
    output,
  );
  return found === null ? undefined : Number(found[1]);
}

/** From the end of one transaction of a client to the end of its next: the login of the next is in it. */
export function cycles(transactions: readonly Transaction[]): number[] {
  const last = new Map<number, number>();
  return [...transactions]
    .sort((a, b) => a.endedMs - b.endedMs)
    .flatMap(({ client, endedMs }) => {
      const before = last.get(client);
      last.set(client, endedMs);
      return before === undefined ? [] : [endedMs - before];
    });
}

export function latencies(ms: readonly number[]): { p50Ms: number; p99Ms: number } {
  const sorted = [...ms].sort((a, b) => a - b);
  return { p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99) };
}

export interface PgbenchRun {
  readonly perSecond: number;
  readonly transactions: readonly Transaction[];
}

/** The time that pgbench itself keeps, which begins before the logins: longer than any run. */
const neverSeconds = 3600;
const reportMs = 1000;

/**
 * The seconds begin when everybody has logged in: pgbench reports for the first time a second later, and ends in order
 * when it hears its own alarm.
 */
export async function pgbench(
  address: Address,
  run: { clients: number; seconds: number; args: readonly string[]; encrypted: boolean },
): Promise<PgbenchRun> {
  const folder = mkdtempSync(join(tmpdir(), 'holdpoint-pgbench-'));
  const fixed = [
    '-n',
    '-l',
    `--log-prefix=${join(folder, 'log')}`,
    '-P',
    reportMs / 1000,
    '-T',
    neverSeconds,
  ];
  const args = [...fixed, '-c', run.clients, '-j', Math.min(run.clients, 2)].map(String);
  let reported = false;
  try {
    const output = await client('pgbench', [...args, ...run.args], address, {
      encrypted: run.encrypted,
      limitMs: run.seconds * 1000 + graceMs,
      heard(errors, child) {
        if (reported || !errors.includes('progress:')) return;
        reported = true;
        setTimeout(() => child.kill('SIGALRM'), run.seconds * 1000 - reportMs);
      },
    });
    const perSecond = parseRate(output);
    const transactions = readdirSync(folder).flatMap((file) =>
      parseLog(readFileSync(join(folder, file), 'latin1')),
    );
    if (perSecond === undefined || transactions.length === 0) throw new Error('pgbench did nothing');
    return { perSecond, transactions };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a client program of PostgreSQL; what it printed, or an error with its last line. */
export function client(
  program: string,
  args: readonly string[],
  address: Address,
  how: {
    encrypted?: boolean;
    limitMs?: number;
    input?: number;
    heard?: (errors: string, child: ChildProcess) => void;
  } = {},
): Promise<string> {
  const child = spawn(program, args, {
    stdio: [how.input ?? 'ignore', 'pipe', 'pipe'],
    timeout: how.limitMs,
    env: {
      PATH: process.env.PATH,
      LC_ALL: 'C',
      PGHOST: address.host,
      PGPORT: String(address.port),
      PGUSER: address.user,
      PGPASSWORD: address.password,
      PGDATABASE: address.database,
      PGSSLMODE: how.encrypted ? 'require' : 'disable',
      PGGSSENCMODE: 'disable',
    },
  });
  let [output, errors] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4096);
    how.heard?.(errors, child);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(output);
      const line = errors.split('\n').find((each) => /error|FATAL/i.test(each)) ?? errors.trim();
      reject(new Error(signal === null ? line : `${program} was ended after ${how.limitMs} ms`));
    });
  });
}
