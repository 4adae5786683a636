// Releases by one person alone on a bench: who may, when, and what it leaves behind, with and without a store. B19.

import { describe, expect, test } from 'vitest';
import type { Decision } from '../../src/approval/decision.ts';
import { OwedSpread } from '../../src/approval/owed.ts';
import { type Review, reviewText } from '../../src/approval/review.ts';
import { type SigningKey, signToken } from '../../src/approval/token.ts';
import { HoldpointError } from '../../src/errors.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import {
  type Bench,
  decideAs,
  decisionFor,
  gate,
  newBench,
  newKey,
  publicUrl,
  signed,
  startMs,
} from '../support/approvals.ts';

const minute = 60_000;
const day = 24 * 60 * minute;
/** What ann signs in an emergency. */
const alone: Partial<Decision> = {
  scope: { kind: 'break-glass' },
  reason: 'the disk is full',
  exp: startMs + 15 * minute,
};
const strict = { need: { level: 'passkey' as const, quorum: 2, of: ['bob', 'eve'] } };

async function parked(
  change: Parameters<typeof gate>[0] = strict,
  options: Parameters<typeof newBench>[0] = {},
) {
  const bench = await newBench(options);
  bench.book.breakers.add('ann');
  const { request, values } = gate(change);
  const hold = await bench.desk.open(request, values, 7);
  return { bench, hold, request };
}

/** From now on every call to the store fails, as if it were gone. */
function loseStore(bench: Bench): () => void {
  const store = bench.store as unknown as Record<string, unknown>;
  const methods = [
    'get',
    'list',
    'findFree',
    'hold',
    'vote',
    'consume',
    'end',
    'open',
    'rejected',
    'overdue',
  ];
  const before = methods.map((name) => [name, store[name]] as const);
  for (const name of methods)
    store[name] = async () => {
      throw new HoldpointError('store-unreachable', 'the store cannot be reached');
    };
  return () => {
    for (const [name, method] of before) store[name] = method;
  };
}

test('one person who may releases what needs two others with passkeys; it is on record before it has an effect', async () => {
  const { bench, hold } = await parked();
  const seen: string[][] = [];
  const vote = bench.store.vote.bind(bench.store);
  bench.store.vote = (...args) => {
    seen.push(bench.log.kinds());
    return vote(...args);
  };
  expect((await decideAs(bench, 'ann', hold.rid, alone)).state).toBe('approved');
  expect(seen).toEqual([['hold', 'decision', 'breakglass']]);
  expect(await hold.settled).toMatchObject({ state: 'approved', by: ['ann'] });
  expect(await hold.claim()).toMatchObject({ by: ['ann'], decisions: [1] });
  expect(bench.log.records[2]).toEqual({
    kind: 'breakglass',
    rid: hold.rid,
    rd: (await bench.store.get(hold.rid))!.rd,
    target: 'shop',
    agent: 'claude',
    by: 'ann',
    reason: 'the disk is full',
    due: startMs + day,
  });
});

test.each<[string, Partial<Decision>, 'ann' | 'bob', string]>([
  ['by somebody who is not enrolled for it', alone, 'bob', 'forbidden'],
  ['without a reason', { ...alone, reason: ' ' }, 'ann', 'conflict'],
  ['for another', { ...alone, for: 'bob' }, 'ann', 'conflict'],
  ['for longer than 15 minutes', { ...alone, exp: startMs + 15 * minute + 1 }, 'ann', 'conflict'],
  ['with less than a key', { ...alone, level: 'slack' }, 'ann', 'forbidden'],
])('it is refused %s', async (_, change, who, code) => {
  const { bench, hold } = await parked();
  await expect(decideAs(bench, who, hold.rid, change)).rejects.toMatchObject({ code });
  expect(bench.log.kinds()).toEqual(['hold']);
  expect(bench.desk.emergencies.owed()).toEqual([]);
});

test('it is refused for a request that is older, for an agent, and for the person whose agent it is', async () => {
  const { bench, hold } = await parked();
  await bench.clock.pass(15 * minute);
  await expect(decideAs(bench, 'ann', hold.rid, alone)).rejects.toMatchObject({ code: 'expired' });
  const own = await parked();
  own.bench.book.obo.set('claude', ['ann']);
  await expect(decideAs(own.bench, 'ann', own.hold.rid, alone)).rejects.toMatchObject({ code: 'forbidden' });
});

test('a right that was taken away before the release releases nothing', async () => {
  const { bench, hold } = await parked();
  await decideAs(bench, 'ann', hold.rid, alone);
  bench.book.breakers.delete('ann');
  expect(await hold.claim()).toBeUndefined();
});

test('a store that says alone releases nothing that was not signed so', async () => {
  const { bench, hold } = await parked({ need: { level: 'key', quorum: 2 } });
  const vote = bench.store.vote.bind(bench.store);
  bench.store.vote = (rid, rd, given) => vote(rid, rd, { ...given, alone: true });
  expect((await decideAs(bench, 'ann', hold.rid)).state).toBe('approved');
  expect(await hold.claim()).toBeUndefined();
});

describe('B19: without the store', () => {
  test('a hold of this node is released, once, and the store is told of it later', async () => {
    const { bench, hold } = await parked();
    const decision = await decisionFor(bench, hold.rid, 'ann', alone);
    const evidence = await signed(decision, bench.ann);
    const back = loseStore(bench);
    expect(await bench.desk.decide(hold.rid, decision, evidence)).toMatchObject({ state: 'approved' });
    expect(await hold.settled).toMatchObject({ state: 'approved', by: ['ann'] });
    const grants = await Promise.all([hold.claim(), hold.claim()]);
    expect(grants.filter((grant) => grant !== undefined)).toHaveLength(1);
    expect(bench.log.kinds()).toEqual(['hold', 'decision', 'breakglass', 'grant_use']);
    await bench.desk.finish(hold.rid, 'executed', 'DROP TABLE');
    back();
    expect((await bench.store.get(hold.rid))?.state).toBe('pending');
    await bench.clock.pass(5000);
    expect((await bench.store.get(hold.rid))?.state).toBe('executed');
  });

  test('the request can be read, so that it can be signed', async () => {
    const { bench, hold } = await parked();
    loseStore(bench);
    const { row, intact } = await bench.desk.get(hold.rid);
    expect([row.state, intact.rd, intact.values]).toEqual(['pending', hold.rid && row.rd, { params: [] }]);
  });

  test('nothing else is decided, and nothing that another session could release', async () => {
    const { bench, hold, request } = await parked();
    const joined = gate({ ...strict, sid: 'other' });
    const second = await bench.desk.open({ ...joined.request, match: request.match }, joined.values, 8);
    expect(second.rid).toBe(hold.rid);
    const decision = await decisionFor(bench, hold.rid, 'ann', alone);
    const plain = await decisionFor(bench, hold.rid, 'ann', { level: 'passkey' });
    loseStore(bench);
    await expect(bench.desk.decide(hold.rid, plain, await signed(plain, bench.ann))).rejects.toMatchObject({
      code: 'store-unreachable',
    });
    hold.detach();
    await expect(
      bench.desk.decide(hold.rid, decision, await signed(decision, bench.ann)),
    ).rejects.toMatchObject({ code: 'store-unreachable' });
    expect(bench.log.kinds()).toEqual(['hold']);
  });

  test('a request that another node has used meanwhile is not released', async () => {
    const store = new MemoryStore();
    const watch = store.watch.bind(store);
    const told: Parameters<typeof watch>[0][] = [];
    store.watch = (watcher) => {
      told.push(watcher);
      return watch(watcher);
    };
    const { bench, hold, request } = await parked(strict, { store });
    const decision = await decisionFor(bench, hold.rid, 'ann', alone);
    loseStore(bench);
    for (const watcher of told) watcher.used?.(hold.rid, request.exp);
    await bench.desk.decide(hold.rid, decision, await signed(decision, bench.ann));
    expect(await hold.claim().catch(() => undefined)).toBeUndefined();
    expect(bench.log.kinds()).not.toContain('grant_use');
  });
});

test('B19: while the log cannot be written nothing is released, with or without the store', async () => {
  for (const lost of [false, true]) {
    const { bench, hold } = await parked();
    const decision = await decisionFor(bench, hold.rid, 'ann', alone);
    if (lost) loseStore(bench);
    bench.log.broken = true;
    await expect(
      bench.desk.decide(hold.rid, decision, await signed(decision, bench.ann)),
    ).rejects.toMatchObject({ code: 'log-unwritable' });
    bench.log.broken = false;
    expect(await hold.claim().catch(() => undefined)).toBeUndefined();
  }
});

describe('the review', () => {
  async function broken() {
    const scene = await parked();
    await decideAs(scene.bench, 'ann', scene.hold.rid, alone);
    await scene.hold.claim();
    const { rd } = (await scene.bench.store.get(scene.hold.rid))!;
    const review = (change: Partial<Review> = {}): Review => ({
      typ: 'holdpoint.review.v1',
      aud: publicUrl,
      rid: scene.hold.rid,
      rd,
      approver: 'bob',
      finding: 'justified',
      reason: 'it was',
      at: scene.bench.clock.now(),
      ...change,
    });
    const hand = async (
      given: Review,
      key: SigningKey = scene.bench.bob,
      typ = 'holdpoint-review+jws' as const,
    ) => {
      const jws = await signToken(typ, reviewText(given), key);
      return scene.bench.desk.emergencies.review(given.rid, given, { kind: 'jws', jws });
    };
    return { ...scene, review, hand };
  }

  test('by another approver is recorded with its signature, and nothing is owed any more', async () => {
    const { bench, hold, review, hand } = await broken();
    expect(bench.desk.emergencies.owed()).toHaveLength(1);
    const given = review();
    await hand(given);
    expect(bench.log.records.at(-1)).toMatchObject({
      kind: 'review',
      rid: hold.rid,
      by: 'bob',
      D: reviewText(given),
      ev: { kind: 'jws' },
    });
    expect(bench.desk.emergencies.owed()).toEqual([]);
    await expect(hand(review())).rejects.toMatchObject({ code: 'not-found' });
  });

  test('is refused from whoever released it, from the agent, and from whom the agent works for', async () => {
    const { bench, review, hand } = await broken();
    await expect(hand(review({ approver: 'ann' }), bench.ann)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(hand(review({ approver: 'Ann ' }), bench.ann)).rejects.toMatchObject({ code: 'forbidden' });
    bench.book.obo.set('claude', ['bob']);
    await expect(hand(review())).rejects.toMatchObject({ code: 'forbidden' });
    expect(bench.desk.emergencies.owed()).toHaveLength(1);
  });

  test('is refused by another key, for another digest, Holdpoint or time, and by what is no review', async () => {
    const { bench, review, hand } = await broken();
    const mallory = await newKey();
    await expect(hand(review(), mallory)).rejects.toMatchObject({ code: 'unauthorized' });
    await expect(hand(review(), bench.ann)).rejects.toMatchObject({ code: 'unauthorized' });
    await expect(hand(review(), bench.bob, 'holdpoint-decision+jws' as never)).rejects.toMatchObject({
      code: 'unauthorized',
    });
    await expect(hand(review({ rd: 'x'.repeat(43) }))).rejects.toMatchObject({ code: 'conflict' });
    await expect(hand(review({ aud: 'http://elsewhere.test' }))).rejects.toMatchObject({ code: 'conflict' });
    await expect(hand(review({ at: startMs + day }))).rejects.toMatchObject({ code: 'conflict' });
    await expect(hand({ ...review(), more: 1 } as never)).rejects.toMatchObject({ code: 'bad-request' });
    expect(bench.desk.emergencies.owed()).toHaveLength(1);
  });

  test('that is overdue lets agents only read on that target, until it is there', async () => {
    const { bench, hold, review, hand } = await broken();
    await bench.clock.pass(day - 1);
    expect(bench.desk.emergencies.overdue('shop')).toBeUndefined();
    await bench.clock.pass(1);
    expect(bench.desk.emergencies.overdue('shop')).toContain(`request ${hold.rid} was released by ann alone`);
    expect(bench.desk.emergencies.overdue('elsewhere')).toBeUndefined();
    await hand(review({ at: bench.clock.now() }));
    expect(bench.desk.emergencies.overdue('shop')).toBeUndefined();
  });
});

test('what is owed on one node is owed on all, and reviewed on one it is reviewed on all, by its signature', async () => {
  const { bench, hold } = await parked();
  const other = await newBench({ like: bench, store: bench.store, node: 'n2' });
  const spreads = [bench, other].map(
    ({ store, desk, clock }) => new OwedSpread({ store, emergencies: desk.emergencies, after: clock.after }),
  );
  const look = async () => {
    for (const spread of spreads) await spread.look();
  };
  await decideAs(bench, 'ann', hold.rid, alone);
  await look();
  expect(other.desk.emergencies.owed()).toEqual(bench.desk.emergencies.owed());
  expect(other.log.kinds()).toEqual(['breakglass']);
  const review = {
    typ: 'holdpoint.review.v1',
    aud: publicUrl,
    rid: hold.rid,
    rd: (await bench.store.get(hold.rid))!.rd,
    approver: 'bob',
    finding: 'justified',
    reason: '',
    at: bench.clock.now(),
  } as const;
  const sign = async (key: SigningKey) => ({
    kind: 'jws',
    jws: await signToken('holdpoint-review+jws', reviewText(review), key),
  });
  const forged = JSON.stringify({ review, evidence: await sign(await newKey()) });
  await bench.store.lease({ name: `reviewed:${hold.rid}`, holder: 'x', text: forged }, minute);
  await look();
  expect(bench.desk.emergencies.owed()).toHaveLength(1);
  await bench.store.release(`reviewed:${hold.rid}`, 'x');
  await other.desk.emergencies.review(hold.rid, review, await sign(bench.bob));
  await look();
  await look();
  for (const each of [bench, other]) {
    expect(each.desk.emergencies.owed()).toEqual([]);
    expect(each.log.kinds().filter((kind) => kind === 'review')).toHaveLength(1);
  }
});
