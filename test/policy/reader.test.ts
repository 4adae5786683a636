// Agents whose access is read-only: what no rule can give them.

import { expect, test } from 'vitest';

import { decide } from '../../src/policy/decide.ts';
import { effectNames } from '../../src/policy/format.ts';
import type { Actor } from '../../src/policy/verdict.ts';
import type { Effect, SettingUse } from '../../src/sql/statement.ts';
import { claude, policyOf, relation, statement } from './statements.ts';

const reporter: Actor = { ...claude, agent: 'reporter', access: 'read-only' };
const passable = effectNames.filter((effect) => effect !== 'unknown' && effect !== 'parser-setting');
/** A rule that lets everything pass that a rule can. */
const anything = [
  `  - { name: anything, action: pass, effects: [${passable.filter((effect) => effect !== 'unproven').join(', ')}] }`,
  '  - { name: unproven, action: pass, effects: [read, unproven], readOnly: true }\n',
].join('\n');

function verdictOf(effects: Effect[], actor = reporter, rules = anything, top = '') {
  return decide(policyOf(rules, top), [statement('SELECT', effects)], actor);
}

test('whatever goes beyond reading is denied to a read-only agent, and to no other', () => {
  const may: Effect[] = [
    'read',
    'unproven',
    'function',
    'setting',
    'custom-setting',
    'transaction',
    'advisory-lock',
    'notify',
    'temporary',
  ];
  for (const effect of passable) {
    const { action, rule } = verdictOf(['read', effect]);
    if (may.includes(effect)) expect([effect, action]).toEqual([effect, 'pass']);
    else expect([effect, action, rule]).toEqual([effect, 'deny', 'read-only-agent']);
    expect(verdictOf(['read', effect], claude).rule).not.toBe('read-only-agent');
  }
});

test('what is not understood is held for a read-only agent as for everybody', () => {
  expect(verdictOf(['unknown'])).toMatchObject({ action: 'hold', rule: 'no-rule' });
});

test('an unknown function is denied to a read-only agent unless a rule covers it', () => {
  const reads = '  - { name: reads, action: pass, effects: [read] }\n';
  const functions = '  - { name: functions, action: hold, effects: [function] }\n';
  expect(verdictOf(['read', 'function'], reporter, reads + functions)).toMatchObject({
    action: 'deny',
    rule: 'read-only-agent',
  });
  expect(verdictOf(['read', 'function'], claude, reads + functions).action).toBe('hold');
  const vouched = '  - { name: vouched, action: pass, effects: [read, function], overrides: [functions] }\n';
  expect(verdictOf(['read', 'function'], reporter, reads + functions + vouched).action).toBe('pass');
});

test('what is not proven passes for a read-only agent as a read does: its session is read-only anyway', () => {
  const reads = '  - { name: reads, action: pass, effects: [read] }\n';
  expect(verdictOf(['read', 'unproven'], reporter, reads)).toEqual({
    action: 'pass',
    rule: 'reads',
    reason: 'a rule lets it pass',
  });
  expect(verdictOf(['read', 'unproven'], claude, reads).action).toBe('hold');
  const unproven = '  - { name: unproven, action: pass, effects: [read, unproven], readOnly: true }\n';
  expect(verdictOf(['read', 'unproven'], reporter, unproven).enclosure).toBeUndefined();
});

test('a hold on what is not proven counts for a read-only agent too', () => {
  const rules =
    '  - { name: reads, action: pass, effects: [read] }\n  - { name: doubts, action: hold, effects: [unproven] }\n';
  expect(verdictOf(['read', 'unproven'], reporter, rules)).toMatchObject({ action: 'hold', rule: 'doubts' });
});

test('every way to let the session write is denied, and none that keeps it from writing', () => {
  const setting = (name: string, value: string | undefined): SettingUse => ({ name, value, local: false });
  const verdict = (settings: SettingUse[], effects: Effect[] = ['setting']) =>
    decide(policyOf(anything), [statement('SET', effects, { settings })], reporter);
  for (const name of ['transaction_read_only', 'default_transaction_read_only']) {
    for (const value of ['off', 'false', '0', 'no', 'f', '', 'perhaps', undefined]) {
      expect(verdict([setting(name, value)]).rule).toBe('read-only-agent');
      expect(verdict([setting('work_mem', '1'), setting(name, value)], ['transaction']).action).toBe('deny');
    }
    for (const value of ['on', 'ON', 'true', 'yes', '1', ' on ']) {
      expect(verdict([setting(name, value)]).action).toBe('pass');
    }
  }
  expect(verdict([setting('work_mem', 'off')]).action).toBe('pass');
  expect(verdict([setting('transaction_read_only', 'off')]).reason).toBe(
    'SET would let the session write: this agent is read-only',
  );
});

test('shadow mode lifts no denial to a read-only agent', () => {
  const denied = verdictOf(['read', 'insert'], reporter, anything, 'observe: true\n');
  expect(denied).toMatchObject({ action: 'deny', rule: 'read-only-agent' });
  const text = [statement('DROP TABLE', ['drop']), statement('SELECT', ['read'])];
  expect(decide(policyOf('  []\n', 'observe: true\n'), text.reverse(), reporter).rule).toBe(
    'read-only-agent',
  );
  expect(verdictOf(['read', 'insert'], claude, anything, 'observe: true\n').action).toBe('pass');
});

test('the denial says what goes beyond reading, and nothing of how that could be changed', () => {
  const insert = statement('INSERT', ['insert', 'read'], { relations: [relation('orders', 'insert')] });
  expect(decide(policyOf(anything), [insert], reporter).reason).toBe(
    'INSERT adds rows (orders): this agent is read-only',
  );
});

test('no rule may have the name of that denial', () => {
  expect(() => policyOf('  - { name: read-only-agent, action: deny, effects: [os] }\n')).toThrow(
    'the name is used for verdicts that no rule makes',
  );
});
