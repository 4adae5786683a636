// Which rows a text can change, by its own words: columns assigned, columns pinned to one value, rows at most, and
// whether the command tag counts them. What is told here makes rules laxer, so each "no" is a fact of its own.

import { afterAll, expect, test } from 'vitest';
import { analyzer, factsOf } from './facts.ts';

afterAll(() => analyzer.close());

test.each([
  ['update t set a = 1, b.c = 2 where true', ['a', 'b']],
  ['update t set (a, b) = (select 1, 2), c = 3', ['a', 'b', 'c']],
  ['insert into t values (1) on conflict (id) do update set n = 1, (x, y) = row(1, 2)', ['n', 'x', 'y']],
  ['insert into t (q) values (1) on conflict do nothing', undefined],
  [
    'merge into t using s on true when matched then update set a = 1 when matched then update set b = 2',
    ['a', 'b'],
  ],
  ['merge into t using s on true when matched then delete', undefined],
  ['with u as (update t set a = 1 returning *), v as (update t set b = 2) select 1', ['a', 'b']],
  ['explain analyze update t set a = 1', ['a']],
  ['update t set a = 1 returning b as c', ['a']],
  ['select 1', undefined],
  ['delete from t', undefined],
  ['explain update t set a = 1', undefined],
  ['prepare p as update t set a = 1', undefined],
])('%s assigns %j', (sql, columns) => {
  const { assigns } = factsOf(sql);
  expect(assigns === undefined ? undefined : [...assigns].sort()).toEqual(columns);
});

test('what PREPARE keeps has its facts for the EXECUTE that runs it', () => {
  const [use] = factsOf('prepare p as update t set a = 1 where id = $1').names;
  expect(use?.inner).toMatchObject({ assigns: ['a'], pinned: ['id'], tagged: true });
});

test.each([
  ['update t set n = 1 where id = 7', ['id']],
  ['delete from t where id = $1', ['id']],
  ["delete from t where 'x' = id and n > 5 and (b = 1 and c = $2)", ['b', 'c', 'id']],
  ['delete from t where t.id = 7', ['id']],
  ['delete from s.t where t.id = 7', ['id']],
  ['delete from t as x where x.id = 7', ['id']],
  ['delete from t where id in (7)', ['id']],
  ['delete from t where id operator(pg_catalog.=) 7', ['id']],
  ["delete from t where id = '1'::uuid and n = cast($1 as int) and d = date '2026-01-01'", ['d', 'id', 'n']],
  ['update t set n = 1 from s where t.id = 7 and s.id = t.n', ['id']],
  ['delete from t as x using s where x.id = 7', ['id']],
])('%s pins %j', (sql, columns) => {
  expect([...(factsOf(sql).pinned ?? [])].sort()).toEqual(columns);
});

test.each([
  'delete from t',
  'delete from t where id = 7 or n = 1',
  'delete from t where not id = 7',
  'delete from t where id <> 7',
  'delete from t where id >= 7',
  'delete from t where id = n',
  'delete from t where id = n + 1',
  'delete from t where id = lower($1)',
  'delete from t where id = (select 7)',
  'delete from t where id = any($1)',
  'delete from t where id in (7, 8)',
  'delete from t where id not in (7)',
  'delete from t where id is not distinct from 7',
  'delete from t where id operator(public.=) 7',
  'delete from t where (id).x = 7',
  'delete from t where id[1] = 7',
  'delete from t where lower(id) = $1',
  'delete from t where id::text = $1',
  'delete from t where (id, n) = (1, 2)',
  'delete from t where x.id = 7',
  'delete from t as x where t.id = 7',
  'delete from t where s.t.id = 7',
  'delete from t where (id = 7) is true',
  'delete from t where case when id = 7 then true else true end',
  // Several numbers are equal to one float, several texts to one of a blank-padded type.
  'delete from t where id = 1::float8',
  'delete from t where id = 1::real',
  "delete from t where id = 'a'::char(3)",
  "delete from t where id = 'a'::bpchar",
  "delete from t where id = 'a'::citext",
  "delete from t where id = 'a'::public.uuid",
  "delete from t where id = '{1}'::int[]",
  // Whose column it is, the text does not tell.
  'delete from t using s where id = 7',
  'update t set n = 1 from s where id = 7',
  'update t set n = 1 from s where s.id = 7',
])('%s pins nothing', (sql) => {
  expect(factsOf(sql).pinned ?? []).toEqual([]);
});

test('a pinned column is of the only target: with several, or one that has no WHERE, nothing is pinned', () => {
  const one = 'with u as (update t set n = 1 where id = 7 returning *)';
  expect(factsOf(`${one} select * from u`).pinned).toEqual(['id']);
  expect(factsOf(`${one} delete from s`).pinned).toBeUndefined();
  expect(factsOf(`${one}, v as (delete from s where id = 7) select 1`).pinned).toBeUndefined();
  expect(factsOf(`${one} insert into s select * from u`).pinned).toBeUndefined();
  expect(factsOf('merge into t using s on t.id = 7 when matched then delete').pinned).toBeUndefined();
  expect(
    factsOf('insert into t values (1) on conflict (id) do update set n = 1 where t.id = 7').pinned,
  ).toBeUndefined();
});

test.each([
  ['insert into t values (1)', 1],
  ['insert into t values (1), (2), (3)', 3],
  ["insert into t values (default, now(), lower('x'), (select max(n) from s))", 1],
  ['insert into t default values', 1],
  ['insert into t values (1), (2) on conflict (id) do update set n = 1', 2],
  ['with i as (insert into t values (1) returning id) insert into s values (1), (2)', 3],
  ['with x as (select 1) insert into t values (1)', 1],
  ['explain analyze insert into t values (1)', 1],
])('%s changes at most %i rows', (sql, rows) => {
  expect(factsOf(sql).rowsAtMost).toBe(rows);
});

test.each([
  'insert into t select 1',
  'insert into t values (1) union all values (2)',
  'insert into t table s',
  // One row of VALUES is planned as a SELECT: the function makes a row of each of its results.
  'insert into t values (generate_series(1, 1000000))',
  'insert into t values (1 + unnest($1::int[]))',
  "insert into t values (regexp_matches('a', 'a', 'g'))",
  'insert into t values (many())',
  'insert into t values (public.lower($1))',
  'insert into t values (information_schema._pg_expandarray($1))',
  'insert into t values ((row(1, 2)).f)',
  'update t set n = 1 where id = 7',
  'delete from t where id = 7',
  'copy t from stdin',
  'merge into t using s on true when not matched then insert values (1)',
  'with d as (delete from s) insert into t values (1)',
  'with x as (select 1) insert into t values (1) on conflict (id) do update set n = lo_unlink(1)',
  'select 1',
])('%s does not tell how many rows it changes', (sql) => {
  expect(factsOf(sql).rowsAtMost).toBeUndefined();
});

test('a row of VALUES among others cannot make more: the server refuses a set there', () => {
  expect(factsOf('insert into t values (generate_series(1, 5)), (2)').rowsAtMost).toBe(2);
});

test.each([
  'insert into t select * from s',
  'update t set n = 1',
  'delete from t',
  'merge into t using s on true when matched then delete',
  'copy t from stdin',
  'with x as (select 1) update t set n = 1',
  'with u as (update t set n = 1 returning *) select * from u',
  'with u as (delete from t returning id, n) select u.*, id::text as name from u order by id',
  'with x as (select 1), u as (insert into t select * from s returning *) table u',
  'prepare p as with u as (update t set n = 1 returning *) select * from u',
])('the command tag counts all that is changed: %s', (sql) => {
  const statement = factsOf(sql);
  expect((statement.names[0]?.inner ?? statement).tagged).toBe(true);
});

const updating = 'with u as (update t set n = 1 returning *)';
test.each([
  'select 1',
  `${updating} select count(*) from u`,
  `${updating} select max(id) from u`,
  `${updating} select id from u where id = 1`,
  `${updating} select id from u limit 1`,
  `${updating} select id from u offset 1`,
  `${updating} select id from u fetch first 1 rows only`,
  `${updating} select distinct id from u`,
  `${updating} select id from u group by id`,
  `${updating} select 1 from u having true`,
  `${updating} select * from u, s`,
  `${updating} select * from u join s on true`,
  `${updating} select * from u tablesample system (1)`,
  `${updating} select * from s`,
  `${updating} select * from s.u`,
  `${updating} select * from (select * from u where false) u`,
  `${updating} select * from u union select * from u`,
  `${updating} select * from u except select * from u`,
  // It may be the call of a function that returns a set of none.
  `${updating} select u.f from u`,
  `${updating} select (u).f from u`,
  `${updating} select unnest(n) from u`,
  `${updating} select`,
  `${updating} select * from u as x, u`,
  `${updating}, d as (delete from s) select * from u`,
  `${updating}, d as (select * from u limit 1) select * from d`,
  `${updating} insert into s select * from u`,
  `${updating} update s set n = 1`,
  'explain analyze update t set n = 1',
  `explain analyze ${updating} select * from u`,
  'copy (update t set n = 1 returning *) to stdout',
  `create table x as ${updating} select * from u`,
  'update t set n = lo_unlink(m)',
  'select lo_unlink(1)',
])('the command tag does not count all that is changed: %s', (sql) => {
  expect(factsOf(sql).tagged).toBeUndefined();
});

test.each([
  ['update t set a = 1 where id = $1', ['id']],
  ['update t set a = $2 where id = $1', ['id']],
  ['update t set a = $1 where id = $1', []],
  ['update t set a = 1 where id = $1 and $1 > 0', []],
  ['update t set a = 1 from (select $1::float8 as x) s where t.id = $1', []],
  ['with s as (select $1::float8) update t set a = 1 where id = $1', []],
  ['delete from t where id = $1 and $1::float8 > 0', []],
  ['with u as (update t set a = 1 where id = $1 returning a) select a, $1::float8 from u', []],
])('a parameter pins a column only where nothing else gives it a type: %s', (sql, columns) => {
  expect(factsOf(sql).pinned ?? []).toEqual(columns);
});

test.each([
  ['prepare p as update t set a = 1 where id = $1', ['id']],
  ['prepare p(int) as update t set a = 1 where id = $1', ['id']],
  ['prepare p(float8) as update t set a = 1 where id = $1', undefined],
  ['prepare p(real, int) as update t set a = $2 where id = $1', undefined],
  ['prepare p(mine) as update t set a = 1 where id = $1', undefined],
  ['prepare p(int[]) as update t set a = 1 where id = $1', undefined],
])('a parameter of a type that several values are equal by pins nothing: %s', (sql, columns) => {
  expect(factsOf(sql).names[0]?.inner?.pinned).toEqual(columns);
});

test.each([
  ['insert into t values (1 <#> 5000)', undefined],
  ['insert into t values (1 operator(mine.+) 5000)', undefined],
  ['insert into t values (1 + 5000)', 1],
  ['insert into t values (1 <#> 5000), (2)', 2],
])('an operator of a user may return a set: %s', (sql, rows) => {
  expect(factsOf(sql).rowsAtMost).toBe(rows);
});
