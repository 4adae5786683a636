// The power is cut: what was not synced is gone. A whole Holdpoint on a disk that keeps only what was synced, in front of
// a real database that commits at once. Whatever the database has committed is in the log as it is found afterwards,
// however the client sent it; and that log is taken up and verifies.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openLog } from '../../src/audit/opening.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { Disk } from '../support/disk.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type Line, records, verified } from '../support/trail.ts';
import { tables, work, works, written } from '../support/workload.ts';

/** Power cuts of a run; more on request. */
const cuts = Number(process.env.HOLDPOINT_CUTS ?? 3);
/** How long one sync takes: long enough that what does not wait for it is seen. */
const syncMs = (): number => 40 + Math.random() * 60;
/** How long the power stays on at most, once every client has done its work once. */
const powerMs = 300;

let database: TestDatabase;
let direct: pg.Client;
let folder: string;
let disk: Disk;
let guard: Guard;

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query(tables);
});

afterAll(async () => {
  await direct?.end();
  await database?.drop();
});

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-power-'));
  mkdirSync(join(folder, 'data'));
  disk = new Disk(join(folder, 'data'));
  await direct.query(`truncate t; update u set note = ''`);
});

afterEach(async () => {
  await guard?.close();
  rmSync(folder, { recursive: true, force: true });
});

function started(audit: Record<string, unknown> = {}): Promise<Guard> {
  return startGuard({
    url: database.url,
    dataDir: join(folder, 'data'),
    // What compresses segments does not write through the disk that is cut off here.
    audit: { segmentBytesMax: 65_536, compress: false, ...audit },
    openLog: (options) => openLog({ ...options, fs: disk.fs }),
  });
}

/** Cuts the power, waits until nothing is under way, and tells what is left. */
async function cut(): Promise<{ committed: string[]; log: Line[] }> {
  const left = join(folder, 'left');
  mkdirSync(left);
  disk.cut(left);
  const busy = `select count(*)::int as n from pg_stat_activity
    where datname = $1 and application_name = 'worker' and state <> 'idle'`;
  // What had gone to the server by then may still be carried out.
  await expect
    .poll(async () => (await direct.query(busy, [database.name])).rows[0].n, { timeout: 10_000 })
    .toBe(0);
  const committed = (await direct.query(written)).rows.map(({ name }) => name);
  const log = records(join(left, 'audit'));
  const { log: taken } = await openLog({
    dir: join(left, 'audit'),
    keysDir: join(left, 'keys', 'audit'),
    origin: 'holdpoint',
    version: 'test',
    values: 'clear',
    sealMs: 5,
    segmentBytesMax: 65_536,
  });
  await taken.close();
  expect(await verified(join(left, 'audit'))).toMatchObject({ code: 0 });
  return { committed, log };
}

/** Every tag that a record names. */
function tagsIn(log: readonly Line[]): Set<string> {
  const texts = log
    .filter(({ kind }) => kind === 'stmt')
    .flatMap(({ sql, params = [] }) => [String(sql), ...(params as string[])]);
  return new Set(texts.flatMap((text) => text.match(/tag-[\w-]+/g) ?? []));
}

test.each(Array.from({ length: cuts }, (_, n) => n + 1))(
  'what is committed is in the log that was synced, power cut %i',
  async (round) => {
    guard = await started();
    disk.syncMs = syncMs;
    let stopped = false;
    const names = Object.keys(works);
    const clients = await Promise.all(names.map(() => guard.connect({ application_name: 'worker' })));
    const rounds = names.map(() => 0);
    const workers = clients.map((client, at) => {
      let nth = 0;
      const tag = (): string => {
        nth += 1;
        return `tag-${round}-${at}-${nth}`;
      };
      return work(names[at]!, client, tag, (done) => {
        rounds[at] = done;
        return stopped;
      });
    });
    await expect.poll(() => Math.min(...rounds), { timeout: 20_000 }).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * powerMs));
    const { committed, log } = await cut();
    stopped = true;
    await Promise.all(workers);
    const tags = tagsIn(log);
    expect(committed.filter((tag) => !tags.has(tag))).toEqual([]);
  },
  60_000,
);

test('while the disk is busy a read passes, and a write waits for it', async () => {
  guard = await started();
  const [reader, writer] = [await guard.connect(), await guard.connect()];
  disk.syncMs = () => 1000;
  writer.send(query("insert into t values ('slow')"));
  const [before] = [performance.now()];
  let reads = 0;
  const answered = writer.until('Z').then(() => performance.now() - before);
  let done = false;
  void answered.finally(() => {
    done = true;
  });
  while (!done) {
    reader.send(query('select 1'));
    await reader.until('Z');
    if (!done) reads += 1;
  }
  expect(await answered).toBeGreaterThan(900);
  expect(reads).toBeGreaterThan(5);
});

test.each([
  ['output-commit', 'its answer'],
  ['write-ahead', 'it'],
] as const)('with %s %s waits for the disk as well', async (reads, _) => {
  guard = await started({ reads });
  const client = await guard.connect();
  disk.syncMs = () => 400;
  const before = performance.now();
  client.send(query('select 1'));
  await client.until('Z');
  expect(performance.now() - before).toBeGreaterThan(350);
});

test('a disk that fails: the client is told 58030 in a sentence, and nothing more is committed', async () => {
  guard = await started();
  const client = await guard.connect();
  client.send(query("insert into t values ('before')"));
  await client.until('Z');
  disk.cut(join(folder, 'nowhere'));
  client.send(query("insert into t values ('behind')"));
  const [error] = await client.until('E');
  expect(error!.summary).toMatch(/58030/);
  await client.untilClosed();
  const names = (await direct.query('select name from t')).rows.map(({ name }) => name);
  expect(names).toEqual(['before']);
});
