// Plans, grants and emergencies with two nodes on one Redis: what is approved through one node is used on the other, as
// often as was signed for among both of them. audit-approval §16.6, §17.9, invariant B6.

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Scope } from '../../src/approval/scope.ts';
import { decideRequest, reviewRequest } from '../../src/cli/requests.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { findLogs } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { type Guard, type GuardOptions, startGuard } from '../support/holdpoint.ts';
import { recordsOf } from '../support/log.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type RawClient, transcript } from '../support/raw.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

let database: TestDatabase;
let direct: pg.Client;
let redis: TestRedis;
let one: Guard;
let two: Guard;
/** Of the second node: the same people have the same keys there. */
let dataDir: string | undefined;

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  redis = await startRedis();
  const common: GuardOptions = {
    url: database.url,
    hold: { waitMs: 400, pendingMax: 200 },
    breakGlass: ['dba'],
    approvers: ['zoe'],
  };
  one = await startGuard({ ...common, store: { url: redis.url, node: 'one' } });
  dataDir = mkdtempSync(join(tmpdir(), 'holdpoint-two-'));
  copyFileSync(join(one.dataDir, 'zoe.jwk'), join(dataDir, 'zoe.jwk'));
  two = await startGuard({ ...common, store: { url: redis.url, node: 'two' }, like: one, dataDir });
});

beforeEach(async () => {
  await direct.query(
    'drop table if exists t; create table t (a int); insert into t select generate_series(1, 40)',
  );
});

afterAll(async () => {
  await two?.close();
  await one?.close();
  await redis?.stop();
  await direct?.end();
  await database?.drop();
  if (dataDir !== undefined) rmSync(dataDir, { recursive: true, force: true });
});

async function ask(client: RawClient, sql: string): Promise<string[]> {
  client.send(query(sql));
  return transcript(await client.until('Z'), 'N123nT');
}

async function proved(guard: Guard): Promise<void> {
  const report = await verifyLog(findLogs(guard.auditDir)[0]!, { live: true });
  expect(report.findings).toEqual([]);
  expect(report.ok).toBe(true);
}

const held = /still waiting for approval/;

test('a plan that was handed in and approved on one node passes on the other, once among both', async () => {
  const answer = await fetch(`${one.http}/api/plans`, {
    method: 'POST',
    headers: {
      Authorization: `Basic ${Buffer.from(`${one.agent}:${one.password}`).toString('base64')}`,
      'Content-Type': 'application/json',
    },
    body: JSON.stringify({
      target: 'shop',
      sql: 'begin; delete from t where a = 1; delete from t where a = 2; commit',
    }),
  });
  const { id } = (await answer.json()) as { id: string };
  await two.decide(id, 'approve');
  const [here, there] = [await one.connect(), await two.connect()];
  await expect
    .poll(async () => {
      const began = await ask(there, 'begin');
      const first = recordsOf(two).some(({ kind, rid }) => kind === 'grant_use' && rid === id);
      if (!first) await ask(there, 'rollback');
      return first && began;
    })
    .toEqual(['C BEGIN', 'Z T']);
  await ask(here, 'begin');
  expect((await ask(here, 'delete from t where a = 1'))[0]).toMatch(held);
  expect(await ask(there, 'delete from t where a = 1')).toEqual(['C DELETE 1', 'Z T']);
  expect(await ask(there, 'delete from t where a = 2')).toEqual(['C DELETE 1', 'Z T']);
  expect(await ask(there, 'commit')).toEqual(['C COMMIT', 'Z I']);
  await expect.poll(async () => (await one.show(id)).state).toBe('executed');
  expect(recordsOf(two).filter(({ kind, rid }) => kind === 'grant_use' && rid === id)).toHaveLength(4);
  expect(recordsOf(one).filter(({ kind, rid }) => kind === 'grant_use' && rid === id)).toHaveLength(0);
  here.destroy();
  there.destroy();
  await proved(two);
});

test('B6: a grant is used as often as was signed for among all nodes and sessions, and for no more rows', async () => {
  const clients = [await one.connect(), await two.connect(), await one.connect(), await two.connect()];
  const [first] = clients;
  expect((await ask(first!, 'delete from t where a = 10'))[0]).toMatch(held);
  const waiting = (await one.pending(1)).find(({ commands }) => commands.includes('DELETE'))!;
  const { draft } = await one.show(waiting.id);
  const scope: Scope = { kind: 'fingerprint', until: draft!.nbf + 600_000, usesMax: 5, rowsMax: 100 };
  await two.decide(waiting.id, 'approve', '', { scope });
  expect(await ask(first!, 'delete from t where a = 10')).toEqual(['C DELETE 1', 'Z I']);
  let passed = 1;
  // Sessions that come at the same moment find the rows set aside for another: they are asked about, and nothing else.
  for (let round = 0; round < 6; round += 1) {
    const answers = await Promise.all(
      clients.map((client, at) => ask(client, `delete from t where a = ${11 + round * clients.length + at}`)),
    );
    for (const [answer] of answers) {
      if (answer === 'C DELETE 1') passed += 1;
      else expect(answer).toMatch(/still waiting for approval|too many|waiting for approval as it may have/);
    }
  }
  expect(passed).toBe(5);
  expect((await direct.query('select count(*)::int as n from t')).rows[0].n).toBe(35);
  for (const client of clients) client.destroy();
  await proved(one);
  await proved(two);
});

test('a release alone on one node owes its review on both; a review on the other is one on both', async () => {
  const said: string[] = [];
  const output = { out: (text: string) => said.push(text), err: (text: string) => said.push(text) };
  const client = await one.connect();
  client.send(query('drop table t'));
  const drops = async () => (await one.pending()).filter(({ commands }) => commands.includes('DROP TABLE'));
  await expect.poll(async () => (await drops()).length).toBe(1);
  const [waiting] = await drops();
  const who = { url: two.http, as: 'dba', key: one.keyFile };
  expect(
    await decideRequest('approve', waiting!.id, { ...who, breakGlass: true, reason: 'now' }, output),
  ).toBe(0);
  await client.until('Z');
  const owes = (guard: Guard) =>
    recordsOf(guard).filter(({ kind, rid }) => kind === 'breakglass' && rid === waiting!.id).length;
  await expect.poll(() => [owes(one), owes(two)], { timeout: 15_000 }).toEqual([1, 1]);
  const zoe = { url: one.http, as: 'zoe', key: join(one.dataDir, 'zoe.jwk'), finding: 'justified' };
  expect(await reviewRequest(waiting!.id, zoe, output)).toBe(0);
  const reviews = (guard: Guard) => recordsOf(guard).filter(({ kind }) => kind === 'review').length;
  await expect.poll(() => [reviews(one), reviews(two)], { timeout: 15_000 }).toEqual([1, 1]);
  client.destroy();
  await proved(one);
  await proved(two);
});
