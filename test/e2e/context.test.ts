// B4: an approval is good for the context it was given in. A retry, or another session that would join, under another
// role, search_path, setting or with other values asks anew; what is found behind a name meanwhile is looked at again.

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, type RawClient, type Reply } from '../support/raw.ts';

let database: TestDatabase;
let brief: Guard;
let guard: Guard;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  brief = await startGuard({ url: database.url, hold: { waitMs: 100, pendingMax: 1000 } });
  guard = await startGuard({ url: database.url });
});

afterAll(async () => {
  await brief?.close();
  await guard?.close();
  await direct?.end();
  await database?.drop();
});

beforeEach(async () => {
  await direct.query(`drop schema if exists nearer cascade; drop table if exists kept, other cascade;
    create schema nearer; create table kept as select generate_series(1, 5) as n;
    create table other as select generate_series(1, 5) as n`);
});

let serial = 0;
const text = (): string => {
  serial += 1;
  return `delete from kept where n = 1 /* ${serial} */`;
};

async function left(table = 'kept'): Promise<number> {
  return (await direct.query(`select count(*)::int as n from ${table}`)).rows[0].n;
}

/** `ran`, or the request that it waits for and its state. */
function outcome(replies: readonly Reply[]): { ran: boolean; request?: string; state?: string } {
  const error = replies.find(({ letter }) => letter === 'E');
  if (error === undefined) return { ran: true };
  return { ran: false, ...JSON.parse(errorFields(error).get('D') ?? '{}') };
}

async function send(client: RawClient, ...frames: Buffer[]): Promise<ReturnType<typeof outcome>> {
  client.send(...frames);
  return outcome(await client.until('Z'));
}

async function prepared(settings: readonly string[]): Promise<RawClient> {
  const client = await brief.connect();
  for (const sql of settings) expect(await send(client, query(sql))).toEqual({ ran: true });
  return client;
}

describe('an approval that waits for its retry', () => {
  test.each([
    ['search_path', ['set search_path = nearer, public']],
    ['time zone', ["set timezone = 'Asia/Tokyo'"]],
    ['style of dates', ["set datestyle = 'SQL, DMY'"]],
    ['style of intervals', ["set intervalstyle = 'sql_standard'"]],
    ['setting of its own', ["set app.tenant = '2'"]],
    ['temporary table of that name', ['create temp table kept (n int)']],
  ])('is not used under another %s, and is in the context it was given in', async (_, settings) => {
    const sql = text();
    const first = await prepared([]);
    const { request } = await send(first, query(sql));
    await brief.decide(request!, 'approve');
    const other = await prepared(settings);
    const asked = await send(other, query(sql));
    if (asked.ran) {
      // Its own temporary table is its own affair: the approval is untouched.
      expect(await left()).toBe(5);
    } else expect(asked.request).not.toBe(request);
    expect(await left()).toBe(5);
    expect(await send(first, query(sql))).toEqual({ ran: true });
    expect(await left()).toBe(4);
    first.destroy();
    other.destroy();
  });

  test('is not used with other values, types or formats', async () => {
    const sql = text().replace('n = 1', 'n = $1');
    const client = await prepared([]);
    const run = (value: Buffer, oid = 23, format = 0) => [
      parse('', sql, [oid]),
      bind('', '', [value], [format]),
      execute(''),
      sync(),
    ];
    const { request } = await send(client, ...run(Buffer.from('1')));
    await brief.decide(request!, 'approve');
    for (const frames of [
      run(Buffer.from('2')),
      run(Buffer.from([0, 0, 0, 1]), 23, 1),
      run(Buffer.from('1'), 20),
    ]) {
      const asked = await send(client, ...frames);
      expect(asked.request).toEqual(expect.any(String));
      expect(asked.request).not.toBe(request);
    }
    expect(await left()).toBe(5);
    expect(await send(client, ...run(Buffer.from('1')))).toEqual({ ran: true });
    client.destroy();
  });

  test('is not used once something else is behind the name', async () => {
    const sql = text();
    const client = await prepared([]);
    const { request } = await send(client, query(sql));
    await brief.decide(request!, 'approve');
    await direct.query(
      'alter table kept rename to aside; alter table other rename to kept; alter table aside rename to other',
    );
    const asked = await send(client, query(sql));
    expect(asked.ran).toBe(false);
    expect(asked.request).not.toBe(request);
    expect([await left('kept'), await left('other')]).toEqual([5, 5]);
    client.destroy();
  });
});

describe('while it waits', () => {
  async function held(client: RawClient, sql: string): Promise<string> {
    client.send(query(sql));
    return JSON.parse(errorFields((await client.until('N')).at(-1)!).get('D')!).request;
  }

  /** The request that has taken the place of another. */
  async function next(before: string): Promise<string> {
    await expect.poll(async () => (await guard.pending()).filter(({ id }) => id !== before).length).toBe(1);
    return (await guard.pending()).find(({ id }) => id !== before)!.id;
  }

  test('a table of that name earlier in the search_path: it is held again, and shown as what it is now', async () => {
    const client = await guard.connect();
    expect(await send(client, query('set search_path = nearer, public'))).toEqual({ ran: true });
    const id = await held(client, text());
    await direct.query('create table nearer.kept as select generate_series(1, 5) as n');
    await guard.decide(id, 'approve');
    const again = await next(id);
    expect(JSON.parse((await guard.show(again)).request).policy.reason).toMatch(
      /held again after an approval/,
    );
    await guard.decide(again, 'reject');
    expect(outcome(await client.until('Z')).state).toBe('rejected');
    expect([await left('public.kept'), await left('nearer.kept')]).toEqual([5, 5]);
    client.destroy();
  });

  test('those who wait behind it are told that its approval is used up, and run nothing', async () => {
    const sql = text();
    const [one, two] = [await guard.connect(), await guard.connect()];
    const id = await held(one, sql);
    expect(await held(two, sql)).toBe(id);
    await direct.query(
      'alter table kept rename to aside; alter table other rename to kept; alter table aside rename to other',
    );
    await guard.decide(id, 'approve');
    const again = await next(id);
    expect(outcome(await two.until('Z'))).toMatchObject({ ran: false, request: id, state: 'canceled' });
    await guard.decide(again, 'reject');
    expect(outcome(await one.until('Z'))).toMatchObject({ ran: false, request: again, state: 'rejected' });
    expect([await left('kept'), await left('other')]).toEqual([5, 5]);
    for (const client of [one, two]) client.destroy();
  });

  test('a session in another context does not wait for the same request', async () => {
    const sql = text();
    const [one, two] = [await guard.connect(), await guard.connect()];
    await send(two, query("set timezone = 'Asia/Tokyo'"));
    const [id, other] = [await held(one, sql), await held(two, sql)];
    expect(other).not.toBe(id);
    for (const each of [id, other]) await guard.decide(each, 'reject');
    for (const client of [one, two]) {
      await client.until('Z');
      client.destroy();
    }
  });
});
