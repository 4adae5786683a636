// Statements of every kind on a real server: what is measured of them, and that it is what happens when they run.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Measurer, measurerOf } from '../support/blast.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { outcomeOf, rowsTaken } from './oracle.ts';
import { kinds, locks, read, shopSql } from './shop.ts';

let database: TestDatabase;
let direct: pg.Client;
let measurer: Measurer;

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query(shopSql);
  measurer = await measurerOf(database.url);
});

afterAll(async () => {
  measurer?.close();
  await direct?.end();
  await database?.drop();
});

test.each<[string, string[]]>([
  [
    'DELETE FROM orders WHERE id = 300',
    [
      'ROW EXCLUSIVE public.orders',
      'ROW EXCLUSIVE public.events',
      'ROW SHARE public.invoices',
      'ROW EXCLUSIVE public.items',
      'ROW SHARE public.seals',
    ],
  ],
  ['TRUNCATE notes', ['ACCESS EXCLUSIVE public.notes']],
  ['TRUNCATE orders', ['ACCESS EXCLUSIVE public.orders']],
  [
    'DROP INDEX CONCURRENTLY items_pkey',
    ['SHARE UPDATE EXCLUSIVE public.items_pkey', 'SHARE UPDATE EXCLUSIVE public.items'],
  ],
  ['DROP FUNCTION note() CASCADE', ['ACCESS EXCLUSIVE public.events', 'ACCESS EXCLUSIVE public.orders']],
  ['CREATE INDEX ON log (line)', ['SHARE public.log']],
  ['LOCK TABLE log IN EXCLUSIVE MODE', ['EXCLUSIVE public.log']],
  ['DROP SCHEMA old CASCADE', ['ACCESS EXCLUSIVE old.things']],
])('%s takes the locks of it and of what it reaches', async (sql, expected) => {
  expect(locks(await measurer.measure(sql))).toEqual(expected);
});

test.each(kinds)('$sql', async ({ sql, effect }) => {
  expect(read(await measurer.measure(sql))).toEqual(effect);
});

describe('what was measured is what happens:', () => {
  const run = kinds.filter(
    ({ sql }) => /^(WITH|DELETE|TRUNCATE|DROP|MERGE)/.test(sql) && !/unpaid|audit$|nowhere/.test(sql),
  );

  test.each(run)('$sql', async ({ sql }) => {
    const effect = await measurer.measure(sql);
    const { refused, missing, fell } = await outcomeOf(direct, sql);
    const stopped = effect.cascades.some(({ stops }) => stops === true);
    if (effect.refused === true) expect(refused).toBe('2BP01');
    else if (stopped) expect(refused).toMatch(/^(23503|23001|0A000)$/);
    else {
      expect(refused).toBeUndefined();
      const sum = Object.values(missing).reduce((all, rows) => all + rows, 0);
      const most = effect.relations.some(({ touched }) => touched?.how === 'at-most');
      if (most) expect(sum).toBeLessThanOrEqual(rowsTaken(effect));
      else expect(rowsTaken(effect)).toBe(sum);
      const told = effect.dependents.map((each) => each.replaceAll('public.', ''));
      expect(told.sort()).toEqual(fell.map((each) => each.replaceAll('public.', '')));
    }
  });
});
