// Parsing alone runs code: a literal of a row, an array or a range is read while a statement is parsed, with the CHECKs of
// the domains in it. So PREPARE and Parse may do what their statement would do, before it is run or bound.

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { bind, describe, execute, flush, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query(`
    CREATE TABLE kept (a int);
    CREATE FUNCTION writes(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM kept; RETURN true; END $$;
    CREATE FUNCTION computes(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN $1 > 0; END $$;
    CREATE DOMAIN writing AS int CHECK (writes(VALUE));
    CREATE DOMAIN computing AS int CHECK (computes(VALUE));
    CREATE TYPE pair AS (a writing, b text);
    CREATE TYPE span AS RANGE (SUBTYPE = writing, SUBTYPE_OPCLASS = int4_ops);
    CREATE TABLE pairs (p pair);
    CREATE TABLE rows_of (w writing);
    CREATE FUNCTION takes(pair) RETURNS int LANGUAGE sql AS 'SELECT 1'`);
  guard = await startGuard({ url: database.url, hold: { waitMs: 100, pendingMax: 1000 } });
});

beforeEach(async () => {
  await direct.query('TRUNCATE kept; INSERT INTO kept VALUES (1)');
});

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

async function rows(): Promise<number> {
  return (await direct.query('SELECT count(*)::int AS n FROM kept')).rows[0].n;
}

const writing = [
  "SELECT '(3,x)'::pair",
  "SELECT '{1,2}'::writing[]",
  "SELECT '[1,2)'::span",
  "SELECT '(1)'::rows_of",
  "SELECT 1 FROM pairs WHERE p = '(3,x)'",
  "INSERT INTO pairs VALUES ('(3,x)')",
  "SELECT takes('(3,x)')",
];

test.each(writing)('PREPARE is held: %s', async (sql) => {
  const client = await guard.connect();
  client.send(query(`PREPARE s AS ${sql}`));
  expect((await client.until('Z')).some(({ summary }) => summary === 'PREPARE')).toBe(false);
  expect(await rows()).toBe(1);
  client.destroy();
});

test.each(writing)('Parse is not answered before it can be judged: %s', async (sql) => {
  for (const asks of [[sync()], [describe('S', 's'), sync()], [flush(), sync()]]) {
    const client = await guard.connect();
    client.send(parse('s', sql), ...asks);
    expect((await client.until('Z')).map(({ letter }) => letter)).toContain('E');
    expect(await rows()).toBe(1);
    client.destroy();
  }
});

test('what only computes is prepared as ever', async () => {
  const client = await guard.connect();
  client.send(query("PREPARE s AS SELECT '{1,2}'::computing[]"));
  expect((await client.until('Z')).some(({ summary }) => summary === 'PREPARE')).toBe(true);
  client.send(parse('t', "SELECT '{1,2}'::computing[], $1::int"), describe('S', 't'), sync());
  expect((await client.until('Z')).map(({ letter }) => letter)).toEqual(['1', 't', 'T', 'Z']);
  client.send(bind('', 't', [Buffer.from('1')]), execute(''), sync());
  expect((await client.until('Z')).map(({ summary }) => summary)).toContain('{1,2}|1');
  client.destroy();
});
