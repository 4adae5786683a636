// When code of which nothing is known may have run: with its own statement, and with whatever may run it later.

import { expect, test } from 'vitest';
import { HiddenCode } from '../../src/session/code.ts';
import { createGate, type Gate } from '../../src/session/gate.ts';
import type { Statement } from '../../src/sql/statement.ts';
import { statement } from '../policy/statements.ts';

function gateOf(...statements: Statement[]): Gate {
  return createGate({
    n: 1,
    proto: 'extended',
    sql: Buffer.alloc(0),
    own: statements,
    resolved: statements,
    statements,
    parameterTypes: [],
    explainedBy: undefined,
    verdict: { action: 'pass', rule: 'r', reason: '' },
    parameters: [],
    behind: [],
  });
}

const read = gateOf(statement('SELECT', ['read']));
const block = gateOf(statement('DO', ['code']));
const commit = gateOf(statement('COMMIT', ['transaction']));
const fetch = gateOf({
  ...statement('FETCH', ['read']),
  names: [{ kind: 'fetch', name: 'c', inner: undefined }],
});

function counting(): { code: HiddenCode; ran: () => number } {
  let times = 0;
  const code = new HiddenCode(() => {
    times += 1;
  });
  return { code, ran: () => times };
}

test('reads, fetches and ends of transactions run nothing hidden where nothing hidden was sent', () => {
  const { code, ran } = counting();
  for (const gate of [read, fetch, commit]) {
    code.dispatched(gate);
    code.executed(gate);
  }
  code.executed(undefined);
  code.synced('I');
  expect(ran()).toBe(0);
  expect(code.unreported).toBe(false);
});

test.each<[string, (code: HiddenCode) => void]>([
  ['its own Execute', (code) => code.executed(block)],
  ['an Execute of a cursor that SQL declared', (code) => code.executed(undefined)],
  ['a FETCH that is sent', (code) => code.dispatched(fetch)],
  ['a FETCH that is executed', (code) => code.executed(fetch)],
  ['a COMMIT, which fires deferred triggers', (code) => code.dispatched(commit)],
  ['a Sync that commits', (code) => code.synced('I')],
])('once it was sent, %s may run more of it, until the transaction has ended', (_, later) => {
  const { code, ran } = counting();
  code.dispatched(block);
  expect(ran()).toBe(1);
  later(code);
  expect(ran()).toBe(2);
  code.ready('T');
  later(code);
  expect(ran()).toBe(3);
  code.ready('I');
  later(code);
  expect(ran()).toBe(3);
});

test('inside a transaction block a Sync and a read run none of it', () => {
  const { code, ran } = counting();
  code.dispatched(block);
  code.synced('T');
  code.dispatched(read);
  code.executed(read);
  expect(ran()).toBe(1);
});

test('settings are unreported from then on until the server is ready', () => {
  const { code } = counting();
  code.dispatched(block);
  expect(code.unreported).toBe(true);
  code.ready('T');
  expect(code.unreported).toBe(false);
  code.executed(block);
  expect(code.unreported).toBe(true);
});
