// Transparency, refusals and logins on every PostgreSQL from 13 to 18: the answers through Holdpoint are the ones of
// that very server, whose own habits differ (what a Query does to an open pipeline, when settings are reported).

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../src/wire/startup.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { startPostgres, type TestServer, tlsFixture } from '../support/postgres.ts';
import { errorFields, RawClient } from '../support/raw.ts';
import { cleared, run, scripts } from '../support/scripts.ts';

describe.each([13, 14, 15, 16, 17, 18])('PostgreSQL %i', (version) => {
  let server: TestServer;
  let observing: Guard;
  let guard: Guard;
  let direct: pg.Client;

  beforeAll(async () => {
    server = await startPostgres({ version, tls: true });
    const admin = new pg.Client({ connectionString: server.url() });
    await admin.connect();
    for (const name of ['plain', 'seen', 'held']) await admin.query(`create database ${name}`);
    await admin.end();
    direct = new pg.Client({ connectionString: server.url('held') });
    await direct.connect();
    await direct.query('create table t (a int primary key); insert into t select generate_series(1, 10)');
    observing = await startGuard({ url: server.url('seen'), rules: 'observe', audit: { values: 'none' } });
    guard = await startGuard({
      url: `${server.url('held').replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert=${tlsFixture.ca}`,
    });
  });

  afterAll(async () => {
    await direct?.end();
    await observing?.close();
    await guard?.close();
    await server?.stop();
  });

  async function rows(): Promise<number> {
    return (await direct.query('select count(*)::int as n from t')).rows[0].n;
  }

  test.each(Object.entries(scripts))('%s', async (_, steps) => {
    const plain = await RawClient.connect(server.host, server.port);
    await plain.login({ user: server.user, password: server.password, database: 'plain' });
    const expected = await run(await cleared(plain), steps);
    expect(await run(await cleared(await observing.connect()), steps)).toEqual(expected);
  });

  test('the target is reached over verified TLS with SCRAM-SHA-256-PLUS, and reports its version', async () => {
    const client = await guard.connect();
    expect(client.parameters.get('server_version')).toBe(server.version);
    client.send(query('select ssl from pg_stat_ssl where pid = pg_backend_pid()'));
    expect((await client.until('Z')).map((reply) => reply.summary)).toContain('t');
    client.destroy();
  });

  test('a rejected Bind fails its pipeline as the server would, and rolls back what came before', async () => {
    const client = await guard.connect();
    client.send(
      ...[parse('', 'insert into t values (100)'), bind('', ''), execute('')],
      ...[parse('', 'delete from t'), bind('', ''), execute('')],
      ...[parse('', 'select 1'), bind('', ''), execute(''), sync()],
    );
    const [waiting] = await guard.pending(1);
    await guard.decide(waiting!.id, 'reject', 'no');
    const replies = (await client.until('Z')).filter((reply) => reply.letter !== 'N');
    expect(replies.map((reply) => reply.letter).join('')).toBe('12C1EZ');
    expect(errorFields(replies.at(-2)!).get('C')).toBe('42501');
    expect(replies.at(-1)!.summary).toBe('I');
    expect(await rows()).toBe(10);
    client.destroy();
  });

  test('a rejected Query aborts its transaction', async () => {
    const client = await guard.connect();
    client.send(query('begin'));
    await client.until('Z');
    client.send(query('delete from t where true'));
    const [waiting] = await guard.pending(1);
    await guard.decide(waiting!.id, 'reject', 'no');
    expect((await client.until('Z')).at(-1)!.summary).toBe('E');
    expect(await rows()).toBe(10);
    client.destroy();
  });

  test('an approved statement runs, once', async () => {
    const client = await guard.connect();
    client.send(
      parse('', 'delete from t where a = $1'),
      bind('', '', [Buffer.from('10')]),
      execute(''),
      sync(),
    );
    await guard.approveNext();
    const tags = (await client.until('Z')).map((reply) => reply.summary);
    expect(tags).toContain('DELETE 1');
    await direct.query('insert into t values (10)');
    client.destroy();
  });

  test('a prepared statement that failed to replace another still stands for the other', async () => {
    const client = await guard.connect();
    client.send(parse('s', 'delete from t where a > 0'), sync());
    await client.until('Z');
    client.send(parse('s', 'select 1'), sync(), bind('', 's'), execute(''), sync());
    const [waiting] = await guard.pending(1);
    await guard.decide(waiting!.id, 'reject', 'no');
    await client.until('Z', 2);
    expect(await rows()).toBe(10);
    client.destroy();
  });

  test('a cancel request reaches the statement that runs', async () => {
    const client = await guard.connect();
    client.send(query('select pg_sleep(30)'));
    const active = `select 1 from pg_stat_activity where state = 'active' and query = 'select pg_sleep(30)'`;
    await expect.poll(async () => (await direct.query(active)).rowCount).toBe(1);
    const other = await RawClient.connect(guard.host, guard.port);
    other.send(cancelRequest(client.pid, client.key));
    await other.untilClosed();
    const [error] = (await client.until('Z')).filter((reply) => reply.letter === 'E');
    expect(errorFields(error!).get('C')).toBe('57014');
    client.destroy();
  });
});

test('an old server that asks for MD5, and one that asks for the password in the clear over TLS, are answered', async () => {
  const server = await startPostgres({
    version: 13,
    tls: true,
    settings: { password_encryption: 'md5' },
    hba: ['hostssl all clear all password', 'host all hashed all md5', 'host all all all scram-sha-256'],
  });
  const admin = new pg.Client({ connectionString: server.url() });
  await admin.connect();
  const password = pg.escapeLiteral(server.password);
  await admin.query(
    `create role clear login password ${password}; create role hashed login password ${password}`,
  );
  await admin.end();
  for (const [user, mode] of [
    ['clear', 'require'],
    ['hashed', 'disable'],
  ] as const) {
    const guard = await startGuard({ url: `${server.url('postgres', user)}?sslmode=${mode}` });
    const client = await guard.connect();
    client.send(query('select current_user'));
    expect((await client.until('Z')).map((reply) => reply.summary)).toContain(user);
    client.destroy();
    await guard.close();
  }
  await server.stop();
});
