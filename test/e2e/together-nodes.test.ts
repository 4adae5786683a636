// One agent on two proxies that share a Redis: the same statement is one request there too. Whoever asked first and still
// waits runs it, wherever that is; when a node shuts down or dies, those who wait on the other take over.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { query } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, type RawClient, type Reply } from '../support/raw.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { storyOf, verifies } from '../support/trail.ts';
import { startVictim } from '../support/victims.ts';

let database: TestDatabase;
let redis: TestRedis;
let direct: pg.Client;
let one: Guard;
let two: Guard;
const clients: RawClient[] = [];

const shared = (node: string) => ({ url: database.url, store: { url: `${redis.url}/0`, node } });

beforeAll(async () => {
  [database, redis] = await Promise.all([createDatabase(), startRedis()]);
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query('create table kept (n int); create table runs (name text)');
  one = await startGuard({ ...shared('n1'), hold: { pendingMax: 1 } });
  two = await startGuard({ ...shared('n2'), hold: { pendingMax: 1 }, like: one });
});

afterAll(async () => {
  for (const client of clients) client.destroy();
  await one?.close();
  await two?.close();
  await direct?.end();
  await redis?.stop();
  await database?.drop();
});

let serial = 0;

/** Held because it deletes; leaves a row behind each time that it runs. */
function statement(): { name: string; sql: string } {
  serial += 1;
  const name = `run ${serial}`;
  return { name, sql: `with gone as (delete from kept) insert into runs values ('${name}')` };
}

async function runs(name: string): Promise<number> {
  return (await direct.query('select count(*)::int as n from runs where name = $1', [name])).rows[0].n;
}

async function connect(guard: { connect(): Promise<RawClient> }): Promise<RawClient> {
  const client = await guard.connect();
  clients.push(client);
  return client;
}

async function ask(client: RawClient, sql: string): Promise<string> {
  client.send(query(sql));
  return JSON.parse(errorFields((await client.until('N')).at(-1)!).get('D')!).request;
}

function told(replies: readonly Reply[]): string {
  const error = replies.find(({ letter }) => letter === 'E');
  return error === undefined ? 'ran' : `${errorFields(error).get('C')} ${errorFields(error).get('M')}`;
}

const elsewhere = (rid: string) =>
  `57014 request ${rid} was approved and released in another session of yours; the statement did not run here`;

test('the session on the other node joins; one runs it, the other is told', async () => {
  const { name, sql } = statement();
  const [near, far] = [await connect(one), await connect(two)];
  const rid = await ask(near, sql);
  expect(await ask(far, sql)).toBe(rid);
  expect(await two.pending()).toHaveLength(1);
  await two.decide(rid, 'approve');
  expect(told(await near.until('Z'))).toBe('ran');
  expect(told(await far.until('Z'))).toBe(elsewhere(rid));
  expect(await runs(name)).toBe(1);
  expect(storyOf(one.auditDir, rid).filter((kind) => kind !== 'outcome')).toEqual([
    'hold',
    'decision',
    'grant_use',
    'intent',
  ]);
  expect(storyOf(two.auditDir, rid)).toEqual(['decision', 'outcome']);
  await verifies(one.auditDir);
  await verifies(two.auditDir);
});

test('sent on both in the same moment it is one request', async () => {
  for (let round = 0; round < 5; round += 1) {
    const { name, sql } = statement();
    const waiting = [await connect(one), await connect(two), await connect(two), await connect(one)];
    const rids = await Promise.all(waiting.map((client) => ask(client, sql)));
    expect(new Set(rids).size).toBe(1);
    expect(await one.pending()).toHaveLength(1);
    await one.decide(rids[0]!, 'approve');
    const answers = await Promise.all(waiting.map(async (client) => told(await client.until('Z'))));
    expect(answers.sort()).toEqual([elsewhere(rids[0]!), elsewhere(rids[0]!), elsewhere(rids[0]!), 'ran']);
    expect(await runs(name)).toBe(1);
  }
});

test('when the first goes away the other inherits, and its log shows all of it', async () => {
  const { name, sql } = statement();
  const [near, far] = [await connect(one), await connect(two)];
  const rid = await ask(near, sql);
  await ask(far, sql);
  near.destroy();
  await expect.poll(() => storyOf(one.auditDir, rid)).toContain('outcome');
  expect(await one.pending()).toHaveLength(1);
  await one.decide(rid, 'approve');
  expect(told(await far.until('Z'))).toBe('ran');
  expect(await runs(name)).toBe(1);
  expect(storyOf(two.auditDir, rid).filter((kind) => kind !== 'outcome')).toEqual([
    'hold',
    'decision',
    'grant_use',
    'intent',
  ]);
  await verifies(two.auditDir);
});

test('a rejection reaches both, and is remembered on both', async () => {
  const { sql } = statement();
  const [near, far] = [await connect(one), await connect(two)];
  const rid = await ask(near, sql);
  await ask(far, sql);
  await two.decide(rid, 'reject', 'not now');
  for (const client of [near, far]) {
    expect(told(await client.until('Z'))).toBe('42501 statement rejected by dba: not now');
    client.send(query(sql));
    expect(told(await client.until('Z'))).toBe('42501 statement rejected by dba: not now');
  }
  expect(await one.pending()).toEqual([]);
});

test('the list is of both', async () => {
  const { sql } = statement();
  const far = await connect(two);
  const rid = await ask(far, sql);
  const client = new pg.Client({ connectionString: one.url });
  await client.connect();
  expect((await client.query('show holdpoint.requests')).rows[0]).toMatchObject({
    id: rid,
    state: 'pending',
    statement: sql,
  });
  await client.end();
  await two.decide(rid, 'reject');
  await far.until('Z');
});

test('when its node shuts down the other inherits', async () => {
  const { name, sql } = statement();
  const other = await startGuard({ ...shared('n3'), like: one });
  const near = await connect(other);
  const far = await connect(two);
  const rid = await ask(near, sql);
  expect(await ask(far, sql)).toBe(rid);
  await other.close();
  expect(told(await near.until('Z'))).toContain('57P01');
  await one.decide(rid, 'approve');
  expect(told(await far.until('Z'))).toBe('ran');
  expect(await runs(name)).toBe(1);
});

test('when its node is killed the other inherits once that node is back and says who is gone', async () => {
  const { name, sql } = statement();
  const dataDir = mkdtempSync(join(tmpdir(), 'holdpoint-together-'));
  const like = { keyFile: one.keyFile, publicUrl: one.publicUrl };
  const options = { ...shared('n4'), dataDir, like };
  const victim = await startVictim(options, 'never');
  const near = await connect(victim);
  const far = await connect(two);
  const rid = await ask(near, sql);
  expect(await ask(far, sql)).toBe(rid);
  await victim.kill();
  const again = await startGuard(options);
  await one.decide(rid, 'approve');
  expect(told(await far.until('Z'))).toBe('ran');
  expect(await runs(name)).toBe(1);
  await again.close();
  rmSync(dataDir, { recursive: true });
}, 60_000);
