// More of what a name hides (threats B; wire.md §3.4): vectors whose set-up would make the first table's fixture another,
// or that need two steps: temporary objects that come and go, row movement, casts for JSON, operator classes, extensions.

import { fixture } from './fixture.ts';
import type { Hidden } from './hidden.ts';

export const deeperFixture = `${fixture}
  create extension hstore; create extension tablefunc; create extension xml2; create extension pg_surgery;
  create extension pg_visibility; create extension refint; create extension pg_buffercache;
  create function on_write() returns trigger language plpgsql as 'begin delete from customers; return coalesce(new, old); end';
  create view hidden as select purge() as p;
  create table triggered (a int primary key, b int);
  insert into triggered values (1, 1);
  create trigger on_insert before insert on triggered for each row execute function on_write();

  create table moved (a int, b int) partition by range (a);
  create table moved_low partition of moved for values from (0) to (100);
  create table moved_high partition of moved for values from (100) to (200);
  insert into moved values (1, 1);
  create trigger leaves before delete on moved_low for each row execute function on_write();

  create table first (id int primary key);
  create table second (id int primary key references first on update cascade);
  create table third (id int references second on update cascade);
  insert into first values (1); insert into second values (1); insert into third values (1);
  create trigger third_changes before update on third for each row execute function on_write();
  create table set_null (id int references first on update set null);
  insert into set_null values (1);

  create type mood as enum ('calm', 'wild');
  create function mood_json(mood) returns json language plpgsql as $$ begin perform purge(); return '1'::json; end $$;
  create cast (mood as json) with function mood_json(mood);
  create function mood_text(mood) returns text language plpgsql as $$ begin perform purge(); return 'x'; end $$;
  create cast (mood as text) with function mood_text(mood) as assignment;
  create table moods (m mood);
  insert into moods values ('calm');
  create table texts (x text);

  create function checks(int) returns boolean language plpgsql as 'begin delete from customers; return true; end';
  create domain dm as int check (checks(value));
  create domain deeper as dm;
  create domain with_default as int default purge();
  create table typed (x dm);
  create table nested_type (r typed[]);
  create table defaulting (x with_default, y int);
  create type of_domain as (x dm);
  create table holds_composite (c of_domain);

  create type pair as (a int, b int);
  create function pair_compare(pair, pair) returns int language plpgsql as 'begin delete from customers; return 0; end';
  create function pair_less(pair, pair) returns boolean language sql as 'select false';
  create operator <# (leftarg = pair, rightarg = pair, function = pair_less);
  create operator <=# (leftarg = pair, rightarg = pair, function = pair_less);
  create operator =# (leftarg = pair, rightarg = pair, function = pair_less);
  create operator >=# (leftarg = pair, rightarg = pair, function = pair_less);
  create operator ># (leftarg = pair, rightarg = pair, function = pair_less);
  create operator class pair_ops default for type pair using btree as operator 1 <#, operator 2 <=#, operator 3 =#,
    operator 4 >=#, operator 5 >#, function 1 pair_compare(pair, pair);
  create type pairs as range (subtype = pair, subtype_opclass = pair_ops);

  create function int_compare(int, int) returns int language plpgsql as
    'begin delete from customers; return btint4cmp($1, $2); end';
  create operator <% (leftarg = int, rightarg = int, function = int4lt);
  create operator <=% (leftarg = int, rightarg = int, function = int4le);
  create operator =% (leftarg = int, rightarg = int, function = int4eq);
  create operator >=% (leftarg = int, rightarg = int, function = int4ge);
  create operator >% (leftarg = int, rightarg = int, function = int4gt);
  create operator class int_ops_odd for type int using btree as operator 1 <%, operator 2 <=%, operator 3 =%,
    operator 4 >=%, operator 5 >%, function 1 int_compare(int, int);
  create table odd_index (a int);
  create index on odd_index (a int_ops_odd);
  insert into odd_index values (0);
  insert into customers select n, 'customer ' || n from generate_series(1, 10) n on conflict do nothing;
  insert into orders select n, n from generate_series(1, 10) n on conflict do nothing;

  create function pg_catalog.reverse(varchar) returns text language plpgsql as 'begin delete from customers; return 1; end';
  create function information_schema.tell() returns int language plpgsql as 'begin delete from customers; return 1; end';

  create function with_path() returns bigint language sql set search_path = evil, public as 'select count(*) from t';
  create view evil.t as select 1 as id from (select purge()) x;
  create function takes_role() returns int language plpgsql as 'begin set role none; return 1; end';
  create function sets_replica() returns int language plpgsql as $$ begin set session_replication_role = replica; return 1; end $$;
  create function off_strings() returns int language plpgsql as
    $$ begin perform set_config('standard_conforming_strings', 'off', false); return 1; end $$;
  create function local_wins(x int) returns int language plpgsql as
    $$ declare customers int := 1; begin if x > 0 then perform purge(); end if; return customers; end $$;
  create procedure with_out(inout x int) language plpgsql as 'begin x := purge(); end';
  create function through_alias(a int) returns int language sql as 'select purge() where $1 is not null';
  create function table_out() returns table (a int, b int) language sql as 'select purge(), 1';
  create function nested_json() returns json language sql as 'select row_to_json(m) from (select purge() as x) m';
  create function atomic() returns int language sql begin atomic select purge(); end;
  create function atomic_view() returns bigint language sql begin atomic select count(*) from hidden; end;
  create function in_do() returns int language plpgsql as $o$ begin execute 'do $$ begin perform purge(); end $$'; return 1; end $o$;
  create function makes_temp() returns int language plpgsql as
    'begin create temp table if not exists scratch as select purge() as p; return 1; end';
  create function refcursor_of() returns refcursor language plpgsql as
    $$ declare c refcursor := 'opened'; begin open c for select purge(); return c; end $$;
  create function lists(variadic text[]) returns int language plpgsql as
    'begin execute array_to_string($1, $$ $$); return 1; end';
  create function quoted(text) returns bigint language plpgsql as
    $$ declare n bigint; begin execute 'select count(*) from ' || quote_ident($1) into n; return n; end $$;
  create function valued(text) returns text language plpgsql as
    $$ declare x text; begin execute format('select %s', $1) into x; return x; end $$;
  create function called(text) returns text language plpgsql as
    $$ declare x text; begin execute format('select %I()', $1) into x; return x; end $$;
`;

export const deeperTexts: readonly Hidden[] = [
  // temporary objects that come and go
  ['CREATE TEMP TABLE hidden (p int)', 'DISCARD TEMP', 'SELECT * FROM hidden'],
  ['CREATE TEMP TABLE hidden (p int)', 'DROP TABLE pg_temp.hidden', 'SELECT * FROM hidden'],
  ['BEGIN; SAVEPOINT a; CREATE TEMP TABLE hidden (p int); ROLLBACK TO a', 'SELECT * FROM hidden'],
  ['CREATE TEMP TABLE hidden (p int); DISCARD TEMP; SELECT * FROM hidden'],
  ['CREATE TEMP TABLE hidden (p int); DROP TABLE pg_temp.hidden; SELECT * FROM hidden'],
  ['SET search_path = public, pg_temp', 'CREATE TEMP TABLE hidden (p int)', 'SELECT * FROM hidden'],
  ['CREATE TEMP TABLE triggered (a int, b int)', 'DISCARD TEMP', 'INSERT INTO triggered VALUES (7, 7)'],
  ['CREATE TEMP TABLE other (a int)', 'SELECT * FROM public.hidden'],
  ['CREATE TEMP VIEW seen AS SELECT * FROM hidden', 'SELECT * FROM seen'],
  ['CREATE TEMP VIEW seen AS SELECT * FROM triggered', 'INSERT INTO seen VALUES (8, 8)'],
  [
    'CREATE TEMP TABLE one AS SELECT 1 AS a',
    'CREATE TEMP VIEW two AS SELECT p FROM hidden, one',
    'TABLE two',
  ],
  ['CREATE TEMP TABLE copy (LIKE defaulting INCLUDING DEFAULTS)', 'INSERT INTO copy (y) VALUES (1)'],
  ['CREATE TEMP TABLE copy (x dm)', 'INSERT INTO copy VALUES (1)'],
  ['CREATE TEMP TABLE copy OF of_domain', 'INSERT INTO copy VALUES (1)'],
  // what a write runs elsewhere
  'UPDATE moved SET a = 150 WHERE a = 1',
  'MERGE INTO moved USING (VALUES (1)) v (x) ON a = x WHEN MATCHED THEN UPDATE SET a = 150',
  'INSERT INTO moved VALUES (1, 1); UPDATE moved SET a = 150 WHERE a = 1',
  'UPDATE first SET id = 2 WHERE id = 1',
  'UPDATE second SET id = id + 0 WHERE id = 1; UPDATE first SET id = 3 WHERE id = 1',
  'INSERT INTO odd_index VALUES (1)',
  'UPDATE odd_index SET a = 5 WHERE a = 0',
  'INSERT INTO defaulting (y) VALUES (1)',
  'INSERT INTO typed VALUES (1)',
  'INSERT INTO typed SELECT 1',
  'INSERT INTO holds_composite VALUES (ROW(1))',
  'INSERT INTO holds_composite (c.x) VALUES (1)',
  'INSERT INTO nested_type VALUES (\'{"(1)"}\')',
  'INSERT INTO texts SELECT m FROM moods',
  'UPDATE texts SET x = (SELECT m FROM moods) WHERE false; INSERT INTO texts VALUES ((SELECT m FROM moods))',
  // casts and comparisons nobody wrote
  'SELECT to_json(m) FROM moods',
  'SELECT row_to_json(moods) FROM moods',
  'SELECT json_agg(moods) FROM moods',
  "SELECT json_build_object('a', m) FROM moods",
  'SELECT jsonb_build_array(m) FROM moods',
  'SELECT to_jsonb(moods) FROM moods',
  'SELECT m::text FROM moods',
  'SELECT m::json FROM moods',
  'SELECT 1::deeper',
  "SELECT '{1}'::deeper[]",
  'SELECT * FROM json_populate_recordset(null::typed, \'[{"x": 1}]\')',
  'SELECT * FROM jsonb_populate_record(null::typed, \'{"x": 1}\')',
  'SELECT ROW(5)::typed',
  "SELECT '(5)'::typed",
  "SELECT populate_record(null::typed, 'x=>5')",
  'SELECT json_to_record.a FROM json_to_record(\'{"a": {"x": 1}}\') AS json_to_record (a of_domain)',
  'SELECT * FROM jsonb_to_recordset(\'[{"a": 1}]\') AS x (a dm)',
  "SELECT * FROM XMLTABLE('/a' PASSING '<a>1</a>' COLUMNS a dm PATH '.')",
  'SELECT \'["(1,2)","(3,4)"]\'::pairs',
  'SELECT pairs(ROW(1, 2)::pair, ROW(3, 4)::pair)',
  'SELECT max(x) FROM (VALUES (ROW(1, 2)::pair), (ROW(3, 4)::pair)) v (x) GROUP BY x',
  'SELECT array_agg(DISTINCT x) FROM (VALUES (ROW(1, 2)::pair), (ROW(3, 4)::pair)) v (x)',
  // functions wherever they stand
  "SELECT pg_catalog.reverse('a'::varchar)",
  "SELECT reverse('a'::varchar)",
  'SELECT information_schema.tell()',
  'SELECT with_path()',
  'SELECT local_wins(1)',
  'SELECT through_alias(1)',
  'SELECT * FROM table_out()',
  'SELECT (table_out()).a',
  'SELECT nested_json()',
  'SELECT atomic()',
  'SELECT atomic_view()',
  'SELECT in_do()',
  'SELECT makes_temp()',
  "SELECT lists('delete', 'from', 'customers')",
  "SELECT quoted('hidden')",
  "SELECT valued('purge()')",
  "SELECT called('purge')",
  ['BEGIN; SELECT refcursor_of()', 'FETCH ALL FROM opened'],
  ['BEGIN', 'SELECT refcursor_of()', 'FETCH opened', 'COMMIT'],
  'CALL with_out(1)',
  // extensions
  "SELECT * FROM crosstab('select purge()::text, ''a'', ''b''') AS x (a text, b text)",
  "SELECT * FROM crosstab('select ''a'', ''b'', purge()::text', 'select ''b''') AS x (a text, b text)",
  "SELECT * FROM connectby('(select purge()::text as k, ''1''::text as p) x', 'k', 'p', '1', 0) AS y (k text, p text, l int)",
  "SELECT * FROM xpath_table('id', 'name', 'customers', '/a', 'purge() > 0') AS x (id int, a text)",
];

/** Not seen in rows, or not in a transaction that is rolled back: tried through Holdpoint only. */
export const deeperUnseen: readonly Hidden[] = [
  ['CREATE TEMP TABLE hidden (p int)', 'DISCARD ALL', 'SELECT * FROM hidden'],
  ['BEGIN; CREATE TEMP TABLE hidden (p int) ON COMMIT DROP; COMMIT', 'SELECT * FROM hidden'],
  "SELECT heap_force_kill('customers'::regclass, ARRAY['(0,1)']::tid[])",
  "SELECT pg_truncate_visibility_map('customers'::regclass)",
  "SELECT heap_force_freeze('customers'::regclass, ARRAY['(0,1)']::tid[])",
  'SELECT pg_buffercache_evict(1)',
  'SELECT takes_role()',
  'SELECT sets_replica()',
  'SELECT off_strings()',
  ['BEGIN; CREATE TEMP TABLE hidden (p int)', 'ROLLBACK', 'SELECT * FROM hidden'],
  ['BEGIN; CREATE TEMP TABLE hidden (p int) ON COMMIT DROP', 'COMMIT', 'SELECT * FROM hidden'],
  ['CREATE TEMP TABLE hidden (p int); SELECT 1/0', 'SELECT * FROM hidden'],
];

/** Pass: each line is the texts of one session. */
export const deeperHarmless: readonly (readonly string[])[] = [
  ['SELECT count(*) FROM t', 'SELECT id, name FROM customers ORDER BY id'],
  [
    'CREATE TEMP TABLE mine (a int)',
    'INSERT INTO mine VALUES (1)',
    'SELECT a FROM mine',
    'DROP TABLE pg_temp.mine',
  ],
  ['CREATE TEMP TABLE mine (a int); INSERT INTO mine VALUES (1); SELECT a FROM mine'],
  ['CREATE TEMP TABLE mine AS SELECT id FROM t', 'UPDATE mine SET id = 0 WHERE id = 1', 'TABLE mine'],
  ['CREATE TEMP VIEW mine AS SELECT id FROM t', 'SELECT count(*) FROM mine', 'DISCARD TEMP'],
  ['BEGIN; CREATE TEMP TABLE mine (LIKE b) ON COMMIT DROP', 'INSERT INTO mine VALUES (1)', 'COMMIT'],
  ['SELECT m FROM moods', "SELECT 'calm'::mood", 'SELECT x FROM typed'],
  ["SELECT 'a=>1'::hstore -> 'a'"],
];
