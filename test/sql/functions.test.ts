import { expect, test } from 'vitest';
import { effectsOfFunction, isBuiltinOperator, isBuiltinType } from '../../src/sql/functions.ts';
import { builtinFunctions } from '../../src/sql/functions-data.ts';
import { effectOfSetting } from '../../src/sql/settings.ts';
import { statementsOf } from './facts.ts';

test('a builtin function keeps its effect with and without its schema, and loses it in another', () => {
  expect(effectsOfFunction(undefined, 'lower')).toEqual(['read']);
  expect(effectsOfFunction('pg_catalog', 'pg_read_file')).toEqual(['os']);
  expect(effectsOfFunction('public', 'lower')).toEqual(['function']);
  expect(effectsOfFunction('PG_CATALOG', 'lower')).toEqual(['function']);
  expect(effectsOfFunction(undefined, 'LOWER')).toEqual(['function']);
});

test('names of JavaScript objects are no builtin names', () => {
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty', '']) {
    expect(effectsOfFunction(undefined, name)).toEqual(['function']);
    expect(isBuiltinType(undefined, name)).toBe(false);
    expect(isBuiltinOperator(undefined, name)).toBe(false);
    expect(effectOfSetting(name, { kind: 'constant', text: 'x' })).toBe('guard-setting');
  }
  expect(statementsOf('SELECT constructor(1)')[0]?.effects).toEqual(['function', 'read']);
});

test('no name has two effects in the generated list', () => {
  const seen = new Map<string, string>();
  for (const [effect, names] of Object.entries(builtinFunctions)) {
    for (const name of names.trim().split(/\s+/)) {
      expect([name, seen.get(name)]).toEqual([name, undefined]);
      seen.set(name, effect);
    }
  }
  expect(seen.size).toBeGreaterThan(2800);
});

test.each([
  ['standard_conforming_strings', 'on', 'setting'],
  ['standard_conforming_strings', 'off', 'parser-setting'],
  ['Client-Encoding', 'utf8', 'setting'],
  ['client_encoding', 'SJIS', 'parser-setting'],
  ['search_path', 'a, public', 'setting'],
  ['search_path', 'pg_catalog, public', 'setting'],
  ['search_path', '"public", "pg_catalog"', 'guard-setting'],
  ['work_mem', '64MB', 'setting'],
  ['app.user', '1', 'custom-setting'],
  ['plpgsql.variable_conflict', 'use_column', 'guard-setting'],
  ['plv8.start_proc', 'f', 'guard-setting'],
  ['jit_dump_bitcode', 'on', 'guard-setting'],
  ['jit_above_cost', '1', 'setting'],
  ['jit_provider', 'x', 'guard-setting'],
  ['row_security', 'off', 'setting'],
  ['session_replication_role', 'replica', 'guard-setting'],
  ['session_replication_role', 'origin', 'setting'],
  ['role', 'none', 'role'],
  ['never_heard_of', '1', 'guard-setting'],
])('%s set to %s is a %s', (name, text, effect) => {
  expect(effectOfSetting(name, { kind: 'constant', text })).toBe(effect);
});

test('a value that is not a constant is taken for the worst', () => {
  expect(effectOfSetting('standard_conforming_strings', { kind: 'unknown' })).toBe('parser-setting');
  expect(effectOfSetting('search_path', { kind: 'unknown' })).toBe('guard-setting');
  expect(effectOfSetting('statement_timeout', { kind: 'unknown' })).toBe('setting');
});
