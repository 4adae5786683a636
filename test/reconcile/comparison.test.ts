import { expect, test } from 'vitest';
import { Comparison, type ComparisonOptions, type StrayKind } from '../../src/reconcile/comparison.ts';
import { Ledger } from '../../src/reconcile/ledger.ts';
import type { ServerEntry } from '../../src/reconcile/server-log.ts';
import type { Entry } from '../../src/trail/entry.ts';

let seq = 0;
const record = (kind: string, members: Record<string, unknown>): Entry => {
  seq += 1;
  return { seq, kind, ts: seq * 1e6, members: { seq, kind, ...members }, line: '' };
};

/** What is found of statements, each with its session, after these records. */
function compare(
  records: readonly Entry[],
  ran: readonly (readonly [session: string, message: string])[],
  options: Partial<ComparisonOptions> = {},
) {
  const ledger = new Ledger(undefined, ({ members }) => members.sql as string);
  for (const each of records) ledger.note(each);
  const strays: [StrayKind, string][] = [];
  const comparison = new Comparison({
    ledger,
    databases: undefined,
    loginQuestions: ['SELECT which'],
    toldSince: 0,
    stray: (kind, { statement }) => strays.push([kind, statement]),
    ...options,
  });
  const lines = new Map<string, number>();
  for (const [session, message] of ran) {
    const line = (lines.get(session) ?? 0) + 1;
    lines.set(session, line);
    const rest = { time: 't', user: 'u', database: 'd', client: 'c', context: '', application: '' };
    comparison.note({ ...rest, session, line, severity: 'LOG', message } satisfies ServerEntry);
  }
  comparison.end();
  return { strays, counts: comparison.counts, unmet: comparison.unmet().count };
}

const login = (server: string, sid = server) =>
  record('auth', { sid, server, ok: true, agent: 'claude', target: 'shop' });
const statement = (sid: string, sql: string, dec = 'pass') =>
  record('stmt', { sid, sql, dec, target: 'shop', db: 'd' });

test('a statement counts as often as the records let it through, and no more', () => {
  const records = [login('a'), statement('a', 'select $1'), statement('a', 'select $1')];
  const ran = ['statement: select 1', 'statement: select 2', 'execute s: select $1'];
  expect(
    compare(
      records,
      ran.map((message) => ['a', message]),
    ),
  ).toMatchObject({ strays: [['hole', 'select $1']], counts: { recorded: 2, holes: 1 } });
});

test('a held statement counts only once it went to the server, a denied one never', () => {
  const held = statement('a', 'drop table x', 'hold');
  const denied = statement('a', 'drop table y', 'deny');
  const ran = [
    ['a', 'statement: drop table x'],
    ['a', 'statement: drop table y'],
  ] as const;
  const without = compare([login('a'), held, denied], ran);
  expect(without.strays).toEqual([
    ['hole', 'drop table x'],
    ['hole', 'drop table y'],
  ]);
  const released = [login('a'), held, denied, record('intent', { ref: held.seq, rid: 'R' })];
  expect(compare(released, ran).strays).toEqual([['hole', 'drop table y']]);
});

test("statements of one session are not another's", () => {
  const records = [login('a'), login('b'), statement('a', 'select 1')];
  expect(compare(records, [['b', 'statement: select 1']]).strays).toEqual([['hole', 'select 1']]);
});

test('the session ids of one proxy process mean nothing in the next one', () => {
  const records = [login('a', 's'), record('boot', {}), statement('s', 'select 1')];
  expect(compare(records, [['a', 'statement: select 1']]).counts).toMatchObject({ holes: 1 });
});

test("over a connection of Holdpoint's own anything may be asked; a session of an agent is none because it says so", () => {
  const own = record('own', { server: 'o', target: 'shop' });
  expect(compare([own], [['o', 'statement: select anything']]).counts).toMatchObject({ own: 1, holes: 0 });
  const both = [login('o'), own];
  expect(compare(both, [['o', 'statement: select anything']]).counts).toMatchObject({ own: 0, holes: 1 });
});

test('a login that its client left is ours; one that goes on without a record is around, from its first statement', () => {
  const records = [login('a')];
  expect(compare(records, [['x', 'statement: SELECT which']])).toMatchObject({
    strays: [],
    counts: { own: 1, around: 0 },
  });
  const ran = [
    ['x', 'statement: SELECT which'],
    ['x', 'statement: drop table x'],
    ['x', 'statement: SELECT which'],
  ] as const;
  expect(compare(records, ran).strays).toEqual([
    ['around', 'SELECT which'],
    ['around', 'drop table x'],
    ['around', 'SELECT which'],
  ]);
});

test('what looks like ours in a session of an agent is ours only by our names and words', () => {
  const name = `holdpoint_${'0'.repeat(32)}`;
  const of = (message: string) => compare([login('a')], [['a', message]]).counts;
  expect(of(`execute ${name}/${name}: BEGIN READ ONLY`)).toMatchObject({ own: 1, holes: 0 });
  expect(of(`execute ${name}/${name}: SAVEPOINT ${name}`)).toMatchObject({ own: 1, holes: 0 });
  expect(of(`execute ${name}/${name}: DROP TABLE x`)).toMatchObject({ own: 0, holes: 1 });
  expect(of('execute other/other: BEGIN READ ONLY')).toMatchObject({ own: 0, holes: 1 });
  expect(of('statement: COMMIT')).toMatchObject({ own: 0, holes: 1 });
});

test('of sessions older than the records that are left nothing can be told, which is no success', () => {
  const ran = [
    ['10.1', 'statement: select 1'],
    ['ff.1', 'statement: select 2'],
  ] as const;
  expect(compare([login('a')], ran, { toldSince: 0x20 }).strays).toEqual([
    ['untold', 'select 1'],
    ['around', 'select 2'],
  ]);
});

test('what an outcome says was run and the server does not have is counted', () => {
  const one = statement('a', 'select 1');
  const records = [
    login('a'),
    one,
    record('outcome', { ref: one.seq, st: 'ok' }),
    statement('a', 'select 2'),
  ];
  expect(compare(records, [['a', 'connection authorized']]).unmet).toBe(1);
  expect(compare(records, [['a', 'statement: select 1']]).unmet).toBe(0);
});
