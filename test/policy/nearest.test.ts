import { expect, test } from 'vitest';

import { didYouMean, nearest } from '../../src/policy/nearest.ts';

test.each([
  ['efects', 'effects'],
  ['dleete', 'delete'],
  ['Updateall', 'update-all'],
  ['so', 'os'],
])('%s most likely means %s', (word, meant) => {
  expect(nearest(word, ['effects', 'delete', 'update-all', 'os'])).toBe(meant);
});

test('a word that is like none has no nearest, and a short one is not near to everything', () => {
  expect(nearest('zzzzzz', ['effects', 'delete'])).toBeUndefined();
  expect(nearest('7', ['os'])).toBeUndefined();
  expect(didYouMean('7', ['os'])).toBe('');
});

test('a very long word costs nothing', () => {
  expect(nearest('x'.repeat(1_000_000), ['effects'])).toBeUndefined();
});
