// What a shared store forgets, and what the desks on it make of that: a session puts back the request that it can vouch
// for, everything else that was open is gone, what was used stays used, what the store could not be told it is told
// later, and what it says of a log is not believed. On a real Redis that is emptied and killed; the clock is the test's.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Used } from '../../src/approval/used.ts';
import { HoldpointError } from '../../src/errors.ts';
import { RedisStore } from '../../src/store/redis.ts';
import type { Vote } from '../../src/store/store.ts';
import { type RedisAddress, readStoreUrl } from '../../src/store-url.ts';
import { type Bench, decideAs, decisionFor, gate, newBench, signed, turn } from '../support/approvals.ts';
import { eventually, startRedis, type TestRedis } from '../support/redis.ts';

let redis: TestRedis;
let near: Bench;
let far: Bench;
let stores: RedisStore[] = [];
/** What the nodes told their metrics. */
let told: string[] = [];

const sweepMs = 5_000;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis?.stop());

beforeEach(async () => {
  await redis.start();
  await redis.admin.flushall();
  told = [];
  const events = (node: string) => ({
    opened: () => told.push(`${node} opened`),
    settled: (_target: string, state: string) => told.push(`${node} ${state}`),
    restored: () => told.push(`${node} restored`),
  });
  const address = readStoreUrl(redis.url) as RedisAddress;
  stores = [await RedisStore.open(address), await RedisStore.open(address)];
  near = await newBench({ store: stores[0]!, events: events('n1') });
  far = await newBench({ store: stores[1]!, like: near, node: 'n2', events: events('n2') });
});

afterEach(async () => {
  near.desk.close();
  far.desk.close();
  for (const store of stores) await store.close();
});

async function ask(bench: Bench, change: Parameters<typeof gate>[0] = {}) {
  const { request, values } = gate(
    { node: bench === near ? 'n1' : 'n2', ...change },
    undefined,
    bench.clock.now(),
  );
  const hold = await bench.desk.open(request, values, 7);
  return { request, hold };
}

/** Resolves when a node has heard everything that was announced before. */
async function heardBy(bench: Bench): Promise<void> {
  const heard = new Promise<void>((resolve) => {
    bench.desk.subscribe((rid) => {
      if (rid === 'marker') resolve();
    });
  });
  await redis.admin.publish('hp:changed', 'marker');
  await heard;
}

const stateOf = async (rid: string) => (await stores[0]!.get(rid))?.state;
const becomes = (rid: string, state: string | undefined) =>
  eventually(`${rid} is ${state}`, async () => (await stateOf(rid)) === state);

test('a session puts its request back as it was, undecided; what was signed before still fits it', async () => {
  const { hold } = await ask(near, { need: { level: 'key', quorum: 2 } });
  const before = await stores[0]!.get(hold.rid);
  const decision = await decisionFor(near, hold.rid, 'ann');
  await decideAs(far, 'bob', hold.rid);
  await redis.admin.flushall();
  expect(await stores[0]!.get(hold.rid)).toBeUndefined();
  await near.clock.pass(sweepMs);
  await becomes(hold.rid, 'pending');
  expect(await stores[0]!.get(hold.rid)).toEqual(before);
  await eventually('it is told', async () => told.includes('n1 restored'));
  await far.desk.decide(hold.rid, decision, await signed(decision, near.ann));
  expect(await Promise.race([hold.settled, Promise.resolve('waits')])).toBe('waits');
  await decideAs(near, 'bob', hold.rid);
  expect(await hold.settled).toMatchObject({ state: 'approved', by: ['ann', 'bob'] });
  expect(await hold.claim()).toBeDefined();
});

test('whoever joined others does not put a request back', async () => {
  const first = await ask(near);
  const second = await ask(far);
  expect(second.hold.rid).toBe(first.hold.rid);
  near.desk.close();
  await redis.admin.flushall();
  await near.clock.pass(sweepMs);
  await heardBy(far);
  expect(told.filter((event) => event.endsWith('restored'))).toEqual([]);
  expect(await stateOf(first.hold.rid)).toBeUndefined();
});

test('whoever joined others takes a place again when the request is back, and vouches for nothing', async () => {
  const first = await ask(near);
  const second = await ask(far);
  const { rid } = second.hold;
  for (let losses = 0; losses < 2; losses += 1) {
    await redis.admin.flushall();
    await eventually('both wait for it again', async () => {
      await near.clock.pass(sweepMs);
      return (await stores[0]!.get(rid))?.holder.split(' ').length === 2;
    });
  }
  expect(told.filter((event) => event.endsWith('restored'))).toEqual(['n1 restored', 'n1 restored']);
  await decideAs(far, 'ann', rid);
  expect(await first.hold.settled).toMatchObject({ state: 'approved' });
  expect(await second.hold.claim()).toBeUndefined();
  expect(await first.hold.claim()).toBeDefined();
});

test('what nobody waits for is not put back; who took it up alone vouches for it like whoever opened it', async () => {
  const left = await ask(near);
  left.hold.detach();
  await eventually('it is free', async () => (await stores[0]!.get(left.hold.rid))?.holder === '');
  const taken = await ask(far);
  expect(taken.hold.rid).toBe(left.hold.rid);
  await redis.admin.flushall();
  await near.clock.pass(sweepMs);
  await becomes(taken.hold.rid, 'pending');
  expect(told).toContain('n2 restored');
  taken.hold.detach();
  await eventually('it is free', async () => (await stores[0]!.get(left.hold.rid))?.holder === '');
  await redis.admin.flushall();
  await near.clock.pass(sweepMs);
  await turn();
  expect(await stateOf(left.hold.rid)).toBeUndefined();
});

test('a use is remembered by every node that was there, whatever the store says later', async () => {
  const { request, hold } = await ask(near);
  hold.detach();
  await decideAs(near, 'ann', hold.rid);
  const row = await stores[0]!.get(hold.rid);
  expect(await near.desk.claimApproved(request.match, 'claude', 8)).toBeDefined();
  await heardBy(far);
  await redis.admin.hset(`hp:{${hold.rid}}:row`, { state: 'approved', values: row!.values });
  await redis.admin.zadd('hp:{a:claude}:open', 1, `${hold.rid} ${request.match}`);
  for (const bench of [far, near]) {
    expect(await bench.desk.claimApproved(request.match, 'claude', 9)).toBeUndefined();
  }
  expect([near, far].flatMap(({ log }) => log.kinds()).filter((kind) => kind === 'grant_use')).toHaveLength(
    1,
  );
});

test('a statement canceled while the store is away is canceled at once, and for the store when it is back', async () => {
  const { hold } = await ask(near);
  await redis.admin.save();
  await redis.kill();
  await hold.cancel('client');
  expect(await hold.settled).toMatchObject({ state: 'canceled' });
  expect(near.log.kinds()).toEqual(['hold']);
  await redis.start();
  await eventually('the store is back', async () => (await stores[0]!.ping()) === undefined);
  await eventually('it is told', async () => {
    await near.clock.pass(sweepMs);
    return (await stateOf(hold.rid)) === 'canceled';
  });
  await eventually('it is recorded', async () => near.log.kinds().includes('cancel'));
});

test('a request of which the store did not say whether it was made is not left open', async () => {
  const [store] = stores;
  const [create, end] = [store!.create.bind(store), store!.end.bind(store)];
  const away = new HoldpointError('store-unreachable', 'away');
  store!.create = async (...args) => {
    await create(...args);
    throw away;
  };
  store!.end = async () => {
    throw away;
  };
  const { request, values } = gate({ node: 'n1' });
  await expect(near.desk.open(request, values, 1)).rejects.toMatchObject({ code: 'store-unreachable' });
  expect(await stateOf(request.rid)).toBe('pending');
  store!.create = create;
  store!.end = end;
  await near.clock.pass(sweepMs);
  await becomes(request.rid, 'canceled');
});

test('what the store says of where a decision was recorded is not believed', async () => {
  const { hold } = await ask(near);
  await decideAs(far, 'ann', hold.rid);
  await hold.settled;
  const key = `hp:{${hold.rid}}:votes`;
  const vote = JSON.parse((await redis.admin.lindex(key, 0)) ?? '') as Vote;
  await redis.admin.lset(key, 0, JSON.stringify({ ...vote, node: 'n1', seq: 0 }));
  const grant = await hold.claim();
  expect(near.log.kinds()).toEqual(['hold', 'decision', 'grant_use']);
  expect(grant?.decisions).toEqual([1]);
});

test('a retry on another node than the one that opened it records there what it releases', async () => {
  const { request, hold } = await ask(near);
  hold.detach();
  await decideAs(far, 'ann', hold.rid);
  const grant = await far.desk.claimApproved(request.match, 'claude', 3);
  expect(far.log.kinds()).toEqual(['decision', 'hold', 'grant_use']);
  expect(far.log.records[1]).toMatchObject({
    rid: hold.rid,
    ref: 3,
    rd: (await stores[0]!.get(hold.rid))?.rd,
  });
  expect(grant).toMatchObject({ by: ['ann'], decisions: [0] });
});

test('a request in a store that was set back is joined by nobody, also while the session that opened it waits', async () => {
  const { hold } = await ask(near);
  await redis.admin.save();
  await redis.kill();
  await redis.start();
  await eventually('the store is back', async () => {
    await Promise.all(stores.map((store) => store.ping()));
    return true;
  });
  const other = await ask(far);
  expect(other.hold.rid).not.toBe(hold.rid);
  await decideAs(far, 'ann', hold.rid);
  expect(await hold.settled).toMatchObject({ state: 'approved' });
  expect(await hold.claim()).toBeDefined();
});

test('each node counts the requests that it opened, whoever decides them, once', async () => {
  const waiting = await ask(near);
  const left = await ask(near, { sql: 'DROP TABLE left_alone' });
  left.hold.detach();
  await decideAs(far, 'ann', waiting.hold.rid, { verdict: 'reject' });
  await waiting.hold.settled;
  await decideAs(far, 'ann', left.hold.rid);
  await eventually('both are counted', async () => told.length === 4);
  const lost = await ask(far, { sql: 'DROP TABLE lost' });
  lost.hold.detach();
  await redis.admin.flushall();
  await near.clock.pass(3_600_000 + sweepMs);
  await eventually('also what was lost', async () => told.length === 6);
  expect(told.sort()).toEqual([
    'n1 approved',
    'n1 opened',
    'n1 opened',
    'n1 rejected',
    'n2 expired',
    'n2 opened',
  ]);
});

test('requests of an earlier process are canceled, moved up, left for a retry, or known to have ended', async () => {
  const gone = await ask(near, { sql: 'DROP TABLE a' });
  const shared = await ask(near, { sql: 'DROP TABLE b' });
  const behind = await ask(far, { sql: 'DROP TABLE b' });
  const free = await ask(near, { sql: 'DROP TABLE c' });
  free.hold.detach();
  await eventually('it is free', async () => (await stores[0]!.get(free.hold.rid))?.holder === '');
  const ended = await ask(near, { sql: 'DROP TABLE d' });
  await decideAs(far, 'ann', ended.hold.rid, { verdict: 'reject' });
  near.desk.close();
  const again = await newBench({ store: stores[0]!, like: near, node: 'n1' });
  const rids = [gone, shared, free, ended].map(({ hold }) => hold.rid);
  for (const rid of [...rids, 'AAAAAAAAAAAAAAAAAAAAAA']) await again.desk.abandoned(rid);
  expect(await Promise.all(rids.map(stateOf))).toEqual(['canceled', 'pending', 'pending', 'rejected']);
  expect(again.log.records).toEqual([
    { kind: 'cancel', rid: gone.hold.rid, by: 'restart', reason: 'the proxy was started again' },
    { kind: 'cancel', rid: ended.hold.rid, by: 'holdpoint', reason: 'it ended without this node: rejected' },
    { kind: 'cancel', rid: 'AAAAAAAAAAAAAAAAAAAAAA', by: 'holdpoint', reason: 'the proxy was started again' },
  ]);
  await decideAs(far, 'ann', shared.hold.rid);
  expect(await behind.hold.settled).toMatchObject({ state: 'approved' });
  again.desk.close();
});

test('a use is remembered until the end of its time, and the soonest are forgotten when there are too many', () => {
  const used = new Used();
  used.add('a', 100);
  used.add('b', 200);
  used.sweep(100);
  expect([used.has('a'), used.has('b')]).toEqual([false, true]);
  for (let index = 0; index <= 100_000; index += 1) used.add(`x${index}`, 1_000 + index);
  expect([used.has('b'), used.has('x0'), used.has('x100000')]).toEqual([false, false, true]);
});
