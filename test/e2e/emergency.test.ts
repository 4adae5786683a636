// Releases by one person alone, over real sockets against a real server: with the store gone, with the log gone, and with a
// review that nobody makes. audit-approval §17.9, invariant B19.

import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { decideRequest, reviewRequest } from '../../src/cli/requests.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { findLogs } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { type Guard, type GuardOptions, startGuard } from '../support/holdpoint.ts';
import { recordsOf } from '../support/log.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type RawClient, transcript } from '../support/raw.ts';
import { startRedis } from '../support/redis.ts';

let database: TestDatabase;
let direct: pg.Client;
const said: string[] = [];
const output = { out: (text: string) => said.push(text), err: (text: string) => said.push(text) };

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
});

beforeEach(async () => {
  said.length = 0;
  await direct.query(
    'drop table if exists t; create table t (a int); insert into t select generate_series(1, 20)',
  );
});

afterAll(async () => {
  await direct?.end();
  await database?.drop();
});

/** A guard where two of `dba`, `eve` and `zoe` have to agree; eve may release alone. */
function guarded(options: Partial<GuardOptions> = {}): Promise<Guard> {
  return startGuard({
    url: database.url,
    environment: 'production',
    approvers: ['eve', 'zoe'],
    quorum: 2,
    breakGlass: ['eve'],
    ...options,
  });
}

const who = (guard: Guard, name: string) => ({
  url: guard.http,
  as: name,
  key: join(guard.dataDir, `${name}.jwk`),
});

async function ask(client: RawClient, sql: string): Promise<string[]> {
  client.send(query(sql));
  return transcript(await client.until('Z'), 'N123nT');
}

async function rows(): Promise<number> {
  return (await direct.query('select count(*)::int as n from t')).rows[0].n;
}

/** The request of the hold that a session was told of. */
async function heldBy(client: RawClient): Promise<string> {
  const [notice] = await client.take(1);
  return /request ([\w-]{22})/.exec(notice!.summary + notice!.body.toString('utf8'))![1]!;
}

const eve = (guard: Guard, rid: string, reason = 'the disk is full') =>
  decideRequest('approve', rid, { ...who(guard, 'eve'), breakGlass: true, reason }, output);

describe('one person alone', () => {
  test('releases what needs two, from the command line; the log proves it and says what it owes', async () => {
    const guard = await guarded();
    const client = await guard.connect();
    client.send(query('delete from t where a <= 5'));
    const rid = await heldBy(client);
    expect(
      await decideRequest(
        'approve',
        rid,
        { ...who(guard, 'dba'), breakGlass: true, reason: 'me too' },
        output,
      ),
    ).toBe(1);
    expect(said.at(-1)).toContain('dba may not release alone in an emergency');
    expect(await eve(guard, rid, '')).toBe(1);
    expect(said.at(-1)).toContain('give a reason');
    expect(await rows()).toBe(20);
    expect(await eve(guard, rid)).toBe(0);
    expect(transcript(await client.until('Z'), 'N')).toEqual(['C DELETE 5', 'Z I']);
    const owed = recordsOf(guard).find(({ kind }) => kind === 'breakglass');
    expect(owed).toMatchObject({
      rid,
      by: 'eve',
      target: 'shop',
      agent: 'claude',
      reason: 'the disk is full',
    });
    expect(guard.reports.join('\n')).toContain('released by one person alone, in an emergency');
    const ready = (await (await fetch(`${guard.http}/readyz`)).json()) as { warnings: { warning: string }[] };
    expect(JSON.stringify(ready.warnings)).toContain(`request ${rid} on shop was released by eve alone`);
    const metrics = await (await fetch(`${guard.http}/metrics`)).text();
    expect(metrics).toContain('holdpoint_breakglass_total{target="shop"} 1');
    expect(metrics).toContain('holdpoint_reviews_owed{target="shop",overdue="false"} 1');
    expect(await reviewRequest(rid, { ...who(guard, 'eve'), finding: 'justified' }, output)).toBe(1);
    expect(said.at(-1)).toContain('somebody else has to review');
    expect(
      await reviewRequest(rid, { ...who(guard, 'zoe'), finding: 'justified', reason: 'it was' }, output),
    ).toBe(0);
    expect(recordsOf(guard).find(({ kind }) => kind === 'review')).toMatchObject({ rid, by: 'zoe' });
    const report = await verifyLog(findLogs(guard.auditDir)[0]!, { live: true });
    expect(report).toMatchObject({ ok: true, releases: { proved: 1 } });
    client.destroy();
    await guard.close();
  });
});

describe('B19: in an emergency', () => {
  test('a session that waits here is released while Redis is down; when it is back, nothing runs again', async () => {
    const redis = await startRedis();
    const guard = await guarded({ store: { url: redis.url, node: 'n1' } });
    const client = await guard.connect();
    client.send(query('delete from t where a <= 5'));
    const rid = await heldBy(client);
    await redis.kill();
    expect(await decideRequest('approve', rid, { ...who(guard, 'dba'), reason: 'no' }, output)).toBe(1);
    expect(await eve(guard, rid)).toBe(0);
    expect(transcript(await client.until('Z'), 'N')).toEqual(['C DELETE 5', 'Z I']);
    expect(await rows()).toBe(15);
    await redis.start();
    await direct.query('insert into t select generate_series(1, 5)');
    const again = await guard.connect();
    again.send(query('delete from t where a <= 5'));
    await expect.poll(() => recordsOf(guard).filter(({ kind }) => kind === 'stmt').length).toBeGreaterThan(1);
    expect(await rows()).toBe(20);
    again.destroy();
    client.destroy();
    await guard.close();
    await redis.stop();
  });

  test('nothing is released while the log cannot be written', async () => {
    const guard = await guarded();
    const client = await guard.connect();
    client.send(query('delete from t where a <= 5'));
    const rid = await heldBy(client);
    const folder = join(guard.auditDir, 'holdpoint');
    renameSync(join(folder, 'seg-00000000.jsonl'), join(folder, 'aside.jsonl'));
    expect(await eve(guard, rid)).toBe(1);
    expect(said.at(-1)).toContain('log');
    expect(await rows()).toBe(20);
    client.destroy();
    await guard.close().catch(() => undefined);
  });
});

describe('B19: a review that nobody makes in time', () => {
  const real = Date.now;
  let aheadMs = 0;
  let dataDir: string;

  beforeAll(() => {
    // The clock that the guard is given; it is taken once, when the guard starts.
    Date.now = () => real() + aheadMs;
    dataDir = mkdtempSync(join(tmpdir(), 'holdpoint-emergency-'));
  });

  afterAll(() => {
    Date.now = real;
    rmSync(dataDir, { recursive: true, force: true });
  });

  test('lets agents only read on the target, also after a restart, until it is made', async () => {
    let guard = await guarded({ dataDir });
    let client = await guard.connect();
    client.send(query('delete from t where a <= 5'));
    const rid = await heldBy(client);
    expect(await eve(guard, rid)).toBe(0);
    await client.until('Z');
    expect(await ask(client, 'insert into t values (1)')).toEqual(['C INSERT 0 1', 'Z I']);
    aheadMs = 25 * 3_600_000;
    expect((await ask(client, 'insert into t values (2)'))[0]).toMatch(
      new RegExp(
        `^E ERROR 42501 statement denied by rule "review-overdue": request ${rid} was released by eve alone`,
      ),
    );
    expect((await ask(client, 'drop table t'))[0]).toContain('review-overdue');
    expect(await ask(client, 'select count(*) from t')).toEqual(['D 16', 'C SELECT 1', 'Z I']);
    expect(await ask(client, 'begin')).toEqual(['C BEGIN', 'Z T']);
    expect(await ask(client, 'rollback')).toEqual(['C ROLLBACK', 'Z I']);
    const metrics = await (await fetch(`${guard.http}/metrics`)).text();
    expect(metrics).toContain('holdpoint_reviews_owed{target="shop",overdue="true"} 1');
    client.destroy();
    await guard.close();

    guard = await guarded({ dataDir });
    client = await guard.connect();
    expect((await ask(client, 'insert into t values (3)'))[0]).toContain('review-overdue');
    // What the command signs is dated by the Date header, which this clock does not move.
    aheadMs = 0;
    const unjustified = { ...who(guard, 'zoe'), finding: 'unjustified', reason: 'no' };
    expect(await reviewRequest(rid, unjustified, output)).toBe(0);
    aheadMs = 25 * 3_600_000;
    expect(await ask(client, 'insert into t values (4)')).toEqual(['C INSERT 0 1', 'Z I']);
    client.destroy();
    await guard.close();

    guard = await guarded({ dataDir });
    client = await guard.connect();
    expect(await ask(client, 'insert into t values (5)')).toEqual(['C INSERT 0 1', 'Z I']);
    client.destroy();
    await guard.close();
  });
});
