// The demonstration's database over several starts, and that nothing outlives the process that started it.

import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startDemoDatabase } from '../../src/demo/shop.ts';

let folder: string;
let dataDir: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-demo-'));
  chmodSync(folder, 0o711);
  dataDir = join(folder, 'data');
});
afterEach(() => {
  // As root, the cluster of a closed folder lies outside it.
  for (const name of existsSync(dataDir) ? readdirSync(dataDir) : []) {
    if (name !== 'postgres') continue;
    const target = readTarget(join(dataDir, name));
    if (target !== undefined) rmSync(dirname(target), { recursive: true, force: true });
  }
  rmSync(folder, { recursive: true, force: true });
});

function readTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

async function rows(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

test('a second start finds what the first left, under the same passwords', async () => {
  const first = await startDemoDatabase({ dataDir });
  expect(await rows(first.url, 'SELECT count(*)::int AS n FROM coupons')).toEqual([{ n: 300 }]);
  await rows(first.url, 'DROP TABLE coupons');
  await first.stop();
  const second = await startDemoDatabase({ dataDir });
  expect(second.agentPassword).toBe(first.agentPassword);
  expect(await rows(second.url, "SELECT to_regclass('coupons') AS coupons, current_user AS who")).toEqual([
    { coupons: null, who: 'shop_owner' },
  ]);
  await expect(startDemoDatabase({ dataDir })).rejects.toThrow(
    /another PostgreSQL \(process \d+\) runs on .*; stop it, or choose another data folder/,
  );
  await second.stop();
});

test("a folder that is closed to the server's account gets its cluster elsewhere", async () => {
  chmodSync(folder, 0o700);
  const database = await startDemoDatabase({ dataDir });
  expect(await rows(database.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  await database.stop();
});

test('a data folder that cannot be made is one sentence with the mend', async () => {
  await expect(startDemoDatabase({ dataDir: '/etc/passwd/data' })).rejects.toThrow(
    'cannot write in /etc/passwd/data: ENOTDIR; make the data folder /etc/passwd/data yours and writable, or choose another dataDir',
  );
});

test('a parent that is killed takes its server with it', async () => {
  const shop = join(import.meta.dirname, '../../src/demo/shop.ts');
  const script = `const { startDemoDatabase } = await import(${JSON.stringify(shop)});
    const { server } = await startDemoDatabase({ dataDir: process.argv[1] });
    console.log(server.pid);
    setInterval(() => {}, 1e6);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pid = Number(await firstLine(parent));
  expect(process.kill(pid, 0)).toBe(true);
  parent.kill('SIGKILL');
  await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'), {
    timeout: 20_000,
    interval: 20,
  });
});

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (data: Buffer) => resolve(data.toString().trim()));
    child.once('exit', (code) => reject(new Error(`the parent ended with ${code}`)));
  });
}
