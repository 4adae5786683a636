// A delegation handed in on one node holds on the others that share the store, and what the store makes up holds nowhere.

import { expect, test } from 'vitest';
import { type Delegation, delegationText } from '../../src/approval/delegation.ts';
import { Spread } from '../../src/approval/spread.ts';
import { signToken } from '../../src/approval/token.ts';
import {
  type Bench,
  decideAs,
  gate,
  newBench,
  newKey,
  publicUrl,
  startMs,
  TestShelf,
  turn,
} from '../support/approvals.ts';

const lookMs = 3_000;
const ofAnn = { need: { level: 'key' as const, quorum: 1, of: ['ann'] } };

function spread(bench: Bench): Spread {
  const { store, shelf, desk, clock } = bench;
  const take = (delegation: unknown, evidence: unknown) => desk.delegate(delegation, evidence);
  return new Spread({ store, shelf, take, now: clock.now, after: clock.after });
}

async function twoNodes(): Promise<[Bench, Bench]> {
  const near = await newBench();
  return [near, await newBench({ store: near.store, like: near, node: 'n2', shelf: new TestShelf() })];
}

const fromAnnToBob: Delegation = {
  typ: 'holdpoint.delegation.v1',
  aud: publicUrl,
  from: 'ann',
  to: 'bob',
  nbf: startMs,
  exp: startMs + 3_600_000,
  nonce: 'n',
};

const jwsOf = (delegation: Delegation, key: Bench['ann']) =>
  signToken('holdpoint-delegation+jws', delegationText(delegation), key);

test('what was handed in on one node decides on another, is recorded there, and releases where the request is held', async () => {
  const [near, far] = await twoNodes();
  const spreads = [spread(near), spread(far)];
  await near.desk.delegate(fromAnnToBob, { kind: 'jws', jws: await jwsOf(fromAnnToBob, near.ann) });
  const { request, values } = gate(ofAnn);
  const hold = await near.desk.open(request, values, 0);
  await expect(decideAs(far, 'bob', hold.rid, { for: 'ann' })).rejects.toMatchObject({ code: 'forbidden' });
  // A look takes as long as its store does: one may find that the other node has not laid it out yet.
  const looked = () => near.clock.pass(lookMs);
  await expect.poll(() => looked().then(() => far.shelf.kept)).toEqual(near.shelf.kept);
  await decideAs(far, 'bob', hold.rid, { for: 'ann' });
  expect(await hold.settled).toMatchObject({ state: 'approved' });
  expect(await hold.claim()).toBeDefined();
  expect(far.log.kinds()).toEqual(['delegation', 'decision']);
  const delegations = () => [near, far].map(({ log }) => log.kinds().filter((kind) => kind === 'delegation'));
  await expect.poll(() => looked().then(delegations)).toEqual([['delegation'], ['delegation']]);
  for (const each of spreads) each.close();
});

test('what the store lost is laid out again, and what is past its time is not', async () => {
  const [near] = await twoNodes();
  const own = spread(near);
  await near.desk.delegate(fromAnnToBob, { kind: 'jws', jws: await jwsOf(fromAnnToBob, near.ann) });
  const laidOut = async () => (await near.store.leases('delegation:')).length;
  await own.look();
  expect(await laidOut()).toBe(1);
  const [lease] = await near.store.leases('delegation:');
  await near.store.release(lease!.name, lease!.holder);
  await own.look();
  expect(await laidOut()).toBe(1);
  await near.store.release(lease!.name, lease!.holder);
  near.clock.ms += 3_600_000;
  await own.look();
  expect(await laidOut()).toBe(0);
  own.close();
});

test('what nobody signed who may is taken nowhere, and looked at once', async () => {
  const [, far] = await twoNodes();
  let looked = 0;
  const { store, shelf, desk, clock } = far;
  const take = (delegation: unknown, evidence: unknown) => {
    looked += 1;
    return desk.delegate(delegation, evidence);
  };
  const own = new Spread({ store, shelf, take, now: clock.now, after: clock.after });
  const forged = { kind: 'jws', jws: await jwsOf(fromAnnToBob, await newKey()) };
  const elsewhere = { ...fromAnnToBob, aud: 'http://elsewhere.test' };
  const texts = [
    'nonsense',
    '{"text":"{","evidence":"{}"}',
    JSON.stringify({ text: delegationText(fromAnnToBob), evidence: JSON.stringify(forged) }),
    JSON.stringify({
      text: delegationText(elsewhere),
      evidence: JSON.stringify({ kind: 'jws', jws: await jwsOf(elsewhere, far.ann) }),
    }),
  ];
  for (const [at, text] of texts.entries()) {
    await store.lease({ name: `delegation:${at}`, holder: 'x', text }, 60_000);
  }
  await own.look();
  await own.look();
  await turn();
  expect(looked).toBe(2);
  expect(far.shelf.kept).toEqual([]);
  expect(far.log.records).toEqual([]);
  own.close();
});
