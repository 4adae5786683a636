// The ledger of budgets. Time is a number that the tests set.

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { accountsMax, Ledger } from '../../src/policy/budget.ts';
import { claude } from './statements.ts';

const minuteMs = 60_000;
const spend = (rows: number, rowsPerHour = 100, rule = 'few') => [{ rule, rows, rowsPerHour }];

function ledgerAt(startMs = 0) {
  const clock = { ms: startMs };
  return { clock, ledger: new Ledger(() => clock.ms) };
}

test('what is reserved counts as spent until it is settled, and then what was really changed', () => {
  const { ledger } = ledgerAt();
  const reservation = ledger.reserve(claude, spend(60));
  expect(ledger.spent('few', claude)).toBe(60);
  reservation?.settle(7);
  expect(ledger.spent('few', claude)).toBe(7);
});

test('two statements side by side cannot overspend: the second finds what the first may need gone', () => {
  const { ledger } = ledgerAt();
  const first = ledger.reserve(claude, spend(60));
  expect(ledger.reserve(claude, spend(41))).toBeUndefined();
  expect(ledger.spent('few', claude)).toBe(60);
  expect(ledger.reserve(claude, spend(40))).toBeDefined();
  first?.settle(0);
  expect(ledger.reserve(claude, spend(60))).toBeDefined();
});

test('an outcome that nobody can tell spends all that was reserved', () => {
  const { ledger } = ledgerAt();
  ledger.reserve(claude, spend(60))?.settle(undefined);
  expect(ledger.spent('few', claude)).toBe(60);
});

test('a reservation is settled once', () => {
  const { ledger } = ledgerAt();
  const reservation = ledger.reserve(claude, spend(60));
  reservation?.settle(5);
  reservation?.settle(50);
  reservation?.settle(undefined);
  expect(ledger.spent('few', claude)).toBe(5);
});

test('rows count for an hour, and not a minute less', () => {
  const { ledger, clock } = ledgerAt(90_000);
  ledger.reserve(claude, spend(60))?.settle(60);
  clock.ms = 90_000 + 60 * minuteMs - 1;
  expect(ledger.spent('few', claude)).toBe(60);
  clock.ms = 90_000 + 61 * minuteMs;
  expect(ledger.spent('few', claude)).toBe(0);
});

test('a reservation does not grow old: it counts until its statement has ended', () => {
  const { ledger, clock } = ledgerAt();
  const reservation = ledger.reserve(claude, spend(60));
  clock.ms = 300 * minuteMs;
  expect(ledger.spent('few', claude)).toBe(60);
  reservation?.settle(60);
  expect(ledger.spent('few', claude)).toBe(60);
});

test('agents, targets and rules have budgets of their own', () => {
  const { ledger } = ledgerAt();
  ledger.reserve(claude, spend(60))?.settle(60);
  expect(ledger.spent('few', { ...claude, agent: 'other' })).toBe(0);
  expect(ledger.spent('few', { ...claude, target: 'other' })).toBe(0);
  expect(ledger.spent('other', claude)).toBe(0);
  expect(ledger.reserve({ ...claude, agent: 'other' }, spend(100))).toBeDefined();
});

test('a statement on two budgets reserves both or none', () => {
  const { ledger } = ledgerAt();
  const both = [...spend(60), ...spend(60, 50, 'fewer')];
  expect(ledger.reserve(claude, both)).toBeUndefined();
  expect(ledger.spent('few', claude)).toBe(0);
});

test('the memory is bounded: no new account while every one is in use, and room again when an hour has gone', () => {
  const { ledger, clock } = ledgerAt();
  for (let n = 0; n < accountsMax; n += 1) {
    ledger.reserve({ ...claude, agent: `agent-${n}` }, spend(1))?.settle(1);
  }
  expect(ledger.spent('few', { ...claude, agent: 'one-more' })).toBe(Infinity);
  expect(ledger.reserve({ ...claude, agent: 'one-more' }, spend(1))).toBeUndefined();
  clock.ms = 61 * minuteMs;
  expect(ledger.reserve({ ...claude, agent: 'one-more' }, spend(1))).toBeDefined();
});

test('whatever is reserved and settled in whatever order, no hour sees more rows than the budget', () => {
  const steps = fc.array(
    fc.record({ minutes: fc.nat(30), rows: fc.integer({ min: 1, max: 100 }), part: fc.nat(100) }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const { ledger, clock } = ledgerAt();
      const changed: { ms: number; rows: number }[] = [];
      for (const { minutes, rows, part } of list) {
        clock.ms += minutes * minuteMs;
        const reservation = ledger.reserve(claude, spend(rows));
        if (reservation === undefined) continue;
        const real = Math.floor((rows * part) / 100);
        reservation.settle(real);
        changed.push({ ms: clock.ms, rows: real });
        const within = changed.filter(({ ms }) => ms > clock.ms - 60 * minuteMs);
        expect(within.reduce((sum, each) => sum + each.rows, 0)).toBeLessThanOrEqual(100);
      }
    }),
  );
});
