// The readers of the formats in which the catalog's answers come.

import { expect, test } from 'vitest';
import { elements, Listing, number, numbers, texts } from '../../src/catalog/row.ts';

test('numbers are read from arrays, vectors and lists alike', () => {
  expect(numbers('{1,2,3}')).toEqual([1, 2, 3]);
  expect(numbers('1 0 4294967295')).toEqual([1, 0, 4294967295]);
  for (const empty of [null, undefined, '', '{}']) expect(numbers(empty)).toEqual([]);
  expect(number(null)).toBe(0);
});

test('names are read from arrays whatever is in them', () => {
  expect(elements('{a,b}')).toEqual(['a', 'b']);
  expect(elements('{id,"odd \\"name, {x}","",NULLS,"back\\\\slash","NULL"}')).toEqual([
    'id',
    'odd "name, {x}',
    '',
    'NULLS',
    'back\\slash',
    'NULL',
  ]);
  expect(elements('{}')).toEqual([]);
  expect(texts('["a",null]')).toEqual(['a', '']);
});

test('a listing gives what was added, in its order', () => {
  const listing = new Listing<number, { n: number }>();
  expect(listing.get(1)).toEqual([]);
  listing.add(1, { n: 1 });
  expect(listing.get(1)).toEqual([{ n: 1 }]);
  listing.add(1, { n: 2 });
  listing.add(1, { n: 3 });
  expect(listing.get(1)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  expect([...listing.keys()]).toEqual([1]);
});
