// Bodies on a real server: what PL/pgSQL runs, statement by statement, and which of the SQL that it builds can be told.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type Explainer, explainerOf, snapshotOf } from './live.ts';

const setup = `
CREATE TABLE orders (id serial PRIMARY KEY, customer text, qty int, tags text[]);
CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY, what text);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN email AS text CHECK (VALUE ~ '@');
CREATE TABLE people (id int, m mood, mail email);
CREATE VIEW everyone AS SELECT * FROM people;
CREATE FUNCTION purge(int DEFAULT 0) RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders; RETURN 1; END $$;
CREATE FUNCTION purge_row() RETURNS orders LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders; RETURN NULL; END $$;
CREATE VIEW purging AS SELECT purge() AS id;
CREATE PROCEDURE clean() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders; END $$;
CREATE FUNCTION total() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(qty) FROM orders';
CREATE FUNCTION ping(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN pong(n - 1); END $$;
CREATE FUNCTION pong(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF n < 0 THEN RETURN 0; END IF; RETURN ping(n); END $$;
SET check_function_bodies = off;
`;

/** Bodies of functions of no parameters; what they declare and run, and the effects of calling them. */
const harmless: Readonly<Record<string, string>> = {
  'loops over queries, integers and arrays': `DECLARE r record; n int := 0; a int[] := '{1,2}';
    BEGIN FOR r IN SELECT * FROM orders LOOP n := n + r.qty; END LOOP;
    FOR i IN REVERSE 10..1 BY 2 LOOP a[i] := i; a[1:2] := '{}'; END LOOP;
    FOREACH n IN ARRAY a LOOP CONTINUE WHEN n = 1; EXIT WHEN n > 3; END LOOP;
    WHILE n > 0 LOOP n := n - 1; END LOOP; <<outer>> LOOP EXIT outer; END LOOP; END`,
  'variables of enums, domains, rows and columns': `DECLARE m mood; e public.email := 'a@b'; p pair; o orders; o2 orders%ROWTYPE; q orders.qty%TYPE;
    l mood[]; "odd name" CONSTANT text NOT NULL DEFAULT 'x'; BEGIN SELECT id, m INTO q, m FROM people; SELECT mail, id INTO e, q FROM people;
    SELECT * INTO o FROM orders; SELECT * INTO STRICT o2 FROM orders; p.a := 1; o.qty := 3; l := l || m; END`,
  'exception handlers': `DECLARE t text; BEGIN BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero OR no_data_found THEN NULL;
    WHEN OTHERS THEN GET STACKED DIAGNOSTICS t = MESSAGE_TEXT; RAISE NOTICE '% %', SQLERRM, t USING HINT = 'h'; RAISE; END; END`,
  cursors: `DECLARE c CURSOR (k int) FOR SELECT * FROM orders WHERE qty = k; r refcursor; o record;
    BEGIN OPEN c(1); FETCH c INTO o; MOVE NEXT FROM c; CLOSE c; FOR o IN c(k := 2) LOOP NULL; END LOOP;
    OPEN r FOR SELECT 1; FETCH RELATIVE 1 FROM r INTO o; CLOSE r; OPEN r FOR EXECUTE 'SELECT $1' USING 1; CLOSE r; END`,
  'conditions and diagnostics': `DECLARE n bigint; BEGIN CASE n WHEN 1, 2 THEN NULL; ELSE n := 1; END CASE; CASE WHEN n = 1 THEN NULL; END CASE;
    IF FOUND THEN RETURN; ELSIF n = 2 THEN NULL; ELSE NULL; END IF; GET DIAGNOSTICS n = ROW_COUNT; ASSERT n > 0, 'no'; PERFORM total(); n := total(); END`,
  'constant SQL that it executes': `DECLARE n int; r record; BEGIN EXECUTE 'SELECT count(*) FROM orders WHERE id = $1' INTO n USING n;
    EXECUTE 'SELECT count(*)' || ' FROM orders' INTO n; FOR r IN EXECUTE 'SELECT 1' LOOP NULL; END LOOP; END`,
  'a literal in SQL that it builds': `DECLARE n int; BEGIN EXECUTE format('SELECT count(*) FROM orders WHERE customer = %L AND id > %2$L', 'x', n) INTO n;
    EXECUTE 'SELECT 1 FROM orders WHERE customer = ' || quote_literal('it''s') || ' AND tags = ' || quote_nullable(NULL); END`,
  'comments and strings that look like code': `DECLARE t text := 'DECLARE x int := purge(1);'; -- purge(1);
    BEGIN /* DELETE FROM orders; purge(1) */ t := $q$ DELETE FROM orders; purge(1) $q$; t := E'\\' purge(1)'; END`,
  recursion: 'BEGIN PERFORM ping(3); END',
};

const writers: Readonly<Record<string, readonly [body: string, effects: string]>> = {
  'a statement': ['BEGIN DELETE FROM orders WHERE id = 1; END', 'delete read'],
  'a WITH query': [
    'DECLARE n int; BEGIN WITH d AS (DELETE FROM orders RETURNING *) SELECT count(*) INTO n FROM d; END',
    'delete read',
  ],
  PERFORM: ['BEGIN PERFORM purge(); END', 'delete read'],
  CALL: ['BEGIN CALL clean(); END', 'code delete read'],
  DO: ["BEGIN DO 'BEGIN END'; END", 'code read'],
  COMMIT: ['BEGIN COMMIT; END', 'read transaction'],
  'an assignment': ['DECLARE n int; BEGIN n := purge(); END', 'delete read'],
  'an assignment to a field': ['DECLARE p pair; BEGIN p.a = purge(); END', 'delete read'],
  'a subscript': ['DECLARE a int[]; BEGIN a[purge()] := 1; END', 'delete read'],
  'the default of a variable': ['DECLARE n int := purge(); BEGIN END', 'delete read'],
  'the default of a row': ['DECLARE o orders := purge_row(); BEGIN END', 'delete read'],
  'the default of a record': ['DECLARE o record DEFAULT purge_row(); BEGIN END', 'delete read'],
  'a condition': ['BEGIN IF purge() = 1 THEN NULL; END IF; END', 'delete read'],
  'an ELSIF': ['BEGIN IF false THEN NULL; ELSIF purge() = 1 THEN NULL; END IF; END', 'delete read'],
  'a CASE': ['BEGIN CASE 1 WHEN purge() THEN NULL; END CASE; END', 'delete read'],
  'the bound of a loop': ['BEGIN FOR i IN 1..purge() LOOP END LOOP; END', 'delete read'],
  'the query of a loop': [
    'DECLARE r record; BEGIN FOR r IN DELETE FROM orders RETURNING * LOOP END LOOP; END',
    'delete read',
  ],
  'EXIT WHEN': ['BEGIN LOOP EXIT WHEN purge() = 1; END LOOP; END', 'delete read'],
  RAISE: ["BEGIN RAISE NOTICE '%', purge(); END", 'delete read'],
  'RAISE … USING': ["BEGIN RAISE NOTICE 'x' USING HINT = purge(); END", 'delete read'],
  ASSERT: ['BEGIN ASSERT true, purge()::text; END', 'delete read'],
  'an exception handler': ['BEGIN NULL; EXCEPTION WHEN OTHERS THEN PERFORM purge(); END', 'delete read'],
  'the query of a cursor': ['DECLARE c CURSOR FOR SELECT purge(); BEGIN OPEN c; END', 'delete read'],
  'the argument of a cursor': [
    'DECLARE c CURSOR (k int) FOR SELECT k; BEGIN OPEN c(purge()); END',
    'delete read',
  ],
  'OPEN … FOR': ['DECLARE c refcursor; BEGIN OPEN c FOR SELECT purge(); END', 'delete read'],
  FETCH: [
    'DECLARE c refcursor; r record; BEGIN OPEN c FOR SELECT 1; FETCH RELATIVE purge() FROM c INTO r; END',
    'delete read',
  ],
  EXECUTE: ["BEGIN EXECUTE 'DELETE FROM orders'; END", 'delete read'],
  'EXECUTE … USING': ["BEGIN EXECUTE 'SELECT $1' USING purge(); END", 'delete read'],
  'the text of an EXECUTE': ["BEGIN EXECUTE format('SELECT %L', purge()); END", 'delete read'],
  'FOR … EXECUTE': [
    "DECLARE r record; BEGIN FOR r IN EXECUTE 'DELETE FROM orders RETURNING *' LOOP END LOOP; END",
    'delete read',
  ],
  'OPEN … FOR EXECUTE': [
    "DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'SELECT purge()'; END",
    'delete read',
  ],
  'a nested block': ['BEGIN DECLARE n int; BEGIN n := purge(); END; END', 'delete read'],
  'a temporary table': [
    `BEGIN CREATE TEMP TABLE tt AS SELECT 1 AS n; INSERT INTO tt VALUES (2); PERFORM n FROM tt; DELETE FROM tt;
      TRUNCATE tt; DROP TABLE tt; END`,
    'read temporary',
  ],
  'a permanent table of the name of a temporary one': [
    'BEGIN IF false THEN CREATE TEMP TABLE orders (id int); END IF; DELETE FROM orders; END',
    'delete read temporary',
  ],
  'a view of the name of a temporary table': [
    'BEGIN IF false THEN CREATE TEMP TABLE purging (id int); END IF; PERFORM * FROM purging; END',
    'delete read temporary',
  ],
  'SQL that prepares a statement': ["BEGIN EXECUTE 'PREPARE p AS DELETE FROM orders'; END", 'code read'],
  'a setting': ["BEGIN PERFORM set_config('app.user', 'x', true); END", 'custom-setting read'],
  'a role': ['BEGIN SET LOCAL ROLE postgres; END', 'read role'],
  'a table that is not there': ['BEGIN DELETE FROM nosuch; END', 'delete read unknown'],
};

const built: Readonly<Record<string, readonly [body: string, effects: string]>> = {
  'an identifier by format()': [
    "DECLARE n int; t text; BEGIN EXECUTE format('SELECT count(*) FROM %I WHERE id = %L', t, n) INTO n; END",
    'read unproven',
  ],
  'an identifier by quote_ident()': [
    "DECLARE t text; BEGIN EXECUTE 'SELECT * FROM public.' || quote_ident(t) || ' LIMIT 1'; END",
    'read unproven',
  ],
  'a regclass': [
    "DECLARE t text; BEGIN EXECUTE format('SELECT * FROM %s', t::regclass); END",
    'read unproven',
  ],
  'a column': ["DECLARE c text; BEGIN EXECUTE format('SELECT %I FROM orders', c); END", 'read'],
  'a table to delete from': ["DECLARE t text; BEGIN EXECUTE format('DELETE FROM %I', t); END", 'delete read'],
  'a name that is a variable': ["DECLARE t text; BEGIN EXECUTE 'SELECT * FROM ' || t; END", 'function read'],
  'a variable by %s': ["DECLARE t text; BEGIN EXECUTE format('SELECT * FROM %s', t); END", 'function read'],
  'an identifier within a string': [
    "DECLARE t text; BEGIN EXECUTE format('SELECT ''%I''', t); END",
    'function read',
  ],
  'a literal within a string': [
    "DECLARE t text; BEGIN EXECUTE format('SELECT ''a %L b''', t); END",
    'function read',
  ],
  'an identifier within a comment': [
    "DECLARE t text; BEGIN EXECUTE format('SELECT 1 /* %I */', t); END",
    'function read',
  ],
  'half an identifier': [
    "DECLARE t text; BEGIN EXECUTE 'SELECT * FROM orders_' || quote_ident(t); END",
    'function read',
  ],
  'a function': ["DECLARE t text; BEGIN EXECUTE format('SELECT %I()', t); END", 'function read'],
  'a type': ["DECLARE t text; BEGIN EXECUTE format('SELECT 1::%I', t); END", 'function read'],
  'a field': ["DECLARE t text; BEGIN EXECUTE format('SELECT o.%I FROM orders o', t); END", 'function read'],
  'a schema of a function': [
    "DECLARE t text; BEGIN EXECUTE format('SELECT %I.f()', t); END",
    'function read',
  ],
  'a setting': ["DECLARE t text; BEGIN EXECUTE format('SET app.x = %L', t); END", 'function read'],
  'a width': ["DECLARE t text; BEGIN EXECUTE format('SELECT %-10L', t); END", 'function read'],
  'a subquery': ['BEGIN EXECUTE (SELECT what FROM log LIMIT 1); END', 'function read'],
  'two statements': [
    "DECLARE t text; BEGIN EXECUTE format('SELECT %L; DELETE FROM orders', t); END",
    'delete read',
  ],
  'a parameter': ['BEGIN EXECUTE $1; END', 'function read'],
};

const tables = { harmless, writers, built } as const;
let database: TestDatabase;
let explainer: Explainer;

const nameOf = (table: string, index: number) => `${table}_${index}`;

beforeAll(async () => {
  database = await createDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(setup);
  for (const [table, bodies] of Object.entries(tables)) {
    for (const [index, body] of Object.values(
      bodies as Record<string, string | readonly string[]>,
    ).entries()) {
      const text = typeof body === 'string' ? body : body[0];
      const argument = table === 'built' ? 'text DEFAULT NULL' : '';
      await client.query(
        `CREATE FUNCTION ${nameOf(table, index)}(${argument}) RETURNS void LANGUAGE plpgsql AS $body$${text}$body$`,
      );
    }
  }
  await client.end();
  explainer = explainerOf(await snapshotOf(database.url));
});

afterAll(async () => {
  await database.drop();
});

const effectsOf = (name: string) => explainer.explain(`SELECT ${name}()`).effects.join(' ');

describe('a body is harmless with', () => {
  test.each(Object.keys(harmless).map((what, index) => [what, index] as const))('%s', (_, index) => {
    const { effects, why } = explainer.explain(`SELECT ${nameOf('harmless', index)}()`);
    expect({ effects, why }).toEqual({ effects: ['read'], why: [] });
  });
});

describe('a body shows what is done by', () => {
  test.each(Object.entries(writers).map(([what, [, effects]], index) => [what, effects, index] as const))(
    '%s',
    (_, effects, index) => {
      expect(effectsOf(nameOf('writers', index))).toBe(effects);
    },
  );
});

describe('of SQL that it builds, a body may hold', () => {
  test.each(Object.entries(built).map(([what, [, effects]], index) => [what, effects, index] as const))(
    '%s: %s',
    (_, effects, index) => {
      expect(effectsOf(nameOf('built', index))).toBe(effects);
    },
  );
});
