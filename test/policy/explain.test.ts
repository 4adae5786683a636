import { expect, test } from 'vitest';

import { someActor } from '../../src/policy/cases.ts';
import { explain, explanationText } from '../../src/policy/explain.ts';
import { classOf } from '../../src/sql/class.ts';
import type { Analysis, Statement } from '../../src/sql/statement.ts';
import { named, policyOf, relation, statement } from './statements.ts';

const policy = policyOf(
  [
    '  - { name: reads, action: pass, effects: [read] }',
    '  - { name: deletes, action: hold, effects: [delete], reason: rows do not come back, approval: { quorum: 2 } }\n',
  ].join('\n'),
);
const of = (...statements: Statement[]): Analysis => ({ kind: 'statements', statements });
const explained = (sql: string, analysis: Analysis, using = policy) =>
  explain(using, Buffer.from(sql), analysis, someActor, classOf);

const deleting = statement('DELETE', ['delete', 'read'], {
  relations: [relation('public.orders', 'delete'), relation('public.orders', 'read')],
  functions: [named('now')],
  end: 'DELETE FROM public.orders WHERE at < now()'.length,
});

test('a held statement is explained with verdict, reason, rule and place, effects and relations', () => {
  const text = explanationText(explained('DELETE FROM public.orders WHERE at < now()', of(deleting)));
  expect(text).toBe(
    `HOLD   DELETE FROM public.orders WHERE at < now()
  verdict    hold: it waits for a person, 2 different approvers
  because    DELETE deletes rows (public.orders): rows do not come back
  rule       deletes at test.yaml:4
  command    DELETE, class destroy
  effects    delete: deletes rows
             read: reads
  relations  public.orders (delete, read)
  functions  now

as agent on main (production), rules test.yaml
`,
  );
});

test('a hold without a rule names the effects that keep the nearest pass rule from covering it', () => {
  const calling = statement('SELECT', ['function', 'read'], {
    why: ['calls purge(), which is not a known builtin'],
  });
  const explanation = explained('SELECT purge()', of(calling));
  expect(explanation.statements[0]).toMatchObject({ uncovered: ['function'], matched: [] });
  expect(explanationText(explanation)).toContain('none, so it is held; no pass rule covers: function');
});

test('several statements are explained one by one and then as a whole', () => {
  const read = statement('SELECT', ['read'], { end: 8 });
  const text = explanationText(
    explained('SELECT 1; DELETE FROM public.orders', of(read, { ...deleting, start: 9, end: 35 })),
  );
  expect(text).toContain('PASS   1 of 2: SELECT 1\n');
  expect(text).toContain('HOLD   2 of 2: DELETE FROM public.orders\n');
  expect(text).toContain('HOLD   the whole text, by deletes: it is sent together or not at all\n');
});

test('an overridden hold is shown as such', () => {
  const using = policyOf(
    '  - { name: deletes, action: hold, effects: [delete] }\n  - { name: cleaner, action: pass, effects: [read, delete], overrides: [deletes] }\n',
  );
  const explanation = explained('DELETE FROM public.orders', of(deleting), using);
  expect(explanationText(explanation)).toContain('also deletes (hold, overridden) at test.yaml:3');
  expect(explanation.statements[0]!.matched).toEqual([
    { name: 'cleaner', action: 'pass', at: 'test.yaml:4', overridden: false },
    { name: 'deletes', action: 'hold', at: 'test.yaml:3', overridden: true },
  ]);
});

test('a text that the parser refuses never reaches the rules, and says where', () => {
  const analysis: Analysis = { kind: 'syntax', message: 'syntax error at or near "SELEC"', position: 1 };
  const explanation = explained('SELEC 1', analysis);
  expect(explanation.verdict).toBeUndefined();
  expect(explanationText(explanation)).toContain('syntax error at or near "SELEC" at character 1');
});

test('a statement that carries a secret is not shown', () => {
  const secret = statement('ALTER ROLE', ['grant'], { secret: true, end: 40 });
  const explanation = explained("ALTER ROLE shop PASSWORD 'hunter2'", of(secret));
  expect(JSON.stringify(explanation) + explanationText(explanation)).not.toContain('hunter2');
});

test('in shadow mode the verdict says what would have been done', () => {
  const using = policyOf('  - { name: deletes, action: hold, effects: [delete] }\n', 'observe: true\n');
  const text = explanationText(explained('DELETE FROM public.orders', of(deleting), using));
  expect(text).toContain('pass (shadow mode; otherwise hold)');
});

test('invisible characters of the statement are made visible', () => {
  const text = explanationText(explained('SELECT "\u202e"', of(statement('SELECT', ['read'], { end: 12 }))));
  expect(text).toContain('SELECT "\\u{202e}"');
});

const bounded = policyOf(
  [
    '  - { name: removal, action: hold, effects: [delete] }',
    '  - { name: unproven, action: pass, effects: [read, unproven], readOnly: true }',
    '  - { name: few, action: pass, effects: [read, delete], rowsMax: 100, budget: { rows: 5000 }, overrides: [removal] }\n',
  ].join('\n'),
);

test('what a statement passes within is told, and the budget on which it does', () => {
  const few = statement('DELETE', ['delete'], { tagged: true });
  expect(explanationText(explained('DELETE', of(few), bounded))).toContain(
    'verdict    pass: it is sent at once; if it changes more than 100 rows, it is undone and held; its rows count against the budget of few (5,000 rows an hour)',
  );
  const maybe = statement('SELECT', ['read', 'unproven']);
  expect(explanationText(explained('SELECT', of(maybe), bounded))).toContain(
    'verdict    pass: it is sent at once, within READ ONLY; if it writes, it is undone and held',
  );
});

test('a pass rule whose bounds are not kept is shown with the reason, also in JSON', () => {
  const cascading = statement('DELETE', ['delete'], { tagged: true, uncounted: true });
  const explanation = explained('DELETE', of(cascading), bounded);
  const why = 'code behind it may change rows that the server does not count';
  expect(explanation.statements[0]?.matched).toMatchObject([
    { name: 'few', unmet: why },
    { name: 'removal' },
  ]);
  expect(explanationText(explanation)).toContain(`also few (pass, but ${why}) at test.yaml:5`);
});

test('a text that is held though each of its statements passes says why', () => {
  const maybe = statement('SELECT', ['read', 'unproven']);
  expect(explanationText(explained('SELECT; SELECT', of(maybe, maybe), bounded))).toContain(
    'HOLD   the whole text, by unproven: rule unproven lets a statement pass within a transaction of its own, and the text holds other statements; send it by itself',
  );
});

test('what is denied to an agent that only reads is explained as that', () => {
  const reader = { ...someActor, access: 'read-only' as const };
  const analysis = of(statement('INSERT', ['insert']));
  const text = explanationText(explain(bounded, Buffer.from('INSERT'), analysis, reader, classOf));
  expect(text).toContain('rule       the agent is read-only: no rule can allow this');
  expect(text).toContain('as agent on main (production, read-only)');
});
