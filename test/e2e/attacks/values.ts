// Values and plans (threats B): types whose values run code though no text names them, what a read computes while it is
// planned, operators behind an implicit cast, and the server's own functions that take code by its name. A text is
// harmless in itself: the fixture hides what it runs into.

import { fixture } from './fixture.ts';

export const valuesFixture = `${fixture}
  create function checks(int) returns boolean immutable language plpgsql as
    'begin if $1 < 0 then perform public.purge(); end if; return true; end';
  create domain dm as int check (checks(value));
  create domain over_dm as dm;
  create type holds as (x dm);
  create table td (id int primary key, d dm, e over_dm);
  insert into td select n, n, n from generate_series(1, 3) n;
  create table th (h holds);
  insert into th select row(n)::holds from generate_series(1, 3) n;
  create view td_view as select id, d as x from td;
  create materialized view td_kept as select id, d from td;

  -- parameters of a function, in any place of it
  create function out_sql(out a dm, out b int) language sql as 'select -1, 2';
  create function out_plpgsql(out a dm, out b int) language plpgsql as 'begin a := -1; b := 2; end';
  create function out_in(inout a int, out b dm) language plpgsql as 'begin b := -a; end';
  create function table_sql() returns table (a dm, b int) language sql as 'select -1, 2';
  create function table_plpgsql() returns table (a dm, b int) language plpgsql as 'begin a := -1; return next; end';
  create function table_atomic() returns table (a dm, b int) language sql begin atomic select -1, 2; end;
  create function same(anyelement, anyelement) returns boolean language sql as 'select $1 is not distinct from $2';
  create function like_it(a anyelement) returns text language plpgsql as
    'declare x a%type; begin x := -1; return x::text; end';
  create function returns_it(a anyelement) returns anyelement language plpgsql as 'begin return -1; end';
  create function array_of_it(a anyelement) returns anyarray language plpgsql as $$ begin return '{-1}'; end $$;
  create function record_loop() returns int language plpgsql as
    'declare r record; begin for r in select * from td loop r.d := -1; end loop; return 1; end';
  create function record_into() returns int language plpgsql as
    'declare r record; begin select * into r from td limit 1; select -1 into r.d; return 1; end';

  -- a row that is cast: to a domain by column notation, from an array of its kind
  create table lure_row (x int);
  insert into lure_row values (1);
  create function row_checks(lure_row) returns boolean language plpgsql as 'begin perform purge(); return true; end';
  create domain of_row as lure_row check (row_checks(value));
  create domain of_domain as of_row check (row_checks(value));
  create function class_checks(pg_class) returns boolean language plpgsql as 'begin perform purge(); return true; end';
  create domain of_class as pg_class check (class_checks(value));
  create table cast_row (x int);
  insert into cast_row values (1);
  create function cast_rows(cast_row[]) returns int language plpgsql as 'begin return purge(); end';
  create cast (cast_row[] as int) with function cast_rows(cast_row[]);
  create function equal_rows(cast_row[], cast_row[]) returns boolean language plpgsql as 'begin return purge() = 1; end';
  create operator = (leftarg = cast_row[], rightarg = cast_row[], function = equal_rows);

  -- what planning a read computes; harmless at first, or making these would already do it
  create function constant(x int) returns int immutable language plpgsql as 'begin return x; end';
  create function inlined(x int) returns int immutable language sql as 'select public.constant(1) + x';
  create table lure_index (id int); insert into lure_index values (1); create index on lure_index ((id + constant(1)));
  create table lure_inlined (id int); create index on lure_inlined (inlined(id));
  create table lure_where (id int); insert into lure_where values (1); create index on lure_where (id) where id > constant(0);
  create table lure_parent (id int); create table lure_child () inherits (lure_parent);
  alter table lure_child add check (id > constant(0) - 5);
  create table lure_statistics (id int, b int); insert into lure_statistics values (1, 1);
  create statistics on (id + constant(1)), b from lure_statistics;
  create view lure_view as select * from lure_where;
  create function reads_lure() returns bigint language sql as 'select count(*) from lure_where';
  create function reads_any(name text) returns bigint language plpgsql as
    $$ declare n bigint; begin execute format('select count(*) from %I', name) into n; return n; end $$;
  create or replace function constant(x int) returns int immutable language plpgsql as 'begin perform public.purge(); return x; end';

  -- an operator for what the server's own type is cast to unasked
  create type boxed as (t text);
  create function boxes(json) returns boxed language plpgsql as 'begin perform purge(); return null; end';
  create function equal_boxes(boxed, boxed) returns boolean language plpgsql as 'begin return $1 is null; end';
  create operator = (leftarg = boxed, rightarg = boxed, function = equal_boxes);
  create cast (json as boxed) with function boxes(json) as implicit;
  create table documents (j json);
  insert into documents values ('{}');

  -- functions of the server that read a value of a type by its name
  create view names_type as select pg_input_is_valid('-1', 'dm');
  create view names_error as select (pg_input_error_info('-1', 'dm')).message;
  create function names_atomic() returns boolean language sql begin atomic select pg_input_is_valid('-1', 'dm'); end;
  create table names_default (id int, b boolean default pg_input_is_valid('-1', 'dm'));
  create table names_rule (id int);
  create rule also as on insert to names_rule do also select pg_input_is_valid('-1', 'dm');
  do $$ begin execute format(
    'create view names_oid as select array_in(''{-1}''::cstring, %s::oid, -1)::text as x', 'dm'::regtype::oid); end $$;
`;

export const valuesTexts: readonly string[] = [
  // A literal beside a value becomes one of its type, also within an array or a row.
  "SELECT lag(d, 1, '-1') OVER (ORDER BY id) FROM td",
  "SELECT lead(x, 1, '-1') OVER () FROM (SELECT d AS x FROM td) s",
  "SELECT lag(e, 1, '-1') OVER () FROM td",
  "SELECT lag(x, 1, '-1') OVER () FROM td_view",
  "SELECT lag(h, 1, '(-1)') OVER () FROM th",
  "SELECT ARRAY[d] || '{-1}' FROM td",
  "SELECT ARRAY[x] || '{-1}' FROM td_view",
  "SELECT ARRAY[d] || '{-1}' FROM td_kept",
  "SELECT ARRAY[d] @> '{-1}' FROM td",
  "SELECT array_position(ARRAY[d], '-1') FROM td",
  "SELECT array_append(ARRAY[e], '-1') FROM td",
  "SELECT array_agg(d) || '{-1}' FROM td",
  "SELECT array_remove(array_agg(d), '-1') FROM td",
  "SELECT width_bucket('-1', array_agg(d)) FROM td",
  "PREPARE early AS SELECT ARRAY[d] || '{-1}' FROM td",
  "EXPLAIN SELECT ARRAY[d] || '{-1}' FROM td",
  "CREATE TEMP VIEW early_view AS SELECT ARRAY[d] || '{-1}' FROM td",
  "DECLARE c CURSOR WITH HOLD FOR SELECT ARRAY[d] || '{-1}' FROM td",
  'SELECT jsonb_populate_record(t, \'{"d": -1}\') FROM td t',
  "SELECT same(d, '-1') FROM td",
  'SELECT like_it(d) FROM td',
  'SELECT returns_it(d) FROM td',
  'SELECT array_of_it(d) FROM td',
  'SELECT record_loop()',
  'SELECT record_into()',
  'SELECT * FROM out_sql()',
  'SELECT * FROM out_plpgsql()',
  'SELECT (out_plpgsql()).b',
  'SELECT * FROM out_in(1)',
  'SELECT * FROM table_sql()',
  'SELECT * FROM table_plpgsql()',
  'SELECT * FROM table_atomic()',

  'SELECT lure_row.of_row FROM lure_row',
  'SELECT (l).of_row FROM lure_row l',
  'SELECT (q.lure_row).of_domain FROM (SELECT lure_row FROM lure_row) q',
  'SELECT (c).of_class FROM pg_class c',
  'SELECT array_agg(c)::int FROM cast_row c',
  'SELECT array_agg(c) = array_agg(c) FROM cast_row c',

  'SELECT * FROM lure_index',
  'EXPLAIN SELECT * FROM lure_index',
  'SELECT * FROM lure_inlined',
  'SELECT * FROM lure_where WHERE id = 1',
  'DELETE FROM lure_where WHERE id = 7',
  'SELECT * FROM lure_parent WHERE id = 1',
  'SELECT b, count(*) FROM lure_statistics GROUP BY b',
  'SELECT * FROM lure_view',
  'SELECT reads_lure()',
  "SELECT reads_any('lure_where')",

  "SELECT '{}'::json = '{}'::json",
  'SELECT j IN (j) FROM documents',
  'SELECT NULLIF(j, j) FROM documents',
  'SELECT 1 FROM documents WHERE j IS DISTINCT FROM j',
  'SELECT 1 FROM documents a JOIN documents b USING (j)',

  'SELECT * FROM names_type',
  'SELECT * FROM names_error',
  'SELECT * FROM names_oid',
  'SELECT names_atomic()',
  'INSERT INTO names_default (id) VALUES (1)',
  'INSERT INTO names_rule VALUES (1)',
];
