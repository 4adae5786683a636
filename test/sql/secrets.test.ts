// Passwords and keys in every statement that can carry one: none comes out, neither in the text that people are shown, nor
// in what the log has of it, nor among the values that are put aside.

import { describe, expect, test } from 'vitest';
import { loggable, normalized } from '../../src/sql/loggable.ts';
import { analysisOf } from './facts.ts';

/** Statements that parse, each with the secret `hunter2` in it. */
const shapes: readonly string[] = [
  // Roles
  "CREATE ROLE r PASSWORD 'hunter2'",
  "CREATE USER u WITH LOGIN ENCRYPTED PASSWORD 'hunter2'",
  "CREATE GROUP g PASSWORD 'hunter2'",
  "ALTER ROLE r PASSWORD 'hunter2'",
  "ALTER USER u WITH PASSWORD E'hunter2\\''",
  "ALTER ROLE CURRENT_USER WITH PASSWORD $$hunter2$$ VALID UNTIL 'infinity'",
  "ALTER USER u PASSWORD U&'\\0068unter2 hunter2'",
  "CREATE ROLE r PASSWORD 'abc'\n 'hunter2'",
  "ALTER ROLE r PASSWORD 'SCRAM-SHA-256$4096:hunter2$a:b'",
  "SELECT 1; CREATE USER u PASSWORD 'hunter2'; SELECT 2",
  // Settings
  'SET app.password = hunter2',
  "SET app.password TO 'hunter2'",
  'SET LOCAL app.api_token = hunter2, x',
  "SET SESSION myapp.client_secret = 'hunter2'",
  'SET "app"."pAssword" = hunter2',
  'SET /* to = */ app.password /* x */ = hunter2',
  "ALTER ROLE r SET app.password = 'hunter2'",
  'ALTER ROLE r IN DATABASE d SET app.password TO hunter2',
  'ALTER DATABASE d SET app.secret_key = hunter2',
  "ALTER SYSTEM SET primary_conninfo = 'host=a password=hunter2'",
  'ALTER SYSTEM SET app.token = hunter2',
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET app.password = 'hunter2' AS 'select 1'",
  'ALTER FUNCTION f() SET app.password TO hunter2',
  "SELECT set_config('app.password', 'hunter2', false)",
  "SELECT pg_catalog.set_config('app.jwt_secret', 'hunter2', true)",
  "SELECT set_config('app.' || 'password', 'hunter2', false)",
  "UPDATE pg_settings SET setting = 'hunter2' WHERE name = 'app.x'",
  "UPDATE pg_authid SET rolpassword = 'hunter2' WHERE rolname = 'r'",
  // Other servers
  "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'a', password 'hunter2')",
  "CREATE USER MAPPING IF NOT EXISTS FOR PUBLIC SERVER s OPTIONS (pat 'hunter2')",
  "ALTER USER MAPPING FOR u SERVER s OPTIONS (SET password 'hunter2')",
  "ALTER USER MAPPING FOR u SERVER s OPTIONS (ADD sslpassword 'hunter2', DROP user)",
  "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'a', passfile 'hunter2')",
  "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (api_key 'hunter2')",
  "ALTER SERVER s OPTIONS (SET auth 'hunter2')",
  "CREATE FOREIGN DATA WRAPPER w OPTIONS (credentials 'hunter2')",
  "ALTER FOREIGN DATA WRAPPER w OPTIONS (ADD key 'hunter2')",
  "CREATE FOREIGN TABLE f (a int) SERVER s OPTIONS (aws_secret_access_key 'hunter2')",
  "IMPORT FOREIGN SCHEMA x FROM SERVER s INTO y OPTIONS (signature 'hunter2')",
  "CREATE SUBSCRIPTION s CONNECTION 'host=a password=hunter2' PUBLICATION p",
  "CREATE SUBSCRIPTION s CONNECTION 'service=hunter2' PUBLICATION p",
  "ALTER SUBSCRIPTION s CONNECTION 'host=a user=b password=hunter2'",
  "SELECT dblink_connect('host=a password=hunter2')",
  "SELECT dblink_connect('c', 'service=hunter2')",
  "SELECT dblink_connect_u('c', 'hunter2')",
  "SELECT * FROM dblink('hunter2', 'select 1') AS t(a int)",
  "SELECT public.dblink_exec('c', 'alter role r password ''hunter2''')",
  "SELECT 'postgres://u:hunter2@h/d'",
  'INSERT INTO conf VALUES (\'{"password": "hunter2"}\')',
  // Keys
  "SELECT crypt('hunter2', gen_salt('bf'))",
  "SELECT id FROM users WHERE pw = crypt('hunter2', pw)",
  "SELECT encrypt('data', 'hunter2', 'aes')",
  "SELECT decrypt_iv(data, 'hunter2', 'iv', 'aes') FROM t",
  "SELECT pgp_sym_encrypt('data', 'hunter2')",
  "SELECT pgp_sym_decrypt_bytea(c, 'hunter2') FROM t",
  "SELECT pgp_pub_decrypt(c, dearmor('x'), 'hunter2') FROM t",
  "SELECT hmac('data', 'hunter2', 'sha256'), digest('hunter2', 'sha1')",
  "SELECT md5('hunter2' || usename) FROM pg_user",
  "SELECT vault.create_secret('hunter2', 'name')",
  "SELECT azure_storage.account_add('name', 'hunter2')",
  "SELECT set_user_password('bob', 'hunter2')",
  "CALL app.rotate_api_key('hunter2')",
  // Around them
  "PREPARE p AS SELECT crypt('hunter2', $1)",
  "DECLARE c CURSOR FOR SELECT pgp_sym_decrypt(x, 'hunter2') FROM t",
  "EXPLAIN ANALYZE SELECT crypt('hunter2', pw) FROM t",
  "CREATE TABLE x AS SELECT encrypt('a', 'hunter2', 'aes')",
  "CREATE VIEW v AS SELECT pgp_sym_decrypt(x, 'hunter2') FROM t",
  "CREATE RULE r AS ON INSERT TO t DO ALSO SELECT dblink_exec('hunter2', 'select 1')",
  "CREATE FUNCTION f() RETURNS text LANGUAGE sql RETURN crypt('hunter2', 'x')",
  "CREATE FUNCTION f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT crypt('hunter2', 'x'); END",
  "COPY (SELECT crypt('hunter2', 'x')) TO STDOUT",
  "COPY t FROM PROGRAM 'curl -u bob:hunter2 https://x/'",
  "COPY t TO PROGRAM 'psql postgres://u:hunter2@h/d'",
  "COPY t FROM PROGRAM 'PGPASSWORD=hunter2 pg_dump'",
  "WITH a AS (SELECT dblink('hunter2', 'x')) SELECT * FROM a",
  // Bodies
  "DO $$ BEGIN ALTER ROLE r PASSWORD 'hunter2'; END $$",
  "DO $$ BEGIN EXECUTE 'ALTER ROLE r PASSWORD ''hunter2'''; END $$",
  "DO $$ BEGIN EXECUTE 'ALTER ROLE r PASSWORD ' || quote_literal('hunter2'); END $$",
  "DO $$ BEGIN EXECUTE format('ALTER ROLE r PASSWORD %L', 'hunter2'); END $$",
  "DO 'BEGIN ALTER ROLE r PASSWORD ''hunter2''; END'",
  "DO $$ BEGIN PERFORM dblink_connect('c', 'host=x password=hunter2'); END $$",
  "DO $$ BEGIN PERFORM set_config('app.password', 'hunter2', true); END $$",
  'DO $$ BEGIN -- the password is hunter2\n NULL; END $$',
  "DO LANGUAGE plpgsql $x$ BEGIN EXECUTE $q$ALTER USER u PASSWORD 'hunter2'$q$; END $x$",
  "DO E'BEGIN ALTER ROLE r PASSWORD ''hunter2''; END'",
  "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN crypt('hunter2', gen_salt('bf')); END $$",
  "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE sql AS $$ SELECT dblink_exec('hunter2', 'x') $$",
  "CREATE PROCEDURE p() LANGUAGE sql AS 'CREATE USER MAPPING FOR u SERVER s OPTIONS (pat ''hunter2'')'",
  "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE E'alter role r p\\141ssword ''hunter2'''; END $$",
  "SELECT cron.schedule('x', '* * * * *', $$ALTER ROLE r PASSWORD 'hunter2'$$)",
  "INSERT INTO jobs VALUES ('ALTER ROLE r PASSWORD ''hunter2''')",
  // Comments
  'SELECT 1 -- password = hunter2',
  '/* PGPASSWORD=hunter2 psql */ SELECT 1',
  'SELECT /* postgres://u:hunter2@h/d */ 1',
  "/* ALTER ROLE r PASSWORD 'hunter2' */ SELECT 1",
];

test('there are shapes enough, and all of them are SQL', async () => {
  expect(shapes.length).toBeGreaterThanOrEqual(60);
  for (const sql of shapes) {
    const { kind } = await analysisOf(sql);
    expect([sql, kind]).toEqual([sql, 'statements']);
    expect(sql).toContain('hunter2');
  }
});

describe('no secret comes out of', () => {
  test.each(shapes)('%s', async (sql) => {
    const analysis = await analysisOf(sql);
    for (const comments of ['keep', 'strip'] as const) {
      const outputs = [
        loggable(Buffer.from(sql), analysis, comments),
        normalized(Buffer.from(sql), analysis, comments),
      ];
      expect(JSON.stringify(outputs)).not.toContain('hunter2');
    }
    expect(loggable(Buffer.from(sql), analysis).secret).toBe(true);
  });
});

describe('what does not parse shows nothing', () => {
  test.each([
    "ALTER ROLE r PASWORD 'hunter2'",
    "ALTER ROLE r PASSWORD 'hunter2",
    'ALTER ROLE r PASSWORD "hunter2"',
    'hunter2',
    'hunter2 is the password',
    "SELEC crypt('hunter2')",
    '/* hunter2 */ SELEC 1',
  ])('%s', async (sql) => {
    const analysis = await analysisOf(sql);
    expect(analysis.kind).toBe('syntax');
    expect(
      JSON.stringify([loggable(Buffer.from(sql), analysis), normalized(Buffer.from(sql), analysis)]),
    ).not.toContain('hunter2');
  });
});

describe('what carries no secret is shown as it is', () => {
  test.each([
    "SELECT 'password', 'it''s a token of thanks'",
    "SET password_encryption = 'scram-sha-256'",
    'SET work_mem = 64',
    'RESET app.password',
    'CREATE ROLE r LOGIN CONNECTION LIMIT 5',
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'a', port '5432', dbname 'd')",
    'CREATE TABLE t (a int) WITH (fillfactor = 70)',
    "DO $$ BEGIN RAISE NOTICE 'done'; EXECUTE 'drop table x'; END $$",
    "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'a' $$",
    "COPY t FROM '/srv/data.csv' WITH (FORMAT csv, HEADER)",
    "ALTER ROLE r SET search_path = 'a', b",
    '/* one */ SELECT 1 -- two',
  ])('%s', async (sql) => {
    expect(loggable(Buffer.from(sql), await analysisOf(sql))).toEqual({ sql, literals: [], secret: false });
  });
});

test('comments are taken out where the log is not to have them', async () => {
  const sql = "/* for bob@example.org */ SELECT 'a' /* x */, 1 -- y\n; -- z";
  const analysis = await analysisOf(sql);
  expect(normalized(Buffer.from(sql), analysis, 'strip')).toEqual({
    sql: '  SELECT $1  , $2  \n;  ',
    literals: ["'a'", '1'],
    secret: false,
  });
  expect(loggable(Buffer.from(sql), analysis, 'strip').sql).toBe("  SELECT 'a'  , 1  \n;  ");
});

test("the value of an application's setting is lifted, also where it is a bare word", async () => {
  for (const [sql, lifted] of [
    ['SET app.user_id = alice', ['alice']],
    ["SET LOCAL app.tenant TO 'acme', b", ["'acme', b"]],
    ['ALTER ROLE r SET app.tenant = acme', ['acme']],
  ] as const) {
    const { sql: text, literals } = normalized(Buffer.from(sql), await analysisOf(sql));
    expect(literals).toEqual(lifted);
    expect(text).not.toMatch(/alice|acme/);
  }
});
