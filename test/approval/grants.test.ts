// Grants on a bench: what a statement must share with the approved one, what is counted, and what ends it. B6, B20.

import { expect, test } from 'vitest';
import type { RequestDraft } from '../../src/approval/request.ts';
import type { Scope } from '../../src/approval/scope.ts';
import { type Bench, decideAs, gate, newBench, startMs, turn } from '../support/approvals.ts';

const shape = 's'.repeat(43);
const statement = { command: 'DELETE', effects: ['delete'], relations: ['orders'], why: [], identity: 'i1' };
const minute = 60_000;

const scope = (change: Partial<Extract<Scope, { kind: 'fingerprint' }>> = {}): Scope => ({
  kind: 'fingerprint',
  until: startMs + 10 * minute,
  usesMax: 3,
  rowsMax: 100,
  ...change,
});

function similar(sql = 'delete from orders where id = 1', change: Partial<RequestDraft> = {}) {
  return gate({
    sql,
    statements: [{ ...statement, effects: ['delete'] }],
    counts: 'all',
    shape,
    ...change,
  });
}

/** A bench on which the first statement was approved with a grant, ran, and changed so many rows. */
async function granted(given: Scope = scope(), rows = 10, options: Parameters<typeof newBench>[0] = {}) {
  const bench = await newBench(options);
  const { request, values } = similar();
  const hold = await bench.desk.open(request, values, 7);
  await decideAs(bench, 'ann', hold.rid, { scope: given });
  const first = await hold.claim();
  await bench.desk.grants.settle(first!, rows);
  await bench.desk.finish(hold.rid, 'executed', '');
  return { bench, rid: hold.rid, first: first! };
}

const asks = (bench: Bench, sql: string, change: Partial<RequestDraft> = {}) =>
  bench.desk.grants.claim(similar(sql, change).request, 9);

test('the approved statement is the first use, within the rows of all; the log says so', async () => {
  const { bench, rid, first } = await granted();
  expect(first).toMatchObject({ rowsMax: 100, reserved: 100 });
  expect(bench.log.kinds()).toEqual(['hold', 'decision', 'grant_use', 'grant']);
  expect(bench.log.records.at(-1)).toEqual({
    kind: 'grant',
    rid,
    fp: shape,
    until: startMs + 10 * minute,
    uses: 3,
    rows: 100,
    decisions: [1],
  });
});

test('another statement of the shape passes with what rows are left, and gives back what it does not change', async () => {
  const { bench, rid } = await granted();
  const second = await asks(bench, 'delete from orders where id = 2');
  expect(second).toMatchObject({ rid, by: ['ann'], decisions: [1], rowsMax: 90, reserved: 90 });
  expect(bench.log.records.at(-1)).toMatchObject({ kind: 'grant_use', ref: 9, use: 2, rowsMax: 90 });
  expect(await asks(bench, 'delete from orders where id = 3')).toBeUndefined();
  await bench.desk.grants.settle(second!, 40);
  expect(await asks(bench, 'delete from orders where id = 3')).toMatchObject({ rowsMax: 50 });
});

test('uses and rows are counted over all of them', async () => {
  const { bench } = await granted(scope({ usesMax: 2 }));
  await bench.desk.grants.settle((await asks(bench, 'delete from orders where id = 2'))!, 0);
  expect(await asks(bench, 'delete from orders where id = 3')).toBeUndefined();
  const spent = await granted(scope(), 100);
  expect(await asks(spent.bench, 'delete from orders where id = 3')).toBeUndefined();
});

test('a use of which nobody can say how many rows it changed keeps them all', async () => {
  const { bench } = await granted();
  const second = (await asks(bench, 'delete from orders where id = 2'))!;
  await bench.desk.grants.settle(second, second.reserved!);
  expect(await asks(bench, 'delete from orders where id = 3')).toBeUndefined();
});

test('a store that forgets what was used does not give more', async () => {
  const { bench } = await granted();
  const get = bench.store.get.bind(bench.store);
  bench.store.get = async (rid) => {
    const row = await get(rid);
    return row && { ...row, grant: row.grant && { ...row.grant, uses: 0, rows: 0 } };
  };
  bench.store.spend = async (_rid, _rd, add) => add;
  expect(await asks(bench, 'delete from orders where id = 2')).toMatchObject({ rowsMax: 90 });
  expect(await asks(bench, 'delete from orders where id = 3')).toBeUndefined();
});

const db = {
  target: 'shop',
  environment: 'production' as const,
  name: 'shop',
  addr: '10.0.0.5:5432',
  version: '18.0',
  systemId: '7711079308823436947',
};

test.each<[string, Partial<RequestDraft>]>([
  ['shape', { shape: 'x'.repeat(43) }],
  ['agent', { agent: { id: 'gpt', auth: 'scram-sha-256' } }],
  ['target', { db: { ...db, target: 'other' } }],
  ['database', { db: { ...db, name: 'other' } }],
  ['server', { db: { ...db, systemId: '1' } }],
  ['user', { user: 'app' }],
  ['role', { role: 'app' }],
  ['search_path', { state: { searchPath: 'evil, public', settings: {} } }],
  ['settings', { state: { searchPath: 'public', settings: { TimeZone: 'UTC' } } }],
  ['definitions', { statements: [{ ...statement, effects: ['delete'], identity: 'i2' }] }],
  ['effects', { statements: [{ ...statement, effects: ['delete', 'function'] }] }],
  ['relations', { statements: [{ ...statement, effects: ['delete'], relations: ['payments'] }] }],
  ['rules', { policy: { digest: 'q'.repeat(43), rule: 'r', reason: '' } }],
  ['session', { once: true }],
  ['counting', { counts: 'own' }],
])('a statement of another %s is not covered', async (_, change) => {
  const { bench } = await granted();
  expect(await asks(bench, 'delete from orders where id = 2', change)).toBeUndefined();
  expect(await asks(bench, 'delete from orders where id = 2')).toBeDefined();
});

test('one with parameters of another type is not covered', async () => {
  const { bench } = await granted();
  const salt = 'AAAAAAAAAAAAAAAAAAAAAA';
  const values = { params: [{ oid: 25, format: 0, salt, value: Buffer.from('1') }] };
  const { request } = gate(
    { sql: 'x', statements: [{ ...statement, effects: ['delete'] }], counts: 'all', shape },
    values,
  );
  expect(await bench.desk.grants.claim(request, 9)).toBeUndefined();
});

test('it ends at the time that was signed, whatever the store says', async () => {
  const { bench } = await granted();
  const get = bench.store.get.bind(bench.store);
  const late = startMs + 30 * minute;
  bench.store.get = async (rid) => {
    const row = await get(rid);
    return row && { ...row, grant: { until: late, uses: 1, rows: 0 } };
  };
  bench.store.spend = async (_rid, _rd, add) => add;
  await bench.clock.pass(10 * minute - 1);
  bench.store.grants = async () => bench.store.list({ rowsMax: 9 });
  const last = await asks(bench, 'delete from orders where id = 2');
  await bench.desk.grants.settle(last!, 0);
  await bench.clock.pass(1);
  expect(await asks(bench, 'delete from orders where id = 3')).toBeUndefined();
});

test('it ends when it is revoked, at once and in the log, also for a store that forgets that', async () => {
  const { bench, rid } = await granted();
  await bench.desk.grants.revoke(rid, 'bob', 'enough');
  expect(bench.log.records.at(-1)).toEqual({ kind: 'revoke', rid, by: 'bob', reason: 'enough' });
  expect(await asks(bench, 'delete from orders where id = 2')).toBeUndefined();
  await expect(bench.desk.grants.revoke(rid, 'bob', '')).rejects.toMatchObject({ code: 'not-found' });
  await bench.store.grant(rid, (await bench.store.get(rid))!.rd, startMs + 10 * minute);
  expect(await asks(bench, 'delete from orders where id = 2')).toBeUndefined();
});

test("it ends with the approver's key, and does not come back with it", async () => {
  const { bench } = await granted();
  const key = bench.keys.get(bench.ann.kid)!;
  bench.keys.delete(bench.ann.kid);
  expect(await asks(bench, 'delete from orders where id = 2')).toBeUndefined();
  expect(bench.log.records.at(-1)).toMatchObject({ kind: 'revoke', by: 'holdpoint' });
  bench.keys.set(bench.ann.kid, key);
  expect(await asks(bench, 'delete from orders where id = 2')).toBeUndefined();
});

test('it ends when the rules of its target change, also where they change back', async () => {
  const { bench } = await granted();
  await bench.clock.pass(1000);
  bench.desk.grants.rulesChanged('elsewhere');
  expect(await asks(bench, 'delete from orders where id = 2')).toBeDefined();
  bench.desk.grants.rulesChanged('shop');
  expect(await asks(bench, 'delete from orders where id = 3')).toBeUndefined();
});

test('a grant that only the store knows of covers nothing', async () => {
  const bench = await newBench();
  const { request, values } = similar();
  const hold = await bench.desk.open(request, values, 7);
  await decideAs(bench, 'ann', hold.rid);
  await hold.claim();
  await bench.store.grant(hold.rid, hold.rid && (await bench.store.get(hold.rid))!.rd, startMs + 10 * minute);
  expect(await asks(bench, 'delete from orders where id = 2')).toBeUndefined();
});

test('of two approvers both must sign for more than the statement, and the narrower limits count', async () => {
  const two = { need: { level: 'key' as const, quorum: 2 } };
  const bench = await newBench();
  const { request, values } = similar(undefined, two);
  const hold = await bench.desk.open(request, values, 7);
  await decideAs(bench, 'ann', hold.rid, { scope: scope() });
  await decideAs(bench, 'bob', hold.rid, { scope: scope({ rowsMax: 40, until: startMs + minute }) });
  expect(await hold.claim()).toMatchObject({ rowsMax: 40 });
  expect(bench.log.records.at(-1)).toMatchObject({ kind: 'grant', rows: 40, until: startMs + minute });
  const other = similar('delete from orders where id = 3', two);
  const alone = await bench.desk.open(other.request, other.values, 8);
  await decideAs(bench, 'ann', alone.rid, { scope: scope() });
  await decideAs(bench, 'bob', alone.rid);
  expect(await alone.claim()).toMatchObject({ rowsMax: 100 });
  expect(bench.log.kinds().filter((kind) => kind === 'grant')).toHaveLength(1);
  await turn();
});

test.each<[string, Partial<RequestDraft>, Scope, string]>([
  ['a statement without a shape', { shape: undefined as never }, scope(), 'this is DELETE'],
  ['what rests on its session', { once: true }, scope(), 'rests on its session'],
  ['more than 15 minutes', {}, scope({ until: startMs + 15 * minute + 1 }), '15 minutes at most'],
  ['a time that has passed', {}, scope({ until: startMs }), 'within that of the decision'],
])('a grant for %s is refused when it is signed', async (_, change, given, why) => {
  const bench = await newBench();
  const { request, values } = similar(undefined, change);
  const hold = await bench.desk.open(request, values, 7);
  await expect(decideAs(bench, 'ann', hold.rid, { scope: given })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(why),
  });
});
