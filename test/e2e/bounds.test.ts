// The shipped rules with bounds against a real server and its catalog: what passes unheld, what is undone and held with
// the count, what is never let through because no count would tell, and a budget that many small statements cannot
// get around.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { query } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type RawClient, transcript } from '../support/raw.ts';

const fixture = `
  create table item (id int primary key, n int not null default 0);
  insert into item select generate_series(1, 3000);
  create table parent (id int primary key);
  create table child (id int primary key, parent int references parent on delete cascade);
  insert into parent select generate_series(1, 10);
  insert into child select n, 1 + n % 10 from generate_series(1, 500) n;
`;

let folder: string;
let database: TestDatabase;
let direct: pg.Client;
let guard: Guard;
let client: RawClient;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-bounds-'));
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
});
beforeEach(async () => {
  await direct.query(`drop schema public cascade; create schema public; ${fixture}`);
});
afterEach(async () => {
  client?.destroy();
  await guard?.close();
});
afterAll(async () => {
  await direct?.end();
  await database?.drop();
  rmSync(folder, { recursive: true, force: true });
});

/** Guards the database with the shipped rules, and those of a file that extends them. */
async function guarded(rules = 'bounded-deletes'): Promise<void> {
  guard = await startGuard({ url: database.url, rules });
  client = await guard.connect();
}

async function answer(sql: string): Promise<string[]> {
  client.send(query(sql));
  return transcript(await client.until('Z'), 'T').filter((line) => !line.startsWith('N '));
}

/** Why the statement is held. A person rejects it then. */
async function heldFor(sql: string): Promise<string> {
  client.send(query(sql));
  const [waiting] = await guard.pending(1);
  const { request } = await guard.show(waiting!.id);
  await guard.decide(waiting!.id, 'reject');
  expect(transcript(await client.until('Z'), 'T').join()).toContain('E ERROR');
  return JSON.parse(request).policy.reason;
}

async function count(table: string): Promise<number> {
  return (await direct.query(`select count(*)::int as n from ${table}`)).rows[0].n;
}

test('few rows are deleted unheld; more are put back, and the request says how many there were', async () => {
  await guarded();
  expect(await answer('delete from item where id <= 100')).toEqual(['C DELETE 100', 'Z I']);
  expect(await heldFor('delete from item where id > 2000')).toContain('would change 1,000 rows');
  expect(await count('item')).toBe(2900);
});

test('rows that a foreign key would remove elsewhere are not counted, so nothing of it is tried', async () => {
  await guarded();
  const reason = await heldFor('delete from parent where id = 1');
  expect(reason).toContain('deletes rows');
  expect(reason).toContain('code behind it may change rows that the server does not count');
  expect(await count('child')).toBe(500);
});

test('rows that a WITH query changes are counted where the statement shows each of them, else it is held', async () => {
  await guarded();
  const few = 'with d as (delete from item where id <= 40 returning id) select id from d';
  expect((await answer(few)).at(-2)).toBe('C SELECT 40');
  const many = 'with d as (delete from item where id <= 400 returning id) select id from d';
  expect(await heldFor(many)).toContain('would change 360 rows');
  const hidden = 'with d as (delete from item where id <= 400 returning id) select count(*) from d';
  expect(await heldFor(hidden)).toContain('it changes rows in a part of it that the server does not count');
  expect(await count('item')).toBe(2960);
});

test('an UPDATE of up to a thousand rows passes by the default rules, and one of more is undone and held', async () => {
  await guarded('default');
  expect(await answer('update item set n = 1 where id <= 1000')).toEqual(['C UPDATE 1000', 'Z I']);
  expect(await heldFor('update item set n = 2 where id <= 1001')).toContain('would change 1,001 rows');
  expect(await answer('begin; update item set n = 3 where id = 7; commit')).toContain('C UPDATE 1');
  expect(await heldFor('begin; update item set n = 4 where id < 7; commit')).toContain('send it by itself');
  expect(await heldFor('delete from item where id = 1')).toContain('do not come back');
  expect(await count('item where n = 1')).toBe(999);
});

test('many small statements spend a budget, and what is over it is held, whichever session asks', async () => {
  const rules = join(folder, 'budget.yaml');
  writeFileSync(
    rules,
    `version: 1
extends: default
rules:
  - name: few-deletes
    action: pass
    effects: [read, delete]
    rowsMax: 100
    budget: { rows: 250 }
    overrides: [row-removal]
`,
  );
  await guarded(rules);
  expect(await answer('delete from item where id between 1 and 100')).toEqual(['C DELETE 100', 'Z I']);
  expect(await answer('delete from item where id between 101 and 200')).toEqual(['C DELETE 100', 'Z I']);
  expect(await answer('delete from item where id = 999999')).toEqual(['C DELETE 0', 'Z I']);
  client.destroy();
  client = await guard.connect();
  expect(await heldFor('delete from item where id between 201 and 251')).toContain('more than the 50');
  expect(await answer('delete from item where id between 201 and 250')).toEqual(['C DELETE 50', 'Z I']);
  for (const sql of ['delete from item where id = 300', 'delete from item where id between 300 and 310']) {
    expect(await heldFor(sql)).toContain('the budget of 250 rows an hour is spent');
  }
  expect(await count('item')).toBe(2750);
});
