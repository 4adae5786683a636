// Calls as the text writes them: how many arguments, so that the catalog knows which functions may be meant.

import { afterAll, expect, test } from 'vitest';
import { analyzer, factsOf } from './facts.ts';

afterAll(() => analyzer.close());

const callsOf = (sql: string) =>
  factsOf(sql).functions.map(({ schema, name, args }) => [
    schema === undefined ? name : `${schema}.${name}`,
    args,
  ]);

test.each([
  ['select f()', [['f', 0]]],
  ['select f(1, x => 2)', [['f', 2]]],
  ['select f(t), t.g from t', [['f', 1]]],
  [
    'select count(*), count(distinct a)',
    [
      ['count', 0],
      ['count', 1],
    ],
  ],
  [
    'select f(1), f(2), f(1, 2), s.f(1)',
    [
      ['f', 1],
      ['f', 2],
      ['s.f', 1],
    ],
  ],
  ['select f(variadic array[1, 2])', [['f', undefined]]],
  ['select percentile_cont(0.5) within group (order by x)', [['percentile_cont', 2]]],
  ['select string_agg(a, b order by c)', [['string_agg', 2]]],
  ['select rank() over (order by x)', [['rank', 0]]],
  [
    'select * from f(1) with ordinality, rows from (g(), h(1, 2))',
    [
      ['f', 1],
      ['g', 0],
      ['h', 2],
    ],
  ],
  ['create trigger x after insert on t execute function f(1, 2)', [['f', undefined]]],
  ['select * from t tablesample f(10)', [['f', undefined]]],
  ["select json_object('{a,1}')", [['json_object', 1]]],
])('%s', (sql, calls) => {
  expect(callsOf(sql)).toEqual(calls);
});

test('BEGIN tells the mode that it asks for, and needs no release for it', () => {
  for (const [sql, value] of [
    ['begin read write', 'off'],
    ['begin isolation level serializable, read write', 'off'],
    ['start transaction read write', 'off'],
    ['begin transaction read only', 'on'],
  ] as const) {
    const { effects, settings } = factsOf(sql);
    expect(effects).toEqual(['transaction']);
    expect(settings).toEqual([{ name: 'transaction_read_only', value, local: true }]);
  }
  expect(factsOf('begin').settings).toEqual([]);
});

test.each([
  'set transaction read write',
  'set local transaction_read_only = off',
  'set transaction_read_only to false',
  'set "transaction_read_only" = 0',
  'set session characteristics as transaction isolation level read committed, read write',
  'set default_transaction_read_only = off',
  "select set_config('transaction_read_only', 'off', true)",
  "select pg_catalog.set_config('DEFAULT_TRANSACTION_READ_ONLY', 'no', false)",
  'reset transaction_read_only',
  'set transaction_read_only to default',
])('%s takes a guard down, and names it', (sql) => {
  const { effects, settings } = factsOf(sql);
  expect(effects).toContain('guard-setting');
  expect(settings.at(-1)?.name).toMatch(/^(default_)?transaction_read_only$/);
  expect(settings.at(-1)?.value).not.toBe('on');
});
