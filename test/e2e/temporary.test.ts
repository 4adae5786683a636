// Temporary tables of a session by their bare names: they are made, filled, changed and dropped without a person, and a
// permanent table is never taken for one.

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { query } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import type { RawClient } from '../support/raw.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase({ shop: true });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  guard = await startGuard({ url: database.url, hold: { waitMs: 100, pendingMax: 1000 } });
});

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

/** Command tags; `held` where a statement was not let through, `error` where the server refused it. */
async function run(client: RawClient, ...texts: string[]): Promise<string[]> {
  const tags: string[] = [];
  for (const sql of texts) {
    client.send(query(sql));
    const replies = await client.until('Z');
    const error = replies.find(({ letter }) => letter === 'E')?.summary;
    const tag = replies.filter(({ letter }) => letter === 'C').map(({ summary }) => summary);
    tags.push(error === undefined ? tag.join() : / request /.test(error) ? 'held' : 'error');
  }
  return tags;
}

test('a temporary table is filled, changed, emptied and dropped', async () => {
  const client = await guard.connect();
  const tags = await run(
    client,
    'CREATE TEMP TABLE batch AS SELECT id, name FROM customers LIMIT 5',
    'INSERT INTO batch SELECT id, name FROM customers LIMIT 2000',
    "UPDATE batch SET name = 'x'",
    'DELETE FROM batch WHERE id < 3',
    'DELETE FROM batch',
    'TRUNCATE batch',
    'ANALYZE batch',
    'SELECT count(*) FROM batch',
    'DROP TABLE IF EXISTS batch',
    'SELECT count(*) FROM customers',
  );
  expect(tags).toEqual([
    'SELECT 5',
    'INSERT 0 500',
    'UPDATE 505',
    expect.stringMatching(/^DELETE \d+$/),
    expect.stringMatching(/^DELETE \d+$/),
    'TRUNCATE TABLE',
    'ANALYZE',
    'SELECT 1',
    'DROP TABLE',
    'SELECT 1',
  ]);
  client.destroy();
});

test('a temporary view is made and dropped; what is deleted through it is deleted from the table behind it', async () => {
  const client = await guard.connect();
  const tags = await run(
    client,
    'CREATE TEMP VIEW recent AS SELECT id FROM customers',
    'SELECT count(*) FROM recent',
    'DELETE FROM recent',
    'ANALYZE customers',
    'DROP VIEW customers',
    'DROP VIEW recent',
  );
  expect(tags).toEqual(['CREATE VIEW', 'SELECT 1', 'held', 'held', 'held', 'DROP VIEW']);
  client.destroy();
});

test('under the name of a permanent table nothing is believed: the temporary one may be gone', async () => {
  const client = await guard.connect();
  expect(
    await run(
      client,
      'BEGIN',
      'CREATE TEMP TABLE coupons (code text)',
      'ROLLBACK',
      'DELETE FROM coupons',
      'DROP TABLE coupons',
      'TRUNCATE coupons',
    ),
  ).toEqual(['BEGIN', 'CREATE TABLE', 'ROLLBACK', 'held', 'held', 'held']);
  expect((await direct.query('SELECT count(*)::int AS n FROM coupons')).rows[0].n).toBe(300);
  client.destroy();
});

test('what also concerns a permanent table is held, and so is what goes through a temporary view', async () => {
  const client = await guard.connect();
  expect(
    await run(
      client,
      'CREATE TEMP TABLE mine (id bigint)',
      'CREATE TEMP VIEW seen AS SELECT * FROM coupons',
      'DROP TABLE mine, coupons',
      'DROP TABLE mine CASCADE',
      'TRUNCATE mine, coupons',
      'WITH gone AS (DELETE FROM coupons RETURNING 1) DELETE FROM mine',
      'DELETE FROM seen',
      'DELETE FROM public.mine',
    ),
  ).toEqual(['CREATE TABLE', 'CREATE VIEW', 'held', 'held', 'held', 'held', 'held', 'held']);
  expect((await direct.query('SELECT count(*)::int AS n FROM coupons')).rows[0].n).toBe(300);
  client.destroy();
});
