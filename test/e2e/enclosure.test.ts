// Enclosures of the whole house, by the shipped rules and the real catalog: what may run code that writes is tried where
// the server refuses writes, an UPDATE is counted, and the request and the log say what became of the attempt.

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type RawClient, transcript } from '../support/raw.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  // With a better match in public, what md5('a') means is certain only on the server.
  await direct.query(`
    create table t (a int primary key, b int not null default 0);
    create function md5(varchar) returns text language plpgsql as $$ begin delete from t where a = 1; return 'mine'; end $$;
  `);
  guard = await startGuard({ url: database.url });
});

beforeEach(async () => {
  await direct.query('truncate t; insert into t (a) select generate_series(1, 2000)');
});

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

async function rows(where = 'true'): Promise<number> {
  return (await direct.query(`select count(*)::int as n from t where ${where}`)).rows[0].n;
}

async function ask(client: RawClient, ...frames: Buffer[]): Promise<string[]> {
  client.send(...frames);
  return lines(client);
}

async function lines(client: RawClient): Promise<string[]> {
  return transcript(await client.until('Z'), 'TN123');
}

async function reasonOf(rid: string): Promise<string> {
  return JSON.parse((await guard.show(rid)).request).policy.reason;
}

describe('a statement that may reach a function which writes', () => {
  test('runs at once where it does not: the builtin was meant', async () => {
    const client = await guard.connect();
    const sum = '0cc175b9c0f1b6a831c399e269772661';
    expect(await ask(client, query("select md5('a'::text)"))).toEqual([`D ${sum}`, 'C SELECT 1', 'Z I']);
    expect(
      await ask(
        client,
        parse('', 'select md5($1::text)'),
        bind('', '', [Buffer.from('a')]),
        execute(''),
        sync(),
      ),
    ).toEqual([`D ${sum}`, 'C SELECT 1', 'Z I']);
    expect(await guard.pending()).toEqual([]);
    client.destroy();
  });

  test('is undone and held where it does, with the words of the server; approved, it runs', async () => {
    const client = await guard.connect();
    client.send(query("select md5('a'::varchar)"));
    const [waiting] = await guard.pending(1);
    expect(await rows()).toBe(2000);
    expect(await reasonOf(waiting!.id)).toContain(
      'tried to write: cannot execute DELETE in a read-only transaction',
    );
    await guard.decide(waiting!.id, 'approve');
    expect(await lines(client)).toEqual(['D mine', 'C SELECT 1', 'Z I']);
    expect(await rows()).toBe(1999);
    client.destroy();
  });

  test('rejected, it fails in the client own block, which goes on as the client decides', async () => {
    const client = await guard.connect();
    await ask(client, query('begin'));
    await ask(client, query('insert into t values (3000)'));
    client.send(query("select md5('a'::varchar)"));
    const [waiting] = await guard.pending(1);
    await guard.decide(waiting!.id, 'reject', 'no');
    expect((await lines(client)).at(-1)).toBe('Z E');
    expect(await ask(client, query('rollback'))).toEqual(['C ROLLBACK', 'Z I']);
    expect(await rows()).toBe(2000);
    client.destroy();
  });
});

describe('an UPDATE', () => {
  test('of a thousand rows passes', async () => {
    const client = await guard.connect();
    expect(await ask(client, query('update t set b = 1 where a <= 1000'))).toEqual(['C UPDATE 1000', 'Z I']);
    expect(await rows('b = 1')).toBe(1000);
    client.destroy();
  });

  test('of one more is undone, and the request has the true count', async () => {
    const client = await guard.connect();
    client.send(
      parse('', 'update t set b = $1 where a > 1'),
      bind('', '', [Buffer.from('2')]),
      execute(''),
      sync(),
    );
    const [waiting] = await guard.pending(1);
    expect(await rows('b = 2')).toBe(0);
    expect(await reasonOf(waiting!.id)).toBe(
      'would change 1,999 rows, more than the 1,000 that rule bounded-updates lets through',
    );
    await guard.decide(waiting!.id, 'approve');
    expect(await lines(client)).toEqual(['C UPDATE 1999', 'Z I']);
    expect(await rows('b = 2')).toBe(1999);
    client.destroy();
  });

  test('that nobody approved in time passes later, once, when it is sent again', async () => {
    const hasty = await startGuard({ url: database.url, hold: { waitMs: 150 } });
    const client = await hasty.connect();
    const frame = query('update t set b = 3 where a > 10');
    expect((await ask(client, frame))[0]).toContain('still waiting for approval');
    const [waiting] = await hasty.pending(1);
    await hasty.decide(waiting!.id, 'approve');
    expect(await rows('b = 3')).toBe(0);
    expect(await ask(client, frame)).toEqual(['C UPDATE 1990', 'Z I']);
    expect((await ask(client, frame))[0]).toContain('still waiting for approval');
    client.destroy();
    await hasty.close();
  });
});
