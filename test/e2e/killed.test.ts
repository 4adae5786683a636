// B14: the proxy is killed between any two steps of a release. A real process and SIGKILL, a real database, with the
// store of one node and with a shared one. After the restart nothing runs that had not, what may have run is told as
// unknown, what never went as canceled, and the log, verified offline, has a decision for everything that ran.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { query } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { personAt } from '../support/person.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, type RawClient } from '../support/raw.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { records, statements, verifies } from '../support/trail.ts';
import type { Step } from '../support/victim.ts';
import { startVictim, type Victim } from '../support/victims.ts';

let database: TestDatabase;
let redis: TestRedis;
let direct: pg.Client;
let dataDir: string;
let victim: Victim | undefined;
let guard: Guard | undefined;

beforeAll(async () => {
  [database, redis] = await Promise.all([createDatabase(), startRedis()]);
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query('create table kept (n int); create table runs (name text)');
});

afterEach(async () => {
  victim?.child.kill('SIGKILL');
  await guard?.close();
  guard = undefined;
  rmSync(dataDir, { recursive: true, force: true });
});

afterAll(async () => {
  await direct?.end();
  await redis?.stop();
  await database?.drop();
});

let serial = 0;

/** A Holdpoint in a process of its own, with a folder of its own. */
async function doomed(step: Step, store: 'memory' | 'redis') {
  dataDir = mkdtempSync(join(tmpdir(), 'holdpoint-killed-'));
  serial += 1;
  const shared = store === 'redis' ? { store: { url: `${redis.url}/0`, node: `n${serial}` } } : {};
  const options = { url: database.url, dataDir, hold: { waitMs: 20_000 }, ...shared };
  victim = await startVictim(options, step);
  return { victim, options };
}

async function noticeOf(client: RawClient, sql: string): Promise<string> {
  client.send(query(sql));
  return JSON.parse(errorFields((await client.until('N')).at(-1)!).get('D')!).request;
}

async function runs(name: string): Promise<number> {
  return (await direct.query('select count(*)::int as n from runs where name = $1', [name])).rows[0].n;
}

/** Holds a statement in a process that dies at the step, approves it, starts again on the same folder, and looks. */
async function story(
  step: Step,
  store: 'memory' | 'redis',
  until: (name: string) => Promise<void> = async () => {},
) {
  const { victim, options } = await doomed(step, store);
  const name = `run ${serial} ${step}`;
  const sql = `with gone as (delete from kept) insert into runs values ('${name}')`;
  const client = await victim.connect();
  const rid = await noticeOf(client, sql);
  const dba = personAt(victim.http, 'dba', victim.keyFile);
  const signed = await dba.sign(rid, 'approve');
  const gone = once(victim.child, 'exit');
  const said = dba.send(signed).then(
    ({ status }) => status,
    () => 'no answer',
  );
  await until(name);
  expect((await gone)[1]).toBe('SIGKILL');
  const answer = await said;
  client.destroy();
  guard = await startGuard(options);
  const log = records(guard.auditDir);
  const [stmt] = statements(guard.auditDir, sql);
  const of = (kind: string) => log.filter((each) => each.kind === kind && each.rid === rid);
  await verifies(guard.auditDir);
  // The decision once more, and the statement once more: neither runs on the old approval.
  const again = await personAt(guard.http, 'dba', guard.keyFile).send(signed);
  expect(again.status).toBeGreaterThanOrEqual(400);
  const before = await runs(name);
  const retry = await guard.connect();
  expect(await noticeOf(retry, sql)).not.toBe(rid);
  expect(await runs(name)).toBe(before);
  retry.destroy();
  await expect.poll(async () => (await guard!.pending()).length).toBe(0);
  await verifies(guard.auditDir);
  return {
    answer,
    runs: before,
    decisions: of('decision').length,
    uses: of('grant_use').length,
    intents: of('intent').length,
    outcome: stmt?.outcome?.st,
  };
}

type Told = Awaited<ReturnType<typeof story>>;

/** What must be so afterwards, step by step; and the stores that it is tried with. */
const cases: readonly [Step, readonly ('memory' | 'redis')[], (told: Told) => void][] = [
  [
    'the decision is appended to the log',
    ['redis'],
    ({ answer, runs, uses, intents, outcome }) =>
      expect([answer, runs, uses, intents, outcome]).toEqual(['no answer', 0, 0, 0, 'canceled']),
  ],
  [
    'the decision is on disk',
    ['memory', 'redis'],
    (told) =>
      expect(told).toEqual({
        answer: 'no answer',
        runs: 0,
        decisions: 1,
        uses: 0,
        intents: 0,
        outcome: 'canceled',
      }),
  ],
  [
    'the store has the decision',
    ['redis'],
    (told) => expect(told).toMatchObject({ runs: 0, decisions: 1, uses: 0, intents: 0 }),
  ],
  [
    'the store has given the use away',
    ['memory', 'redis'],
    (told) => expect(told).toMatchObject({ runs: 0, decisions: 1, uses: 0, intents: 0 }),
  ],
  [
    'the use is in the log',
    ['redis'],
    (told) => expect(told).toMatchObject({ runs: 0, decisions: 1, intents: 0, outcome: 'canceled' }),
  ],
  [
    'the intent is appended to the log',
    ['redis'],
    (told) => {
      expect(told).toMatchObject({ runs: 0, decisions: 1 });
      // Whoever finds it there cannot know that nothing was sent.
      expect(told.outcome).toBe(told.intents === 1 ? 'unknown' : 'canceled');
    },
  ],
  [
    'the intent is on disk',
    ['memory', 'redis'],
    (told) => expect(told).toMatchObject({ runs: 0, decisions: 1, uses: 1, intents: 1, outcome: 'unknown' }),
  ],
  [
    'the bytes are handed to the socket',
    ['redis'],
    (told) => {
      expect(told).toMatchObject({ decisions: 1, uses: 1, intents: 1, outcome: 'unknown' });
      expect([0, 1]).toContain(told.runs);
    },
  ],
  [
    'the server has answered',
    ['memory', 'redis'],
    (told) => expect(told).toMatchObject({ runs: 1, decisions: 1, uses: 1, intents: 1, outcome: 'unknown' }),
  ],
];

describe('B14: what was decided, sent and run is known after a kill, or known to be unknown', () => {
  test.each(cases.flatMap(([step, stores, check]) => stores.map((store) => ({ step, store, check }))))(
    'killed when $step ($store)',
    async ({ step, store, check }) => check(await story(step, store)),
    60_000,
  );

  test('killed when the server was at it: it ran, and not again', async () => {
    const locker = new pg.Client({ connectionString: database.url });
    await locker.connect();
    await locker.query('begin; lock table runs in exclusive mode');
    const told = await story('never', 'redis', async (name) => {
      const waiting =
        'select count(*)::int as n from pg_stat_activity where wait_event_type = $1 and query like $2';
      const blocked = async () => (await direct.query(waiting, ['Lock', `%${name}%`])).rows[0].n;
      await expect.poll(blocked, { timeout: 10_000 }).toBe(1);
      victim!.child.kill('SIGKILL');
      await locker.query('commit');
      await expect.poll(() => runs(name)).toBe(1);
    }).finally(() => locker.end());
    expect(told).toMatchObject({
      answer: 201,
      runs: 1,
      decisions: 1,
      uses: 1,
      intents: 1,
      outcome: 'unknown',
    });
  }, 60_000);
});
