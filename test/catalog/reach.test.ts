// Reach against a real server: each kind of hidden code, the harmless twin and the one that deletes.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { factsOf } from '../sql/facts.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type Explainer, explainerOf, publicPath, snapshotOf } from './live.ts';
import { reads, vectorsSql, writes } from './vectors.ts';

let database: TestDatabase;
let explainer: Explainer;

beforeAll(async () => {
  database = await createDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(vectorsSql);
  await client.end();
  explainer = explainerOf(await snapshotOf(database.url));
});

afterAll(async () => {
  await database.drop();
});

const effectsOf = (sql: string) => explainer.explain(sql).effects.join(' ');
const whyOf = (sql: string) => explainer.explain(sql).why;

describe('a read through', () => {
  test.each(reads)(
    '%s shows the deletion, and its harmless twin stays a read',
    (_, harmless, writer, effects) => {
      expect(effectsOf(harmless)).toBe('read');
      expect(effectsOf(writer)).toBe(effects);
      const { uncounted, identity, missing } = explainer.explain(writer);
      expect({ uncounted, known: identity !== undefined, missing }).toEqual({
        uncounted: true,
        known: true,
        missing: undefined,
      });
    },
  );
});

describe('a write through', () => {
  test.each(writes)(
    '%s shows what else it does, and its twin does nothing else',
    (_, harmless, same, writer, effects) => {
      expect(effectsOf(harmless)).toBe(same);
      expect(effectsOf(writer)).toBe(effects);
    },
  );

  test('a trigger on columns that are not assigned does not fire', () => {
    expect(effectsOf('UPDATE bad_trigger SET id = 1 WHERE id = 2')).toBe('update');
  });

  test('a trigger on a generated column fires with the columns that it is computed of', () => {
    expect(effectsOf('UPDATE computed SET a = 1 WHERE id = 2')).toBe('delete update');
  });

  test('a row that moves between partitions fires the triggers of INSERT', () => {
    expect(effectsOf('UPDATE parted SET k = 1 WHERE id = 2')).toBe('delete update');
  });

  test('a row that is written to a partition is checked against the key of the table above', () => {
    expect(effectsOf("INSERT INTO keyed_x VALUES ('x')")).toBe('delete insert read');
  });

  test('an INSTEAD OF trigger takes the place of the table behind the view', () => {
    expect(effectsOf('UPDATE instead_view SET id = 1 WHERE id = 2')).toBe('insert update');
    expect(explainer.explain('UPDATE instead_view SET id = 1 WHERE id = 2').uncounted).toBeUndefined();
  });

  test('a foreign key deletes and updates, over several tables and into their triggers', () => {
    const { why, uncounted } = explainer.explain('DELETE FROM parents WHERE id = 1');
    expect(effectsOf('DELETE FROM parents WHERE id = 1')).toBe('delete update');
    expect(uncounted).toBe(true);
    expect(why).toContain(
      'deletes rows of public.victims via foreign key children_parent_fkey of public.children → foreign key grandchildren_child_fkey of public.grandchildren → trigger fire on public.grandchildren → function public.bad_fire()',
    );
  });

  test('a foreign key acts on an update of the columns that it refers to alone', () => {
    expect(explainer.explain("UPDATE parents SET note = 'x' WHERE id = 1").uncounted).toBeUndefined();
    expect(explainer.explain('UPDATE parents SET id = 2 WHERE id = 1').uncounted).toBe(true);
  });

  test('a trigger that changes one row by its key for each row leaves the count of rows true', () => {
    const { effects, uncounted } = explainer.explain('INSERT INTO comments VALUES (1, 2)');
    expect({ effects, uncounted }).toEqual({ effects: ['insert', 'read', 'update'], uncounted: undefined });
    for (const table of ['many_1', 'many_2', 'many_3']) {
      expect(explainer.explain(`INSERT INTO ${table} VALUES (1)`).uncounted).toBe(true);
    }
    expect(explainer.explain('SELECT one(1)').uncounted).toBe(true);
  });

  test.each([
    ['a key is generated from', 'UPDATE made_keys SET base = 2 WHERE id = 1'],
    ['a trigger changes a key beside', "UPDATE bumped_keys SET note = 'y' WHERE id = 1"],
    ['a trigger puts another row in the place of', "UPDATE replaced_keys SET note = 'y' WHERE id = 1"],
    ['a variable takes the place of a column behind', 'INSERT INTO tallied VALUES (1)'],
    ['a trigger fires itself behind', 'UPDATE nodes SET v = 1 WHERE id = 1'],
    ['a trigger fires for rows that are left out of', 'INSERT INTO skipping VALUES (1)'],
    ['a relation is called NEW behind', 'INSERT INTO aliasing VALUES (1)'],
  ])('more rows than the command counts, where %s it: %s', (_what, text) => {
    expect(explainer.explain(text).uncounted).toBe(true);
  });

  test.each([
    "UPDATE stamped_keys SET note = 'y' WHERE id = 1",
    'UPDATE made_refs SET made = 10 WHERE made = 20',
    'INSERT INTO numbered VALUES (1)',
  ])('%s changes the rows that are counted and no others', (text) => {
    expect(explainer.explain(text).uncounted).toBeUndefined();
  });

  test('a unique index by another operator class than that of = pins no row', () => {
    expect(explainer.explain('UPDATE images SET v = 1 WHERE c = $1').rowsAtMost).toBeUndefined();
    expect(explainer.explain('UPDATE parents SET note = $2 WHERE id = $1').rowsAtMost).toBe(1);
  });

  test('a name that may stand for a function that returns a set leaves the rows of VALUES open', () => {
    expect(explainer.explain('INSERT INTO victims VALUES (length($$a$$))').rowsAtMost).toBeUndefined();
    expect(explainer.explain('INSERT INTO victims VALUES (1)').rowsAtMost).toBe(1);
  });

  test('a function that fetches from a cursor of somebody else may run anything', () => {
    expect(effectsOf("SELECT fetches_given('pp')")).toBe('function read');
    expect(effectsOf('SELECT moves_named()')).toBe('function read');
    expect(effectsOf('SELECT fetches_own()')).toBe('read');
  });

  test('behind a function that sets search_path, names may stand for those of any schema', () => {
    expect(effectsOf('SELECT usual(), calls_usual()')).toBe('read');
    expect(effectsOf('SELECT sets_then_calls()')).toMatch(/unproven|delete/);
    expect(effectsOf('SELECT sets_path(), calls_usual()')).toMatch(/unproven|delete/);
    const set = "set_config('search_path', 'elsewhere', true)";
    expect(effectsOf(`SELECT ${set}, calls_usual()`)).toMatch(/unproven|delete/);
    expect(effectsOf(`SELECT ${set}`)).toBe('read setting');
  });

  test('a name of a relation in the place of a column may be column notation', () => {
    expect(effectsOf('SELECT by_regclass()')).toContain('function');
    expect(effectsOf('SELECT from_regclass()')).toBe('read unproven');
  });

  test('REFRESH runs the query of a materialized view, reading it does not', () => {
    expect(effectsOf('SELECT * FROM bad_materialized')).toBe('read');
    expect(effectsOf('REFRESH MATERIALIZED VIEW good_materialized')).toBe('maintain rewrite');
    expect(effectsOf('REFRESH MATERIALIZED VIEW bad_materialized')).toBe('delete maintain rewrite');
  });

  test('CALL stays code, with what the procedure does', () => {
    expect(effectsOf('CALL good_procedure()')).toBe('code');
    expect(effectsOf('CALL bad_procedure()')).toBe('code delete transaction');
  });

  test('the next number of a sequence is a part of INSERT and an effect of nextval()', () => {
    expect(effectsOf("SELECT nextval('numbers_id_seq')")).toBe('read sequence');
  });
});

describe('names', () => {
  test('one that is in no schema makes a statement unknown, and says so', () => {
    for (const [sql, name] of [
      ['SELECT * FROM nosuch', 'nosuch'],
      ['SELECT nosuch()', 'nosuch()'],
      ["SELECT '1'::nosuch", 'nosuch'],
      ['SELECT 1 #?# 2', '#?#'],
      ['SELECT * FROM other.nosuch', 'other.nosuch'],
    ] as const) {
      const { effects, missing, why } = explainer.explain(sql);
      expect({ sql, effects, missing }).toEqual({ sql, effects: ['read', 'unknown'], missing: true });
      expect(why.join()).toContain(`${name}, which is not known in this database`);
    }
  });

  test('what is about to be made or dropped need not be known', () => {
    expect(effectsOf('CREATE TABLE fresh (id int)')).toBe('create');
    expect(effectsOf('DROP TABLE IF EXISTS nosuch')).toBe('drop');
  });

  test("the server's own catalogs are read without further effects", () => {
    const sql = 'SELECT * FROM pg_class, pg_catalog.pg_proc, information_schema.tables';
    expect(explainer.explain(sql)).toBe(factsOf(sql));
  });

  test('a name qualified with pg_catalog means the builtin', () => {
    expect(effectsOf("SELECT pg_catalog.md5('x')")).toBe('read');
    expect(effectsOf('SELECT 1 OPERATOR(pg_catalog.#) 2')).toBe('read');
  });

  test('an overload that is not on the path cannot be meant', () => {
    expect(explainer.explain("SELECT md5('x')", { path: ['other'] }).effects).toEqual(['read']);
    expect(explainer.explain("SELECT md5('x')", { path: undefined }).effects).toContain('unproven');
  });

  test('a relation is looked for along the path, and anywhere where the path is not known', () => {
    const identityOf = (sql: string, path?: readonly string[]) => explainer.explain(sql, { path }).identity;
    const other = identityOf('SELECT * FROM other.victims');
    const own = identityOf('SELECT * FROM public.victims');
    expect(identityOf('SELECT * FROM victims', ['other', 'public'])).toBe(other);
    expect(identityOf('SELECT * FROM victims', ['public', 'other'])).toBe(own);
    expect([own, other]).not.toContain(identityOf('SELECT * FROM victims'));
  });

  test('a function with a path of its own finds by that, another by the path of its caller', () => {
    const deletes = (sql: string, path = ['public']) => {
      const { relations } = explainer.explain(sql, { path });
      return relations.filter(({ access }) => access === 'delete').map(({ schema }) => schema);
    };
    expect(deletes('SELECT own_delete()')).toEqual(['other']);
    expect(deletes('SELECT public.bad_sql()', ['public', 'other'])).toEqual(['public']);
    expect(deletes('SELECT public.bad_sql()', ['other', 'public'])).toEqual(['other']);
    // It sets the path while it runs: before or after, in this branch or another.
    expect(deletes('SELECT moved_delete()').sort()).toEqual(['other', 'public']);
  });

  test('code that changes the path tells the session', () => {
    expect(explainer.explain('SELECT changes_path()').settings.map(({ name }) => name)).toEqual([
      'search_path',
    ]);
  });

  test('code that is read by another lexer is not believed', () => {
    expect(effectsOf('SELECT other_lexer()')).toBe('function read');
  });

  test('a function in a schema off the path is found by its schema', () => {
    expect(effectsOf('SELECT other.bad_elsewhere()')).toBe('delete read');
  });

  test('an overload that READ ONLY would not stop shows what it does', () => {
    expect(effectsOf('SELECT upper(1)')).toBe('read sessions');
  });

  test('hidden relations and functions are there for the rules that go by name', () => {
    const { relations, functions } = explainer.explain('SELECT bad_nested()');
    expect(functions).toContainEqual({ schema: 'public', name: 'bad_code' });
    expect(relations).toContainEqual({ schema: 'public', name: 'victims', access: 'delete' });
  });

  test('a declared parameter of a domain runs its check', () => {
    const oid = explainer.typeOid('bad_domain');
    expect(explainer.explain('SELECT $1', {}, [oid]).effects).toEqual(['delete', 'read']);
    expect(explainer.explain('SELECT $1', {}, [9_999_999]).effects).toEqual(['read', 'unknown']);
    expect(explainer.explain('SELECT $1', {}, [23]).effects).toEqual(['read']);
  });
});

describe('the session', () => {
  const maker = (sql: string) => ({ temporary: new Map([['t', factsOf(sql)]]) });

  test('a temporary view runs its query, a temporary table does not', () => {
    const explain = (sql: string, made: string) => explainer.explain(sql, maker(made)).effects.join(' ');
    expect(explain('SELECT * FROM t', 'CREATE TEMP VIEW t AS SELECT bad_code()')).toBe('delete read');
    expect(explain('SELECT * FROM t', 'CREATE TEMP TABLE t AS SELECT bad_code()')).toBe('read');
    expect(explain('SELECT * FROM pg_temp.t', 'CREATE TEMP TABLE t (id int)')).toBe('read');
    expect(explain('INSERT INTO t VALUES (1)', 'CREATE TEMP TABLE t (id int DEFAULT bad_code())')).toBe(
      'delete insert read',
    );
    expect(explain('INSERT INTO t VALUES (1)', 'CREATE TEMP TABLE t (LIKE bad_column_default)')).toBe(
      'delete insert read',
    );
    expect(explain('SELECT * FROM t', 'SELECT good_code()')).toBe('read unproven');
    expect(explain('SELECT * FROM t', 'CREATE INDEX ON pg_temp.t (id)')).toBe('read');
    expect(explain('DROP TABLE pg_temp.t', 'CREATE TEMP VIEW t AS SELECT bad_code()')).toBe('temporary');
    expect(explain('SELECT * FROM t', 'DROP TABLE pg_temp.t')).toBe('read unknown');
  });

  test('a schema pg_temp that nothing is known of makes a statement unknown', () => {
    expect(effectsOf('SELECT * FROM pg_temp.t')).toBe('read unknown');
    expect(explainer.explain('SELECT * FROM pg_temp.t', { shadowed: true }).effects).toEqual([
      'read',
      'unproven',
    ]);
  });

  test('after a change of definitions no user name is known, builtins may be another', () => {
    const changed = { changed: true };
    expect(explainer.explain('SELECT * FROM victims', changed).effects).toEqual(['read', 'unknown']);
    expect(explainer.explain('SELECT good_code()', changed).effects).toEqual(['read', 'unknown']);
    expect(explainer.explain('SELECT now()', changed).effects).toEqual(['read', 'unproven']);
    expect(explainer.explain('SELECT 1 FROM pg_class', changed).effects).toEqual(['read']);
  });
});

describe('the answer', () => {
  test('is the same object for the same question', () => {
    const statement = factsOf('SELECT good_code(), 1');
    const { reacher } = explainer;
    const first = reacher.explain(statement, publicPath, []);
    expect(reacher.explain(statement, { ...publicPath }, [23])).toBe(first);
    expect(reacher.explain(statement, { ...publicPath, path: ['other'] }, [])).not.toBe(first);
  });

  test('has one row at most where a unique key is pinned and `=` can only be the builtin', () => {
    const rows = (sql: string, types: readonly number[] = []) => explainer.explain(sql, {}, types).rowsAtMost;
    expect(rows('UPDATE parents SET note = $1 WHERE id = 1')).toBe(1);
    expect(rows("DELETE FROM parents WHERE code = 'x' AND note = 'y'")).toBe(1);
    expect(rows('UPDATE parents SET note = $1 WHERE note = $2')).toBeUndefined();
    expect(rows('UPDATE ancestor SET id = 1 WHERE id = 2')).toBeUndefined();
    expect(rows('UPDATE good_writable SET note = $1 WHERE id = 1')).toBeUndefined();
    expect(rows('UPDATE parents SET note = $1 WHERE id = $2', [25, 701])).toBeUndefined();
  });

  test('has as many rows as it has parts, where each pins a key or makes a known number of rows', () => {
    const rows = (sql: string) => explainer.explain(sql, {}, []).rowsAtMost;
    const first = 'WITH a AS (UPDATE parents SET note = $1 WHERE id = 1 RETURNING 1)';
    expect(rows(`${first} UPDATE parents SET note = $1 WHERE id = 2`)).toBe(2);
    expect(rows(`${first}, b AS (INSERT INTO parents (note) VALUES (1), (2) RETURNING 1) SELECT 1`)).toBe(3);
    expect(rows(`${first} UPDATE parents SET note = $1 WHERE note = $2`)).toBeUndefined();
    expect(rows(`${first} UPDATE ancestor SET id = 1 WHERE id = 2`)).toBeUndefined();
    expect(rows(`${first} INSERT INTO parents (note) SELECT 1 FROM parents`)).toBeUndefined();
    expect(
      rows(`${first} MERGE INTO parents USING ancestor ON true WHEN MATCHED THEN DELETE`),
    ).toBeUndefined();
  });

  test('names the way, and says when the code runs as its owner', () => {
    expect(whyOf('SELECT bad_definer()')).toEqual([
      'deletes rows of public.victims via function public.bad_definer() (SECURITY DEFINER) → function public.bad_code()',
    ]);
    expect(whyOf("SELECT md5('x')")).toContain(
      'may call public.md5(character varying), which deletes rows of public.victims via function public.bad_code()',
    );
    expect(whyOf('SELECT * FROM bad_over')).toEqual([
      'deletes rows of public.victims via view public.bad_over → view public.bad_view → function public.bad_code()',
    ]);
  });
});
