// The effect of a statement in lines for a terminal.

import { expect, test } from 'vitest';
import type { MeasuredEffect } from '../../src/approval/effect.ts';
import { effectLines } from '../../src/cli/effect-text.ts';

const nothing: MeasuredEffect = {
  at: Date.UTC(2030, 0, 2, 3, 4, 5),
  tookMs: 12,
  relations: [],
  cascades: [],
  dependents: [],
  locks: [],
  unmeasured: [],
};

const lines = (effect: Partial<MeasuredEffect>): string[] =>
  effectLines({ ...nothing, ...effect })
    .slice(0, -1)
    .map(([name, value]) => `${name}: ${value}`);

test('rows, what goes with them, and what stops it', () => {
  const fires = ['trigger audit (AFTER, each row) → public.note()'];
  expect(
    lines({
      relations: [
        {
          does: 'DELETE',
          name: 'public.orders',
          kind: 'partitioned table',
          touched: { rows: 1, how: 'count' },
          total: { rows: 1200, how: 'estimate' },
          bytes: 98_304,
          parts: 2,
          fires,
        },
        {
          does: 'TRUNCATE',
          name: 'public.log',
          kind: 'table',
          touched: { rows: 5, how: 'count' },
          total: { rows: 5, how: 'count' },
          bytes: 3 * 1024 ** 3,
          fires: [],
        },
        { does: 'ALTER', name: 'public.log', kind: 'table', work: 'is rewritten', fires: [] },
      ],
      cascades: [
        {
          relation: 'public.items',
          constraint: 'items_order',
          action: 'CASCADE',
          via: 'public.orders',
          touched: { rows: 3, how: 'at-least' },
          fires,
        },
        {
          relation: 'public.bills',
          constraint: 'bills_order',
          action: 'RESTRICT',
          via: 'public.orders',
          touched: { rows: 2, how: 'at-most' },
          stops: true,
        },
        { relation: 'public.far', constraint: 'far_order', action: 'SET NULL', via: 'public.orders' },
      ],
      more: { cascades: 7 },
    }),
  ).toEqual([
    'touches: DELETE public.orders: 1 row of about 1200 rows (partitioned table; with 2 parts; 96 kB; fires trigger audit (AFTER, each row) → public.note())',
    'touches: TRUNCATE public.log: 5 rows (table; 3072 MB)',
    'touches: ALTER public.log (table; is rewritten)',
    'reaches: at least 3 rows of public.items by items_order from public.orders: CASCADE; fires trigger audit (AFTER, each row) → public.note()',
    'stopped by: at most 2 rows of public.bills by bills_order from public.orders: RESTRICT',
    'reaches: rows of public.far by far_order from public.orders: SET NULL',
    'more: 7 cascades that are not listed',
  ]);
});

test('dependents, event triggers, locks, the open transaction and what is not known', () => {
  expect(
    lines({
      dependents: ['view public.report'],
      refused: true,
      fires: ['event trigger guard (sql_drop) → public.guard()'],
      locks: [
        { relation: 'public.a', mode: 'ACCESS EXCLUSIVE', behind: 2, waiting: 1, oldestMs: 61_000 },
        { relation: 'public.b', mode: 'SHARE', behind: 1, waiting: 0 },
        { relation: 'public.c', mode: 'SHARE', behind: 0, waiting: 3 },
      ],
      transaction: { openMs: 1500, locks: ['SHARE on public.d'], blocks: 1 },
      unmeasured: ['public.e was not found in the database'],
    }),
  ).toEqual([
    'refused for: view public.report',
    'fires: event trigger guard (sql_drop) → public.guard()',
    'locks: ACCESS EXCLUSIVE on public.a; waits behind 2 sessions, the oldest for 61 s; 1 session already waiting',
    'locks: SHARE on public.b; waits behind 1 session',
    'locks: SHARE on public.c; 3 sessions already waiting',
    'inside of: a transaction open for 1.5 s; 1 session waiting for it',
    'it holds: SHARE on public.d',
    'not measured: public.e was not found in the database',
  ]);
  expect(lines({ dependents: ['view public.report'] })).toEqual(['takes along: view public.report']);
});

test('the moment is told, and that nothing was measured', () => {
  expect(effectLines(nothing)).toEqual([
    ['measured', '2030-01-02T03:04:05.000Z, in 12 ms; rows written since are not in it'],
  ]);
  expect(effectLines(undefined)).toEqual([['touches', 'not measured']]);
});
