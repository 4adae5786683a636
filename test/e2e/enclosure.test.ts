// Enclosures against a real server: statements that pass only within a transaction or savepoint of Holdpoint's. What
// they do is undone where they do more than the rules let through, and held; and the client sees nothing of all that.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { query } from '../../src/wire/messages/frontend.ts';
import { enclosingRules } from '../support/enclosing.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type RawClient, type Reply, transcript } from '../support/raw.ts';

let folder: string;
let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-enclosure-'));
  writeFileSync(join(folder, 'rules.yaml'), enclosingRules);
  database = await createDatabase();
  guard = await startGuard({ url: database.url, rules: join(folder, 'rules.yaml') });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
});

beforeEach(async () => {
  await direct.query(`
    drop schema public cascade; create schema public;
    create table t (a int primary key, b int not null default 0);
    insert into t (a) select generate_series(1, 20);
    create function reads() returns bigint language plpgsql as $$ begin return (select count(*) from t); end $$;
    create function writes() returns int language plpgsql as $$ begin delete from t where a = 1; return 1; end $$;
  `);
});

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  await database?.drop();
  rmSync(folder, { recursive: true, force: true });
});

async function rows(where = 'true'): Promise<number> {
  return (await direct.query(`select count(*)::int as n from t where ${where}`)).rows[0].n;
}

async function ask(client: RawClient, ...frames: Buffer[]): Promise<string[]> {
  client.send(...frames);
  return lines(await client.until('Z'));
}

function lines(replies: readonly Reply[]): string[] {
  return transcript(replies, 'T');
}

describe('a Query that may run unproven code', () => {
  test('is answered as ever where it only reads', async () => {
    const client = await guard.connect();
    expect(await ask(client, query('select reads()'))).toEqual(['D 20', 'C SELECT 1', 'Z I']);
    expect(await ask(client, query('select reads() from nowhere'))).toEqual([
      'E ERROR 42P01 relation "nowhere" does not exist',
      'Z I',
    ]);
    client.destroy();
  });

  test('is undone and held where it writes, and runs once a person has approved it', async () => {
    const client = await guard.connect();
    client.send(query('select writes()'));
    const [waiting] = await guard.pending(1);
    expect(await rows()).toBe(20);
    const { request } = await guard.show(waiting!.id);
    expect(JSON.parse(request).policy.reason).toContain(
      'tried to write: cannot execute DELETE in a read-only transaction',
    );
    await guard.decide(waiting!.id, 'approve');
    const answer = await client.until('Z');
    expect(lines(answer).filter((line) => !line.startsWith('N '))).toEqual(['D 1', 'C SELECT 1', 'Z I']);
    expect(await rows()).toBe(19);
    client.destroy();
  });

  test('leaves the client its own block as it was', async () => {
    const client = await guard.connect();
    expect(await ask(client, query('begin'))).toEqual(['C BEGIN', 'Z T']);
    expect(await ask(client, query('select reads()'))).toEqual(['D 20', 'C SELECT 1', 'Z T']);
    expect(await ask(client, query('insert into t values (100)'))).toEqual(['C INSERT 0 1', 'Z T']);
    client.send(query('select writes()'));
    const [waiting] = await guard.pending(1);
    await guard.decide(waiting!.id, 'reject', 'no');
    expect(lines(await client.until('Z')).at(-1)).toBe('Z E');
    expect(await ask(client, query('rollback'))).toEqual(['C ROLLBACK', 'Z I']);
    expect(await rows()).toBe(20);
    client.destroy();
  });
});

describe('a Query that may change too many rows', () => {
  test('passes up to the limit', async () => {
    const client = await guard.connect();
    expect(await ask(client, query('update t set b = 1 where a <= 10'))).toEqual(['C UPDATE 10', 'Z I']);
    expect(await rows('b = 1')).toBe(10);
    client.destroy();
  });

  test('is undone beyond it and held with the true count', async () => {
    const client = await guard.connect();
    client.send(query('update t set b = 1 where a <= 11'));
    const [waiting] = await guard.pending(1);
    expect(await rows('b = 1')).toBe(0);
    const { request } = await guard.show(waiting!.id);
    expect(JSON.parse(request).policy.reason).toBe(
      'would change 11 rows, more than the 10 that rule changes lets through',
    );
    await guard.decide(waiting!.id, 'approve');
    await client.until('Z');
    expect(await rows('b = 1')).toBe(11);
    client.destroy();
  });
});
