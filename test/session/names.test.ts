// Names inside texts: what an EXECUTE or FETCH turns into. Texts go through PostgreSQL's own parser.

import { afterAll, expect, test } from 'vitest';
import { resolveNames, sameBehind } from '../../src/session/names.ts';
import { PreparedMirror } from '../../src/session/prepared.ts';
import type { Effect, Statement } from '../../src/sql/statement.ts';
import { analyzer } from './transcript.ts';

afterAll(() => analyzer.close());

function facts(sql: string): readonly Statement[] {
  const analysis = analyzer.analyze(Buffer.from(sql));
  if (analysis instanceof Promise || analysis.kind !== 'statements') throw new Error(sql);
  return analysis.statements;
}

function mirrorOf(names: Record<string, string>): PreparedMirror {
  const mirror = new PreparedMirror(true);
  for (const [name, sql] of Object.entries(names)) {
    const prepared = { sql: Buffer.from(sql), statements: facts(sql), inner: false, parameterOids: [] };
    mirror.confirm(mirror.stage(name, prepared, 0));
  }
  return mirror;
}

/** All effects of the text, names resolved, in order. */
function effects(sql: string, names: Record<string, string> = {}): Effect[] {
  const { statements } = resolveNames(facts(sql), mirrorOf(names), 1);
  return [...new Set(statements.flatMap((each) => each.effects))].sort();
}

test.each<[string, Record<string, string>, Effect[]]>([
  ['execute r', { r: 'select 1' }, ['read']],
  ['execute d', { d: 'delete from t where a = 1' }, ['delete', 'read']],
  ['execute gone', { r: 'select 1' }, ['unknown']],
  ['execute r; execute gone', { r: 'select 1' }, ['read', 'unknown']],
  ['execute x', { x: 'execute r', r: 'select 1' }, ['read', 'unknown']],
  ['prepare p as delete from t where a = 1; execute p', {}, ['delete', 'read']],
  ['execute p; prepare p as select 1', {}, ['read', 'unknown']],
  ['prepare p as select 1; execute p', { p: 'truncate t' }, ['read', 'truncate']],
  ['create table c as execute r', { r: 'select 1' }, ['create', 'read']],
  ['explain execute d', { d: 'truncate t' }, ['read', 'truncate']],
  ['declare c cursor for select 1; fetch c', {}, ['read']],
  ['fetch c; declare c cursor for select 1', {}, ['read', 'unknown']],
  ['move forward 3 in c', {}, ['unknown']],
])('%s with %o does %o', (sql, names, expected) => {
  expect(effects(sql, names)).toEqual(expected);
});

test('a FETCH from a cursor of an earlier text is a read, also under a name cut at 63 bytes', () => {
  const mirror = mirrorOf({});
  mirror.noteCursor('c'.repeat(70));
  const { statements } = resolveNames(facts(`fetch all from ${'c'.repeat(66)}`), mirror, 1);
  expect(statements[0]?.effects).toEqual(['read']);
});

test('texts without names are handed on as they are', () => {
  const statements = facts('select 1; select 2');
  expect(resolveNames(statements, mirrorOf({}), 1).statements).toBe(statements);
});

test('a name under way leaves the text open, and what stands behind can be compared later', () => {
  const mirror = mirrorOf({ s: 'select 1' });
  const before = resolveNames(facts('execute s'), mirror, 1);
  expect(before).toMatchObject({ open: false, behind: [{ sql: Buffer.from('select 1') }] });
  const other = {
    sql: Buffer.from('truncate t'),
    statements: facts('truncate t'),
    inner: false,
    parameterOids: [],
  };
  mirror.stage('s', other, 2);
  expect(resolveNames(facts('execute s'), mirror, 3).open).toBe(true);
  const now = resolveNames(facts('execute s'), mirror, 2);
  expect(sameBehind(before.behind, now.behind)).toBe(false);
  expect(sameBehind(before.behind, before.behind)).toBe(true);
});

test('a prepared text too long to be quoted whole is told apart by its digest', () => {
  const quoted = (end: string) => {
    const long = `select ${'1 + '.repeat(1100)}${end}`;
    return resolveNames(facts('execute p'), mirrorOf({ p: long }), 1).statements[0]?.why.at(-1);
  };
  expect(quoted('1')).toBe(quoted('1'));
  expect(quoted('1')).not.toBe(quoted('2'));
});
