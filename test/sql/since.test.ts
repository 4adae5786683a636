// The server version from which a text means what it means here. What older servers make of it is measured in
// test/versions/reading.test.ts.

import { afterAll, expect, test } from 'vitest';
import { analyzer, factsOf, statementsOf } from './facts.ts';

afterAll(() => analyzer.close());

test.each([
  ['select 0x1F', 16],
  ['select -0X1f', 16],
  ['select 0o17', 16],
  ['select 0B1', 16],
  ['select 1_000', 16],
  ['select 1.5_0', 16],
  ['select .5_0', 16],
  ['select 1e1_0', 16],
  ['select 1e+1_0', 16],
  ['select a from t limit 1_0', 16],
  ["select 'a'||0x1F", 16],
  ['select (1)/**/+0b1', 16],
  ['select array[1,0b1]', 16],
  ['explain analyze select 0x1F', 16],
  ['select json_array(1, 2)', 16],
  ['select json_object()', 16],
  ['select json_arrayagg(x) from t', 16],
  ['select json_objectagg(k: v) from t', 16],
  ['select system_user', 16],
  ["select json_value(x, '$.a')", 17],
  ["select json_query(x, '$.a')", 17],
  ["select json_exists(x, '$.a')", 17],
  ["select json('1')", 17],
  ["select json_scalar('x')", 17],
  ["select json_serialize('1')", 17],
  ['select merge_action()', 17],
  ["explain select json_scalar('x')", 17],
  ["explain analyze select json_scalar('x')", 17],
  ["declare c cursor for select json_scalar('x')", 17],
  ["select json_scalar('x'), json_array(1)", 17],
  ["select json_array(1), json_scalar('x')", 17],
  ["with c as (select json_scalar('x')) select 0x1F from c", 17],
])('%s means what it says from version %i on', (sql, version) => {
  expect(factsOf(sql).since).toBe(version);
});

test.each([
  'select 1000, 1.5, .5, 1e10, 1.5e-3, 007',
  'select t1_0.x, a0x1, "0x1F", $1, x_1_0',
  "select '0x1F', E'1_000', $$0b1$$, $a1_0$0x1$a1_0$ -- 0x1F 1_000",
  'select /* 0x1F */ 1',
  "select '550e8400-e29b-41d4-a716-0b1644665544'::uuid",
  "select pg_catalog.system_user(), json_object('{a,1}'), to_json(1), x is null",
  "select '{}'::json, json '{}'",
])('%s means the same to all of them', (sql) => {
  expect(factsOf(sql).since).toBeUndefined();
});

test('all statements of a text with such a number say so, and what PREPARE keeps', () => {
  expect(statementsOf('select 1; select 0x1F').map(({ since }) => since)).toEqual([16, 16]);
  expect(factsOf('prepare p as select 0x1F').names[0]?.inner?.since).toBe(16);
});

test('in a text with new numbers as in one without, the newer of its parts counts', () => {
  expect(factsOf("prepare p as select 0x1F, json_scalar('x')").names[0]?.inner?.since).toBe(17);
});
