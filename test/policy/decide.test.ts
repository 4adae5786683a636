import { expect, test } from 'vitest';

import { decide, judge, strongest } from '../../src/policy/decide.ts';
import type { Effect } from '../../src/sql/statement.ts';
import { claude, named, policyOf, relation, statement } from './statements.ts';

const select = statement('SELECT', ['read'], { relations: [relation('orders', 'read')] });
const drop = statement('DROP TABLE', ['drop'], { relations: [relation('public.orders', 'define')] });

/** Action and rule of one statement, as `action rule`. */
function verdictOf(rules: string, of: ReturnType<typeof statement>, actor = claude, top = ''): string {
  const { action, rule, shadow } = decide(policyOf(rules, top), [of], actor);
  return `${action} ${rule}${shadow === undefined ? '' : ` (${shadow})`}`;
}

test('what no rule matches is held as no-rule', () => {
  expect(verdictOf('  []\n', select)).toBe('hold no-rule');
});

test('a text without statements passes as empty', () => {
  expect(decide(policyOf('  []\n'), [], claude)).toMatchObject({ action: 'pass', rule: 'empty' });
});

test('a pass rule must cover every effect; one that covers some is no match', () => {
  const rules = '  - { name: reads, action: pass, effects: [read] }\n';
  expect(verdictOf(rules, select)).toBe('pass reads');
  expect(verdictOf(rules, statement('SELECT', ['delete', 'read']))).toBe('hold no-rule');
});

test('two pass rules do not add up: each must cover the whole statement by itself', () => {
  const rules =
    '  - { name: a, action: pass, effects: [read] }\n  - { name: b, action: pass, effects: [insert] }\n';
  expect(verdictOf(rules, statement('INSERT', ['insert', 'read']))).toBe('hold no-rule');
});

test('a hold rule needs one effect', () => {
  const rules = '  - { name: drops, action: hold, effects: [drop, alter] }\n';
  expect(verdictOf(rules, statement('DO', ['code', 'drop']))).toBe('hold drops');
});

test('deny beats hold beats pass, in whatever order they stand', () => {
  const pass = '  - { name: p, action: pass, effects: [read, drop] }\n';
  const hold = '  - { name: h, action: hold, effects: [drop] }\n';
  const deny = '  - { name: d, action: deny, effects: [drop] }\n';
  for (const rules of [pass + hold + deny, deny + hold + pass, hold + pass + deny]) {
    expect(verdictOf(rules, drop)).toBe('deny d');
  }
  expect(verdictOf(hold + pass, drop)).toBe('hold h');
  expect(verdictOf(pass + hold, drop)).toBe('hold h');
});

test('the strictest statement of a text decides for all of it', () => {
  const policy = policyOf(
    '  - { name: reads, action: pass, effects: [read] }\n  - { name: never, action: deny, effects: [os] }\n',
  );
  const os = statement('COPY', ['os']);
  expect(decide(policy, [select, drop], claude)).toMatchObject({ action: 'hold', rule: 'no-rule' });
  expect(decide(policy, [drop, os, select], claude)).toMatchObject({ action: 'deny', rule: 'never' });
});

test('of two rules with the same action the one with more conditions gives its name', () => {
  const rules =
    '  - { name: a, action: hold, effects: [drop] }\n  - { name: b, action: hold, effects: [drop], agents: [claude] }\n';
  expect(verdictOf(rules, drop)).toBe('hold b');
});

test('a rule about this table gives its name before one about this effect', () => {
  const rules =
    '  - { name: a, action: hold, effects: [drop] }\n  - { name: b, action: hold, relations: [public.orders] }\n';
  expect(verdictOf(rules, drop)).toBe('hold b');
});

test('agents, targets and environments restrict a rule to whom they name', () => {
  const rules =
    '  - { name: x, action: pass, effects: [read], agents: [claude-*], targets: [shop], environments: [staging] }\n';
  const actor = { agent: 'claude-2', target: 'shop', environment: 'staging' } as const;
  expect(verdictOf(rules, select, actor)).toBe('pass x');
  expect(verdictOf(rules, select, { ...actor, agent: 'claude' })).toBe('hold no-rule');
  expect(verdictOf(rules, select, { ...actor, target: 'shop2' })).toBe('hold no-rule');
  expect(verdictOf(rules, select, { ...actor, environment: 'production' })).toBe('hold no-rule');
});

test('commands are compared without case and with wildcards', () => {
  const rules = '  - { name: x, action: deny, commands: ["drop *"] }\n';
  expect(verdictOf(rules, drop)).toBe('deny x');
  expect(verdictOf(rules, statement('DROPPED', ['read']))).toBe('hold no-rule');
});

test('a hold on a table catches every use of it, also by an unqualified name', () => {
  const rules =
    '  - { name: salaries, action: hold, relations: [public.salaries] }\n  - { name: reads, action: pass, effects: [read] }\n';
  const reading = (...names: string[]) =>
    statement('SELECT', ['read'], { relations: names.map((name) => relation(name, 'read')) });
  expect(verdictOf(rules, reading('public.orders', 'public.salaries'))).toBe('hold salaries');
  expect(verdictOf(rules, reading('salaries'))).toBe('hold salaries');
  expect(verdictOf(rules, reading('archive.salaries'))).toBe('pass reads');
});

test('a pass on a table covers no statement that touches another one, nor an unqualified name', () => {
  const rules = '  - { name: carts, action: pass, effects: [read, delete], relations: [public.carts] }\n';
  const deleting = (...names: string[]) =>
    statement('DELETE', ['delete', 'read'], { relations: names.map((name) => relation(name, 'delete')) });
  expect(verdictOf(rules, deleting('public.carts'))).toBe('pass carts');
  expect(verdictOf(rules, deleting('public.carts', 'public.orders'))).toBe('hold no-rule');
  expect(verdictOf(rules, deleting('carts'))).toBe('hold no-rule');
  expect(verdictOf(rules, deleting())).toBe('hold no-rule');
});

test('a pass on a function covers known builtins beside it, and no other foreign function, type or operator', () => {
  const rules = '  - { name: is-open, action: pass, effects: [read, function], functions: [shop.is_open] }\n';
  const calling = (names: string[], facts = {}) =>
    statement('SELECT', ['function', 'read'], { functions: names.map(named), ...facts });
  expect(verdictOf(rules, calling(['shop.is_open', 'count']))).toBe('pass is-open');
  expect(verdictOf(rules, calling(['is_open']))).toBe('hold no-rule');
  expect(verdictOf(rules, calling(['shop.is_open', 'shop.purge']))).toBe('hold no-rule');
  expect(verdictOf(rules, calling(['shop.is_open', 'public.count']))).toBe('hold no-rule');
  expect(verdictOf(rules, calling(['count']))).toBe('hold no-rule');
  expect(verdictOf(rules, calling(['shop.is_open'], { types: [named('shop.mood')] }))).toBe('hold no-rule');
  expect(verdictOf(rules, calling(['shop.is_open'], { operators: [named('###')] }))).toBe('hold no-rule');
  expect(verdictOf(rules, calling(['shop.is_open'], { operators: [named('+')] }))).toBe('pass is-open');
});

test('a hold on a builtin function catches it under its plain name', () => {
  const rules =
    '  - { name: sleeps, action: hold, functions: [pg_catalog.pg_sleep] }\n  - { name: reads, action: pass, effects: [read] }\n';
  expect(verdictOf(rules, statement('SELECT', ['read'], { functions: [named('pg_sleep')] }))).toBe(
    'hold sleeps',
  );
});

test('settings: a pass must cover all of them, a hold needs one', () => {
  const setting = (...names: string[]) =>
    statement('SET', ['setting'], { settings: names.map((name) => ({ name, value: '1', local: false })) });
  const pass = '  - { name: x, action: pass, effects: [setting], settings: [work_mem, "enable_*"] }\n';
  expect(verdictOf(pass, setting('work_mem', 'enable_sort'))).toBe('pass x');
  expect(verdictOf(pass, setting('work_mem', 'search_path'))).toBe('hold no-rule');
  const hold =
    '  - { name: path, action: hold, settings: [search_path] }\n  - { name: x, action: pass, effects: [setting] }\n';
  expect(verdictOf(hold, setting('work_mem', 'search_path'))).toBe('hold path');
});

test('an override lifts the hold it names for what its rule covers, and nothing else', () => {
  const rules = [
    '  - { name: deletes, action: hold, effects: [delete] }',
    '  - { name: others, action: hold, relations: [public.audit] }',
    '  - { name: cleaner, action: pass, effects: [read, delete], relations: [public.*], overrides: [deletes] }\n',
  ].join('\n');
  const deleting = (name: string) =>
    statement('DELETE', ['delete', 'read'], { relations: [relation(name, 'delete')] });
  expect(verdictOf(rules, deleting('public.carts'))).toBe('pass cleaner');
  expect(verdictOf(rules, deleting('private.carts'))).toBe('hold deletes');
  expect(verdictOf(rules, deleting('public.audit'))).toBe('hold others');
  const judged = judge(policyOf(rules), deleting('public.audit'), claude);
  expect(judged.overridden.map((rule) => rule.name)).toEqual(['deletes']);
});

test('a statement that claims no effect, or an unknown one, never passes', () => {
  const rules = '  - { name: x, action: pass, effects: [read] }\n';
  expect(verdictOf(rules, statement('SELECT', []))).toBe('hold no-rule');
  expect(verdictOf(rules, statement('SELECT', ['read', 'unknown']))).toBe('hold no-rule');
});

test('parser settings are denied even where no rule says so', () => {
  const set = statement('SET', ['parser-setting']);
  expect(verdictOf('  []\n', set)).toBe('deny built-in');
  expect(verdictOf('  - { name: all, action: hold }\n', set)).toBe('deny built-in');
});

test('in shadow mode everything passes, and the shadow says what would have been done', () => {
  const rules =
    '  - { name: drops, action: hold, effects: [drop] }\n  - { name: never, action: deny, effects: [os] }\n';
  const observing = (of: ReturnType<typeof statement>) => verdictOf(rules, of, claude, 'observe: true\n');
  expect(observing(drop)).toBe('pass drops (hold)');
  expect(observing(statement('COPY', ['os']))).toBe('pass never (deny)');
  expect(observing(statement('DO', ['code']))).toBe('pass no-rule (hold)');
});

test('in shadow mode the strictest shadow of a text is reported', () => {
  const policy = policyOf('  - { name: never, action: deny, effects: [os] }\n', 'observe: true\n');
  const verdict = decide(policy, [drop, statement('COPY', ['os']), select], claude);
  expect(verdict).toMatchObject({ action: 'pass', rule: 'never', shadow: 'deny' });
});

test('what would blind the parser stays denied in shadow mode, wherever it stands in the text', () => {
  const rules = '  - { name: never, action: deny, effects: [os] }\n';
  const observing = policyOf(rules, 'observe: true\n');
  for (const effects of [['parser-setting'], ['parser-setting', 'read']] as Effect[][]) {
    const blinding = statement('SET', effects);
    expect(decide(observing, [statement('COPY', ['os']), blinding, drop], claude).action).toBe('deny');
  }
});

test('the need of a hold is the strongest of all hold rules that match and of all statements', () => {
  const policy = policyOf(
    [
      '  - { name: a, action: hold, effects: [drop], approval: { level: key } }',
      '  - { name: b, action: hold, effects: [drop], approval: { quorum: 2 } }',
      '  - { name: c, action: hold, effects: [truncate], approval: { level: passkey, quorum: 1 } }\n',
    ].join('\n'),
  );
  expect(decide(policy, [drop], claude).need).toEqual({ level: 'key', quorum: 2 });
  expect(decide(policy, [drop, statement('TRUNCATE', ['truncate'])], claude).need).toEqual({
    level: 'passkey',
    quorum: 2,
  });
  expect(decide(policy, [statement('DELETE', ['delete'])], claude).need).toBeUndefined();
  expect(strongest({ quorum: 3 }, { level: 'slack' })).toEqual({ level: 'slack', quorum: 3 });
});

test('the reason says what the statement does, to which relations, and why the rule minds', () => {
  const policy = policyOf(
    '  - { name: x, action: hold, effects: [delete], reason: rows do not come back }\n',
  );
  const of = statement('DELETE', ['delete', 'read'], {
    relations: [relation('public.orders', 'delete'), relation('customers', 'read')],
  });
  expect(decide(policy, [of], claude).reason).toBe(
    'DELETE deletes rows (public.orders): rows do not come back',
  );
});

test('the reason tells what every rule of the same action minds', () => {
  const policy = policyOf(
    [
      '  - { name: deletes, action: hold, effects: [delete], reason: rows do not come back }',
      '  - { name: functions, action: hold, effects: [function] }',
      '  - { name: all, action: pass, effects: [read, delete, function] }\n',
    ].join('\n'),
  );
  const of = statement('DELETE', ['delete', 'function', 'read'], { why: ['calls purge()'] });
  expect(decide(policy, [of], claude).reason).toBe(
    'DELETE deletes rows, calls a function that is not a known builtin: rows do not come back',
  );
});

test('the reason for a foreign function names it, with invisible characters made visible', () => {
  const why = ['calls pur\u202ege(), which is not a known builtin'];
  const { reason } = decide(policyOf('  []\n'), [statement('SELECT', ['function'], { why })], claude);
  expect(reason).toBe('SELECT calls pur\\u{202e}ge(), which is not a known builtin');
});

test('the reason names three relations and counts the others', () => {
  const relations = ['a', 'b', 'c', 'd', 'e'].map((name) => relation(name, 'truncate'));
  const { reason } = decide(policyOf('  []\n'), [statement('TRUNCATE', ['truncate'], { relations })], claude);
  expect(reason).toBe('TRUNCATE empties tables (a, b, c and 2 more)');
});

test('were a policy to pass the unknown or to override a deny, the statement would still not pass', () => {
  // No file can say this; a Policy built by other means could.
  const compiled = policyOf(
    '  - { name: never, action: deny, effects: [os] }\n  - { name: x, action: pass, effects: [read, os] }\n',
  );
  const rules = compiled.rules.map((rule) =>
    rule.name === 'x'
      ? { ...rule, effects: new Set<Effect>(['os', 'unknown']), overrides: new Set(['never']) }
      : rule,
  );
  const forged = { ...compiled, rules };
  expect(decide(forged, [statement('COPY', ['os'])], claude)).toMatchObject({
    action: 'deny',
    rule: 'never',
  });
  expect(decide(forged, [statement('X', ['unknown'])], claude)).toMatchObject({
    action: 'hold',
    rule: 'no-rule',
  });
});
