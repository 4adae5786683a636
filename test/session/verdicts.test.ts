// What is remembered of verdicts is what a fresh look would say.

import { afterAll, expect, test } from 'vitest';
import { decide } from '../../src/policy/decide.ts';
import { type Policy, parsePolicy } from '../../src/policy/rules.ts';
import { Verdicts } from '../../src/session/verdicts.ts';
import type { Statement } from '../../src/sql/statement.ts';
import { analyzer } from './transcript.ts';

afterAll(() => analyzer.close());

const actor = { agent: 'claude', target: 'shop', environment: 'production' } as const;

function policyOf(rules: string): Policy {
  return parsePolicy({ file: 'rules.yaml', text: `version: 1\nrules:\n${rules}` }, () => {
    throw new Error('extends nothing');
  });
}

const reads = policyOf('  - { name: reads, action: pass, effects: [read] }\n');
const held = policyOf('  - { name: all, action: hold, effects: [read] }\n');
const budget = policyOf('  - { name: few, action: pass, effects: [insert, read], budget: { rows: 5 } }\n');

async function statementsOf(sql: string): Promise<readonly Statement[]> {
  const analysis = await analyzer.analyze(Buffer.from(sql));
  if (!('statements' in analysis)) throw new Error(`${sql}: ${analysis.kind}`);
  return analysis.statements;
}

const nothingSpent = { spent: () => 0 };

test('the same statement gets the same verdict, the very object, until the rules are others', async () => {
  const verdicts = new Verdicts(actor, nothingSpent);
  const read = await statementsOf('SELECT 1');
  const first = verdicts.of(reads, read, true);
  expect(first).toEqual(decide(reads, read, actor));
  expect(verdicts.of(reads, read, true)).toBe(first);
  expect(verdicts.of(held, read, true).action).toBe('hold');
  expect(verdicts.of(reads, read, true)).toEqual(first);
});

test('another explanation of the same text is another statement', async () => {
  const verdicts = new Verdicts(actor, nothingSpent);
  const [read] = (await statementsOf('SELECT 1')) as [Statement];
  expect(verdicts.of(reads, [read], true).action).toBe('pass');
  const writes: Statement = { ...read, effects: ['insert', 'read'] };
  expect(verdicts.of(reads, [writes], true).action).toBe('hold');
  expect(verdicts.of(reads, [read], true).action).toBe('pass');
  expect(verdicts.of(reads, [read, writes], false).action).toBe('hold');
});

test('what is alone and what is not are told apart', async () => {
  const verdicts = new Verdicts(actor, nothingSpent);
  const enclosed = policyOf(
    '  - { name: within, action: pass, effects: [read, unproven], readOnly: true }\n',
  );
  const [read] = (await statementsOf('SELECT 1')) as [Statement];
  const unproven: Statement = { ...read, effects: ['read', 'unproven'] };
  for (const alone of [true, false, true])
    expect(verdicts.of(enclosed, [unproven], alone)).toEqual(decide(enclosed, [unproven], actor, { alone }));
  expect(verdicts.of(enclosed, [unproven], true)).not.toEqual(verdicts.of(enclosed, [unproven], false));
});

test('a budget is asked each time', async () => {
  let spent = 0;
  const verdicts = new Verdicts(actor, { spent: () => spent });
  const insert = await statementsOf('INSERT INTO t VALUES (1)');
  expect(verdicts.of(budget, insert, true).action).toBe('pass');
  spent = 5;
  expect(verdicts.of(budget, insert, true).action).toBe('hold');
  spent = 0;
  expect(verdicts.of(budget, insert, true).action).toBe('pass');
});

test('it remembers no more than some, and says the same of all', async () => {
  const verdicts = new Verdicts(actor, nothingSpent);
  const many = await Promise.all(Array.from({ length: 200 }, (_, n) => statementsOf(`SELECT ${n}`)));
  for (let round = 0; round < 2; round += 1)
    for (const statements of many) expect(verdicts.of(reads, statements, true).action).toBe('pass');
});
