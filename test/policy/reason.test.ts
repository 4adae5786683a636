// The sentence of a verdict where what a statement does stands behind its names.

import { expect, test } from 'vitest';

import { phrase, sentence } from '../../src/catalog/words.ts';
import { reasonFor } from '../../src/policy/reason.ts';
import type { Effect } from '../../src/sql/statement.ts';
import { relation, statement } from './statements.ts';

const way = { certain: true, label: 'function public.purge_old()', from: undefined };
const doubtful = { ...way, certain: false };

test('what code behind a name does is told with the way to it', () => {
  const of = statement('SELECT', ['delete', 'read'], {
    relations: [relation('public.orders', 'delete')],
    why: [sentence(phrase('delete', 'public.orders'), way)],
  });
  expect(reasonFor(of, ['delete'], 'rows that are deleted do not come back')).toBe(
    'SELECT deletes rows of public.orders via function public.purge_old(): rows that are deleted do not come back',
  );
});

test('what code may do is told as such', () => {
  const of = statement('SELECT', ['delete'], {
    why: [sentence(phrase('delete', 'public.orders'), doubtful)],
  });
  expect(reasonFor(of, ['delete'], undefined)).toBe(
    'SELECT may call public.purge_old(), which deletes rows of public.orders',
  );
});

test('what is not proven is told by what may be reached', () => {
  const why = [sentence(phrase('delete', 'public.orders'), doubtful)];
  expect(reasonFor(statement('SELECT', ['read', 'unproven'], { why }), ['unproven'], undefined)).toBe(
    'SELECT may call public.purge_old(), which deletes rows of public.orders',
  );
  expect(reasonFor(statement('SELECT', ['read', 'unproven']), ['unproven'], undefined)).toBe(
    'SELECT may run code that is not proven harmless',
  );
});

test('what the statement does by its own words is told beside what a trigger does', () => {
  const of = statement('DELETE', ['delete'], {
    relations: [relation('orders', 'delete')],
    why: [
      'deletes every row: no WHERE that could leave one out',
      sentence(phrase('delete', 'public.log'), { ...way, label: 'trigger t on public.orders' }),
    ],
  });
  expect(reasonFor(of, ['delete'], 'gone')).toBe(
    'DELETE deletes rows (orders), deletes rows of public.log via trigger t on public.orders: gone',
  );
});

test('every effect that a rule minds and that is hidden is told with its way, and the others as ever', () => {
  const of = statement('SELECT', ['function', 'insert', 'truncate'], {
    why: [
      'calls f(), which is not a known builtin',
      sentence(phrase('insert', 'public.a'), way),
      sentence(phrase('truncate', 'public.b'), way),
    ],
  });
  expect(reasonFor(of, ['function', 'truncate'], undefined)).toBe(
    'SELECT calls f(), which is not a known builtin, removes all rows from public.b via function public.purge_old()',
  );
  expect(reasonFor(of, ['insert', 'truncate'], undefined)).toBe(
    'SELECT inserts rows into public.a via function public.purge_old(), removes all rows from public.b via function public.purge_old()',
  );
});

test('a sentence on one effect is not taken for that of another', () => {
  const of = statement('SELECT', ['update', 'update-all'], { why: [sentence(phrase('update-all'), way)] });
  const effects: Effect[] = ['update'];
  expect(reasonFor(of, effects, undefined)).toBe('SELECT changes rows');
});
