// The answers to the identity questions: what a server may leave out, and what is no answer at all.

import { expect, test } from 'vitest';
import { readIdentity } from '../../src/proxy/server-identity.ts';

const id = { rows: [['7711079308823436947']] };
const database = { rows: [['16384', 'PostgreSQL 18.4 on x86_64']] };
const version = 'PostgreSQL 18.4 on x86_64';

test('a server tells its system identifier, its database and its version', () => {
  expect(readIdentity([id, database])).toEqual({
    systemIdentifier: '7711079308823436947',
    databaseOid: 16_384,
    version,
  });
});

test.each(['42501', '42883', '0A000'])(
  'a role that may not ask (%s) leaves the identifier unknown',
  (sqlstate) => {
    expect(readIdentity([{ sqlstate, message: 'permission denied' }, database])).toEqual({
      systemIdentifier: undefined,
      databaseOid: 16_384,
      version,
    });
  },
);

test.each([
  ['a timeout instead of the identifier', [{ sqlstate: '57014', message: 'canceled' }, database]],
  ['no row', [{ rows: [] }, database]],
  ['an identifier that is none', [{ rows: [["1'; drop"]] }, database]],
  ['NULL', [{ rows: [[null]] }, database]],
  ['no database', [id, { rows: [] }]],
  ['an error instead of the database', [id, { sqlstate: '42501', message: 'no' }]],
  ['nothing', []],
])('%s is not taken for an answer', (_, answers) => {
  expect(() => readIdentity(answers)).toThrow('the database does not say which server it is');
});
