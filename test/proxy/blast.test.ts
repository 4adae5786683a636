// The connection that measures: one for a target, kept and replaced, one measurement at a time, none longer than its budget,
// whatever the server does.

import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { BlastOptions } from '../../src/proxy/blast.ts';
import { type Measurer, measurerOf } from '../support/blast.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let direct: pg.Client;
let measurer: Measurer | undefined;

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client(database.url);
  await direct.connect();
  await direct.query('CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 5)');
});
afterEach(() => measurer?.close());
afterAll(async () => {
  await direct?.end();
  await database?.drop();
});

async function measuring(options: Partial<BlastOptions> = {}): Promise<Measurer> {
  measurer = await measurerOf(database.url, options);
  return measurer;
}

/** Connections of ours that the server has. */
async function sessions(): Promise<{ pid: number; state: string }[]> {
  const { rows } = await direct.query(
    "SELECT pid, state FROM pg_stat_activity WHERE application_name = 'holdpoint effect' AND datname = current_database()",
  );
  return rows;
}

async function until(done: () => Promise<boolean>): Promise<void> {
  while (!(await done()));
}

test('one connection serves many, and nothing is left open on it', async () => {
  const { measure } = await measuring();
  const effects = await Promise.all([1, 2, 3].map((n) => measure(`DELETE FROM t WHERE id <= ${n}`)));
  expect(effects.map(({ relations }) => relations[0]?.touched?.rows)).toEqual([1, 2, 3]);
  expect(measurer?.connections).toBe(1);
  await until(async () => (await sessions())[0]?.state === 'idle');
  expect(await sessions()).toHaveLength(1);
});

test('a connection that has ended is replaced', async () => {
  const { measure } = await measuring();
  await measure('DELETE FROM t');
  const [session] = await sessions();
  await direct.query(`SELECT pg_terminate_backend(${session!.pid})`);
  await until(async () => (await sessions()).length === 0);
  // Whether the end has been noticed already or only when asked: at the latest the one after next is measured.
  await measure('DELETE FROM t');
  expect((await measure('DELETE FROM t')).relations[0]?.touched?.rows).toBe(5);
  expect(measurer!.connections).toBeGreaterThan(1);
});

test('it is closed when it has not been used for a while', async () => {
  const { measure } = await measuring({ lingerMs: 20 });
  await measure('DELETE FROM t');
  await until(async () => (await sessions()).length === 0);
});

test('a text that touches nothing asks nobody', async () => {
  const { blast, asked } = await measuring();
  expect(await blast.measure(await asked(['SET ROLE nobody']))).toBeUndefined();
  expect(measurer?.connections).toBe(0);
});

test('code that hides what it does is said to, without asking anybody', async () => {
  const { measure } = await measuring();
  const effect = await measure('DO $$ BEGIN DELETE FROM t; END $$', { hidden: true });
  expect(effect.unmeasured).toEqual(['it runs code whose effects are not known before it has run']);
  expect(measurer?.connections).toBe(0);
});

test('a budget of 0 measures nothing', async () => {
  const { blast, asked } = await measuring({ measureMs: 0 });
  expect(await blast.measure(await asked(['DELETE FROM t']))).toBeUndefined();
});

test('a database that cannot be reached is said to be so, and no more of it', async () => {
  const { measure } = await measuring({
    connect: () => Promise.reject(new Error('db.internal:5432 refused owner')),
  });
  expect((await measure('DELETE FROM t')).unmeasured).toEqual([
    'the database could not be asked: there was no connection to it',
  ]);
});

test('a server that does not answer costs no more than the budget', async () => {
  const { measure } = await measuring({ measureMs: 100, connect: () => new Promise(() => undefined) });
  const begun = performance.now();
  const effect = await measure('DELETE FROM t');
  expect(performance.now() - begun).toBeGreaterThanOrEqual(95);
  expect(effect.unmeasured).toEqual(['the figures that are missing could not be had within 100 ms']);
  // The one behind it waits for the same connection, and no longer either.
  expect((await measure('DELETE FROM t')).unmeasured).toHaveLength(1);
});

test('another database than that of the session is not asked', async () => {
  const { measure } = await measuring();
  const elsewhere = { systemIdentifier: '1', databaseOid: 1, version: '' };
  const effect = await measure('DELETE FROM t', { database: elsewhere });
  expect(effect.relations).toEqual([]);
  expect(effect.unmeasured).toEqual([
    'the database could not be asked: the target leads to another database than the session is in',
  ]);
  expect((await measure('DELETE FROM t')).relations[0]?.touched?.rows).toBe(5);
});

test('an answer that nobody wants any more comes at once, and the next is measured', async () => {
  const { blast, asked, measure } = await measuring({ measureMs: 30_000, countMs: 20_000 });
  await direct.query(
    `CREATE FUNCTION dawdle(int) RETURNS bool LANGUAGE sql STABLE AS 'SELECT pg_sleep(0.8) IS NOT NULL'`,
  );
  await measurer?.reload();
  const gone = new AbortController();
  const answer = blast.measure(await asked(['DELETE FROM t WHERE dawdle(id)']), gone.signal);
  await until(async () => (await sessions()).some(({ state }) => state === 'active'));
  const begun = performance.now();
  gone.abort();
  await answer;
  // The count goes on for four seconds.
  expect(performance.now() - begun).toBeLessThan(2_500);
  expect((await measure('DELETE FROM t')).relations[0]?.touched?.rows).toBe(5);
});

test('several texts are measured together, as those of a plan', async () => {
  const { blast, asked } = await measuring();
  const effect = await blast.measure(await asked(['DELETE FROM t WHERE id = 1', 'TRUNCATE t']));
  expect(effect?.relations.map(({ statement, does, touched }) => [statement, does, touched?.rows])).toEqual([
    [0, 'DELETE', 1],
    [1, 'TRUNCATE', 5],
  ]);
});
