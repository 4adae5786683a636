// Libraries: every C function that the server's own extensions bring along is known, and what those that matter do.

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { effectsOfSymbol } from '../../src/catalog/libraries.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type Explainer, explainerOf, snapshotOf } from './live.ts';

let database: TestDatabase;
let explainer: Explainer;
let functions: readonly { library: string; symbol: string }[];

beforeAll(async () => {
  database = await createDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  // Languages need interpreters that are not there; their functions are not read anyway.
  const { rows } = await client.query(
    "SELECT name FROM pg_available_extensions WHERE name !~ 'perl|python|pltcl|plpgsql' ORDER BY name",
  );
  for (const { name } of rows) await client.query(`CREATE EXTENSION IF NOT EXISTS "${name}" CASCADE`);
  await client.query(`
    CREATE TABLE users (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), email citext UNIQUE, attributes hstore, path ltree, name text);
    CREATE INDEX ON users USING gin (name gin_trgm_ops);
    CREATE TABLE stamped (id int, at timestamptz, who text);
    CREATE TRIGGER m BEFORE UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION moddatetime(at);
    CREATE TRIGGER i BEFORE INSERT ON stamped FOR EACH ROW EXECUTE FUNCTION insert_username(who);
    CREATE TABLE told (id int PRIMARY KEY);
    CREATE TRIGGER t AFTER INSERT ON told FOR EACH ROW EXECUTE FUNCTION triggered_change_notification();
    CREATE TABLE raster (id int, image lo);
    CREATE TRIGGER l BEFORE UPDATE OR DELETE ON raster FOR EACH ROW EXECUTE FUNCTION lo_manage(image);
    CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
    CREATE FOREIGN TABLE passwords (line text) SERVER files OPTIONS (program 'cat /etc/passwd');
  `);
  functions = (
    await client.query(
      'SELECT probin AS library, prosrc AS symbol FROM pg_proc WHERE oid >= 16384 AND probin IS NOT NULL',
    )
  ).rows;
  await client.end();
  explainer = explainerOf(await snapshotOf(database.url));
}, 60_000);

afterAll(async () => {
  await database.drop();
});

const effectsOf = (sql: string) => explainer.explain(sql).effects.join(' ');

test('no C function of contrib is unknown', () => {
  expect(functions.length).toBeGreaterThan(800);
  const unknown = functions.filter(({ library, symbol }) => effectsOfSymbol(library, symbol) === undefined);
  expect(unknown).toEqual([]);
});

test('everyday extensions are harmless', () => {
  for (const sql of [
    "SELECT * FROM users WHERE email = 'a@b' AND attributes @> 'a=>1' AND path <@ 'top' ORDER BY email",
    "SELECT name <-> 'x', similarity(name, 'x'), unaccent(name) FROM users WHERE name % 'x'",
    "SELECT digest('x', 'sha256'), gen_salt('bf'), crypt('x', gen_salt('bf')), uuid_generate_v4(), uuid_generate_v5(uuid_ns_url(), 'x')",
    "SELECT levenshtein('a', 'b'), soundex('a'), metaphone('a', 3)",
    "SELECT attributes -> 'a', each(attributes), hstore('a', 'b') FROM users",
    "SELECT regexp_replace(email, 'a', 'b'), split_part(email, '@', 1), max(email) FROM users GROUP BY email",
    "SELECT cube(1, 2), earth_distance(ll_to_earth(1, 2), ll_to_earth(3, 4)), '{1,2}'::int[] & '{1}'",
    'SELECT * FROM users TABLESAMPLE system_rows(5)',
    'SELECT * FROM pg_stat_statements',
    'SELECT * FROM pg_buffercache LIMIT 1',
    'SELECT normal_rand(1, 2, 3)',
    "SELECT lquery '*.a' ~ path FROM users",
  ]) {
    expect({ sql, effects: effectsOf(sql) }).toEqual({ sql, effects: 'read' });
  }
});

test('triggers of contrib do what they are for', () => {
  expect(effectsOf('UPDATE stamped SET id = 1 WHERE id = 2')).toBe('update');
  expect(effectsOf('INSERT INTO stamped VALUES (1)')).toBe('insert read');
  expect(effectsOf('INSERT INTO told VALUES (1)')).toBe('insert notify read');
  expect(effectsOf('UPDATE raster SET image = 1 WHERE id = 2')).toBe('delete large-object update');
});

test('what reaches beyond the database shows it', () => {
  for (const [sql, effects] of [
    ["SELECT dblink('x', 'SELECT 1')", 'read remote'],
    ["SELECT dblink_exec('x', 'DELETE FROM t')", 'read remote'],
    ["SELECT * FROM crosstab('SELECT 1')", 'code read'],
    ["SELECT xpath_table('a', 'b', 'c', 'd', 'e')", 'code read'],
    ['SELECT pg_stat_statements_reset()', 'administer read'],
    ["SELECT heap_force_kill('t'::regclass, ARRAY['(0,1)']::tid[])", 'administer delete read'],
    ["SELECT pg_truncate_visibility_map('t')", 'administer read'],
    ['SELECT * FROM passwords', 'read remote'],
    ["SELECT bt_index_check('i')", 'code maintain read'],
  ] as const) {
    expect({ sql, effects: effectsOf(sql) }).toEqual({ sql, effects });
  }
});
