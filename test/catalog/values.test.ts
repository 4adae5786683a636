// Reach through values: types whose values run code though no text names them, and what the server computes while it plans
// a read. Each kind stands twice, once harmless and once deleting.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { factsOf } from '../sql/facts.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type Explainer, explainerOf, snapshotOf } from './live.ts';

const schema = `
CREATE TABLE victims (id int PRIMARY KEY);
CREATE FUNCTION purge() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM public.victims; RETURN 1; END $$;
CREATE SEQUENCE numbers;
${['good', 'bad']
  .map((side) => {
    const code = side === 'good' ? 'now()' : 'public.purge()';
    const returns = (value: string) =>
      `IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM ${code}; RETURN ${value}; END $$`;
    return `
CREATE FUNCTION ${side}_check(int) RETURNS bool ${returns('true')};
CREATE DOMAIN ${side} AS int DEFAULT nextval('numbers') CHECK (${side}_check(VALUE));
CREATE DOMAIN ${side}_over AS ${side};
CREATE TYPE ${side}_row AS (n ${side});
CREATE TABLE ${side}_values (id int, d ${side});
CREATE TABLE ${side}_overs (id int, d ${side}_over);
CREATE TABLE ${side}_rows (id int, r ${side}_row);
CREATE TABLE ${side}_arrays (id int, a ${side}[]);
CREATE VIEW ${side}_view AS SELECT id AS v FROM ${side}_values;
CREATE FUNCTION ${side}_out(OUT a ${side}, OUT b int) LANGUAGE sql AS 'SELECT 1, 2';
CREATE FUNCTION ${side}_inout(INOUT a int, OUT b ${side}) LANGUAGE plpgsql AS 'BEGIN b := a; END';
CREATE FUNCTION ${side}_table() RETURNS TABLE (a ${side}, b int) LANGUAGE sql BEGIN ATOMIC SELECT 1, 2; END;
CREATE FUNCTION ${side}_variadic(VARIADIC a ${side}[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION ${side}_fields() RETURNS int LANGUAGE plpgsql AS $$
DECLARE r record; BEGIN FOR r IN SELECT * FROM ${side}_values LOOP r.d := 1; END LOOP; RETURN 1; END $$;
CREATE TABLE ${side}_plain (x int);
CREATE FUNCTION ${side}_row_check(${side}_plain) RETURNS bool ${returns('true')};
CREATE DOMAIN ${side}_notation AS ${side}_plain CHECK (${side}_row_check(VALUE));
CREATE FUNCTION ${side}_class_check(pg_class) RETURNS bool ${returns('true')};
CREATE DOMAIN ${side}_class AS pg_class CHECK (${side}_class_check(VALUE));
CREATE TYPE ${side}_mood AS ENUM ('calm');
CREATE TABLE ${side}_moods (m ${side}_mood);
CREATE FUNCTION ${side}_moods_number(${side}_mood[]) RETURNS int ${returns('1')};
CREATE CAST (${side}_mood[] AS int) WITH FUNCTION ${side}_moods_number(${side}_mood[]);
CREATE TABLE ${side}_compared (x int);
CREATE FUNCTION ${side}_equal(${side}_compared[], ${side}_compared[]) RETURNS bool ${returns('true')};
CREATE OPERATOR = (LEFTARG = ${side}_compared[], RIGHTARG = ${side}_compared[], FUNCTION = ${side}_equal);
CREATE TABLE ${side}_noted (id int);
CREATE FUNCTION ${side}_field(${side}_noted) RETURNS ${side} LANGUAGE sql AS 'SELECT 1::${side}';
CREATE FUNCTION ${side}_step(int) RETURNS ${side} LANGUAGE sql AS 'SELECT 1::${side}';
CREATE OPERATOR ${side === 'good' ? '@@+' : '@@-'} (RIGHTARG = int, FUNCTION = ${side}_step);
CREATE TYPE ${side}_from AS (n int);
CREATE TYPE ${side}_to AS (n int);
CREATE TABLE ${side}_froms (f ${side}_from);
CREATE FUNCTION ${side}_cast(${side}_from) RETURNS ${side}_to LANGUAGE sql AS 'SELECT NULL::${side}_to';
CREATE CAST (${side}_from AS ${side}_to) WITH FUNCTION ${side}_cast(${side}_from) AS IMPLICIT;
CREATE FUNCTION ${side}_differ(${side}_to, ${side}_to) RETURNS bool ${returns('true')};
CREATE OPERATOR ~ (LEFTARG = ${side}_to, RIGHTARG = ${side}_to, FUNCTION = ${side}_differ);

CREATE TABLE ${side}_index (id int); CREATE INDEX ON ${side}_index (id) WHERE ${side}_check(1);
CREATE TABLE ${side}_constraint (id int, CHECK (${side}_check(1)));
CREATE TABLE ${side}_statistics (id int, n int);
CREATE STATISTICS ON n, (id = 1 AND ${side}_check(1)) FROM ${side}_statistics;
CREATE TABLE ${side}_heir () INHERITS (${side}_constraint);

CREATE VIEW ${side}_input AS SELECT ${side === 'good' ? "int4in('1')" : "pg_input_is_valid('1', 'bad')"};
CREATE FUNCTION ${side}_atomic() RETURNS text LANGUAGE sql
BEGIN ATOMIC SELECT ${side === 'good' ? "textin('1')" : "array_in('{1}', 0, -1)::text"}; END;
CREATE TABLE ${side}_default (id int, b bool DEFAULT ${side === 'good' ? 'true' : "pg_input_is_valid('1', 'bad')"});`;
  })
  .join('\n')}
CREATE TABLE lookups (n bigint);
CREATE FUNCTION looks(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(n) FROM lookups) = 0; END $$;
CREATE DOMAIN looked AS int CHECK (looks(VALUE));
CREATE TABLE lookeds (d looked);
CREATE TABLE words (t text, v tsvector);
CREATE TRIGGER v BEFORE INSERT ON words FOR EACH ROW
EXECUTE FUNCTION tsvector_update_trigger(v, 'pg_catalog.english', t);`;

/** Made beside the others: with it every text with \`=\` may compare by code that deletes. */
const castSchema = `
CREATE TABLE victims (id int PRIMARY KEY); CREATE TABLE documents (j json);
CREATE FUNCTION purge() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM public.victims; RETURN 1; END $$;
CREATE TYPE boxed AS (t text);
CREATE FUNCTION boxes(json) RETURNS boxed LANGUAGE plpgsql AS $$ BEGIN PERFORM purge(); RETURN NULL; END $$;
CREATE FUNCTION equal(boxed, boxed) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR = (LEFTARG = boxed, RIGHTARG = boxed, FUNCTION = equal);
CREATE CAST (json AS boxed) WITH FUNCTION boxes(json)`;

const databases: TestDatabase[] = [];
let explainer: Explainer;

async function made(sql: string): Promise<Explainer> {
  const database = await createDatabase();
  databases.push(database);
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(sql);
  await client.end();
  return explainerOf(await snapshotOf(database.url));
}

beforeAll(async () => {
  explainer = await made(schema);
});

afterAll(async () => {
  for (const database of databases) await database.drop();
});

const twin = (text: string) => text.replaceAll('bad', 'good');

describe('what may run is unproven, and its harmless twin is a read:', () => {
  test.each([
    // A literal beside a value may become another one.
    "SELECT lag(d, 1, '-1') OVER (ORDER BY id) FROM bad_values",
    "SELECT ARRAY[d] || '{-1}' FROM bad_values",
    "SELECT lead(x, 1, '-1') OVER () FROM (SELECT d AS x FROM bad_values) s",
    "SELECT t = '(1,-1)' FROM bad_values t",
    'SELECT * FROM bad_overs',
    'SELECT bad_fields()',
    "SELECT jsonb_populate_record(b, '{}') FROM bad_values b",
    // Of a function, wherever in it.
    'SELECT * FROM bad_out()',
    'SELECT (bad_out()).b',
    'SELECT bad_inout(1)',
    'SELECT * FROM bad_table()',
    // A row that is cast by column notation, an array that is cast, an operator of arrays of rows.
    'SELECT bad_plain.bad_notation FROM bad_plain',
    'SELECT (p).bad_notation FROM bad_plain p',
    'SELECT pg_class.bad_class FROM pg_class',
    'SELECT array_agg(m)::int FROM bad_moods',
    'SELECT f ~ f FROM bad_froms',
    'SELECT array_agg(c) = array_agg(c) FROM bad_compared c',
    // Constants are computed when the statement is planned.
    'SELECT * FROM bad_index',
    'EXPLAIN SELECT * FROM bad_index',
    'SELECT * FROM bad_constraint',
    'SELECT * FROM bad_heir',
    'SELECT * FROM bad_statistics',
  ])('%s', (text) => {
    expect(explainer.explain(text).effects).toEqual(['read', 'unproven']);
    expect(explainer.explain(twin(text)).effects).toEqual(['read']);
    expect(explainer.explain(twin(text)).parsing).toBeUndefined();
  });
});

describe('what is certain stays certain:', () => {
  test.each([
    ['SELECT * FROM bad_view', 'read unproven', 'read'],
    ['TABLE bad_rows', 'delete read', 'read'],
    ['SELECT id FROM bad_arrays', 'delete read', 'read'],
    ['SELECT bad_variadic(1)', 'delete read', 'read'],
    ['INSERT INTO bad_values VALUES (1, 2)', 'delete insert read', 'insert read'],
    ['UPDATE bad_plain SET x = 1 WHERE x = 2', 'unproven update', 'update'],
    ['DELETE FROM bad_index WHERE id = 1', 'delete unproven', 'delete'],
    ['SELECT * FROM bad_input', 'function read', 'read'],
    ['SELECT bad_atomic()', 'function read', 'read'],
    ['INSERT INTO bad_default (id) VALUES (1)', 'function insert read', 'insert read'],
  ])('%s', (text, effects, harmless) => {
    expect(explainer.explain(text).effects.join(' ')).toBe(effects);
    expect(explainer.explain(twin(text)).effects.join(' ')).toBe(harmless);
  });
});

test('to read its values may run code as early as a statement is parsed', () => {
  for (const text of ['SELECT id FROM bad_values', 'SELECT (bad_out()).b', 'TABLE bad_view'])
    expect(explainer.explain(text).parsing).toBe(true);
});

test('a temporary table of such values is as they are, and so is one of it', () => {
  const temporary = new Map([
    ['t', factsOf('CREATE TEMP TABLE t AS SELECT d FROM bad_values')],
    ['u', factsOf('SELECT * INTO TEMP u FROM t')],
    ['f', factsOf('CREATE TEMP TABLE f AS SELECT (bad_out()).a')],
    ['g', factsOf('CREATE TEMP TABLE g AS SELECT n.bad_field FROM bad_noted n')],
    ['o', factsOf('CREATE TEMP TABLE o AS SELECT @@- 1')],
  ]);
  for (const name of temporary.keys())
    expect(explainer.explain(`SELECT * FROM ${name}`, { temporary }).effects).toEqual(['read', 'unproven']);
});

test('what a type is found to run is found anew where a temporary relation may be in its way', () => {
  const temporary = new Map([['lookups', factsOf('CREATE TEMP VIEW lookups AS SELECT purge() AS n')]]);
  const effectsOf = (context = {}) => explainer.explain('TABLE lookeds', context).effects.join(' ');
  expect(effectsOf()).toBe('read');
  expect(effectsOf({ temporary })).toBe('read unproven');
  expect(effectsOf()).toBe('read');
});

test('a trigger of the server’s own is no code that is not known', () => {
  expect(explainer.explain("INSERT INTO words (t) VALUES ('a')").effects).toEqual(['insert', 'read']);
});

describe('an operator of a type to which the server’s own is cast', () => {
  test.each([
    ['AS IMPLICIT', 'read unproven'],
    ['AS ASSIGNMENT', 'read'],
    ['', 'read'],
  ])('%s', async (context, effects) => {
    const { explain } = await made(`${castSchema} ${context}`);
    const effectsOf = (text: string) => explain(text).effects.join(' ');
    expect(effectsOf("SELECT '{}'::json = '{}'::json")).toBe(effects);
    expect(effectsOf('SELECT * FROM documents a JOIN documents b USING (j)')).toBe(effects);
    expect(effectsOf('SELECT NULLIF(j, j) FROM documents')).toBe(effects);
    expect(effectsOf('SELECT j FROM documents')).toBe('read');
  });
});

describe('to read a relation whose name is found when it runs may reach', () => {
  const kills = `CREATE FUNCTION kills(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS
    'BEGIN RETURN pg_terminate_backend($1); END';`;
  test.each([
    ['nothing but what it reads', 'CREATE TABLE t (id int)', 'read unproven'],
    [
      'the expression of an index',
      'CREATE TABLE t (id int); CREATE INDEX ON t (kills(id))',
      'read sessions unproven',
    ],
    [
      'the type of a column',
      'CREATE DOMAIN d AS int CHECK (kills(VALUE)); CREATE TABLE t (d d)',
      'read sessions unproven',
    ],
  ])('%s', async (_, sql, effects) => {
    const { explain } = await made(`${kills} ${sql};
      CREATE FUNCTION counts(name text) RETURNS bigint LANGUAGE plpgsql AS $$
      DECLARE n bigint; BEGIN EXECUTE format('SELECT count(*) FROM %I', name) INTO n; RETURN n; END $$`);
    expect(explain("SELECT counts('t')").effects.join(' ')).toBe(effects);
  });
});

describe('what a superuser adds to the server’s own types runs unasked:', () => {
  const purge = `CREATE TABLE victims (id int); CREATE TABLE documents (j json, t text);
    CREATE FUNCTION purge() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM victims; RETURN 1; END $$;`;
  const like = `CREATE TYPE like_text;
    CREATE FUNCTION reads(cstring) RETURNS like_text LANGUAGE internal IMMUTABLE STRICT AS 'textin';
    CREATE FUNCTION writes(like_text) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
    CREATE TYPE like_text (INPUT = reads, OUTPUT = writes, LIKE = text);
    CREATE FUNCTION hashes(like_text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN purge(); END';
    CREATE FUNCTION equals(like_text, like_text) RETURNS bool LANGUAGE sql AS 'SELECT true';
    CREATE OPERATOR = (LEFTARG = like_text, RIGHTARG = like_text, FUNCTION = equals, HASHES);
    CREATE OPERATOR CLASS hashed DEFAULT FOR TYPE like_text USING hash AS OPERATOR 1 =, FUNCTION 1 hashes(like_text);
    CREATE CAST (json AS like_text) WITHOUT FUNCTION`;
  const inRange = `CREATE FUNCTION near(text, text, int, bool, bool) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS
    'BEGIN RETURN purge() = 1; END';
    ALTER OPERATOR FAMILY text_ops USING btree ADD FUNCTION 3 (text, int) near(text, text, int, bool, bool)`;
  test.each([
    ['a hash of a type that json is taken for', `${like} AS IMPLICIT`, 'read unproven'],
    ['not of one that it is cast to when asked', like, 'read'],
    ['a function of a family', inRange, 'read unproven'],
  ])('%s', async (_, sql, effects) => {
    const { explain } = await made(`${purge} ${sql}`);
    const text = 'SELECT DISTINCT j, sum(1) OVER (ORDER BY t RANGE 1 PRECEDING) FROM documents';
    expect(explain(text).effects.join(' ')).toBe(effects);
  });
});
