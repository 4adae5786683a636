// The lock modes of commands, as the server itself takes them: each command runs on a real server in a transaction, and
// pg_locks says what it holds then. And the table of conflicts, tried out between two sessions.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { aimsOf } from '../../src/sql/aims.ts';
import { conflicting, lockModes } from '../../src/sql/lock-modes.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { analyzer } from './facts.ts';

let database: TestDatabase;
let one: pg.Client;
let other: pg.Client;

const schema = `
CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL, c text);
CREATE TABLE u (a int REFERENCES t, b int);
CREATE INDEX u_b ON u (b);
CREATE TABLE parts (a int) PARTITION BY LIST (a);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE free_part (a int CHECK (a IN (2)));
CREATE VIEW v AS SELECT 1 AS x;
CREATE MATERIALIZED VIEW m AS SELECT a FROM t;
CREATE UNIQUE INDEX m_a ON m (a);
CREATE SEQUENCE s;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f();
CREATE POLICY p ON t USING (true);
CREATE RULE r AS ON INSERT TO u DO NOTHING;
`;

beforeAll(async () => {
  database = await createDatabase();
  [one, other] = [new pg.Client(database.url), new pg.Client(database.url)];
  await one.connect();
  await other.connect();
  await one.query(schema);
});

afterAll(async () => {
  await one?.end();
  await other?.end();
  await database?.drop();
});

function said(sql: string): string[] {
  const [statement] = aimsOf(Buffer.from(sql), analyzer) ?? [];
  return (statement?.locks ?? []).map(({ name, mode }) => `${mode} ${name}`).sort();
}

/** What the server holds on relations of ours after the statement: of each the strongest mode. */
async function taken(sql: string): Promise<Map<string, string>> {
  await one.query('BEGIN');
  try {
    await one.query(sql);
    const { rows } = await one.query(`
SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.oid >= 16384 AND c.relkind <> 't'`);
    const strongest = new Map<string, string>();
    for (const { relname, mode } of rows) {
      const words = mode
        .replace(/Lock$/, '')
        .replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ')
        .toUpperCase();
      const known = strongest.get(relname) ?? 'ACCESS SHARE';
      const rank = (each: string) => (lockModes as readonly string[]).indexOf(each);
      strongest.set(relname, rank(words) > rank(known) ? words : known);
    }
    return strongest;
  } finally {
    await one.query('ROLLBACK');
  }
}

describe('the server holds what is said', () => {
  test.each([
    'DELETE FROM u',
    'UPDATE u SET b = 1',
    'INSERT INTO t VALUES (1, 1)',
    'MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE',
    'TRUNCATE u',
    'LOCK TABLE u',
    'LOCK TABLE u IN SHARE ROW EXCLUSIVE MODE',
    'ALTER TABLE u ADD x int',
    'ALTER TABLE u DROP COLUMN b',
    'ALTER TABLE u ALTER b TYPE bigint',
    'ALTER TABLE u ALTER b SET NOT NULL',
    'ALTER TABLE u ALTER b SET STATISTICS 10',
    'ALTER TABLE u ALTER b SET (n_distinct = 5)',
    'ALTER TABLE u SET (fillfactor = 70)',
    'ALTER TABLE u SET (user_catalog_table = true)',
    'ALTER TABLE u SET (autovacuum_enabled = off), ALTER b SET STATISTICS 10',
    'ALTER TABLE u ADD CHECK (b > 0)',
    'ALTER TABLE u ADD UNIQUE (b)',
    'ALTER TABLE u ADD FOREIGN KEY (b) REFERENCES t',
    'ALTER TABLE u ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES t NOT VALID',
    'ALTER TABLE u DISABLE TRIGGER ALL',
    'ALTER TABLE u DISABLE RULE r',
    'ALTER TABLE u ENABLE ROW LEVEL SECURITY',
    'ALTER TABLE u OWNER TO CURRENT_USER',
    'ALTER TABLE u CLUSTER ON u_b',
    'ALTER TABLE u REPLICA IDENTITY FULL',
    'ALTER TABLE u RENAME TO w',
    'ALTER TABLE u RENAME COLUMN b TO w',
    'ALTER INDEX u_b RENAME TO u_c',
    'ALTER INDEX u_b SET (fillfactor = 70)',
    'ALTER TABLE u SET SCHEMA pg_catalog',
    'ALTER TABLE parts ATTACH PARTITION free_part FOR VALUES IN (2)',
    'ALTER TABLE parts DETACH PARTITION part_1',
    'ALTER SEQUENCE s RESTART',
    'ALTER POLICY p ON t USING (false)',
    'CREATE INDEX ON u (b)',
    'CREATE STATISTICS ON a, b FROM u',
    'CREATE TRIGGER h BEFORE INSERT ON u EXECUTE FUNCTION f()',
    'CREATE RULE q AS ON DELETE TO u DO NOTHING',
    'CREATE POLICY q ON u USING (true)',
    'CREATE TABLE part_3 PARTITION OF parts FOR VALUES IN (3)',
    'CREATE TABLE heir () INHERITS (u)',
    'CREATE TABLE referring (x int REFERENCES t)',
    "COMMENT ON TABLE u IS 'x'",
    "COMMENT ON COLUMN u.b IS 'x'",
    'DROP TABLE u',
    'DROP VIEW v',
    'DROP MATERIALIZED VIEW m',
    'DROP SEQUENCE s',
    'DROP TRIGGER g ON t',
    'DROP POLICY p ON t',
    'DROP RULE r ON u',
    'REFRESH MATERIALIZED VIEW m',
    'REFRESH MATERIALIZED VIEW CONCURRENTLY m',
    'REINDEX INDEX u_b',
    'REINDEX TABLE u',
    'CLUSTER u USING u_b',
    'ANALYZE u',
    'WITH x AS (DELETE FROM u RETURNING *) SELECT * FROM x',
    'EXPLAIN ANALYZE DELETE FROM u',
  ])('%s', async (sql) => {
    const held = await taken(sql);
    const expected = said(sql);
    expect(expected.length).toBeGreaterThan(0);
    // What is new, or has been renamed or dropped, is known under another name or under none.
    for (const line of expected) {
      const [, mode, name] = /^(.*) (\S+)$/.exec(line)!;
      if (held.has(name!)) expect(`${held.get(name!)} ${name}`).toBe(`${mode} ${name}`);
      else expect(sql).toMatch(/^DROP|RENAME|CLUSTER/);
    }
  });

  test('a statement that only reads has none to tell', () => {
    expect(said('SELECT * FROM t')).toEqual([]);
    expect(said('EXPLAIN DELETE FROM t')).toEqual([]);
  });
});

test('VACUUM and what is done concurrently, outside of transactions', () => {
  expect(said('VACUUM u')).toEqual(['SHARE UPDATE EXCLUSIVE u']);
  expect(said('VACUUM (FULL) u')).toEqual(['ACCESS EXCLUSIVE u']);
  expect(said('CREATE INDEX CONCURRENTLY ON u (b)')).toEqual(['SHARE UPDATE EXCLUSIVE u']);
  expect(said('DROP INDEX CONCURRENTLY u_b')).toEqual(['SHARE UPDATE EXCLUSIVE u_b']);
  expect(said('REINDEX TABLE CONCURRENTLY u')).toEqual(['SHARE UPDATE EXCLUSIVE u']);
  expect(said('ALTER TABLE parts DETACH PARTITION part_1 CONCURRENTLY')).toEqual([
    'ACCESS EXCLUSIVE part_1',
    'SHARE UPDATE EXCLUSIVE parts',
  ]);
});

test('two modes conflict where the server lets nobody have both', async () => {
  for (const mode of lockModes) {
    await one.query('BEGIN');
    await one.query(`LOCK TABLE t IN ${mode} MODE`);
    const refused: string[] = [];
    for (const wanted of lockModes) {
      await other.query('BEGIN');
      await other.query(`LOCK TABLE t IN ${wanted} MODE NOWAIT`).catch(() => refused.push(wanted));
      await other.query('ROLLBACK');
    }
    await one.query('ROLLBACK');
    expect([mode, ...refused]).toEqual([mode, ...conflicting(mode)]);
  }
});
