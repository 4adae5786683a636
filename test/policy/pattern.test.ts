import { expect, test } from 'vitest';

import { mayMatch, mustMatch, namePattern, wordPattern } from '../../src/policy/pattern.ts';
import { named } from './statements.ts';

const may = (pattern: string, name: string) => mayMatch(namePattern(pattern), named(name));
const must = (pattern: string, name: string) => mustMatch(namePattern(pattern), named(name));

test('a qualified pattern matches its own name only', () => {
  expect(may('public.orders', 'public.orders')).toBe(true);
  expect(may('public.orders', 'public.orders2')).toBe(false);
  expect(may('public.orders', 'audit.orders')).toBe(false);
});

test('an unqualified name may be the qualified one, and is not taken to be it', () => {
  expect(may('public.orders', 'orders')).toBe(true);
  expect(must('public.orders', 'orders')).toBe(false);
  expect(must('public.orders', 'public.orders')).toBe(true);
});

test('a pattern without a schema, or with *, stands for every schema', () => {
  for (const pattern of ['orders', '*.orders']) {
    expect(must(pattern, 'orders')).toBe(true);
    expect(must(pattern, 'public.orders')).toBe(true);
  }
});

test('wildcards match within names, and a dot in a pattern is not a wildcard', () => {
  expect(may('audit.log_*', 'audit.log_2024')).toBe(true);
  expect(may('audit.log_?', 'audit.log_12')).toBe(false);
  expect(may('a.b', 'axb')).toBe(false);
  expect(may('a+b', 'aab')).toBe(false);
});

test('unquoted parts fold as the server folds them, quoted parts are literal', () => {
  expect(may('Public.Orders', 'public.orders')).toBe(true);
  expect(may('public."Orders"', 'public.orders')).toBe(false);
  expect(mayMatch(namePattern('public."Or.d*"'), { schema: 'public', name: 'Or.d*' })).toBe(true);
  expect(mayMatch(namePattern('public."Or.d*"'), { schema: 'public', name: 'Or.dx' })).toBe(false);
  expect(mayMatch(namePattern('"a""b"'), { schema: undefined, name: 'a"b' })).toBe(true);
});

test('a name with a line feed cannot slip past a pattern', () => {
  expect(mayMatch(namePattern('public.*'), { schema: 'public', name: 'a\nb' })).toBe(true);
  expect(mayMatch(namePattern('orders'), { schema: undefined, name: 'orders\n' })).toBe(false);
});

test('three parts, empty parts and blanks are refused with a sentence', () => {
  expect(() => namePattern('db.public.orders')).toThrow(
    '"db.public.orders" has more than two parts; write schema.name',
  );
  for (const wrong of ['', '.', 'a.', '.a', 'a b', '"a', 'a"b"']) {
    expect(() => namePattern(wrong), wrong).toThrow(/is not a name pattern/);
  }
  expect(() => wordPattern('  ', true)).toThrow('a pattern must not be empty');
});

test('a run of wildcards is one wildcard, so that a long name cannot stall the proxy', () => {
  const started = performance.now();
  expect(may(`${'*'.repeat(150)}x`, 'a'.repeat(10_000))).toBe(false);
  // One by one they would take longer than anybody waits.
  expect(performance.now() - started).toBeLessThan(20_000);
});

test('commands ignore case, agents do not', () => {
  expect(wordPattern('drop *', true).test('DROP TABLE')).toBe(true);
  expect(wordPattern('Claude', false).test('claude')).toBe(false);
});
