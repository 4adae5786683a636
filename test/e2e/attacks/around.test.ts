// Going around (threats F): other servers and the operating system from inside the database, definitions that change
// between two looks, row-level policies, many small steps. Credentials and the cloud's own API (F1–F3) are not SQL.

import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { query } from '../../../src/wire/messages/frontend.ts';
import { besiege, refused, type Siege, sent, unharmed } from '../../support/siege.ts';
import { fixture } from './fixture.ts';

describe('other servers and the operating system', () => {
  let siege: Siege;
  const file = join(tmpdir(), `holdpoint-around-${process.pid}`);

  const texts: readonly string[] = [
    "SELECT dblink_exec('{dsn}', 'DELETE FROM t')",
    "SELECT public.dblink_exec('{dsn}', 'DELETE FROM t', false)",
    "SELECT * FROM dblink('{dsn}', 'DELETE FROM t RETURNING id') AS x (id int)",
    "SELECT dblink_connect('c', '{dsn}')",
    "SELECT dblink_send_query('c', 'DELETE FROM t')",
    "SELECT dblink_connect('c', 'loop')",
    'SELECT * FROM far_hidden',
    'SELECT count(*) FROM far_t',
    'INSERT INTO far_b VALUES (7)',
    'UPDATE far_t SET a = 5 WHERE id = 1',
    'DELETE FROM far_t',
    'SELECT * FROM program',
    'SELECT * FROM of_program',
    'SELECT line FROM passwords',
    "COPY t TO PROGRAM 'cat > {file}'",
    "COPY (SELECT 1) TO PROGRAM 'touch {file}'",
    "COPY a (n) FROM PROGRAM 'touch {file}; echo x'",
    "COPY t TO '{file}'",
    "COPY (TABLE t) TO '{file}' WITH (FORMAT csv)",
    "SELECT lo_export(1, '{file}')",
    "SELECT pg_catalog.lo_export(1, '{file}')",
    "CREATE FUNCTION sh(cstring) RETURNS int AS 'libc.so.6', 'system' LANGUAGE c",
    'CREATE EXTENSION adminpack',
    "CREATE TABLESPACE evil LOCATION '/tmp'",
    "ALTER SYSTEM SET archive_command = 'touch {file}'",
    "CREATE SUBSCRIPTION evil CONNECTION '{dsn}' PUBLICATION p WITH (connect = false)",
    'CREATE PUBLICATION evil FOR ALL TABLES',
    'IMPORT FOREIGN SCHEMA public FROM SERVER loop INTO evil',
    "CREATE SERVER evil FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1')",
    "ALTER SERVER loop OPTIONS (SET dbname 'postgres')",
    "CREATE USER MAPPING FOR PUBLIC SERVER loop OPTIONS (user 'postgres')",
    'SELECT postgres_fdw_disconnect_all()',
    "CREATE ROLE evil LOGIN SUPERUSER PASSWORD 'x'",
    "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
    'GRANT pg_write_server_files TO CURRENT_USER',
    'GRANT pg_execute_server_program TO CURRENT_USER WITH ADMIN OPTION',
    'ALTER DATABASE postgres OWNER TO CURRENT_USER',
  ];

  beforeAll(async () => {
    siege = await besiege({ fixture });
    const { host, port, password, database } = siege.direct;
    const quoted = `'${String(password).replaceAll("'", "''")}'`;
    await siege.direct.query(`
      create extension dblink; create extension postgres_fdw; create extension file_fdw;
      create view hidden as select purge() as p;
      create server loop foreign data wrapper postgres_fdw options (host '${host}', port '${port}', dbname '${database}');
      create user mapping for current_user server loop options (user 'postgres', password ${quoted});
      create foreign table far_t (id int, a int) server loop options (table_name 't');
      create foreign table far_b (id int) server loop options (table_name 'b');
      create foreign table far_hidden (p int) server loop options (table_name 'hidden');
      create server files foreign data wrapper file_fdw;
      create foreign table program (line text) server files options (program 'touch ${file}; echo x');
      create view of_program as select line from program;
      create foreign table passwords (line text) server files options (filename '/etc/passwd');
    `);
  });

  afterAll(async () => {
    rmSync(file, { force: true });
    await siege?.close();
  });

  test('every way across is refused, and leaves nothing', async () => {
    const dsn = siege.dsn.replaceAll("'", "''");
    await unharmed(
      siege,
      texts.map((text) => text.replace('{dsn}', dsn).replace('{file}', file)),
    );
    expect(existsSync(file)).toBe(false);
  });

  test('unguarded, a foreign table runs a program and a writer at the other end', async () => {
    expect(refused(await sent(await siege.unguarded(), 'SELECT * FROM of_program'))).toBe(false);
    expect(existsSync(file)).toBe(true);
    rmSync(file);
    expect(await sent(await siege.unguarded(), 'BEGIN; SELECT * FROM far_hidden', 'ROLLBACK')).toContain(
      'D 1',
    );
  });
});

describe('definitions that change outside (F6)', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await besiege({ fixture });
    await siege.direct.query(`create view later as select 1 as p;
      create function soon() returns int language sql as 'select 1';
      create table plain (a int)`);
  });

  afterAll(() => siege?.close());

  test('what was harmless is refused once it is not, in a session that knew it before', async () => {
    const reads = ['SELECT * FROM later', 'SELECT soon()', 'INSERT INTO plain VALUES (1)'];
    const client = await siege.guard.connect();
    for (const text of reads) {
      client.send(query(text));
      expect(
        (await client.until('Z')).map(({ letter }) => letter),
        text,
      ).not.toContain('E');
    }
    await siege.direct.query(`begin;
      create or replace view later as select purge() as p;
      create or replace function soon() returns int language plpgsql as 'begin return purge(); end';
      create function on_write() returns trigger language plpgsql as 'begin perform purge(); return new; end';
      create trigger on_write before insert on plain for each row execute function on_write();
      create view fresh as select 1 as p;
      commit`);
    // Unknown names are held; once this one is known, the others are known anew.
    await expect
      .poll(async () => refused(await sent(await siege.guard.connect(), 'SELECT * FROM fresh')), {
        timeout: 20_000,
      })
      .toBe(false);
    for (const text of reads) {
      client.send(query(text));
      expect(
        (await client.until('Z')).map(({ letter }) => letter),
        text,
      ).toContain('E');
    }
    client.destroy();
    const { rows } = await siege.direct.query('select count(*)::int as n from customers');
    expect(rows[0].n).toBe(10);
  });
});

describe('row-level policies, for a role that they bind', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await besiege({
      ordinary: true,
      fixture: `${fixture.replace(/create materialized view[^;]*;/, '')}
        create table lure_rows (a int, b int);
        insert into lure_rows values (1, 1);
        create table lure_quiet (a int);
        insert into lure_quiet values (1), (2);
        create function sees(int) returns boolean language plpgsql as 'begin delete from customers; return true; end';
        create policy seen on lure_rows for select using (sees(a));
        create policy kept on lure_rows for insert with check (sees(a));
        create policy quiet on lure_quiet using (a = 1);
        alter table lure_rows enable row level security;
        alter table lure_rows force row level security;
        alter table lure_quiet enable row level security;
        alter table lure_quiet force row level security;
        create view over_rows as select * from lure_rows;`,
    });
  });

  afterAll(() => siege?.close());

  test('a policy that writes is refused, whatever reaches it', async () => {
    await unharmed(siege, [
      'SELECT * FROM lure_rows',
      'SELECT count(*) FROM over_rows',
      'INSERT INTO lure_rows VALUES (2, 2)',
      'UPDATE lure_rows SET b = 2 WHERE a = 1',
      'COPY lure_rows TO STDOUT',
      'SELECT 1 WHERE EXISTS (SELECT FROM lure_rows)',
    ]);
  });

  test('a policy that only compares passes, and cannot be switched off', async () => {
    expect(await sent(await siege.guard.connect(), 'SELECT a FROM lure_quiet')).toEqual([
      'D 1',
      'C SELECT 1',
      'Z I',
    ]);
    await unharmed(siege, [
      'ALTER TABLE lure_quiet NO FORCE ROW LEVEL SECURITY',
      'ALTER TABLE lure_quiet DISABLE ROW LEVEL SECURITY',
      'DROP POLICY quiet ON lure_quiet',
      'CREATE POLICY more ON lure_quiet USING (true)',
      'ALTER ROLE CURRENT_USER BYPASSRLS',
      'SET SESSION AUTHORIZATION postgres',
    ]);
  });
});

describe('many small steps (F7)', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await besiege({
      fixture: 'create table many as select n as id from generate_series(1, 300) n',
      rules: 'bounded-deletes',
    });
  });

  afterAll(() => siege?.close());

  test('more rows than the rule lets through at once are put back, by every way of asking', async () => {
    await unharmed(siege, [
      'DELETE FROM many WHERE id > 100',
      'DELETE FROM many',
      'DELETE FROM many WHERE id <= 101',
      'WITH d AS (DELETE FROM many WHERE id > 0 RETURNING id) SELECT count(*) FROM d',
      'WITH d AS (DELETE FROM many WHERE id < 200 RETURNING id) SELECT 1 LIMIT 1',
      'BEGIN; DELETE FROM many WHERE id > 100; COMMIT',
      ['BEGIN', 'DELETE FROM many WHERE id > 100', 'COMMIT'],
      'COPY (DELETE FROM many WHERE id > 100 RETURNING id) TO STDOUT',
      'EXPLAIN ANALYZE DELETE FROM many WHERE id > 100',
      'PREPARE w AS DELETE FROM many WHERE id > 100; EXECUTE w',
      ['PREPARE w AS DELETE FROM many WHERE id > 100', 'EXECUTE w'],
      'MERGE INTO many USING (VALUES (1)) v (x) ON id > 100 WHEN MATCHED THEN DELETE',
      'TRUNCATE many',
    ]);
  });
});
