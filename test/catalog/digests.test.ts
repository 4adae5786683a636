// What the sums over a catalog's rows tell of it.

import { expect, test } from 'vitest';
import { digestsOf, outdated } from '../../src/catalog/digests.ts';
import type { Row } from '../../src/catalog/row.ts';

const none: Row = ['temporary columns', '0', null];
/** Rows of transactions, seen when the next one is `now`; ages as the server gives them. */
const seen = (catalog: string, xmins: readonly number[], now: number): Row => [
  catalog,
  String(xmins.length),
  xmins.length === 0 ? null : String(xmins.reduce((sum, xmin) => sum + now - xmin, 0)),
];
const digests = (xmins: readonly number[], now: number, temporary: readonly number[] = []) =>
  digestsOf(
    [
      seen('pg_attribute', [...xmins, ...temporary], now),
      seen('pg_proc', xmins, now),
      seen('temporary columns', temporary, now),
    ],
    now - 3,
  );

test('time that passes changes no digest', () => {
  expect(digests([100, 200], 900_000)).toEqual(digests([100, 200], 1_000));
  expect(outdated(digests([100, 200], 1_000), digests([100, 200], 5_000))).toEqual([]);
});

test('a row made, changed or gone changes the digest', () => {
  for (const xmins of [[100, 200, 201], [100, 201], [100], []])
    expect(digests(xmins, 1_000).get('pg_proc')).not.toBe(digests([100, 200], 1_000).get('pg_proc'));
});

test('columns of temporary relations do not count', () => {
  expect(digests([100, 200], 1_000, [300, 301]).get('pg_attribute')).toBe(
    digests([100, 200], 1_000).get('pg_attribute'),
  );
});

test('a section is asked again when a catalog that it rests on is another', () => {
  const before = digestsOf([seen('pg_attribute', [], 9), seen('pg_policy', [5], 9), none], 6);
  const now = digestsOf([seen('pg_attribute', [], 9), seen('pg_policy', [7], 9), none], 6);
  expect(outdated(before, now)).toEqual(['policies']);
});
