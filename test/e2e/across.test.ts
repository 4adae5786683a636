// Ways across: an agent of a staging target, whose upstream role may do a great deal there, tries to reach the server
// that another target means. Nobody approves; the other server is asked directly afterwards.

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { query } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';
import { RawClient, transcript } from '../support/raw.ts';
import { refused, sent, together } from '../support/siege.ts';

let other: TestServer;
let here: TestServer;
let there: pg.Client;
let guard: Guard;
/** How the staging server would reach the other. */
let link: string;

beforeAll(async () => {
  [here, other] = await Promise.all([startPostgres(), startPostgres()]);
  there = new pg.Client({ connectionString: other.url() });
  await there.connect();
  await there.query('create table kept as select g as n from generate_series(1, 10) g');
  const password = other.password.replaceAll("'", "\\'");
  link = `host=${other.host} port=${other.port} user=postgres dbname=postgres password='${password}'`;
  const admin = new pg.Client({ connectionString: here.url() });
  await admin.connect();
  await admin.query(`
    create extension dblink;
    create extension postgres_fdw;
    create server prod foreign data wrapper postgres_fdw
      options (host '${other.host}', port '${other.port}', dbname 'postgres');
    create user mapping for current_user server prod options (user 'postgres', password ${pg.escapeLiteral(other.password)});
    create foreign table far (n int) server prod options (table_name 'kept');
    create view farther as select n from far;
    create function furthest() returns bigint language sql as 'select count(*) from farther';
    create table near as select 1 as n;
  `);
  await admin.end();
  guard = await startGuard({ url: here.url(), hold: { waitMs: 100, pendingMax: 1000 } });
});

afterAll(async () => {
  await guard?.close();
  await there?.end();
  await here?.stop();
  await other?.stop();
});

const ways = (): readonly (readonly string[])[] => {
  const to = pg.escapeLiteral(link);
  return [
    [`select * from dblink(${to}, 'delete from kept returning n') as t(n int)`],
    [`select dblink_exec(${to}, 'delete from kept')`],
    [`select dblink_connect('c', ${to})`, "select dblink_exec('c', 'delete from kept')"],
    [`select dblink_connect_u('c', ${to})`],
    [`select dblink_send_query('c', 'delete from kept')`],
    [`select public.dblink_exec('prod', 'delete from kept')`],
    [`select count(*) from near where dblink_exec('prod', 'delete from kept') is not null`],
    ['select * from far'],
    ['select * from farther'],
    ['select furthest()'],
    ['copy far to stdout'],
    ['insert into far values (11)'],
    ['update far set n = 0'],
    ['delete from far'],
    ['explain analyze delete from far'],
    ['truncate far'],
    ['insert into near select n from far'],
    ['import foreign schema public from server prod into public'],
    ["create foreign table mine (n int) server prod options (table_name 'kept')"],
    ['create server p2 foreign data wrapper postgres_fdw'],
    ["alter server prod options (set host '10.0.0.1')"],
    ["create user mapping for public server prod options (user 'postgres')"],
    [`create subscription s connection ${to} publication p with (connect = false)`],
    ["copy near to program 'touch /tmp/holdpoint-across'"],
    ["copy near from program 'echo 1'"],
    ['create table got (t text)', "copy got from program 'psql'"],
    [`do $$ begin perform dblink_exec('prod', 'delete from kept'); end $$`],
    ['select postgres_fdw_disconnect_all()'],
  ];
};

test('no statement of the one target reaches the server of the other', async () => {
  const answers = await together(ways(), async (texts) => ({
    texts,
    lines: await sent(await guard.connect(), ...texts),
  }));
  expect(answers.filter(({ lines }) => !refused(lines)).map(({ texts }) => texts)).toEqual([]);
  expect((await there.query('select count(*)::int as n from kept')).rows).toEqual([{ n: 10 }]);
  const { rows } = await there.query(
    "select count(*)::int as n from pg_stat_activity where application_name = 'postgres_fdw' or query ~ '^(fetch|declare|delete)'",
  );
  expect(rows).toEqual([{ n: 0 }]);
});

test('what the target has of its own is read and written as ever', async () => {
  const client = await guard.connect();
  client.send(query('insert into near values (2); select count(*) from near'));
  expect(transcript(await client.until('Z'), 'TSN')).toEqual(['C INSERT 0 1', 'D 2', 'C SELECT 1', 'Z I']);
  client.destroy();
});

test('a credential opens no target but its own, and says no more than a wrong password does', async () => {
  const attempt = async (database: string, password: string): Promise<string> => {
    const client = await RawClient.connect(guard.host, guard.port);
    return client.login({ user: guard.agent, password, database }).then(
      () => 'it was let in',
      (error: Error) => error.message,
    );
  };
  const wrong = await attempt('shop', 'wrong');
  for (const database of [
    'postgres',
    'template1',
    'prod',
    'shop; x',
    `dbname=postgres host=${other.host}`,
    link,
  ])
    expect(await attempt(database, guard.password), database).toBe(wrong);
});
