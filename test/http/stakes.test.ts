// The one line that says what a request puts at risk.

import { expect, test } from 'vitest';
import type { MeasuredEffect, TouchedRelation } from '../../src/approval/effect.ts';
import type { RequestDraft } from '../../src/approval/request.ts';
import { stakesOf } from '../../src/http/draw/stakes.ts';
import { gate } from '../support/approvals.ts';

const relation = (change: Partial<TouchedRelation>): TouchedRelation => ({
  does: 'DELETE',
  name: 'public.orders',
  kind: 'table',
  fires: [],
  ...change,
});

function line(
  relations: TouchedRelation[],
  change: Partial<MeasuredEffect> = {},
  draft: Partial<RequestDraft> = {},
): string {
  const effect = {
    at: 0,
    tookMs: 0,
    relations,
    cascades: [],
    dependents: [],
    locks: [],
    unmeasured: [],
    ...change,
  };
  return stakesOf(gate({ effect, ...draft }).request).line;
}

test('rows are told as they were found: counted, estimated, or at least', () => {
  const total = { rows: 48_210, how: 'estimate' as const };
  expect(line([relation({ touched: { rows: 1, how: 'count' } })])).toBe('Deletes 1 row of public.orders.');
  expect(line([relation({ touched: { rows: 1204, how: 'count' }, total })])).toBe(
    'Deletes 1,204 of about 48,210 rows of public.orders.',
  );
  expect(line([relation({ does: 'UPDATE', touched: { rows: 9, how: 'at-least' } })])).toBe(
    'Changes at least 9 rows of public.orders.',
  );
  const all = { rows: 12, how: 'count' as const };
  expect(line([relation({ touched: all, total: all })])).toBe('Deletes all 12 rows of public.orders.');
  expect(line([relation({ does: 'INSERT', touched: { rows: 5, how: 'count' }, total })])).toBe(
    'Adds 5 rows to public.orders.',
  );
});

test('what goes along is told with it, and what only stops it is not', () => {
  const cascade = {
    relation: 'public.items',
    constraint: 'c',
    action: 'CASCADE' as const,
    via: 'public.orders',
  };
  const touched = { rows: 3, how: 'count' as const };
  const rows = [relation({ touched })];
  expect(line(rows, { cascades: [{ ...cascade, touched }] })).toContain(
    'with that 3 rows of 1 more table by foreign keys',
  );
  expect(line(rows, { cascades: [cascade] })).toContain('with that rows of 1 more table by foreign keys');
  expect(line(rows, { cascades: [{ ...cascade, action: 'RESTRICT', touched }] })).toBe(
    'Deletes 3 rows of public.orders.',
  );
  const drop = [relation({ does: 'DROP', total: { rows: 2, how: 'count' }, bytes: 2048 })];
  expect(line(drop, { dependents: ['view v'], more: { dependents: 4 } })).toBe(
    'Drops table public.orders with 2 rows, 2.0 kB, and with that 5 dependent objects.',
  );
  expect(line(drop, { dependents: ['view v'], refused: true })).toBe(
    'Drops table public.orders with 2 rows, 2.0 kB.',
  );
});

test('of several the worst is told, whatever stands first', () => {
  const relations = [
    relation({ does: 'INSERT', name: 'public.new', touched: { rows: 7, how: 'count' } }),
    relation({ does: 'DROP', name: 'public.old' }),
  ];
  expect(line(relations)).toBe('Drops table public.old. Touches 1 more relation.');
});

test('where rows could not be counted the rule speaks', () => {
  expect(line([relation({})])).toBe('DROP TABLE removes objects');
  expect(stakesOf(gate().request).line).toBe('DROP TABLE removes objects');
});

test('the worst of the effects colours it', () => {
  const danger = (...effects: RequestDraft['statements'][number]['effects']) =>
    stakesOf(gate({ statements: [{ command: 'X', effects, relations: [], why: [] }] }).request).danger;
  expect(danger('read', 'delete')).toBe('destroys');
  expect(danger('update-all')).toBe('destroys');
  expect(danger('function', 'update')).toBe('unclear');
  expect(danger('update')).toBe('changes');
  expect(danger('lock-rows')).toBe('slight');
});
