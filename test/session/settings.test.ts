// Settings as the approver sees them and a release compares them.

import { expect, test } from 'vitest';
import { leadingReason, Settings } from '../../src/session/settings.ts';
import { statement } from '../policy/statements.ts';

function settings(): Settings {
  return new Settings(
    'owner',
    new Map([
      ['TimeZone', 'UTC'],
      ['application_name', 'psql'],
      ['is_superuser', 'off'],
    ]),
  );
}

const set = (name: string, value: string | undefined) =>
  statement('SET', ['setting'], { settings: [{ name, value, local: false }] });

test('the role is the login until a SET ROLE is forwarded, then it cannot be known', () => {
  const known = settings();
  expect(known.role).toBe('owner');
  known.note([statement('SET', ['role'])]);
  expect(known.role).toBeNull();
});

test('search_path is what was set, null after RESET, and what the server reports', () => {
  const known = settings();
  expect(known.searchPath).toBeNull();
  known.note([set('search_path', 'a, b')]);
  expect(known.searchPath).toBe('a, b');
  known.note([set('search_path', undefined)]);
  expect(known.searchPath).toBeNull();
  known.reported('search_path', 'c');
  expect(known.searchPath).toBe('c');
});

test('what gives a statement its meaning is listed by name; what names the session is not', () => {
  const known = settings();
  expect(known.meaning).toEqual({ TimeZone: 'UTC', is_superuser: 'off' });
  known.reported('DateStyle', 'ISO, DMY');
  known.reported('application_name', 'other');
  expect(Object.keys(known.meaning)).toEqual(['DateStyle', 'TimeZone', 'is_superuser']);
});

test('a server that reports without end is not remembered without end', () => {
  const known = settings();
  for (let each = 0; each < 100; each += 1) known.reported(`x${each}`, 'y');
  known.reported('DateStyle', 'ISO');
  expect(known.meaning).not.toHaveProperty('DateStyle');
  known.reported('TimeZone', 'CET');
  expect(known.meaning).toMatchObject({ TimeZone: 'CET' });
});

test('a reason is kept to 500 characters, from the setting or from a leading comment', () => {
  const known = settings();
  known.note([set('holdpoint.reason', 'r'.repeat(900))]);
  expect(known.reason).toHaveLength(500);
  expect(leadingReason(' /* reason: clean up\n orders */ delete from o')).toBe('clean up\n orders');
  expect(leadingReason('delete from o /* reason: late */')).toBeUndefined();
  expect(leadingReason(`/* reason: ${'r'.repeat(900)} */ select`)).toHaveLength(500);
});
