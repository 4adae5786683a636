// `npm start` without any configuration, as a process of its own: what it prints, what it serves, how it ends, and that
// a second start finds what the first one left.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findLogs } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';

const command = join(import.meta.dirname, '..', '..', 'bin', 'holdpoint');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-start-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
  readonly http: string;
  /** What it has printed so far. */
  said(): string;
  /** Exit code after the signal. */
  stop(signal: 'SIGINT' | 'SIGTERM'): Promise<number | null>;
}

function launch(env: Record<string, string> = {}): { child: ChildProcess; output: () => string } {
  const child = spawn(command, ['start'], {
    cwd: folder,
    env: {
      ...process.env,
      DATABASE_URL: '',
      HOLDPOINT_LISTEN: '127.0.0.1:0',
      HOLDPOINT_HTTP: '127.0.0.1:0',
      ...env,
    },
  });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  child.stderr.on('data', (chunk) => (text += chunk));
  return { child, output: () => text };
}

async function start(): Promise<Started> {
  const { child, output } = launch();
  await expect.poll(output, { timeout: 30_000 }).toContain('Three things to try');
  const find = (pattern: RegExp): string => pattern.exec(output())![1]!;
  return {
    child,
    url: find(/agent's URL\s+(\S+)/),
    http: find(/approvals\s+(\S+)\//),
    said: output,
    async stop(signal) {
      child.kill(signal);
      const [code] = await once(child, 'exit');
      return code;
    },
  };
}

async function count(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query('select count(*)::int as n from orders');
  await client.end();
  return rows[0].n;
}

function postmaster(): number {
  return Number(
    readFileSync(join(folder, 'holdpoint-data', 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0],
  );
}

test('starts, serves, stops on a signal without leaving a process, and finds its data again', async () => {
  const first = await start();
  expect(await count(first.url)).toBeGreaterThan(1000);
  for (const path of ['/healthz', '/readyz', '/metrics', '/'])
    expect((await fetch(first.http + path)).status, path).toBe(200);
  const pid = postmaster();
  expect(await first.stop('SIGINT')).toBe(0);
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');

  const second = await start();
  // The same agent, with the same password: its URL differs in the port only.
  expect(new URL(second.url).password).toBe(new URL(first.url).password);
  expect(await count(second.url)).toBeGreaterThan(1000);
  expect(await second.stop('SIGTERM')).toBe(0);

  const [log] = findLogs(join(folder, 'holdpoint-data', 'audit'));
  const report = await verifyLog(log!);
  expect(report.code).toBe(0);
}, 120_000);

test('a port in use is one sentence that says what to change, and nothing is left running', async () => {
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as net.AddressInfo;
  const { child, output } = launch({ HOLDPOINT_LISTEN: `127.0.0.1:${port}` });
  const [code] = await once(child, 'exit');
  taken.close();
  expect(code).toBe(1);
  expect(output().trim().split('\n')).toEqual([expect.stringContaining(`127.0.0.1:${port} is in use`)]);
}, 60_000);
