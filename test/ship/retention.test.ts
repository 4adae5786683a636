// Pruning: the log says what goes before it goes, what is left is taken up and read on, and nothing goes that is needed.

import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AuditLog } from '../../src/audit/log.ts';
import { Manifest } from '../../src/ship/manifest.ts';
import { Packer, threaded } from '../../src/ship/packer.ts';
import { pack } from '../../src/ship/packing.ts';
import { Retention, type RetentionOptions } from '../../src/ship/retention.ts';
import { FolderSource, type ReadRecord, readLines } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { logFolder, openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';

const small = { segmentBytesMax: 65_536 } as const;
const dayMs = 86_400_000;

async function write(log: AuditLog, path: string, closed: number, length = 8000): Promise<void> {
  while (!existsSync(join(logFolder(path), `seg-0000000${closed}.jsonl`)))
    await log.durable(log.append(statement(1, { sql: 'x'.repeat(length) })));
}

async function segmentsOf(path: string, closed: number): Promise<AuditLog> {
  const { log } = await openTestLog(path, small);
  await write(log, path, closed);
  return log;
}

function retentionOf(path: string, log: AuditLog, more: Partial<RetentionOptions>): Retention {
  const folder = logFolder(path);
  return new Retention({
    folder,
    manifest: new Manifest(folder),
    log,
    days: undefined,
    bytes: undefined,
    shipped: () => Number.POSITIVE_INFINITY,
    now: Date.now,
    pruned: () => {},
    ...more,
  });
}

const segments = (path: string) =>
  readdirSync(logFolder(path))
    .filter((name) => name.startsWith('seg-'))
    .sort();

async function records(path: string): Promise<ReadRecord[]> {
  const all: ReadRecord[] = [];
  for await (const line of readLines(new FolderSource(logFolder(path)))) if ('kind' in line) all.push(line);
  return all;
}

const prunes = async (path: string) =>
  (await records(path)).filter(({ kind }) => kind === 'prune').map(({ members }) => members);

test('what is more than the bytes to keep goes, oldest first, with its values, and the log says so', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 4);
  for (const n of [0, 1, 2]) writeFileSync(join(logFolder(path), `seg-0000000${n}.prv`), 'values');
  let pruned = 0;
  await retentionOf(path, log, { bytes: 150_000, pruned: (count) => (pruned += count) }).round();
  expect(segments(path)).toEqual([
    'seg-00000002.jsonl',
    'seg-00000002.prv',
    'seg-00000003.jsonl',
    'seg-00000004.jsonl',
  ]);
  const first = (await records(path))[0]!.seq;
  expect(await prunes(path)).toMatchObject([
    { first: 0, last: 1, size: first, reason: 'more than 150000 bytes' },
  ]);
  expect(pruned).toBe(2);
  expect(await new Manifest(logFolder(path)).count()).toBe(4);
});

test('what is older than the days to keep goes, but never the last closed segment', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 3);
  const retention = retentionOf(path, log, { days: 30, now: () => Date.now() + 29 * dayMs });
  await retention.round();
  expect(segments(path)).toHaveLength(4);
  await retentionOf(path, log, { days: 30, now: () => Date.now() + 31 * dayMs }).round();
  expect(segments(path)).toEqual(['seg-00000002.jsonl', 'seg-00000003.jsonl']);
  expect(await prunes(path)).toMatchObject([{ first: 0, last: 1, reason: 'older than 30 days' }]);
});

test('nothing goes that a destination has not got yet', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 3);
  let shipped = 0;
  const retention = retentionOf(path, log, { bytes: 1, shipped: () => shipped });
  await retention.round();
  expect(segments(path)).toHaveLength(4);
  expect(await prunes(path)).toEqual([]);
  shipped = 1;
  await retention.round();
  expect(segments(path)[0]).toBe('seg-00000001.jsonl');
});

test('a log that cannot be written is not pruned', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 3);
  await log.close();
  await expect(retentionOf(path, log, { bytes: 1 }).round()).rejects.toThrow(/is closed/);
  expect(segments(path)).toHaveLength(4);
});

test('a pruned log is taken up and goes on, also when what was left is compressed', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 3);
  await retentionOf(path, log, { bytes: 1 }).round();
  const folder = logFolder(path);
  const packer = new Packer({
    folder,
    manifest: new Manifest(folder),
    packed: () => {},
    files: { ...threaded, pack },
  });
  while (await packer.round(AbortSignal.timeout(10_000)));
  expect(segments(path)).toEqual(['seg-00000002.jsonl.zst', 'seg-00000003.jsonl']);
  await log.close();
  const { log: next, recovered } = await openTestLog(path, small);
  expect(recovered.records).toBe(log.health.sealed);
  expect(recovered.root).toMatch(/^[\w-]{43}$/);
  await write(next, path, 5);
  await retentionOf(path, next, { bytes: 1 }).round();
  expect(await prunes(path)).toMatchObject([{ first: 2, last: 3 }]);
  await next.close();
  const { log: last } = await openTestLog(path, small);
  await last.close();
  const report = await verifyLog(new FolderSource(folder), { rootKid: recovered.root });
  expect(report).toMatchObject({ ok: true, findings: [], records: last.health.sealed });
  expect(report.skipped!.segments).toBe(4);
});

test('a beginning that is missing without a record of it is refused', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 3);
  await retentionOf(path, log, { bytes: 1, shipped: () => 1 }).round();
  await log.close();
  rmSync(join(logFolder(path), 'seg-00000001.jsonl'));
  await expect(openTestLog(path, small)).rejects.toThrow(
    /seg-00000001.jsonl line 1: the segment of this number is missing, and no record says that it was pruned/,
  );
});

test('a process that dies between two files of what it prunes is followed by one that ends it', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 4);
  const { size } = (await new Manifest(logFolder(path)).of(2))!;
  await log.durable(log.append({ kind: 'prune', first: 0, last: 2, size, reason: 'more than 1 bytes' }));
  rmSync(join(logFolder(path), 'seg-00000000.jsonl'));
  await log.close();
  const { log: next } = await openTestLog(path, small);
  await retentionOf(path, next, { bytes: 1 }).round();
  expect(segments(path)).toEqual(['seg-00000003.jsonl', 'seg-00000004.jsonl']);
  expect((await prunes(path)).at(-1)).toMatchObject({ first: 1, last: 2 });
});

test('a long text goes with the last record that names it, and not while another does', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, small);
  const long = (letter: string) => log.durable(log.append(statement(1, { sql: letter.repeat(70_000) })));
  const blobs = () => readdirSync(join(logFolder(path), 'blobs')).length;
  await long('a');
  await long('b');
  await write(log, path, 2);
  await long('b');
  expect(blobs()).toBe(2);
  await retentionOf(path, log, { bytes: 1 }).round();
  expect(segments(path)[0]).toBe('seg-00000001.jsonl');
  expect(blobs()).toBe(1);
  await write(log, path, 4);
  await retentionOf(path, log, { bytes: 1 }).round();
  expect(blobs()).toBe(0);
});

test('a long text that is named again while it is being removed stays', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, small);
  await log.durable(log.append(statement(1, { sql: 'a'.repeat(70_000) })));
  await write(log, path, 2);
  const blobs = () => readdirSync(join(logFolder(path), 'blobs')).filter((name) => !name.endsWith('.gone'));
  const [name] = blobs();
  // The text comes once more just before its file goes.
  const racing: RetentionOptions['log'] = {
    append: (body) => log.append(body),
    durable: async (seq) => {
      await log.durable(seq);
      if (!existsSync(join(logFolder(path), 'seg-00000000.jsonl'))) return;
      log.append(statement(2, { sql: 'a'.repeat(70_000) }));
    },
    get health() {
      return log.health;
    },
  };
  await retentionOf(path, log, { bytes: 1, log: racing }).round();
  expect(segments(path)[0]).toBe('seg-00000001.jsonl');
  expect(blobs()).toEqual([name]);
});
