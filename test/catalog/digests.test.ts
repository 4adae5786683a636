// What the sums over a catalog's rows tell of it.

import { expect, test } from 'vitest';
import { digestsOf, outdated } from '../../src/catalog/digests.ts';
import type { Row } from '../../src/catalog/row.ts';

/** Rows of transactions, seen when the next one is `now`; ages as the server gives them. */
const seen = (catalog: string, xmins: readonly number[], now: number): Row => [
  catalog,
  String(xmins.length),
  xmins.length === 0 ? null : String(xmins.reduce((sum, xmin) => sum + now - xmin, 0)),
];
/** Rows that do not count, to be taken away from others of their catalog. */
const less = (catalog: string, xmins: readonly number[], now: number): Row => {
  const [name, count, ages] = seen(catalog, xmins, now);
  return [name!, `-${count}`, ages === null ? null : `-${ages}`];
};
const digests = (xmins: readonly number[], now: number, uncounted: readonly number[] = []) =>
  digestsOf(
    [
      seen('pg_attribute', [...xmins, ...uncounted], now),
      seen('pg_proc', xmins, now),
      less('pg_attribute', uncounted, now),
      less('pg_attribute', [], now),
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

test('rows that are taken away do not count', () => {
  expect(digests([100, 200], 1_000, [300, 301]).get('pg_attribute')).toBe(
    digests([100, 200], 900_000).get('pg_attribute'),
  );
});

test('a section is asked again when a catalog that it rests on is another', () => {
  const before = digestsOf([seen('pg_attribute', [], 9), seen('pg_policy', [5], 9)], 6);
  const now = digestsOf([seen('pg_attribute', [], 9), seen('pg_policy', [7], 9)], 6);
  expect(outdated(before, now)).toEqual(['policies']);
});
