import { expect, test } from 'vitest';
import { classOf } from '../../src/sql/class.ts';
import { classify } from '../../src/sql/classify.ts';
import { factsOf, statementsOf } from './facts.ts';

test('a text of several statements gives the facts of each, with its place in bytes', () => {
  const sql = "select 'é'; drop table t ; ";
  const statements = statementsOf(sql);
  expect(statements.map((statement) => statement.command)).toEqual(['SELECT', 'DROP TABLE']);
  const bytes = Buffer.from(sql);
  const places = statements.map((statement) => bytes.toString('utf8', statement.start, statement.end).trim());
  expect(places).toEqual(["select 'é'", 'drop table t']);
});

test('an empty text, one of comments and one of semicolons have no statements', () => {
  for (const sql of ['', '  ', '-- x', '/* a /* b */ */', ';;']) expect(statementsOf(sql)).toEqual([]);
});

test('a name that a WITH clause gives is no relation, outside its reach it is', () => {
  const inner = factsOf('WITH t AS (SELECT * FROM u) SELECT * FROM t');
  expect(inner.relations).toEqual([{ schema: undefined, name: 'u', access: 'read' }]);
  const outer = factsOf('SELECT * FROM (WITH t AS (SELECT 1) SELECT * FROM t) x, t');
  expect(outer.relations).toEqual([{ schema: undefined, name: 't', access: 'read' }]);
  const before = factsOf('WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a');
  expect(before.relations).toEqual([{ schema: undefined, name: 'b', access: 'read' }]);
  const recursive = factsOf('WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a');
  expect(recursive.relations).toEqual([]);
});

test('a qualified name is a relation even where a WITH clause gives the same word', () => {
  const facts = factsOf('WITH t AS (SELECT 1) SELECT * FROM public.t');
  expect(facts.relations).toEqual([{ schema: 'public', name: 't', access: 'read' }]);
});

test('the target of a write is a relation even where a WITH clause gives its name', () => {
  const facts = factsOf('WITH t AS (SELECT 1) DELETE FROM t');
  expect(facts.relations).toEqual([{ schema: undefined, name: 't', access: 'delete' }]);
});

test('each relation is listed with how it is used', () => {
  const facts = factsOf(
    'INSERT INTO a.b SELECT * FROM c JOIN "D.e" ON true ON CONFLICT (x) DO UPDATE SET x = 1',
  );
  expect(facts.relations).toEqual([
    { schema: 'a', name: 'b', access: 'insert' },
    { schema: 'a', name: 'b', access: 'update' },
    { schema: undefined, name: 'c', access: 'read' },
    { schema: undefined, name: 'D.e', access: 'read' },
  ]);
  expect(factsOf('DROP TABLE a.b, c').relations.map((use) => [use.schema, use.name, use.access])).toEqual([
    ['a', 'b', 'define'],
    [undefined, 'c', 'define'],
  ]);
  expect(factsOf('DROP TRIGGER g ON a.b').relations).toEqual([{ schema: 'a', name: 'b', access: 'define' }]);
  expect(factsOf('TRUNCATE a, b').relations.map((use) => use.access)).toEqual(['truncate', 'truncate']);
});

test('names are cut to 63 bytes as the server does', () => {
  const long = 'x'.repeat(70);
  expect(factsOf(`SELECT * FROM ${long}`).relations[0]?.name).toBe('x'.repeat(63));
  expect(factsOf(`PREPARE "${long}" AS SELECT 1`).names[0]?.name).toBe('x'.repeat(63));
});

test('PREPARE keeps the facts of what it prepares and does not do it', () => {
  const facts = factsOf('PREPARE p AS DELETE FROM t');
  expect(facts.effects).toEqual(['read']);
  expect(facts.names[0]).toMatchObject({ kind: 'prepare', name: 'p' });
  expect(facts.names[0]?.inner?.effects).toEqual(['delete']);
  expect(facts.names[0]?.inner?.command).toBe('DELETE');
});

test('DECLARE does what its query does, and remembers it by name', () => {
  const facts = factsOf('DECLARE c CURSOR FOR SELECT purge()');
  expect(facts.effects).toEqual(['function', 'read']);
  expect(facts.names[0]).toMatchObject({ kind: 'declare', name: 'c' });
  expect(facts.names[0]?.inner?.effects).toEqual(['function', 'read']);
});

test('EXECUTE, FETCH, DEALLOCATE, CLOSE and DISCARD name what they use; without a name they mean all', () => {
  const uses = statementsOf(
    'EXECUTE p; FETCH 5 FROM c; MOVE c; DEALLOCATE p; DEALLOCATE ALL; CLOSE c; CLOSE ALL; DISCARD ALL',
  ).flatMap((statement) => statement.names.map((use) => [use.kind, use.name]));
  expect(uses).toEqual([
    ['execute', 'p'],
    ['fetch', 'c'],
    ['fetch', 'c'],
    ['deallocate', 'p'],
    ['deallocate', undefined],
    ['close', 'c'],
    ['close', undefined],
    ['discard', undefined],
  ]);
});

test('EXPLAIN ANALYZE DECLARE runs the query and names no cursor', () => {
  const facts = factsOf('EXPLAIN ANALYZE DECLARE c CURSOR FOR SELECT purge()');
  expect(facts.effects).toEqual(['function', 'read']);
  expect(facts.names).toEqual([]);
});

test('EXPLAIN that does not run changes no setting and says nothing of rows deleted', () => {
  expect(factsOf("EXPLAIN SELECT set_config('work_mem', '1', false)").settings).toEqual([]);
  expect(factsOf('EXPLAIN DELETE FROM t').why).toEqual([]);
});

test('settings come with their constant values, in the order of the text', () => {
  const facts = factsOf("SELECT set_config('a.b', '1', true), set_config('a.b', $1, false)");
  expect(facts.settings).toEqual([
    { name: 'a.b', value: '1', local: true },
    { name: 'a.b', value: undefined, local: false },
  ]);
  expect(factsOf('SET LOCAL Work_Mem = 64').settings).toEqual([
    { name: 'work_mem', value: '64', local: true },
  ]);
  expect(factsOf('RESET work_mem').settings).toEqual([{ name: 'work_mem', value: undefined, local: false }]);
});

test('columns by dot may be functions, so their names are kept for the catalog', () => {
  expect(factsOf('SELECT t.boom, (x).bang, y FROM t ORDER BY t.crash').fields).toEqual([
    'boom',
    'bang',
    'crash',
  ]);
});

test('operators are kept with the schema that the text names', () => {
  const facts = factsOf(
    'SELECT 1 + 2 WHERE a OPERATOR(pg_catalog.~) b AND c BETWEEN 1 AND 2 AND d IN (1) AND e LIKE f',
  );
  expect(facts.operators.map((use) => `${use.schema ?? ''}.${use.name}`).sort()).toEqual(
    ['.+', '.<=', '.=', '.>=', '.~~', 'pg_catalog.~'].sort(),
  );
});

test('syntax of PostgreSQL 17 that older servers take for a function is kept as one', () => {
  const names = factsOf("SELECT JSON_SCALAR(1), JSON_VALUE('{}', '$')").functions.map((use) => use.name);
  expect(names).toEqual(['json_scalar', 'json_value']);
});

test('a node that no table knows makes the statement unknown, at any depth', () => {
  const tree = { SelectStmt: { targetList: [{ ResTarget: { val: { QuantumExpr: { arg: {} } } } }] } };
  expect(classify([{ stmt: tree }], 10)[0]?.effects).toEqual(['read', 'unknown']);
  expect(classify([{ stmt: { QuantumStmt: {} } }], 10)[0]?.effects).toEqual(['unknown']);
});

test('a field that no table knows makes the statement unknown', () => {
  const tree = { SelectStmt: { quantumClause: { DeleteStmt: {} } } };
  expect(classify([{ stmt: tree }], 10)[0]?.effects).toEqual(['read', 'unknown']);
  const flag = { SelectStmt: { quantum: true } };
  expect(classify([{ stmt: flag }], 10)[0]?.effects).toEqual(['read', 'unknown']);
  const scalar = { SelectStmt: { all: { DeleteStmt: {} } } };
  expect(classify([{ stmt: scalar }], 10)[0]?.effects).toEqual(['read', 'unknown']);
});

test('a node of the planner, which no text can give, is unknown', () => {
  const tree = { SelectStmt: { targetList: [{ FuncExpr: { funcid: 1 } }] } };
  expect(classify([{ stmt: tree }], 10)[0]?.effects).toEqual(['read', 'unknown']);
});

test('passwords and connection strings mark a statement as secret', () => {
  const secret = [
    "ALTER ROLE r PASSWORD 'x'",
    "CREATE USER u WITH ENCRYPTED PASSWORD 'x'",
    "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'a', password 'x')",
    "CREATE SUBSCRIPTION s CONNECTION 'host=x password=y' PUBLICATION p",
    "ALTER SUBSCRIPTION s CONNECTION 'password=y'",
    "SELECT dblink_connect('host=x')",
    "SET app.api_token = 'x'",
    "ALTER SYSTEM SET primary_conninfo = 'password=x'",
    "PREPARE p AS SELECT dblink('a', 'b')",
    "IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y OPTIONS (password 'x')",
    "SELECT pgp_sym_encrypt('data', 'key')",
    "SELECT crypt('password', salt) FROM users",
    'SELECT set_config($1, $2, false)',
  ];
  for (const sql of secret) expect([sql, factsOf(sql).secret]).toEqual([sql, true]);
  for (const sql of ['SELECT 1', 'ALTER ROLE r SUPERUSER', "SET work_mem = '1MB'"]) {
    expect([sql, factsOf(sql).secret]).toEqual([sql, false]);
  }
});

test.each([
  ['ALTER TABLE t ADD c int', 'ALTER TABLE'],
  ['ALTER VIEW v RENAME COLUMN a TO b', 'ALTER VIEW'],
  ['ALTER INDEX i RENAME TO j', 'ALTER INDEX'],
  ['DROP MATERIALIZED VIEW m', 'DROP MATERIALIZED VIEW'],
  ['DROP FOREIGN TABLE f', 'DROP FOREIGN TABLE'],
  ['CREATE TEXT SEARCH CONFIGURATION c (COPY = simple)', 'CREATE TEXT SEARCH CONFIGURATION'],
  ['CREATE ROLE r', 'CREATE ROLE'],
  ['DROP OWNED BY r', 'DROP OWNED'],
  ['REVOKE ALL ON t FROM r', 'REVOKE'],
  ['SET SESSION AUTHORIZATION x', 'SET SESSION AUTHORIZATION'],
  ['RESET ROLE', 'RESET ROLE'],
  ['SET TRANSACTION READ ONLY', 'SET TRANSACTION'],
  ['ROLLBACK TO a', 'ROLLBACK TO SAVEPOINT'],
  ["COMMIT PREPARED 'x'", 'COMMIT PREPARED'],
  ['ANALYZE t', 'ANALYZE'],
  ['DISCARD ALL', 'DISCARD ALL'],
  ['CREATE MATERIALIZED VIEW m AS SELECT 1', 'CREATE MATERIALIZED VIEW'],
  ['SELECT 1 INTO x', 'SELECT INTO'],
  ['VALUES (1)', 'VALUES'],
  ['ALTER SYSTEM RESET ALL', 'ALTER SYSTEM'],
  ['IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y', 'IMPORT FOREIGN SCHEMA'],
])('%s is called %s', (sql, command) => {
  expect(factsOf(sql).command).toBe(command);
});

test.each([
  ['SELECT 1', 'read'],
  ['INSERT INTO t VALUES (1)', 'write'],
  ['WITH d AS (DELETE FROM t RETURNING 1) SELECT 1', 'destroy'],
  ['CREATE TABLE t (a int)', 'define'],
  ['SET work_mem = 1', 'session'],
  ['BEGIN', 'transaction'],
  ['SELECT purge()', 'code'],
  ['SELECT pg_reload_conf()', 'system'],
  ['EXECUTE p', 'unknown'],
])('%s is of the class %s', (sql, name) => {
  expect(classOf(factsOf(sql))).toBe(name);
});

test('EXPLAIN EXECUTE computes the arguments, so what they do is done without ANALYZE too', () => {
  for (const explain of ['EXPLAIN', 'EXPLAIN (ANALYZE false)', 'EXPLAIN (ANALYZE)']) {
    const facts = factsOf(`${explain} EXECUTE p(set_config('role', 'admin', false))`);
    expect([explain, facts.effects]).toEqual([explain, ['read', 'role', 'unknown']]);
    expect(facts.settings.map(({ name }) => name)).toEqual(['role']);
  }
  const table = factsOf(
    "EXPLAIN CREATE TABLE t AS EXECUTE p(set_config('standard_conforming_strings', 'off', false))",
  );
  expect(table.effects).toContain('parser-setting');
  expect(factsOf("EXPLAIN SELECT set_config('role', 'admin', false)").effects).toEqual(['read']);
});

test('a temporary view of a system catalog allows writing to it, so it counts as that', () => {
  const settings = factsOf('CREATE TEMP VIEW v AS SELECT * FROM pg_settings');
  expect(settings.effects).toEqual(['administer', 'parser-setting', 'read', 'role', 'temporary']);
  const roles = factsOf(
    'CREATE TEMP VIEW v AS WITH a AS (SELECT * FROM pg_catalog.pg_authid) SELECT * FROM a',
  );
  expect(roles.effects).toContain('administer');
  expect(factsOf('CREATE TEMP VIEW v AS SELECT * FROM orders').effects).toEqual(['read', 'temporary']);
});

test.each([
  ['ON true WHEN MATCHED THEN UPDATE SET a = 1', 'update-all'],
  ['ON false WHEN NOT MATCHED BY SOURCE THEN UPDATE SET a = 1', 'update-all'],
  ['ON t.id = t.id WHEN MATCHED AND true THEN UPDATE SET a = 1', 'update-all'],
  ['ON t.id = s.i WHEN MATCHED THEN UPDATE SET a = 1', 'update'],
  ['ON true WHEN MATCHED AND t.id = 1 THEN UPDATE SET a = 1', 'update'],
])('MERGE %s is an %s', (rest, effect) => {
  expect(factsOf(`MERGE INTO t USING (VALUES (1)) s(i) ${rest}`).effects).toEqual(['read', effect].sort());
});

test('a setting of an extension that audits or stops statements is a guard; going back to its default is none', () => {
  expect(factsOf("SET pgaudit.log = 'none'").effects).toEqual(['guard-setting']);
  expect(factsOf("SELECT set_config('SafeUpdate.enabled', '0', false)").effects).toContain('guard-setting');
  expect(factsOf('RESET pgaudit.log').effects).toEqual(['setting']);
  expect(factsOf("SET app.tenant = '5'").effects).toEqual(['custom-setting']);
});

test.each([
  ["UPDATE t SET a = 1 FROM s WHERE s.name = 'x'", 'update-all'],
  ['UPDATE t SET a = 1 WHERE EXISTS (SELECT 1 FROM s WHERE s.id = 1)', 'update-all'],
  ['UPDATE t x SET a = 1 FROM s t WHERE t.id = 1', 'update-all'],
  ['UPDATE t SET a = 1 FROM s WHERE s.id = t.id', 'update'],
  ['UPDATE p.t SET a = 1 FROM s WHERE s.id = p.t.id', 'update'],
  ['UPDATE t x SET a = 1 WHERE EXISTS (SELECT 1 FROM s WHERE s.id = x.id)', 'update'],
  ["UPDATE t SET a = 1 FROM s WHERE name = 'x'", 'update'],
])('%s is an %s: only columns of the target leave some of its rows out', (sql, effect) => {
  expect(factsOf(sql).effects).toContain(effect);
});

test.each([
  ['DROP TABLE a', undefined],
  ['DROP TRIGGER t ON a', undefined],
  ['DROP TABLE a CASCADE', true],
  ['TRUNCATE a', undefined],
  ['TRUNCATE a CASCADE', true],
  ['DROP SCHEMA s', true],
  ['DROP FUNCTION f(int)', true],
  ['ALTER FUNCTION f(int) STABLE', true],
  ['DROP OWNED BY joe', true],
  ['REASSIGN OWNED BY joe TO ann', true],
  ['EXPLAIN ANALYZE SELECT 1', undefined],
])('%s reaches more than the relations it names: %s', (sql, sweeping) => {
  expect(factsOf(sql).sweeping).toBe(sweeping);
});
