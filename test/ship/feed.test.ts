// Following the log's files: every line once and in order, however the files change under the reader.

import { appendFileSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import type { AuditLog } from '../../src/audit/log.ts';
import { beginning, type Entry, Feed, FeedError, type Position } from '../../src/ship/feed.ts';
import { Manifest } from '../../src/ship/manifest.ts';
import { logFolder, openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';

function feedOf(path: string, durable: () => number, at: Position = beginning): Feed {
  const folder = logFolder(path);
  const feed = new Feed(folder, new Manifest(folder), at, durable);
  onTestFinished(() => feed.close());
  return feed;
}

const seqs = (entries: readonly Entry[]) =>
  entries.filter(({ kind }) => kind === 'record').map(({ begin }) => begin.seq);
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

async function rest(feed: Feed, entriesMax = 7): Promise<Entry[]> {
  const all: Entry[] = [];
  for (;;) {
    const more = await feed.take(entriesMax, 1 << 20);
    if (more.length === 0) return all;
    all.push(...more);
  }
}

async function closedSegments(path: string, closed: number): Promise<AuditLog> {
  const { log } = await openTestLog(path, { segmentBytesMax: 65_536 });
  while (!existsSync(join(logFolder(path), `seg-0000000${closed}.jsonl`)))
    await log.durable(log.append(statement(1, { sql: 'x'.repeat(8000) })));
  return log;
}

const name = (path: string, n: number) => join(logFolder(path), `seg-0000000${n}.jsonl`);

/** As the packer does. */
function pack(path: string, n: number): void {
  writeFileSync(`${name(path, n)}.zst`, zstdCompressSync(readFileSync(name(path, n))));
  rmSync(name(path, n));
}

test('every record comes once and in order, over segments, plain and compressed, from any position on', async () => {
  const path = temporaryFolder();
  const log = await closedSegments(path, 2);
  await log.close();
  pack(path, 0);
  const all = await rest(feedOf(path, () => log.health.sealed));
  expect(seqs(all)).toEqual(upTo(log.health.sealed));
  for (const { end } of all)
    expect(seqs(await rest(feedOf(path, () => log.health.sealed, end)))).toEqual(
      upTo(log.health.sealed).slice(end.seq),
    );
});

test('what is not sealed and on disk is not read, also when it is in the file', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  await log.durable(log.append(statement(1)));
  let durable = 2;
  const feed = feedOf(path, () => durable);
  expect(seqs(await rest(feed))).toEqual([0, 1]);
  durable = log.health.sealed;
  expect(seqs(await rest(feed))).toEqual(upTo(durable).slice(2));
});

test('half a line is waited for', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  await log.close();
  const whole = readFileSync(name(path, 0));
  truncateSync(name(path, 0), whole.length - 10);
  const feed = feedOf(path, () => log.health.sealed);
  const first = await rest(feed);
  appendFileSync(name(path, 0), whole.subarray(whole.length - 10));
  expect((await rest(feed)).map(({ line }) => line)).toEqual([whole.toString().trimEnd().split('\n').at(-1)]);
  expect(seqs(first)).toEqual(upTo(log.health.sealed));
});

test('a segment that is compressed while it is read is read on', async () => {
  const path = temporaryFolder();
  const log = await closedSegments(path, 1);
  await log.close();
  const feed = feedOf(path, () => log.health.sealed);
  const first = await feed.take(3, 1 << 20);
  pack(path, 0);
  expect(seqs([...first, ...(await rest(feed))])).toEqual(upTo(log.health.sealed));
});

test('a record that is not the next stops the feed', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  await log.close();
  const lines = readFileSync(name(path, 0), 'utf8').split('\n');
  writeFileSync(name(path, 0), lines.filter((line) => !line.includes('"seq":1,')).join('\n'));
  await expect(rest(feedOf(path, () => log.health.sealed))).rejects.toThrow(/it is record 2, not 1/);
});

test('a closed segment that ends early is no end', async () => {
  const path = temporaryFolder();
  const log = await closedSegments(path, 1);
  await log.close();
  const lines = readFileSync(name(path, 0), 'utf8').trimEnd().split('\n');
  writeFileSync(name(path, 0), `${lines.slice(0, -1).join('\n')}\n`);
  await expect(rest(feedOf(path, () => log.health.sealed))).rejects.toThrow(
    /ends behind .* its manifest line says/,
  );
});

test('of a segment that broke off, what stands behind its end is not taken for more', async () => {
  const path = temporaryFolder();
  const log = await closedSegments(path, 1);
  await log.close();
  const next = readFileSync(name(path, 1), 'utf8').split('\n')[0]!;
  appendFileSync(name(path, 0), `${next}\n`);
  expect(seqs(await rest(feedOf(path, () => log.health.sealed)))).toEqual(upTo(log.health.sealed));
  // Nor does it stop whoever had read it before the end was known.
  const size = JSON.parse(next).seq as number;
  const behind = { segment: 0, offset: readFileSync(name(path, 0)).length, seq: size + 1 };
  expect(seqs(await rest(feedOf(path, () => log.health.sealed, behind)))).toEqual(
    upTo(log.health.sealed).slice(size),
  );
});

test('where the log was pruned under the reader, it is told where it goes on', async () => {
  const path = temporaryFolder();
  const log = await closedSegments(path, 2);
  await log.close();
  rmSync(name(path, 0));
  const error = await rest(feedOf(path, () => log.health.sealed)).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(FeedError);
  const { goOn } = error as FeedError;
  expect(goOn).toMatchObject({ segment: 1, offset: 0 });
  expect(seqs(await rest(feedOf(path, () => log.health.sealed, goOn)))[0]).toBe(goOn!.seq);
});
