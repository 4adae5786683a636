// The catalog of a real database read again and again: what makes an epoch another, what does not, and how much is asked.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Snapshot } from '../../src/catalog/snapshot.ts';
import { type Reading, readCatalog, SettingsChanged } from '../../src/proxy/catalog-read.ts';
import type { Side } from '../../src/proxy/side.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { openSide, readAgain } from '../support/snapshot.ts';

let database: TestDatabase;
let client: pg.Client;
let side: Side;
let reading: Reading;

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(`
    CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    CREATE TABLE things (id integer PRIMARY KEY, name text, extra integer);
    CREATE TABLE parent (id integer) PARTITION BY LIST (id);
    CREATE TABLE part (id integer);
    CREATE TRIGGER on_insert BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION fires();
    CREATE VIEW seen AS SELECT id FROM things;
    CREATE DOMAIN small AS integer;
    CREATE TYPE mood AS ENUM ('glad');
    CREATE SEQUENCE counter`);
  side = await openSide(database.url);
  reading = await readAgain(side);
});
afterAll(async () => {
  side?.close();
  await client?.end();
  await database?.drop();
});

/** Runs the statements and reads again. */
async function after(sql: string): Promise<{ before: Reading; now: Reading }> {
  const before = reading;
  await client.query(sql);
  reading = await readAgain(side, before);
  return { before, now: reading };
}

async function readAll(): Promise<Snapshot> {
  const whole = await openSide(database.url);
  const { snapshot } = await readAgain(whole);
  whole.close();
  return snapshot;
}

/** What the test's objects are in a snapshot. */
function contents(of: Snapshot): unknown {
  const relations = ['things', 'seen', 'parent', 'part', 'heir', 'heiress', 'by_one'];
  return {
    relations: relations.map((name) => of.relationsNamed(name)),
    functions: ['one', 'two', 'fires', 'glad', 'total', 'hstore_in'].map((name) => of.functionsNamed(name)),
    types: ['small', 'mood', 'spans', 'hstore', 'things'].map((name) => of.typesNamed(name)),
    operators: of.operatorsNamed('###'),
    everywhere: of.everywhere,
    onDefine: of.onDefine,
  };
}

describe('the epoch is another after', () => {
  test.each([
    ['CREATE FUNCTION', "CREATE FUNCTION two() RETURNS integer LANGUAGE sql AS 'SELECT 2'"],
    [
      'CREATE OR REPLACE FUNCTION',
      "CREATE OR REPLACE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 11'",
    ],
    ['ALTER FUNCTION SET', 'ALTER FUNCTION one() SET search_path = public'],
    ['ALTER FUNCTION SECURITY DEFINER', 'ALTER FUNCTION one() SECURITY DEFINER'],
    [
      'DROP and CREATE of the same',
      "DROP FUNCTION one(); CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 11'",
    ],
    ['CREATE OR REPLACE VIEW', 'CREATE OR REPLACE VIEW seen AS SELECT id FROM things WHERE one() = 1'],
    ['ADD COLUMN', 'ALTER TABLE things ADD COLUMN added small'],
    ['RENAME COLUMN', 'ALTER TABLE things RENAME COLUMN added TO renamed'],
    ['ALTER COLUMN TYPE', 'ALTER TABLE things ALTER COLUMN renamed TYPE integer'],
    ['DROP COLUMN', 'ALTER TABLE things DROP COLUMN renamed'],
    ['SET DEFAULT', 'ALTER TABLE things ALTER COLUMN extra SET DEFAULT one()'],
    ['DROP DEFAULT', 'ALTER TABLE things ALTER COLUMN extra DROP DEFAULT'],
    ['ADD CHECK', 'ALTER TABLE things ADD CONSTRAINT positive CHECK (id > 0)'],
    ['DROP CONSTRAINT', 'ALTER TABLE things DROP CONSTRAINT positive'],
    ['DISABLE TRIGGER', 'ALTER TABLE things DISABLE TRIGGER on_insert'],
    ['ENABLE TRIGGER', 'ALTER TABLE things ENABLE TRIGGER on_insert'],
    ['DROP TRIGGER', 'DROP TRIGGER on_insert ON things'],
    ['CREATE RULE', 'CREATE RULE gone AS ON DELETE TO things DO INSTEAD NOTHING'],
    ['DISABLE RULE', 'ALTER TABLE things DISABLE RULE gone'],
    ['DROP RULE', 'DROP RULE gone ON things'],
    ['CREATE POLICY', 'CREATE POLICY few ON things USING (one() = 1)'],
    ['ENABLE ROW LEVEL SECURITY', 'ALTER TABLE things ENABLE ROW LEVEL SECURITY'],
    ['ALTER POLICY', 'ALTER POLICY few ON things USING (true)'],
    ['ATTACH PARTITION', 'ALTER TABLE parent ATTACH PARTITION part FOR VALUES IN (1)'],
    ['DETACH PARTITION', 'ALTER TABLE parent DETACH PARTITION part'],
    ['INHERIT', 'CREATE TABLE heir (id integer); ALTER TABLE heir INHERIT part'],
    ['ALTER DOMAIN ADD', 'ALTER DOMAIN small ADD CONSTRAINT odd CHECK (one() > 0)'],
    ['ALTER DOMAIN DROP', 'ALTER DOMAIN small DROP CONSTRAINT odd'],
    ['ALTER DOMAIN SET DEFAULT', 'ALTER DOMAIN small SET DEFAULT one()'],
    [
      'CREATE CAST',
      "CREATE FUNCTION glad(mood) RETURNS integer LANGUAGE sql AS 'SELECT 1'; CREATE CAST (mood AS integer) WITH FUNCTION glad(mood)",
    ],
    ['DROP CAST', 'DROP CAST (mood AS integer)'],
    ['CREATE OPERATOR', 'CREATE OPERATOR ### (leftarg = integer, rightarg = integer, function = int4pl)'],
    ['CREATE AGGREGATE', 'CREATE AGGREGATE total(integer) (sfunc = int4pl, stype = integer)'],
    [
      'CREATE OPERATOR CLASS',
      'CREATE OPERATOR CLASS other FOR TYPE integer USING btree AS OPERATOR 1 <, FUNCTION 1 btint4cmp(integer, integer)',
    ],
    [
      'CREATE OPERATOR CLASS for a type of the server',
      `CREATE FUNCTION less(point, point) RETURNS boolean LANGUAGE sql AS 'SELECT true';
      CREATE FUNCTION compare(point, point) RETURNS integer LANGUAGE sql AS 'SELECT 0';
      CREATE OPERATOR <## (leftarg = point, rightarg = point, function = less);
      CREATE OPERATOR CLASS order_of_points DEFAULT FOR TYPE point USING btree AS OPERATOR 1 <##, FUNCTION 1 compare(point, point)`,
    ],
    [
      'ALTER OPERATOR FAMILY',
      `CREATE FUNCTION same_image(oid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
      ALTER OPERATOR FAMILY order_of_points USING btree ADD FUNCTION 4 (point, point) same_image(oid)`,
    ],
    ['CREATE INDEX', 'CREATE INDEX by_one ON things ((id + 1))'],
    ['CREATE STATISTICS', 'CREATE STATISTICS sums ON (id + one()), extra FROM things'],
    ['DROP STATISTICS', 'DROP STATISTICS sums'],
    ['CREATE TYPE AS RANGE', 'CREATE TYPE spans AS RANGE (subtype = integer)'],
    ['RENAME TABLE', 'ALTER TABLE heir RENAME TO heiress'],
    ['SET SCHEMA', 'CREATE SCHEMA attic; ALTER TABLE heiress SET SCHEMA attic'],
    ['RENAME SCHEMA', 'ALTER SCHEMA attic RENAME TO cellar'],
    ['RENAME of public', 'ALTER SCHEMA public RENAME TO publique; ALTER SCHEMA publique RENAME TO public'],
    ['OWNER TO', 'CREATE ROLE heir_owner; ALTER TABLE cellar.heiress OWNER TO heir_owner'],
    [
      'CREATE EVENT TRIGGER',
      "CREATE FUNCTION defined() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER on_define ON ddl_command_end EXECUTE FUNCTION defined()",
    ],
    ['CREATE EXTENSION', 'CREATE EXTENSION hstore'],
    ['ALTER EXTENSION ADD', 'ALTER EXTENSION hstore ADD FUNCTION two()'],
    ['ALTER EXTENSION DROP', 'ALTER EXTENSION hstore DROP FUNCTION two()'],
    ['DROP EXTENSION', 'DROP EXTENSION hstore'],
    ['DROP TABLE', 'DROP TABLE cellar.heiress; DROP ROLE heir_owner'],
    [
      'a function of the server replaced',
      "CREATE OR REPLACE FUNCTION pg_catalog.pg_jit_available() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN false; END'",
    ],
  ])('%s', async (_, sql) => {
    const { before, now } = await after(sql);
    expect(now.snapshot.epoch).not.toBe(before.snapshot.epoch);
    // What was read in part is what a reading of all gives.
    const whole = await readAll();
    expect(contents(now.snapshot)).toEqual(contents(whole));
  });

  test('a function of the server that was replaced is a user’s', () => {
    expect(reading.snapshot.functionsNamed('pg_jit_available')).toMatchObject([{ language: 'plpgsql' }]);
  });
});

describe('the epoch and the version of a table stay after', () => {
  test.each([
    ['INSERT', "INSERT INTO things VALUES (1, 'a')"],
    ['ANALYZE', 'ANALYZE things'],
    ['VACUUM', 'VACUUM things'],
    ['VACUUM FULL', 'VACUUM FULL things'],
    ['TRUNCATE', 'TRUNCATE things'],
    ['GRANT', 'GRANT SELECT ON things TO PUBLIC'],
    ['nextval', "SELECT nextval('counter')"],
    [
      'a temporary table with everything',
      `
      CREATE TEMP TABLE passing (id serial PRIMARY KEY, c small CHECK (c > 1) DEFAULT one());
      CREATE TEMP TABLE passing_heir () INHERITS (part);
      CREATE TEMP VIEW passing_view AS SELECT * FROM passing;
      CREATE TRIGGER t BEFORE INSERT ON passing FOR EACH ROW EXECUTE FUNCTION fires();
      CREATE RULE r AS ON DELETE TO passing DO INSTEAD NOTHING`,
    ],
    [
      'ALTER of a temporary table',
      'ALTER TABLE passing ADD COLUMN more integer; ALTER TABLE passing RENAME COLUMN c TO d',
    ],
    ['DROP of a temporary table', 'DROP TABLE passing CASCADE'],
  ])('%s', async (_, sql) => {
    const { before, now } = await after(sql);
    expect(now.snapshot.epoch).toBe(before.snapshot.epoch);
    const version = (of: Reading) => of.snapshot.relationsNamed('things')[0]!.version;
    expect(version(now)).toBe(version(before));
  });
});

test('the version of a table is another when one of its columns is', async () => {
  for (const sql of [
    'ALTER TABLE things RENAME COLUMN name TO label',
    'ALTER TABLE things ALTER COLUMN label TYPE varchar(20)',
    'ALTER TABLE things ALTER COLUMN label TYPE varchar(30)',
    'ALTER TABLE things DROP COLUMN label',
  ]) {
    const { before, now } = await after(sql);
    const version = (of: Reading) => of.snapshot.relationsNamed('things')[0]!.version;
    expect([sql, version(now)]).not.toEqual([sql, version(before)]);
  }
});

test('only the sections whose catalogs changed are asked again', async () => {
  const { before, now } = await after('ALTER TABLE things ADD COLUMN last integer');
  const kept = (Object.keys(now.tables) as (keyof Reading['tables'])[]).filter(
    (name) => now.tables[name] === before.tables[name],
  );
  expect(kept).toEqual(
    expect.arrayContaining(['functions', 'types', 'views', 'constraints', 'indexes', 'policies']),
  );
  expect(kept).not.toContain('attributes');
});

test('nothing is asked at all while no transaction has changed anything', async () => {
  // Other tests of the run write to the same server, so that a look may have to compare digests now and then.
  for (let look = 0; look < 20; look += 1) {
    const again = await readAgain(side, reading);
    expect(again.tables).toBe(reading.tables);
    if (again === reading) return;
    reading = again;
  }
  expect.fail('digests were compared at every look');
});

test('the path is that of a fresh session: the user’s schema, and only schemas that there are', async () => {
  expect(reading.snapshot.searchPath).toEqual(['public']);
  const { now } = await after('CREATE SCHEMA postgres');
  expect(now.snapshot.searchPath).toEqual(['postgres', 'public']);
  await client.query(
    `ALTER DATABASE ${database.name} SET search_path = nowhere, public, "$user", pg_catalog`,
  );
  await expect(readAgain(side, reading)).rejects.toThrow(SettingsChanged);
  side.close();
  side = await openSide(database.url);
  reading = await readAgain(side);
  expect(reading.snapshot.searchPath).toEqual(['public', 'postgres', 'pg_catalog']);
});

test('a rule whose tables are locked has no text until they are free', async () => {
  await client.query(
    'CREATE TABLE locked (id integer); CREATE RULE aside AS ON INSERT TO things DO ALSO DELETE FROM locked',
  );
  await client.query('BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');
  const during = await readAgain(side, reading);
  expect(during.snapshot.relationsNamed('things')[0]!.rules).toMatchObject([
    { name: 'aside', definition: '' },
  ]);
  await client.query('COMMIT');
  reading = await readAgain(side, during);
  expect(reading.snapshot.relationsNamed('things')[0]!.rules[0]!.definition).toContain('DELETE FROM');
  expect(reading.snapshot.epoch).not.toBe(during.snapshot.epoch);
});

test('who reads is told that the earlier reading is not true before anything is asked again', async () => {
  let told = 0;
  const outdated = () => {
    told += 1;
  };
  reading = await readCatalog(side, reading, { statementMs: 5_000, outdated });
  expect(told).toBe(0);
  await client.query('CREATE TABLE another (id integer)');
  reading = await readCatalog(side, reading, { statementMs: 5_000, outdated });
  expect(told).toBe(1);
});
