// Settings as the approver sees them and a release compares them.

import { expect, test } from 'vitest';
import { leadingReason, Settings } from '../../src/session/settings.ts';
import type { Statement } from '../../src/sql/statement.ts';
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

test('names are looked up in the same context until something changes it', () => {
  const known = settings();
  const path = ['public'];
  const first = known.names(path);
  expect(first).toMatchObject({ path: ['public'], shadowed: false, changed: false });
  known.note([statement('SELECT', ['read'])]);
  expect(known.names(path)).toBe(first);
  expect(known.names(['other']).path).toEqual(['other']);
});

test('a temporary table is remembered with the statement that made it', () => {
  const known = settings();
  known.names([]);
  const made = statement('CREATE TABLE', ['temporary'], {
    relations: [{ schema: undefined, name: 'scratch', access: 'define' }],
  });
  known.note([made]);
  expect(known.names([]).temporary.get('scratch')).toBe(made);
  expect(known.names([]).shadowed).toBe(false);
});

test('code that nothing is known of may have made temporary objects of any name, and changed definitions', () => {
  const known = settings();
  known.names([]);
  known.note([statement('SELECT', ['function'])]);
  expect(known.names([])).toMatchObject({ shadowed: true, changed: true });
  known.ready('I', 'I');
  expect(known.names([])).toMatchObject({ shadowed: true, changed: false });
});

test('a temporary table that a function makes has a name that nobody here knows', () => {
  const known = settings();
  known.note([statement('SELECT', ['read', 'temporary'])]);
  expect(known.names([])).toMatchObject({ shadowed: true, changed: true });
});

test('changed definitions are not believed before their transaction has ended', () => {
  const known = settings();
  known.note([statement('CREATE VIEW', ['create'])]);
  known.ready('T', 'T');
  expect(known.names([]).changed).toBe(true);
  known.ready('T', 'I');
  expect(known.names([]).changed).toBe(false);
});

test.each([
  ['"$user", public', ['owner', 'public']],
  ['a', ['a']],
  ['"Mixed"', ['Mixed']],
  ['"a""b"', undefined],
  ['Ä', undefined],
])('search_path %s as the server reports it', (reported, path) => {
  const known = settings();
  known.reported('search_path', reported);
  expect(known.names([]).path).toEqual(path);
});

test('a list that no server has reported may be one schema with a comma in its name', () => {
  const known = settings();
  known.note([set('search_path', 'a, b')]);
  known.ready('I', 'I');
  expect(known.names(['public']).path).toBeUndefined();
});

test('a search_path that a query sets is believed only when the server reports it', () => {
  const known = settings();
  const settingsOf = [{ name: 'search_path', value: 'public', local: false }];
  known.note([statement('SELECT', ['setting', 'read'], { settings: settingsOf })]);
  known.ready('I', 'I');
  expect(known.names(['evil']).path).toBeUndefined();
  known.reported('search_path', 'evil');
  known.ready('I', 'I');
  expect(known.names(['public']).path).toEqual(['evil']);
});

test('search_path of a role that is not known is not known', () => {
  const known = settings();
  known.reported('search_path', '"$user", public');
  known.note([statement('SET', ['role'])]);
  expect(known.names(['public']).path).toBeUndefined();
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

const asked = [
  statement('DELETE', ['delete'], { relations: [{ schema: undefined, name: 'orders', access: 'delete' }] }),
];

/** Notes each statement as a text of its own, each answered with the transaction status that stands before it. */
function after(known: Settings, ...texts: [after: string, text: Statement][]): Settings {
  let before = 'I';
  for (const [status, text] of texts) {
    known.note([text]);
    known.ready(before, status);
    before = status;
  }
  return known;
}

test('a SET search_path that was committed by itself is known; one that may be undone is not', () => {
  const path = set('search_path', 'a');
  const begin = statement('BEGIN', ['transaction']);
  const rollback = statement('ROLLBACK', ['transaction']);
  expect(settings().comparable(asked)).toBe(true);
  expect(after(settings(), ['I', path]).comparable(asked)).toBe(true);
  expect(after(settings(), ['T', begin], ['T', path], ['I', rollback]).comparable(asked)).toBe(false);
  const piped = settings();
  piped.note([begin, path, rollback]);
  expect(piped.comparable(asked)).toBe(false);
  piped.ready('I', 'I');
  expect(piped.comparable(asked)).toBe(false);
  const failed = settings();
  failed.note([path]);
  failed.failed();
  failed.ready('I', 'I');
  expect(failed.comparable(asked)).toBe(false);
});

test('RESET, RESET ALL and DISCARD ALL bring back what the connection began with, unless that is undone', () => {
  const begun = (): Settings => new Settings('shop', new Map(), 'mine');
  const reset = statement('RESET', ['setting'], {
    settings: [{ name: 'search_path', value: undefined, local: false }],
  });
  for (const back of [
    reset,
    statement('RESET', ['setting']),
    statement('DISCARD ALL', ['setting', 'temporary']),
  ]) {
    const moved = after(begun(), ['I', set('search_path', 'elsewhere')]);
    expect(moved.names(['public']).path).toEqual(['elsewhere']);
    moved.note([back]);
    expect(moved.names(['public']).path).toBeUndefined();
    moved.ready('I', 'I');
    expect(moved.names(['public']).path).toEqual(['mine']);
    moved.note([back]);
    moved.ready('I', 'T');
    expect(moved.names(['public']).path).toBeUndefined();
  }
});

test('a local search_path and hidden code leave it unknown', () => {
  const local = statement('SET', ['setting'], {
    settings: [{ name: 'search_path', value: 'a', local: true }],
  });
  expect(after(settings(), ['I', local]).comparable(asked)).toBe(false);
  expect(after(settings(), ['I', statement('DO', ['code'])]).comparable(asked)).toBe(false);
});

test('a server that reports search_path is believed as soon as it has answered everything', () => {
  const known = new Settings('owner', new Map([['search_path', 'public']]));
  known.note([set('search_path', 'a')]);
  expect(known.comparable(asked)).toBe(false);
  known.ready('T', 'I');
  expect([known.searchPath, known.comparable(asked)]).toEqual(['public', true]);
});

test('a temporary relation of the same name makes a statement one of this session alone', () => {
  const known = settings();
  known.note([
    statement('CREATE TABLE', ['temporary'], {
      relations: [{ schema: undefined, name: 'orders', access: 'define' }],
    }),
  ]);
  expect(known.comparable(asked)).toBe(false);
  expect(known.comparable([statement('DELETE', ['delete'])])).toBe(true);
});

test('a role that is not known is compared with nothing', () => {
  expect(after(settings(), ['I', statement('SET', ['role'])]).comparable(asked)).toBe(false);
});

test('a custom setting may decide what a statement reads, so the session is comparable no more; a reason is only words', () => {
  const asked = [statement('DELETE', ['delete'])];
  const custom = (name: string) =>
    statement('SET', ['custom-setting'], { settings: [{ name, value: '2', local: false }] });
  const known = settings();
  known.note([custom('holdpoint.reason')]);
  known.ready('I', 'I');
  expect(known.comparable(asked)).toBe(true);
  known.note([custom('app.tenant')]);
  known.ready('I', 'I');
  expect(known.comparable(asked)).toBe(false);
});

test('a server that reports search_path may bring another back at the end of a transaction, and says so only afterwards', () => {
  const known = new Settings('shop', new Map([['search_path', 'mine']]));
  const commit = statement('COMMIT', ['transaction']);
  known.note([commit]);
  expect(known.names(['public']).path).toEqual(['mine']);
  after(known, ['T', set('search_path', 'elsewhere')]);
  known.reported('search_path', 'elsewhere');
  expect(known.names(['public']).path).toEqual(['elsewhere']);
  known.note([commit]);
  expect(known.names(['public']).path).toBeUndefined();
  known.reported('search_path', 'mine');
  known.ready('T', 'I');
  expect(known.names(['public']).path).toEqual(['mine']);
});
