// Reads that write and writes that write elsewhere (threats B and C7; wire.md §0.5–§0.8, §3.4): nothing in the text shows
// it, a name in it hides it. One fixture with every vector, and the texts that reach them. Each text, run without a
// guard, changes the database, which the test of this table makes sure of.

import { fixture } from './fixture.ts';

/** Every place of a PL/pgSQL body where an expression or a statement can stand. */
const plpgsqlBodies: readonly string[] = [
  'begin perform purge(); return 1; end',
  'begin return purge(); end',
  'declare x int := purge(); begin return x; end',
  'declare x int; begin x := purge(); return x; end',
  'declare x int; begin select purge() into x; return x; end',
  'declare x int[]; begin x[purge()] := 1; return 1; end',
  'begin if purge() > 0 then return 1; end if; return 2; end',
  'begin if false then return 1; elsif purge() > 0 then return 2; end if; return 3; end',
  'begin case purge() when 1 then return 1; else return 2; end case; end',
  'begin case when purge() = 1 then return 1; else return 2; end case; end',
  'begin while purge() < 1 loop return 1; end loop; return 2; end',
  'begin for i in 1..purge() loop return i; end loop; return 2; end',
  'declare r record; begin for r in select purge() loop return 1; end loop; return 2; end',
  'declare x int; begin foreach x in array array[purge()] loop return x; end loop; return 2; end',
  'begin loop exit when purge() > 0; end loop; return 1; end',
  "begin raise notice '%', purge(); return 1; end",
  'begin raise notice using message = purge()::text; return 1; end',
  "declare x int; begin execute 'select $1' into x using purge(); return x; end",
  "begin execute 'select purge()'; return 1; end",
  "begin execute 'delete ' || 'from customers'; return 1; end",
  "declare s text := 'delete from customers'; begin execute s; return 1; end",
  'declare c cursor for select purge(); r record; begin open c; fetch c into r; return 1; end',
  'declare c refcursor; r record; begin open c for select purge(); fetch c into r; return 1; end',
  "declare c refcursor; r record; begin open c for execute 'select purge()'; fetch c into r; return 1; end",
  "declare r record; begin for r in execute 'select purge()' loop return 1; end loop; return 2; end",
  'begin perform 1 / 0; return 1; exception when others then return purge(); end',
  '<<outer>> begin begin delete from customers; end; return 1; end',
  'declare x y; begin x.z := purge(); return 1; end',
  'begin insert into ruled values (1); return 1; end',
  'begin call p(); return 1; end',
  'begin return (select count(*) from hidden); end',
  'declare x t%rowtype; begin x.id := purge(); return 1; end',
];

const bodies = plpgsqlBodies
  .map((body, at) => `create function body_${at}() returns int language plpgsql as $body$ ${body} $body$;`)
  .join('\n');

const installed = `
  -- functions and what calls them without looking like a call
  create function boom(t) returns int language plpgsql as 'begin delete from customers; return 1; end';
  create function boomer(anyelement) returns int language plpgsql as 'begin delete from customers; return 1; end';
  create function md5(varchar) returns text language plpgsql as 'begin delete from customers; return 1; end';
  create function length(varchar) returns int language plpgsql as 'begin delete from customers; return 1; end';
  create function inner_sql() returns int language sql as 'select purge()';
  create function inner_sql_write() returns bigint language sql as 'with d as (delete from customers returning 1) select count(*) from d';
  create function several() returns int language sql as 'delete from customers; select 1';
  create function liar() returns int stable language sql as 'select purge()';
  create function imm(int) returns int immutable language plpgsql as 'begin perform purge(); return 1; end';
  create function rows_of() returns setof t language plpgsql as 'begin perform purge(); return query select * from t; end';
  create function with_default(int, int default purge()) returns int language sql as 'select $2';
  create function many(variadic int[]) returns int language plpgsql as 'begin delete from customers; return 1; end';
  create function helper(int) returns int language sql as 'select 1';
  create function helper(text) returns int language plpgsql as 'begin delete from customers; return 1; end';
  create function runs(text) returns int language plpgsql as 'begin execute $1; return 1; end';
  create function counts(text) returns bigint language plpgsql as
    $$ declare n bigint; begin execute format('select count(*) from %I', $1) into n; return n; end $$;
  create function selects(text) returns int language plpgsql as
    $$ declare n int; begin execute 'select ' || $1 into n; return n; end $$;
  create function reads_t() returns bigint language sql as 'select count(*) from t';
  create function reads_t_plpgsql() returns bigint language plpgsql as 'begin return (select count(*) from t); end';
  create function calls_helper() returns int language plpgsql as 'begin return only_here(1); end';
  create function only_here(int) returns int language sql as 'select 1';
  create aggregate agg(int) (sfunc = int4pl, stype = int, finalfunc = imm);
  create function step(int, int) returns int language plpgsql as 'begin perform purge(); return 1; end';
  create aggregate agg_step(int) (sfunc = step, stype = int);
  ${bodies}

  -- operators, casts, domains, types
  create function strange(int, int) returns int language plpgsql as 'begin delete from customers; return 1; end';
  create operator ### (leftarg = int, rightarg = int, function = strange);
  create operator ||| (rightarg = int, function = imm);
  create function equals(int, text) returns boolean language plpgsql as 'begin delete from customers; return true; end';
  create operator = (leftarg = int, rightarg = text, function = equals);
  create function at_least(int, text) returns boolean language plpgsql as 'begin delete from customers; return true; end';
  create operator >= (leftarg = int, rightarg = text, function = at_least);
  create function is_like(int, int) returns boolean language plpgsql as 'begin delete from customers; return true; end';
  create operator ~~ (leftarg = int, rightarg = int, function = is_like);
  create function checks(int) returns boolean language plpgsql as 'begin delete from customers; return true; end';
  create domain dm as int check (checks(value));
  create type ct as (x dm, z int);
  create type mood as enum ('calm', 'wild');
  create function mood_number(mood) returns int language plpgsql as 'begin delete from customers; return 1; end';
  create cast (mood as int) with function mood_number(mood) as implicit;
  create type pair as (a int, b int);
  create function pair_compare(pair, pair) returns int language plpgsql as 'begin delete from customers; return 0; end';
  create function pair_less(pair, pair) returns boolean language sql as 'select false';
  create function pair_equal(pair, pair) returns boolean language plpgsql as 'begin delete from customers; return true; end';
  create operator <# (leftarg = pair, rightarg = pair, function = pair_less);
  create operator =# (leftarg = pair, rightarg = pair, function = pair_equal);
  create operator = (leftarg = pair, rightarg = pair, function = pair_equal);
  create operator class pair_ops default for type pair using btree as
    operator 1 <#, operator 3 =#, function 1 pair_compare(pair, pair);
  create table pairs (p pair);
  insert into pairs values (row(1, 2)), (row(3, 4));
  create table moods (m mood);
  insert into moods values ('calm'), ('wild');

  -- views
  create view hidden as select purge() as p;
  create view nested as select p from hidden;
  create view filtered as select id from t where purge() is not null;
  create view ordered as select id from t order by imm(id);
  create view knobs as select name, setting from pg_settings;
  create view of_rule as select 1 as a;
  create rule of_rule_insert as on insert to of_rule do instead delete from customers;
  create rule of_rule_update as on update to of_rule do instead delete from customers;

  -- what a write runs
  create table ruled (a int, b int);
  insert into ruled values (1, 1);
  create rule ruled_insert as on insert to ruled do instead delete from customers;
  create rule ruled_update as on update to ruled do also delete from customers;
  create function on_write() returns trigger language plpgsql as 'begin delete from customers; return new; end';
  create function on_write_quiet() returns trigger language plpgsql as 'begin perform purge(); return null; end';
  create table triggered (a int primary key, b int);
  insert into triggered values (1, 1);
  create trigger before_insert before insert on triggered for each row execute function on_write();
  create trigger of_b after update of b on triggered for each row execute function on_write_quiet();
  create table stated (a int);
  insert into stated values (1);
  create trigger of_statement after insert or update on stated for each statement execute function on_write_quiet();
  create table guarded (a int);
  insert into guarded values (1);
  create trigger guarded_when before update on guarded for each row when (imm(new.a) > 0) execute function suppress_redundant_updates_trigger();
  create view seen as select a, b from triggered;
  create view instead as select 1 as a;
  create function instead_of() returns trigger language plpgsql as 'begin delete from customers; return new; end';
  create trigger instead_insert instead of insert or update on instead for each row execute function instead_of();
  create table deferred (a int);
  create constraint trigger at_commit after insert on deferred deferrable initially deferred
    for each row execute function on_write_quiet();
  create table parent (id int primary key);
  insert into parent values (1);
  create table child (id int references parent on update cascade);
  insert into child values (1);
  create trigger child_changes after update on child for each row execute function on_write_quiet();
  create table nulled (id int references parent on update set null);
  create table defaulted (a int default purge(), b int);
  create table generated (a int, b int generated always as (imm(a)) stored);
  create table checked (a int check (checks(a)));
  create table indexed (a int);
  create index on indexed (imm(a));
  create table partial_index (a int);
  create index on partial_index (a) where imm(a) > 0;
  create table typed (x dm);
  create table split (a int, b int) partition by range (a);
  create table split_low partition of split for values from (0) to (100);
  create trigger split_write before insert on split_low for each row execute function on_write();
  create table base (a int);
  insert into base values (1);
  create table derived () inherits (base);
  insert into derived values (2);
  create trigger derived_write before update on derived for each row execute function on_write();

  -- another schema with the same names
  create view evil.t as select 1 as id from (select purge()) x;
  create function evil.only_here(int) returns int language plpgsql as 'begin delete from customers; return 1; end';
  create view evil.log as select 1 as id;
  create table noted (a int);
  create function notes() returns trigger language plpgsql as 'begin insert into log (id) values (1); return new; end';
  create trigger notes before insert on noted for each row execute function notes();
  create rule log_insert as on insert to evil.log do instead delete from public.customers;

  -- settings and names from inside
  create function changes_path() returns int language plpgsql as $$ begin perform set_config('search_path', 'evil, public', false); return 1; end $$;
  create function sets_path() returns int language plpgsql as $$ begin set search_path = evil, public; return 1; end $$;
  create function reads_oddly() returns text language sql set standard_conforming_strings = off
    as $f$ select '\\', ' || purge()::text -- ' $f$;
`;

/** The fixture of the hidden vectors: what every attack finds, and these. */
export const hiddenFixture = `${fixture} ${installed}`;

/** One text, or several Queries of one session in their order. */
export type Hidden = string | readonly string[];

export const hiddenTexts: readonly Hidden[] = [
  // B1, B12 functions
  'SELECT inner_sql()',
  'SELECT inner_sql_write()',
  'SELECT several()',
  'SELECT liar()',
  'SELECT imm(1)',
  'SELECT * FROM rows_of()',
  'SELECT with_default(1)',
  'SELECT many(1, 2, 3)',
  'SELECT many(VARIADIC ARRAY[1])',
  "SELECT helper('x')",
  "SELECT helper('x'::text)",
  'SELECT helper(name) FROM customers',
  "SELECT runs('delete from customers')",
  "SELECT counts('hidden')",
  "SELECT selects('purge()')",
  'SELECT agg(id) FROM t',
  'SELECT agg_step(id) FROM t',
  'SELECT sum(id) OVER (ORDER BY imm(id)) FROM t',
  ...plpgsqlBodies.map((_, at) => `SELECT body_${at}()`),
  'SELECT reads_oddly()',
  // §0.5 column notation
  'SELECT t.boom FROM t',
  'SELECT (t).boom FROM t',
  'SELECT (y.x).boom FROM (SELECT t FROM t) y (x)',
  'SELECT id FROM t ORDER BY t.boom',
  'SELECT id FROM t WHERE t.boomer > 0',
  'SELECT (ROW(1, 2)::pair).boomer',
  'UPDATE t SET a = t.boom WHERE id = 1',
  // §0.7 overloads and operators that beat the server's own
  "SELECT md5('a'::varchar)",
  "SELECT length('a'::varchar)",
  'SELECT md5(name::varchar) FROM customers',
  'SELECT 1 ### 2',
  'SELECT ||| 2',
  "SELECT 1 = 'a'::text",
  'SELECT id FROM t WHERE id = name',
  'SELECT id FROM t WHERE id IN (SELECT name FROM t)',
  'SELECT id FROM t WHERE id = ANY (SELECT name FROM t)',
  'SELECT CASE id WHEN name THEN 1 END FROM t',
  'SELECT NULLIF(id, name) FROM t',
  'SELECT id FROM t WHERE id BETWEEN name AND id',
  'SELECT id FROM t WHERE id LIKE a',
  'SELECT 1 FROM pairs x JOIN pairs y USING (p)',
  'SELECT 1 FROM pairs x NATURAL JOIN pairs y',
  'SELECT id IS DISTINCT FROM name FROM t',
  // §0.6 casts, domains, types
  'SELECT 5::dm',
  "SELECT dm '5'",
  'SELECT dm(5)',
  'SELECT CAST(5 AS dm)',
  'SELECT id::dm FROM t',
  "SELECT '{1,2}'::dm[]",
  'SELECT json_populate_record(null::ct, \'{"x": 1}\')',
  'SELECT * FROM json_to_record(\'{"a": 1}\') AS x (a dm)',
  'SELECT ROW(1, 2)::ct',
  "SELECT '(1,2)'::ct",
  'SELECT m + 1 FROM moods',
  "SELECT 'calm'::mood + 1",
  'SELECT * FROM moods WHERE m = 1',
  'SELECT * FROM pairs ORDER BY p',
  'SELECT DISTINCT p FROM pairs',
  'SELECT p FROM pairs GROUP BY p',
  'SELECT p FROM pairs UNION SELECT p FROM pairs',
  'SELECT rank() OVER (ORDER BY p) FROM pairs',
  // B4 views
  'SELECT * FROM hidden',
  'SELECT * FROM nested',
  'TABLE filtered',
  'SELECT count(*) FROM filtered',
  'SELECT * FROM ordered',
  'COPY (SELECT * FROM hidden) TO STDOUT',
  'SELECT * FROM t WHERE id IN (SELECT p FROM hidden)',
  'INSERT INTO b SELECT p FROM hidden',
  'PREPARE w AS SELECT * FROM hidden; EXECUTE w',
  'DECLARE c CURSOR FOR SELECT * FROM hidden; FETCH c',
  // B7 rules, triggers, defaults, generated columns, checks, indexes, partitions
  'INSERT INTO ruled VALUES (2, 2)',
  'UPDATE ruled SET b = 2 WHERE a = 1',
  'INSERT INTO of_rule VALUES (1)',
  'UPDATE of_rule SET a = 2 WHERE a = 1',
  'INSERT INTO triggered VALUES (2, 2)',
  'UPDATE triggered SET b = 2 WHERE a = 1',
  'INSERT INTO triggered VALUES (1, 1) ON CONFLICT DO NOTHING',
  'INSERT INTO triggered VALUES (1, 1) ON CONFLICT (a) DO UPDATE SET b = 7',
  'MERGE INTO triggered USING (VALUES (9)) v (n) ON a = n WHEN NOT MATCHED THEN INSERT VALUES (n, n)',
  'INSERT INTO seen VALUES (3, 3)',
  'UPDATE seen SET b = 3 WHERE a = 1',
  'INSERT INTO instead VALUES (2)',
  'UPDATE instead SET a = 2 WHERE a = 1',
  'INSERT INTO stated SELECT 1 WHERE false',
  'UPDATE stated SET a = 2 WHERE a = 77',
  'UPDATE guarded SET a = 2 WHERE a = 1',
  'INSERT INTO deferred VALUES (1); SET CONSTRAINTS ALL IMMEDIATE',
  'UPDATE parent SET id = 2 WHERE id = 1',
  'INSERT INTO defaulted (b) VALUES (1)',
  'INSERT INTO defaulted DEFAULT VALUES',
  'INSERT INTO generated (a) VALUES (1)',
  'INSERT INTO checked VALUES (1)',
  'INSERT INTO indexed VALUES (1)',
  'INSERT INTO partial_index VALUES (1)',
  'INSERT INTO typed VALUES (1)',
  'INSERT INTO split VALUES (1, 1)',
  'UPDATE base SET a = 5 WHERE a = 2',
  'WITH i AS (INSERT INTO triggered VALUES (5, 5) RETURNING a) SELECT * FROM i',
  'CREATE TEMP TABLE x (LIKE defaulted INCLUDING ALL); INSERT INTO x (b) VALUES (1)',
  'CREATE TEMP TABLE x (a dm); INSERT INTO x VALUES (1)',
  'CREATE TEMP TABLE x AS SELECT * FROM hidden',
  // §0.8 Bind and EXPLAIN fold what is called immutable
  'EXPLAIN SELECT imm(1)',
  'EXPLAIN SELECT * FROM t WHERE id = imm(1)',
  'PREPARE w AS SELECT imm(1); EXPLAIN EXECUTE w',
  // B8 text that is run
  "SELECT query_to_xml('select purge()', true, true, '')",
  "SELECT query_to_xml('table hidden', true, true, '')",
  "SELECT table_to_xml('hidden', true, true, '')",
  "SELECT schema_to_xml('public', true, true, '')",
  "SELECT * FROM ts_stat('select to_tsvector(purge()::text)')",
  "SELECT ts_rewrite('a'::tsquery, 'select to_tsquery(purge()::text), to_tsquery(''b'')')",
  // C7 names that mean something else
  ['SET search_path = evil, public', 'SELECT * FROM t'],
  ['SET search_path = evil, public', 'SELECT only_here(1)'],
  ['SET search_path = evil, public', 'SELECT public.reads_t()'],
  ['SET search_path = evil, public', 'SELECT public.reads_t_plpgsql()'],
  ['SET search_path = evil, public', 'SELECT public.calls_helper()'],
  ['SET search_path = evil, public', 'INSERT INTO noted VALUES (1)'],
  ["SELECT set_config('search_path', 'evil, public', false)", 'SELECT * FROM t'],
  ["SET SCHEMA 'evil'", 'SELECT * FROM t'],
  ['BEGIN; SET LOCAL search_path = evil, public', 'SELECT * FROM t'],
  ['SET search_path = evil, public; SELECT * FROM t'],
  ['SET search_path TO "evil", "public"', 'SELECT * FROM t'],
  [
    'SET search_path = public; SAVEPOINT a; SET search_path = evil; ROLLBACK TO a',
    'SET search_path = evil',
    'TABLE t',
  ],
  ['SET search_path = evil, public', 'BEGIN; SET LOCAL search_path = public', 'ROLLBACK; SELECT * FROM t'],
  ['SET search_path = evil, public; SAVEPOINT a; SET search_path = public', 'ROLLBACK TO a; SELECT * FROM t'],
  ["SET search_path = public; SET SCHEMA 'evil'; TABLE t"],
  ['CREATE TEMP TABLE x (a int); SET search_path = evil, public; SELECT * FROM t'],
  ['SELECT sets_path()', 'SELECT * FROM t'],
  ['SELECT changes_path()', 'SELECT * FROM t'],
  ['SELECT * FROM evil.t'],
];

/** Pass all the same: the catalog shows that these do nothing, or the server stops them if they do. */
export const harmlessHere: readonly string[] = [
  'SELECT count(*) FROM t',
  'SELECT reads_t()',
  'SELECT public.only_here(1)',
  'SELECT calls_helper()',
  'SELECT helper(1)',
  "SELECT counts('t')",
  'SELECT * FROM v',
];

/** The same names in two schemas, and the harmful one is where the database's own search_path leads. */
export const defaultPathFixture = `${fixture}
  create view evil.t as select 1 as id from (select purge()) x;
  do $$ begin execute format('alter database %I set search_path = evil, public', current_database()); end $$;
`;

export const defaultPathTexts: readonly Hidden[] = [
  ...['RESET ALL', 'RESET search_path', 'SET search_path TO DEFAULT', 'DISCARD ALL'].flatMap(
    (back): Hidden[] => [
      ['SET search_path = public', back, 'SELECT * FROM t'],
      ['SET search_path = public', 'SELECT count(*) FROM t', back, 'SELECT * FROM t'],
    ],
  ),
  ['SET search_path = public', 'RESET ALL; SELECT * FROM t'],
  ['SET search_path = public', 'BEGIN; RESET ALL', 'SELECT * FROM t', 'COMMIT'],
  ['BEGIN; SET LOCAL search_path = public', 'COMMIT', 'SELECT * FROM t'],
  ['BEGIN; SET search_path = public', 'ROLLBACK', 'SELECT * FROM t'],
  ['BEGIN; SET search_path = public', 'ROLLBACK; SELECT * FROM t'],
  ['SET search_path = public; SELECT 1/0', 'SELECT * FROM t'],
  'SELECT * FROM t',
];

/** Change settings behind a view or a function: looked at by the setting, not by rows. */
export const hiddenSettings: readonly (readonly [string, string, string])[] = [
  [
    "UPDATE knobs SET setting = 'off' WHERE name = 'standard_conforming_strings'",
    'standard_conforming_strings',
    'on',
  ],
  [
    "UPDATE knobs SET setting = 'replica' WHERE name = 'session_replication_role'",
    'session_replication_role',
    'origin',
  ],
];
