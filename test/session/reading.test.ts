// What ends a session when the server reports it: another reading of text, and a mode that its agent may not have.

import { expect, test } from 'vitest';
import { pinnedError } from '../../src/session/reading.ts';

test.each([
  ['standard_conforming_strings', 'off'],
  ['client_encoding', 'SJIS'],
])('%s reported as %s ends every session', (name, value) => {
  expect(pinnedError(name, value, undefined)?.sqlstate).toBe('08P01');
  expect(pinnedError(name, value, 'read-only')?.sqlstate).toBe('08P01');
});

test('a session that is reported writable ends if its agent may only read', () => {
  const name = 'default_transaction_read_only';
  expect(pinnedError(name, 'off', 'read-only')?.message).toContain('read-only agent was made writable');
  expect(pinnedError(name, 'on', 'read-only')).toBeUndefined();
  expect(pinnedError(name, 'off', undefined)).toBeUndefined();
});

test('what has no part in either is passed on', () => {
  expect(pinnedError('TimeZone', 'UTC', 'read-only')).toBeUndefined();
  expect(pinnedError('client_encoding', 'UTF8', 'read-only')).toBeUndefined();
});
