// The log's disk is full, read-only, or of files that may not grow: a real small file system under a whole Holdpoint in
// front of a real database. Nothing runs that has no record, clients hear 58030 with a sentence, and it goes on by itself.

import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { FolderSource } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { mayMount, type SmallDisk, smallDisk } from '../support/smalldisk.ts';

let database: TestDatabase;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
});
afterAll(async () => {
  await direct?.end();
  await database?.drop();
});
beforeEach(() => direct.query('drop table if exists marks; create table marks (n int)'));

interface Attempt {
  readonly code: string | undefined;
  readonly message: string;
}

/** One statement over a connection of its own; what the client heard if it failed. */
async function attempt(guard: Guard, sql: string): Promise<Attempt | undefined> {
  const client = new pg.Client({ connectionString: guard.url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(sql);
    return undefined;
  } catch (error) {
    const { code, message } = error as pg.DatabaseError;
    return { code, message };
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function ready(guard: Guard): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${guard.http}/readyz`);
  return { status: answer.status, text: await answer.text() };
}

async function metric(guard: Guard, name: string): Promise<number> {
  const text = await (await fetch(`${guard.http}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

/** Numbers that the database has, and those that the log has a statement for. The last line may be half written. */
async function rowsAndRecords(guard: Guard): Promise<{ rows: number[]; recorded: Set<number> }> {
  const { rows } = await direct.query<{ n: number }>('select n from marks order by n');
  const folder = join(guard.auditDir, readdirSync(guard.auditDir)[0]!);
  const recorded = readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl') && name !== 'manifest.jsonl')
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1))
    .filter((line) => line.includes('"kind":"stmt"'))
    .map((line) => Number(/insert into marks values \((\d+)\)/.exec(line)?.[1]));
  return { rows: rows.map(({ n }) => n), recorded: new Set(recorded) };
}

async function verified(guard: Guard) {
  const [folder] = readdirSync(guard.auditDir);
  const report = await verifyLog(new FolderSource(join(guard.auditDir, folder!)));
  expect(report.findings).toEqual([]);
  return report;
}

/** Goes on until a statement passes again, without anything being restarted. */
async function untilItPasses(guard: Guard, from: number): Promise<number> {
  let n = from;
  await expect
    .poll(
      async () => {
        n += 1;
        return attempt(guard, `insert into marks values (${n})`);
      },
      { timeout: 30_000, interval: 100 },
    )
    .toBeUndefined();
  return n;
}

// Where nothing can be mounted, test/audit/survival.test.ts still has a kernel that refuses writes: RLIMIT_FSIZE.
describe.runIf(mayMount())('on a small disk', () => {
  let disk: SmallDisk;
  beforeEach(() => {
    disk = smallDisk(3 << 20);
    return () => disk.unmount();
  });

  async function started(audit: Record<string, unknown>): Promise<Guard> {
    const dataDir = join(disk.path, 'data');
    mkdirSync(dataDir);
    const guard = await startGuard({ url: database.url, dataDir, audit });
    onTestFinished(() => guard.close());
    expect(await attempt(guard, 'insert into marks values (1)')).toBeUndefined();
    return guard;
  }

  test.each([300_000, 0])(
    'that is full: 58030, nothing unrecorded, and it goes on when there is room (ballast %i)',
    async (ballastBytes) => {
      const guard = await started({ ballastBytes });
      const session = new pg.Client({ connectionString: guard.url });
      session.on('error', () => undefined);
      await session.connect();
      disk.fill();
      // The last page of a file takes some more.
      let n = 1;
      let heard: Attempt | undefined;
      for (; heard === undefined && n < 400; n += 1)
        heard = await attempt(guard, `insert into marks values (${n + 1})`);
      expect(heard?.code).toBe('58030');
      expect(heard?.message).toMatch(
        ballastBytes > 0
          ? /^the disk of the log is full\. .* until there is room for \d+ \w+ on the disk/
          : /ENOSPC: no space left on device\. .*see to the disk/,
      );
      expect(heard?.message).not.toContain(disk.path);
      // A session that was there before hears it, too; and a read is no better.
      await expect(session.query('select 1')).rejects.toMatchObject({ code: '58030' });
      expect(await attempt(guard, 'select 1')).toMatchObject({ code: '58030' });
      expect(await ready(guard)).toMatchObject({ status: 503, text: expect.stringContaining('log') });
      expect(await metric(guard, 'holdpoint_audit_writable')).toBe(0);
      const before = await rowsAndRecords(guard);
      expect(before.rows.filter((row) => !before.recorded.has(row))).toEqual([]);
      disk.free();
      n = await untilItPasses(guard, n + 1);
      await expect.poll(() => ready(guard), { timeout: 10_000 }).toMatchObject({ status: 200 });
      expect(await metric(guard, 'holdpoint_audit_writable')).toBe(1);
      await guard.close();
      const { rows, recorded } = await rowsAndRecords(guard);
      expect(rows).toContain(n);
      expect(rows.filter((row) => !recorded.has(row))).toEqual([]);
      const report = await verified(guard);
      expect(report.kinds.gap).toBeGreaterThan(0);
      expect(report.ended).toBe(true);
    },
    120_000,
  );

  test('that is full when Holdpoint ends: the log still says so', async () => {
    const guard = await started({ ballastBytes: 300_000 });
    disk.fill();
    for (let n = 2, heard: Attempt | undefined; heard === undefined; n += 1)
      heard = await attempt(guard, `insert into marks values (${n})`);
    await guard.close();
    expect(await verified(guard)).toMatchObject({ ended: true });
  }, 60_000);

  test('that is read-only for a while: 58030 until it is not', async () => {
    const guard = await started({ ballastBytes: 0 });
    disk.fill();
    let n = 1;
    for (let heard: Attempt | undefined; heard === undefined; n += 1)
      heard = await attempt(guard, `insert into marks values (${n + 1})`);
    // Nothing is open for writing on it now, else it could not be.
    await expect.poll(() => turned(() => disk.readOnly(true)), { timeout: 20_000 }).toBe(true);
    await expect
      .poll(async () => (await attempt(guard, 'select 1'))?.message, { timeout: 20_000 })
      .toMatch(/EROFS: read-only file system/);
    disk.readOnly(false);
    disk.free();
    n = await untilItPasses(guard, n + 1);
    await guard.close();
    const { rows, recorded } = await rowsAndRecords(guard);
    expect(rows).toContain(n);
    expect(rows.filter((row) => !recorded.has(row))).toEqual([]);
    await verified(guard);
  }, 60_000);
});

function turned(step: () => void): boolean {
  try {
    step();
    return true;
  } catch {
    return false;
  }
}
