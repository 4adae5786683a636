// A running Holdpoint whose log leaves the box: into a bucket, to collectors, into a stream, whatever they do.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { Bucket } from '../../src/ship/bucket.ts';
import { fetchLog } from '../../src/ship/fetch.ts';
import { FolderSource } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { temporaryFolder } from '../audit/fixture.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { type S3Server, startS3 } from '../support/s3.ts';

let database: TestDatabase;
let redis: TestRedis;

beforeAll(async () => {
  [database, redis] = await Promise.all([createDatabase({ shop: true }), startRedis()]);
});

afterAll(async () => {
  await database?.drop();
  await redis?.stop();
});

async function store(): Promise<S3Server> {
  const s3 = await startS3();
  onTestFinished(() => s3.close());
  return s3;
}

const s3Config = ({ bucket, endpoint, credentials }: S3Server, more: object = {}) => ({
  bucket,
  endpoint,
  credentials,
  region: 'eu-central-1',
  forcePathStyle: true,
  prefix: 'logs',
  retainDays: 7,
  ...more,
});

async function fetched({ bucket, endpoint, credentials }: S3Server): Promise<FolderSource> {
  const from = new Bucket({ bucket, endpoint, credentials, region: 'eu-central-1', forcePathStyle: true });
  onTestFinished(() => from.close());
  return new FolderSource(
    (await fetchLog(from, 'logs/holdpoint/', join(temporaryFolder(), 'holdpoint'))).folder,
  );
}

async function select(guard: Guard, statements: number): Promise<void> {
  const client = new pg.Client({ connectionString: guard.url });
  await client.connect();
  for (let n = 0; n < statements; n += 1) await client.query(`select ${n}`);
  await client.end();
}

const readyz = async (guard: Guard) =>
  (await fetch(`${guard.http}/readyz`)).json() as Promise<{
    status: string;
    failing: object[];
    warnings: object[];
  }>;
const metric = async (guard: Guard, name: string) => {
  const text = await (await fetch(`${guard.http}/metrics`)).text();
  return Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1]);
};

test('the whole log is in the bucket once the process has ended, and verifies from there', async () => {
  const s3 = await store();
  const guard = await startGuard({ url: database.url, audit: { ship: { s3: s3Config(s3) } } });
  await select(guard, 20);
  await guard.close();
  const report = await verifyLog(await fetched(s3));
  expect(report).toMatchObject({ ok: true, ended: true, findings: [] });
  expect(report.kinds.stmt).toBe(20);
});

test('a store that is away stops nothing, is told of, and has everything once it is back', async () => {
  const s3 = await store();
  s3.fault = () => ({ status: 503, code: 'SlowDown' });
  const guard = await startGuard({
    url: database.url,
    audit: { ship: { s3: s3Config(s3, { required: true, everyMs: 100 }) } },
  });
  await select(guard, 5);
  await expect
    .poll(() => readyz(guard))
    .toMatchObject({
      status: 'not ready',
      failing: [{ name: 'log at s3', problem: expect.stringMatching(/503 SlowDown/) }],
    });
  expect(await metric(guard, 'holdpoint_audit_ship_failures_total{destination="s3"}')).toBeGreaterThan(0);
  expect(await metric(guard, 'holdpoint_audit_ship_lag_records{destination="s3"}')).toBeGreaterThan(5);
  s3.fault = undefined;
  await expect.poll(() => readyz(guard), { timeout: 20_000 }).toMatchObject({ status: 'ready' });
  await expect
    .poll(() => metric(guard, 'holdpoint_audit_ship_lag_records{destination="s3"}'), { timeout: 20_000 })
    .toBe(0);
  expect(await metric(guard, 'holdpoint_audit_ship_lag_seconds{destination="s3"}')).toBe(0);
  await guard.close();
  expect(await verifyLog(await fetched(s3))).toMatchObject({ ok: true, kinds: { stmt: 5 } });
});

test('a held statement waits until the store has its intent, and is refused in a sentence while the store is away', async () => {
  const s3 = await store();
  const guard = await startGuard({
    url: database.url,
    outside: 'store',
    audit: { anchorMs: 3000, ship: { s3: s3Config(s3, { everyMs: 3_600_000 }) } },
  });
  const client = new pg.Client({ connectionString: guard.url });
  await client.connect();
  const run = async (sql: string) => {
    const answer = client.query(sql);
    answer.catch(() => {});
    await guard.approveNext();
    return answer;
  };
  await client.query('select 1');
  await run('create table kept_outside (a int)');
  const records = [...s3.objects]
    .filter(([key]) => key.includes('/chunks/'))
    .map(([, [version]]) => version!.body.toString())
    .join('');
  expect(records).toContain('"kind":"intent"');
  expect([...s3.objects.keys()].some((key) => key.includes('/checkpoints/'))).toBe(true);
  s3.fault = () => ({ status: 503, code: 'SlowDown' });
  await expect(run('drop table kept_outside')).rejects.toMatchObject({
    code: '58030',
    message: expect.stringMatching(/only once an outside store has taken the log of it.*503 SlowDown/),
  });
  expect(await readyz(guard)).toMatchObject({ status: 'not ready', failing: [{ name: 'log at s3' }] });
  s3.fault = undefined;
  await run('drop table kept_outside');
  await client.end();
  await guard.close();
});

test('an auditor gets the log with the command, from the bucket alone', async () => {
  const s3 = await store();
  const guard = await startGuard({ url: database.url, audit: { ship: { s3: s3Config(s3) } } });
  await select(guard, 3);
  await guard.close();
  const { accessKeyId, secretAccessKey } = s3.credentials;
  const dir = join(temporaryFolder(), 'copy');
  const run = promisify(execFile);
  const holdpoint = join(import.meta.dirname, '../../bin/holdpoint');
  const env = { ...process.env, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  const where = ['--region', 'eu-central-1', '--endpoint', s3.endpoint, '--path-style'];
  await run(holdpoint, ['audit', 'fetch', `s3://${s3.bucket}/logs`, dir, ...where], { env });
  const { stdout } = await run(holdpoint, ['audit', 'verify', dir, '--json'], { env });
  expect(JSON.parse(stdout)).toMatchObject({ ok: true, logs: [{ kinds: { stmt: 3 } }] });
  await expect(
    run(holdpoint, ['audit', 'fetch', `s3://${s3.bucket}/nowhere`, dir, ...where], { env }),
  ).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('there is no log under s3://evidence/nowhere'),
  });
});

test('a stream in Redis has every record, in order, with the leaf hash that the log has', async () => {
  const guard = await startGuard({ url: database.url, audit: { ship: { redis: { url: redis.url } } } });
  await select(guard, 3);
  const reader = new Redis(redis.url);
  onTestFinished(() => reader.disconnect());
  const key = 'holdpoint:{holdpoint}:log';
  await expect
    .poll(async () => (await reader.xrange(key, '-', '+')).some(([, fields]) => fields[3] === 'outcome'))
    .toBe(true);
  await guard.close();
  const entries = await reader.xrange(key, '-', '+');
  expect(entries.map(([id]) => id)).toEqual(entries.map((_, seq) => `${seq + 1}-0`));
  expect(entries.at(-1)![1].slice(2, 4)).toEqual(['kind', 'bye']);
});
