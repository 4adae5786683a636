import { expect, test } from 'vitest';
import { fingerprint } from '../../src/sql/fingerprint.ts';
import { Analyzer } from '../../src/sql/parse.ts';

const analyzer = await Analyzer.load();

function shape(sql: string): string | undefined {
  return fingerprint(analyzer.syntax(Buffer.from(sql)) ?? []);
}

const one = "delete from orders where id = 5 and state in ('new', 'old') and note is not null";

test.each([
  ["delete from orders where id = 7 and state in ('x', '') and note is not null", 'other values'],
  [
    "DELETE  FROM \"orders\"\n where (id=0) and state in ('a','b') and note is not null;",
    'other blanks, case and quotes',
  ],
  [
    "/* hm */ delete from orders where id = 1 -- one\n and state in ('new', 'old') and note is not null",
    'comments',
  ],
  ["delete from orders where id = -5 and state in ('new', 'old') and note is not null", 'a sign'],
  ["delete from orders where id = 0x10 and state in (e'n', 'o') and note is not null", 'another notation'],
])('%s has the shape of the first: %s', (sql) => {
  expect(shape(sql)).toBe(shape(one));
  expect(shape(sql)).toHaveLength(43);
});

test.each([
  [
    "delete from orders where id = '5' and state in ('new', 'old') and note is not null",
    'a string for a number',
  ],
  ["delete from orders where id = 5000000000 and state in ('new', 'old') and note is not null", 'a bigint'],
  ["delete from orders where id = 5.0 and state in ('new', 'old') and note is not null", 'a numeric'],
  [
    "delete from orders where id = 5 and state in ('new', 'old', 'odd') and note is not null",
    'a longer list',
  ],
  ["delete from orders where id = 5 and state in ('new', null) and note is not null", 'NULL for a value'],
  [
    "delete from orders where id = 5 and state in ('new', $1) and note is not null",
    'a parameter for a value',
  ],
  ["delete from orders where id = 5 or state in ('new', 'old') and note is not null", 'OR for AND'],
  ["delete from orders where id = 5 and state in ('new', 'old') and note is null", 'another test'],
  ["delete from orders where id <> 5 and state in ('new', 'old') and note is not null", 'another operator'],
  ["delete from orders where id = 5 and state not in ('new', 'old') and note is not null", 'NOT IN'],
  [
    "delete from public.orders where id = 5 and state in ('new', 'old') and note is not null",
    'a qualified name',
  ],
  ["delete from only orders where id = 5 and state in ('new', 'old') and note is not null", 'ONLY'],
  ["delete from orders o where id = 5 and state in ('new', 'old') and note is not null", 'an alias'],
  [
    "delete from orders using items where id = 5 and state in ('new', 'old') and note is not null",
    'another table',
  ],
  [`with x as (select 1) ${one}`, 'a WITH query'],
  [`${one} returning id`, 'RETURNING'],
  ["delete from orders where id = 5::int and state in ('new', 'old') and note is not null", 'a cast'],
  ["delete from orders where id = abs(5) and state in ('new', 'old') and note is not null", 'a call'],
  ['delete from orders where true', 'another condition'],
  ['delete from orders', 'none'],
])('%s does not: %s', (sql) => {
  expect(shape(sql)).toHaveLength(43);
  expect(shape(sql)).not.toBe(shape(one));
});

test('what is written as a constant and is no value stays as it is', () => {
  expect(shape("update t set a = 'x'::varchar(5)")).not.toBe(shape("update t set a = 'x'::varchar(500)"));
  const ordered = (column: number) => shape(`insert into t select a, b from s order by ${column}`);
  expect(ordered(1)).not.toBe(ordered(2));
});

test('true and false, and bit strings of two bases, are not the same', () => {
  expect(shape('update t set a = true')).not.toBe(shape('update t set a = false'));
  expect(shape("update t set a = b'1'")).not.toBe(shape("update t set a = x'1'"));
  expect(shape("update t set a = b'1'")).toBe(shape("update t set a = b'0'"));
});

test('a big number is a bigint as long as the server takes it for one', () => {
  const big = (value: string) => shape(`update t set a = ${value}`);
  expect(big('9223372036854775807')).toBe(big('3000000000'));
  expect(big('9223372036854775808')).toBe(big('1.5'));
  expect(big('9223372036854775808')).not.toBe(big('3000000000'));
});

test.each([
  'drop table orders',
  'truncate orders',
  'grant select on orders to bob',
  'select 1',
  'copy orders from stdin',
  'call f()',
  'delete from orders; delete from orders',
  '',
  'no sql',
  `update t set a = ${'('.repeat(300)}1${')'.repeat(300)} + ${'1 + '.repeat(300)} 1`,
])('%s has none', (sql) => {
  expect(shape(sql)).toBeUndefined();
});
