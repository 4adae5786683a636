// The veil over a request: what the log and the store have of it, what a person sees, and that nobody can show another.

import { expect, test } from 'vitest';
import { intactRequest } from '../../src/approval/release.ts';
import { type Request, requestDigest, requestOpening, requestText } from '../../src/approval/request.ts';
import { newRow } from '../../src/approval/row.ts';
import type { StoredRequest } from '../../src/store/store.ts';
import { gate } from '../support/approvals.ts';

const sql = "delete from t where email = 'alice@example.org' -- for bob";
const salt = Buffer.alloc(16, 7).toString('base64url');

function request(more: Partial<Request> = {}): Request {
  return {
    ...gate({ sql, reason: 'carol asked' }).request,
    veil: { salt, sql: 'delete from t where email = $1', words: true },
    ...more,
  };
}

const row = (one: Request): StoredRequest => newRow(one, { params: [] }, 'nonce');

test('what is digested, stored and logged holds no value and no digest of one', () => {
  const one = request({
    statements: [
      {
        command: 'EXECUTE',
        effects: ['delete'],
        relations: ['t'],
        why: ['deletes', "EXECUTE p runs: delete from t where a = 'dave'"],
      },
    ],
    policy: { digest: 'p', rule: 'r', reason: "EXECUTE p runs: delete from t where a = 'dave'" },
  });
  const text = requestText(one);
  for (const value of ['alice', 'bob', 'carol', 'dave', one.sha]) expect(text).not.toContain(value);
  expect(JSON.parse(text)).toMatchObject({ sql: 'delete from t where email = $1', rid: one.rid });
  expect(JSON.parse(text).statements[0].why).toEqual(['deletes']);
  expect(row(one).request).toBe(text);
});

test('with what opens it, a row is the request as it was, under the digest that was signed', () => {
  const one = request();
  const intact = intactRequest(row(one));
  expect(intact.request).toEqual(one);
  expect(intact.rd).toBe(requestDigest(one));
  expect(intact.values).toBeDefined();
});

test('without it, a row is still intact, and shows no values', () => {
  const one = request();
  const intact = intactRequest({ ...row(one), values: '' });
  expect(intact.rd).toBe(requestDigest(one));
  expect(intact.request.sql).toBe('delete from t where email = $1');
  expect(intact.request.open).toBeDefined();
  expect(intact.values).toBeUndefined();
});

test('nobody can show another text under the same digest', () => {
  const one = row(request());
  const kept = JSON.parse(one.values) as { open: { salt: string; text: string } };
  const { open } = kept;
  const lies = [
    { ...open, text: open.text.replace('alice', 'mallory') },
    { ...open, salt: Buffer.alloc(16, 8).toString('base64url') },
    { ...open, salt: '' },
    { text: open.text },
    { ...open, text: 'no JSON' },
  ];
  for (const lie of lies) {
    const intact = intactRequest({ ...one, values: JSON.stringify({ ...kept, open: lie }) });
    expect(intact.request.sql).toBe('delete from t where email = $1');
    expect(intact.request.open).toBeDefined();
  }
});

test('a veil that is smuggled into the stored text counts for nothing', () => {
  const plain = { ...request() };
  delete plain.veil;
  const honest = row(plain);
  const veil = { salt, sql: plain.sql, words: false };
  const smuggled = JSON.stringify({ ...JSON.parse(honest.request), veil });
  expect(intactRequest({ ...honest, request: smuggled }).request.veil).toBeUndefined();
  const evil = JSON.stringify({ ...JSON.parse(honest.request), sql: 'drop table t', veil });
  expect(() => intactRequest({ ...honest, request: evil })).toThrow(/is not the one that was recorded/);
});

test('two requests of the same text have other commitments: each has a salt of its own', () => {
  const other = request({ veil: { salt: Buffer.alloc(16, 9).toString('base64url'), sql: 'x', words: true } });
  expect(JSON.parse(requestText(request())).open).not.toBe(JSON.parse(requestText(other)).open);
  expect(requestOpening(request())?.text).toBe(requestOpening(other)?.text);
});
