// A session spends on the budgets of rules: held back when a statement leaves, settled by what it changed.

import { afterAll, expect, test } from 'vitest';
import { Ledger } from '../../src/policy/budget.ts';
import { parsePolicy } from '../../src/policy/rules.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { analyzer, C, E, Transcript, Z } from './transcript.ts';

afterAll(() => analyzer.close());

const policy = parsePolicy(
  {
    file: 'rules.yaml',
    text: `version: 1
rules:
  - name: small-inserts
    action: pass
    effects: [insert, read]
    budget: { rows: 5 }
`,
  },
  () => {
    throw new Error('extends nothing');
  },
);

test('what two sessions of an agent change counts together, and when it is spent the next statement is held', () => {
  const spending = new Ledger(() => 0);
  const one = new Transcript({ policy, spending });
  const other = new Transcript({ policy, spending });
  expect(one.client(query('INSERT INTO t VALUES (1), (2), (3)'))).toEqual(['pass!']);
  expect(other.client(query('INSERT INTO t VALUES (4), (5)'))).toEqual(['pass!']);
  expect(new Transcript({ policy, spending }).client(query('INSERT INTO t VALUES (6)'))).toEqual(['hold']);
  one.server(C('INSERT 0 3'), Z());
  other.server(C('INSERT 0 2'), Z());
  expect(one.client(query('INSERT INTO t VALUES (7)'))).toEqual(['hold']);
});

test('a statement that failed gives back what was held back for it', () => {
  const spending = new Ledger(() => 0);
  const session = new Transcript({ policy, spending });
  session.client(query('INSERT INTO t VALUES (1), (2), (3), (4), (5)'));
  session.server(E('23505'), Z());
  expect(session.client(query('INSERT INTO t VALUES (1)'))).toEqual(['pass!']);
});

test('a statement whose end nobody knows has spent all that was held back for it', () => {
  const spending = new Ledger(() => 0);
  const session = new Transcript({ policy, spending });
  session.client(query('INSERT INTO t VALUES (1), (2), (3), (4), (5)'));
  session.session.lost();
  const next = new Transcript({ policy, spending });
  expect(next.client(query('INSERT INTO t VALUES (1)'))).toEqual(['hold']);
});
