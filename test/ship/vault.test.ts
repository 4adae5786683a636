// The log's way into a bucket, over real HTTP to a store that checks signatures, digests and locks, and back again.

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import type { AuditLog } from '../../src/audit/log.ts';
import { Bucket, type Lock } from '../../src/ship/bucket.ts';
import { Cursor } from '../../src/ship/cursor.ts';
import { fetchLog } from '../../src/ship/fetch.ts';
import { Manifest } from '../../src/ship/manifest.ts';
import { Vault, type VaultState } from '../../src/ship/vault.ts';
import { FolderSource } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { logFolder, openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';
import { type S3Server, startS3 } from '../support/s3.ts';

const prefix = 'logs/holdpoint%2Ftest/';
const lock: Lock = { mode: 'COMPLIANCE', retainDays: 30 };
let s3: S3Server;

beforeEach(async () => {
  s3 = await startS3();
  return () => s3.close();
});

function bucketOf(server: S3Server, credentials = server.credentials): Bucket {
  const { endpoint, bucket } = server;
  const made = new Bucket({ bucket, region: 'eu-central-1', endpoint, forcePathStyle: true, credentials });
  onTestFinished(() => made.close());
  return made;
}

/** The log under `path` on its way into the bucket, as after a start of the process. */
function vaultOf(
  path: string,
  log: AuditLog,
  more: { pieceMs?: number; durable?: () => number } = {},
): Vault {
  const folder = logFolder(path);
  const vault = new Vault({
    folder,
    bucket: bucketOf(s3),
    prefix,
    lock,
    cursor: new Cursor<VaultState>(join(path, 'ship', 's3.json'), s3.bucket),
    manifest: new Manifest(folder),
    durable: () => log.health.sealed,
    packed: false,
    pieceMs: 0,
    now: Date.now,
    mono: () => performance.now(),
    put: () => {},
    ...more,
  });
  onTestFinished(() => vault.close());
  return vault;
}

async function drain(vault: Vault): Promise<void> {
  while (await vault.round(AbortSignal.timeout(30_000)));
}

async function write(log: AuditLog, statements: number, sql?: string): Promise<void> {
  for (let n = 0; n < statements; n += 1) {
    const ref = log.append(statement(n, sql === undefined ? {} : { sql: `${sql} ${n}` }));
    await log.durable(log.append({ kind: 'outcome', ref, st: 'ok', dur_us: 1 }));
  }
}

/** What the bucket holds, in a folder of its own. */
async function fetched(): Promise<FolderSource> {
  const { folder } = await fetchLog(bucketOf(s3), prefix, join(temporaryFolder(), 'holdpoint%2Ftest'));
  return new FolderSource(folder);
}

const keys = () => [...s3.objects.keys()].sort().map((key) => key.slice(prefix.length));

test('a log rebuilt from the bucket alone verifies: closed segments, manifest, keys, long texts and the open end', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 65_536 });
  await write(log, 1, 'x'.repeat(70_000));
  await write(log, 250, 'x'.repeat(400));
  const vault = vaultOf(path, log);
  await drain(vault);
  await write(log, 20);
  await drain(vault);
  await log.close();
  await drain(vault);
  const found = keys();
  expect(found.filter((key) => key.startsWith('seg-')).length).toBeGreaterThan(1);
  expect(found.filter((key) => key.startsWith('blobs/'))).toHaveLength(1);
  const report = await verifyLog(await fetched());
  expect(report).toMatchObject({ ok: true, findings: [], records: log.health.sealed });
});

test('every object is locked for the days that are configured, by its mode, with its digest, and nothing is put twice', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 65_536 });
  await write(log, 1, 'x'.repeat(70_000));
  await write(log, 300, 'x'.repeat(800));
  const begun = Date.now();
  await drain(vaultOf(path, log));
  expect(s3.objects.size).toBeGreaterThan(20);
  for (const versions of s3.objects.values()) {
    expect(versions).toHaveLength(1);
    expect(versions[0]).toMatchObject({ mode: 'COMPLIANCE', sha256: expect.any(String) });
    expect(versions[0]!.until! - begun - 30 * 86_400_000).toBeLessThan(60_000);
    expect(versions[0]!.until!).toBeGreaterThanOrEqual(begun + 30 * 86_400_000 - 1000);
  }
  const puts = s3.asked.filter(({ method }) => method === 'PUT');
  expect(puts.every(({ headers }) => headers['if-none-match'] === '*')).toBe(true);
  expect(puts).toHaveLength(s3.objects.size);
});

test('a checkpoint is kept once all that it covers is in the bucket, and not before', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  await write(log, 3);
  const vault = vaultOf(path, log, { pieceMs: 3_600_000 });
  await drain(vault);
  await write(log, 3);
  await drain(vault);
  const before = keys().filter((key) => key.startsWith('chunks/')).length;
  expect(before).toBe(1);
  const size = log.health.sealed;
  const kept = vault.keep(size, 'holdpoint/test\n6\nroot\n\n— key sig\n').then(() => keys());
  await drain(vault);
  const then = await kept;
  expect(then.filter((key) => key.startsWith('chunks/'))).toHaveLength(2);
  expect(then.filter((key) => key.startsWith('checkpoints/'))).toEqual([
    expect.stringMatching(new RegExp(`^checkpoints/0*${size}-\\d{8}T\\d{6}\\.\\d{3}Z\\.note$`)),
  ]);
});

test('a checkpoint over more than is sealed and on disk has to wait', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  await write(log, 3);
  let durable = log.health.sealed - 1;
  const vault = vaultOf(path, log, { durable: () => durable });
  let isKept = false;
  const kept = vault.keep(log.health.sealed, 'note').then(() => {
    isKept = true;
  });
  await drain(vault);
  expect({ isKept, notes: keys().filter((key) => key.startsWith('checkpoints/')) }).toEqual({
    isKept: false,
    notes: [],
  });
  durable += 1;
  await drain(vault);
  await kept;
});

test('a bucket that was away is away until it has answered, also when there is nothing to put', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const vault = vaultOf(path, log, { pieceMs: 3_600_000 });
  await drain(vault);
  s3.fault = () => ({ status: 503, code: 'SlowDown' });
  await log.durable(log.append(statement(1)));
  vault.keep(log.health.sealed, 'note').catch(() => {});
  await expect(drain(vault)).rejects.toThrow(/503/);
  await expect(drain(vault)).rejects.toThrow(/503/);
  s3.fault = undefined;
  await drain(vault);
});

test('whoever waits for a checkpoint is told why the bucket does not take it', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const vault = vaultOf(path, log);
  s3.fault = () => ({ status: 503, code: 'SlowDown' });
  const kept = vault.keep(log.health.sealed, 'note').catch((error: Error) => error.message);
  await expect(drain(vault)).rejects.toThrow();
  expect(await kept).toMatch(/503 SlowDown/);
});

test('a crash between an object and the cursor puts nothing twice and leaves nothing out', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 65_536 });
  await write(log, 120, 'x'.repeat(400));
  // A process that dies after one object, the next after two, and so on: what it knew is forgotten but for its file.
  for (let puts = 1, more = true; more; puts += 1) {
    let left = puts;
    s3.fault = ({ method }) => {
      if (method !== 'PUT') return undefined;
      left -= 1;
      return left < 0 ? 'reset' : undefined;
    };
    if (puts % 5 === 0) await write(log, 1);
    more = await drain(vaultOf(path, log)).then(
      () => false,
      () => true,
    );
  }
  s3.fault = undefined;
  await log.close();
  await drain(vaultOf(path, log));
  for (const versions of s3.objects.values()) expect(versions).toHaveLength(1);
  expect(await verifyLog(await fetched())).toMatchObject({ ok: true, records: log.health.sealed });
});

test('a process that loses its cursor finds its objects there, leaves them as they are and goes on', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 65_536 });
  await write(log, 150, 'x'.repeat(400));
  const first = vaultOf(path, log);
  for (let i = 0; i < 3; i += 1) {
    await write(log, 2);
    await drain(first);
  }
  const before = new Map(s3.objects);
  rmSync(join(path, 'ship'), { recursive: true });
  await write(log, 3);
  await log.close();
  await drain(vaultOf(path, log));
  for (const [key, versions] of before) expect(s3.objects.get(key)).toEqual(versions);
  expect(await verifyLog(await fetched())).toMatchObject({ ok: true, records: log.health.sealed });
});

test('another log under the same prefix is refused, and what is there stays', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  await drain(vaultOf(path, log));
  const other = temporaryFolder();
  const { log: second } = await openTestLog(other);
  const before = new Map(s3.objects);
  await expect(drain(vaultOf(other, second))).rejects.toThrow(
    /has another object called .*keys\/root.jwk: another log/,
  );
  expect(s3.objects).toEqual(before);
});

test('an object that somebody put there first, without a lock, gets a locked version of ours', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  await drain(vaultOf(path, log));
  const [key, [version]] = [...s3.objects].find(([name]) => name.includes('chunks/'))! as [string, [never]];
  s3.objects.set(key, [{ ...(version as object), mode: undefined, until: undefined } as never]);
  rmSync(join(path, 'ship'), { recursive: true });
  await drain(vaultOf(path, log));
  expect(s3.objects.get(key)).toMatchObject([{ mode: undefined }, { mode: 'COMPLIANCE' }]);
});

test('credentials that may only put are enough, also after a crash', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  s3.denied = new Set(['get', 'list', 'lock-config']);
  await write(log, 3);
  await drain(vaultOf(path, log));
  rmSync(join(path, 'ship'), { recursive: true });
  await drain(vaultOf(path, log));
  await log.close();
  await drain(vaultOf(path, log));
  s3.denied = new Set();
  expect(await verifyLog(await fetched())).toMatchObject({ ok: true, records: log.health.sealed });
});

test('a bucket without Object Lock is refused in a sentence', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  s3.hasLock = false;
  await expect(drain(vaultOf(path, log))).rejects.toThrow(
    'the bucket evidence has no Object Lock, so what is put there can be deleted; make one with Object Lock enabled',
  );
  expect(s3.objects.size).toBe(0);
});

test('a wrong secret, a store that is overloaded and one that says nothing each fail by name', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const wrong = bucketOf(s3, { ...s3.credentials, secretAccessKey: 'not it' });
  await expect(
    wrong.put('a', Buffer.from('a'), lock, Date.now(), AbortSignal.timeout(10_000)),
  ).rejects.toThrow(/403 SignatureDoesNotMatch/);
  s3.fault = () => ({ status: 503, code: 'SlowDown' });
  await expect(drain(vaultOf(path, log))).rejects.toThrow(/the bucket evidence refused .*503 SlowDown/);
  s3.fault = ({ method }) => (method === 'PUT' ? 'hang' : undefined);
  await expect(vaultOf(path, log).round(AbortSignal.timeout(300))).rejects.toThrow(
    /the bucket evidence refused/,
  );
  expect(s3.objects.size).toBe(0);
});

test('what must stay erasable is not put: evidence, values, private keys', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  log.keepAside('a'.repeat(64), 'eyJhbGciOi.an.idtoken');
  await write(log, 2);
  await drain(vaultOf(path, log));
  const folder = readdirSync(logFolder(path));
  expect(folder).toContain('evidence');
  expect(
    keys().filter(
      (key) => !/^(keys\/(root|\d+)\.(jwk|cert)|chunks\/seg-0+\/\d{12}-\d{12}\.jsonl)$/.test(key),
    ),
  ).toEqual([]);
  for (const version of [...s3.objects.values()].flat()) expect(version.body.includes('"d":')).toBe(false);
});

test('a bucket that lacks a piece is not made into a log', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const vault = vaultOf(path, log);
  for (let i = 0; i < 3; i += 1) {
    await write(log, 1);
    await drain(vault);
  }
  s3.objects.delete(`${prefix}${keys().filter((key) => key.startsWith('chunks/'))[1]}`);
  await expect(fetched()).rejects.toThrow(/the bucket lacks a piece of seg-00000000.jsonl/);
});
