// Rules that let a statement pass within bounds: what it then runs within, and when they do not let it pass.

import { expect, test } from 'vitest';

import { type Circumstances, decide, judge } from '../../src/policy/decide.ts';
import type { Statement } from '../../src/sql/statement.ts';
import { claude, policyOf, relation, statement } from './statements.ts';

const updates = '  - { name: updates, action: pass, effects: [read, update], rowsMax: 1000 }\n';
const reads = '  - { name: reads, action: pass, effects: [read] }\n';
const unproven = '  - { name: unproven, action: pass, effects: [read, unproven], readOnly: true }\n';
const deletes = [
  '  - { name: removal, action: hold, effects: [delete], approval: { level: key } }',
  '  - { name: few, action: pass, effects: [read, delete], rowsMax: 100, budget: { rows: 250 }, overrides: [removal] }\n',
].join('\n');

const tagged = { tagged: true } as const;
const update = statement('UPDATE', ['update'], { relations: [relation('orders', 'update')], ...tagged });
const remove = statement('DELETE', ['delete'], tagged);
const maybe = statement('SELECT', ['read', 'unproven']);
const select = statement('SELECT', ['read']);

function verdictOf(rules: string, of: Statement | readonly Statement[], circumstances?: Circumstances) {
  return decide(policyOf(rules), Array.isArray(of) ? of : [of], claude, circumstances);
}
const spent = (rows: number): Circumstances => ({ spending: { spent: () => rows } });

test('a rule with rowsMax lets a statement pass within a bound on its rows', () => {
  expect(verdictOf(updates, update)).toMatchObject({
    action: 'pass',
    rule: 'updates',
    enclosure: { kind: 'rows', rowsMax: 1000 },
  });
});

test('what certainly changes no more rows needs no bound; one row more does', () => {
  expect(verdictOf(updates, { ...update, rowsAtMost: 1000 }).enclosure).toBeUndefined();
  expect(verdictOf(updates, { ...update, rowsAtMost: 1001 }).enclosure).toEqual({
    kind: 'rows',
    rowsMax: 1000,
  });
});

test('a statement that changes no rows is not bounded by a number of them', () => {
  expect(verdictOf(updates, select)).toMatchObject({ action: 'pass' });
  expect(verdictOf(updates, select).enclosure).toBeUndefined();
});

test('a rule that binds nothing gives its name before one whose bound does not concern the statement', () => {
  expect(verdictOf(updates.replace('updates', 'a') + reads, select).rule).toBe('reads');
});

test('rows that code behind a statement changes are not bounded by a number, even where its own are certain', () => {
  const verdict = verdictOf(updates, { ...update, uncounted: true, rowsAtMost: 1 });
  expect(verdict).toMatchObject({ action: 'hold', rule: 'no-rule' });
  expect(verdict.reason).toBe(
    'UPDATE changes rows (orders); rule updates does not let it pass: code behind it may change rows that the server does not count',
  );
});

test('rows that a part of the statement changes are not bounded, unless the text tells how many', () => {
  expect(verdictOf(updates, { ...update, tagged: undefined }).action).toBe('hold');
  expect(verdictOf(updates, { ...update, tagged: undefined, rowsAtMost: 1 })).toMatchObject({
    action: 'pass',
  });
});

test('where the tag of a SELECT counts the rows that it changes, the bound says so, for the whole text', () => {
  const showing = statement('SELECT', ['read', 'update'], tagged);
  expect(verdictOf(updates, showing).enclosure).toEqual({ kind: 'rows', rowsMax: 1000, selects: true });
  expect(verdictOf(reads + updates + deletes, [showing, remove]).enclosure).toEqual({
    kind: 'rows',
    rowsMax: 100,
    selects: true,
  });
});

test('what is not proven harmless passes only within a READ ONLY transaction', () => {
  expect(verdictOf(unproven, maybe)).toMatchObject({
    action: 'pass',
    rule: 'unproven',
    enclosure: { kind: 'read-only' },
  });
});

test('only what reads can run within a READ ONLY transaction', () => {
  for (const command of ['SELECT', 'EXPLAIN', 'COPY', 'EXECUTE', 'DECLARE', 'FETCH', 'MOVE']) {
    expect(verdictOf(unproven, statement(command, ['read', 'unproven'])).action).toBe('pass');
  }
  for (const command of ['PREPARE', 'CLOSE', 'CALL', 'DO', 'REFRESH MATERIALIZED VIEW', 'CREATE VIEW']) {
    const verdict = verdictOf(unproven, statement(command, ['read', 'unproven']));
    expect(verdict).toMatchObject({ action: 'hold', rule: 'no-rule' });
    expect(verdict.reason).toContain(`${command} cannot run in a READ ONLY transaction of its own`);
  }
});

test('a rule without a bound counts before one with it, and a wide bound before a narrow one', () => {
  const wide = updates.replace('updates', 'wide').replace('1000', '5000');
  const open = '  - { name: zz-open, action: pass, effects: [update], agents: ["*"] }\n';
  expect(verdictOf(updates + wide, update)).toMatchObject({ rule: 'wide', enclosure: { rowsMax: 5000 } });
  expect(verdictOf(updates + wide + open, update)).toEqual({
    action: 'pass',
    rule: 'zz-open',
    reason: 'a rule lets it pass',
  });
});

test('a hold gives way only within the bounds of the rule that overrides it, whatever else lets it pass', () => {
  const open = '  - { name: open, action: pass, effects: [read, delete] }\n';
  expect(verdictOf(deletes + open, remove)).toMatchObject({
    action: 'pass',
    rule: 'few',
    enclosure: { kind: 'rows', rowsMax: 100 },
  });
});

test('two holds that give way to two bounded rules give way within the narrower bound', () => {
  const second = [
    '  - { name: z-orders, action: hold, relations: [orders] }',
    '  - { name: z-fewer, action: pass, effects: [delete], rowsMax: 5, overrides: [z-orders] }\n',
  ].join('\n');
  const of = { ...remove, relations: [relation('orders', 'delete')] };
  expect(verdictOf(deletes + second, of)).toMatchObject({
    action: 'pass',
    rule: 'z-fewer',
    enclosure: { kind: 'rows', rowsMax: 5 },
    budget: [{ rule: 'few', rowsPerHour: 250 }],
  });
  expect(verdictOf(deletes + second.split('\n')[0]!.concat('\n'), of)).toMatchObject({ action: 'hold' });
});

test('a pass within bounds says what a hold needs, should they not be kept', () => {
  expect(verdictOf(deletes, remove).need).toEqual({ level: 'key' });
  expect(verdictOf(deletes, { ...remove, rowsAtMost: 1 }).need).toBeUndefined();
});

test('a budget is named with the most that the statement may spend', () => {
  expect(verdictOf(deletes, remove).budget).toEqual([{ rule: 'few', rows: 100, rowsPerHour: 250 }]);
  expect(verdictOf(deletes, { ...remove, rowsAtMost: 3 }).budget).toEqual([
    { rule: 'few', rows: 3, rowsPerHour: 250 },
  ]);
});

test('of a budget that is nearly spent, no statement gets more than is left', () => {
  expect(verdictOf(deletes, remove, spent(240))).toMatchObject({
    enclosure: { kind: 'rows', rowsMax: 10 },
    budget: [{ rule: 'few', rows: 10 }],
  });
});

test('when a budget is spent its rule lets nothing pass, and the hold says so', () => {
  for (const rows of [250, 251, Infinity]) {
    expect(verdictOf(deletes, remove, spent(rows))).toEqual({
      action: 'hold',
      rule: 'removal',
      reason: 'DELETE deletes rows; rule few does not let it pass: the budget of 250 rows an hour is spent',
      need: { level: 'key' },
    });
  }
  const budgetOnly = '  - { name: few, action: pass, effects: [delete], budget: { rows: 10000 } }\n';
  expect(verdictOf(budgetOnly, remove, spent(10_000)).reason).toContain('the budget of 10,000 rows an hour');
});

test('a budget without rowsMax lets one statement change what is left of it', () => {
  const budgetOnly = '  - { name: few, action: pass, effects: [delete], budget: { rows: 40 } }\n';
  expect(verdictOf(budgetOnly, remove, spent(10)).enclosure).toEqual({ kind: 'rows', rowsMax: 30 });
});

test('the statements of one text share a budget, each after the ones before it', () => {
  expect(verdictOf(deletes, [remove, remove])).toMatchObject({
    action: 'pass',
    enclosure: { kind: 'rows', rowsMax: 100 },
    budget: [{ rule: 'few', rows: 200, rowsPerHour: 250 }],
  });
  expect(verdictOf(deletes, [remove, remove, remove])).toMatchObject({
    enclosure: { kind: 'rows', rowsMax: 50 },
    budget: [{ rule: 'few', rows: 250 }],
  });
  expect(verdictOf(deletes, [remove, remove, remove, remove])).toMatchObject({ action: 'hold' });
});

test('a text runs within the narrowest bound of its statements, and is named by that rule', () => {
  expect(verdictOf(reads + updates + deletes, [select, update, remove])).toMatchObject({
    action: 'pass',
    rule: 'few',
    enclosure: { kind: 'rows', rowsMax: 100 },
    need: { level: 'key' },
  });
});

test('a READ ONLY transaction is put around one statement and nothing else', () => {
  const verdict = verdictOf(reads + unproven, [select, maybe]);
  expect(verdict).toEqual({
    action: 'hold',
    rule: 'unproven',
    reason:
      'rule unproven lets a statement pass within a transaction of its own, and the text holds other statements; send it by itself',
  });
  // EXECUTE p: the statement behind the name stands beside it.
  const execute = statement('EXECUTE', ['read']);
  expect(verdictOf(reads + unproven, [maybe, execute], { alone: true })).toMatchObject({
    action: 'pass',
    enclosure: { kind: 'read-only' },
  });
});

test('no bound is put around a text that controls the transaction', () => {
  for (const effect of ['transaction', 'two-phase'] as const) {
    const rules = `${updates}  - { name: control, action: pass, effects: [${effect}] }\n`;
    const begin = statement('BEGIN', [effect]);
    for (const text of [
      [begin, update],
      [update, begin],
    ]) {
      const verdict = verdictOf(rules, text);
      expect(verdict).toMatchObject({ action: 'hold', rule: 'updates' });
      expect(verdict.reason).toContain('the text controls the transaction itself; send it by itself');
    }
    expect(verdictOf(rules, [begin, { ...update, rowsAtMost: 1 }]).action).toBe('pass');
  }
});

test('a statement behind a name that needs rows and one that needs READ ONLY cannot both be', () => {
  expect(verdictOf(updates + unproven, [maybe, update], { alone: true })).toMatchObject({
    action: 'hold',
    reason: expect.stringContaining('need different ones'),
  });
});

test('in shadow mode nothing is bounded, and a text that would be held passes with that shadow', () => {
  const watching = policyOf(updates + reads + unproven, 'observe: true\n');
  expect(decide(watching, [update], claude)).toEqual({
    action: 'pass',
    rule: 'updates',
    reason: 'a rule lets it pass',
  });
  expect(decide(watching, [select, maybe], claude)).toMatchObject({ action: 'pass', shadow: 'hold' });
});

test('rules explain names the rule whose bounds are not kept', () => {
  const judged = judge(policyOf(updates), { ...update, uncounted: true }, claude);
  expect(judged.unmet.map(({ rule }) => rule.name)).toEqual(['updates']);
});
