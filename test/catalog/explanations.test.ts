// What was explained once is not explained again, and nothing is taken for what it is not.

import { expect, test } from 'vitest';
import { Explanations } from '../../src/catalog/explanations.ts';
import type { NameContext } from '../../src/catalog/names.ts';
import type { Statement } from '../../src/sql/statement.ts';
import { factsOf } from '../sql/facts.ts';

const context: NameContext = {
  path: ['public'],
  temporary: new Map(),
  shadowed: false,
  changed: false,
};

function explained(statement: Statement): Statement {
  return { ...statement, identity: 'x' };
}

test('the same statement gets the same object again', () => {
  const known = new Explanations();
  const read = factsOf('SELECT a FROM t WHERE b = 1');
  expect(known.find(read, context, [])).toBeUndefined();
  const first = explained(read);
  known.keep(read, context, [], first);
  expect(known.find(read, { ...context }, [])).toBe(first);
});

test('texts that differ in nothing but their literals share what was explained, each in its own place', () => {
  const known = new Explanations();
  const one = factsOf('SELECT a FROM t WHERE b = 1');
  const other = factsOf('  SELECT a FROM t WHERE b = 22');
  known.keep(one, context, [], explained(one));
  const found = known.find(other, context, []);
  expect(found).toMatchObject({ identity: 'x', start: other.start, end: other.end });
  expect(known.find(other, context, [])).toBe(found);
});

test.each([
  'SELECT a FROM u WHERE b = 1',
  'SELECT f(a) FROM t WHERE b = 1',
  'SELECT t.a FROM t WHERE b = 1',
  'SELECT a FROM t WHERE b < 1',
  'SELECT a FROM t WHERE b = 1::mood',
  'SELECT a FROM t WHERE b = 1 FOR UPDATE',
])('%s is not what was explained', (text) => {
  const known = new Explanations();
  const one = factsOf('SELECT a FROM t WHERE b = 1');
  known.keep(one, context, [], explained(one));
  expect(known.find(factsOf(text), context, [])).toBeUndefined();
});

test('another context or other parameter types are another question', () => {
  const known = new Explanations();
  const read = factsOf('SELECT a FROM t');
  known.keep(read, context, [], explained(read));
  expect(known.find(read, { ...context, path: ['other', 'public'] }, [])).toBeUndefined();
  expect(known.find(read, { ...context, path: undefined }, [])).toBeUndefined();
  expect(known.find(read, { ...context, shadowed: true }, [])).toBeUndefined();
  expect(known.find(read, { ...context, changed: true }, [])).toBeUndefined();
  expect(known.find(read, { ...context, temporary: new Map([['t', read]]) }, [])).toBeUndefined();
  expect(known.find(read, context, [16_400])).toBeUndefined();
});

test('facts that were not asked for in a long time are forgotten', () => {
  const known = new Explanations();
  const one = factsOf('SELECT a FROM t');
  known.keep(one, context, [], explained(one));
  for (let each = 0; each < 2_500; each += 1) {
    const other = { ...one, command: `C${each}` };
    known.keep(other, context, [], explained(other));
  }
  expect(known.find({ ...one }, context, [])).toBeUndefined();
});
