// Names of nodes: one holder at a time, by a lease that ends on its own. The store here is one lease table with a clock.

import { expect, test } from 'vitest';
import { leaseMs, type NodeCard, Nodes } from '../../src/approval/nodes.ts';
import { HoldpointError } from '../../src/errors.ts';
import type { Lease } from '../../src/store/store.ts';
import { FakeClock, newKey, turn } from '../support/approvals.ts';

/** Leases as a store keeps them, which end by the clock. */
class Leases {
  readonly clock = new FakeClock();
  away = false;
  /** How often all of them were read. */
  looks = 0;
  readonly #held = new Map<string, Lease & { until: number }>();

  #answer(): void {
    if (this.away) throw new HoldpointError('store-unreachable', 'away');
    for (const [name, { until }] of this.#held) if (until <= this.clock.mono()) this.#held.delete(name);
  }

  async lease(lease: Lease, forMs: number, over?: string): Promise<Lease> {
    this.#answer();
    const before = this.#held.get(lease.name);
    if (before !== undefined && before.holder !== lease.holder && before.holder !== over) return before;
    this.#held.set(lease.name, { ...lease, until: this.clock.mono() + forMs });
    return lease;
  }

  async release(name: string, holder: string): Promise<void> {
    this.#answer();
    if (this.#held.get(name)?.holder === holder) this.#held.delete(name);
  }

  async leases(prefix = ''): Promise<Lease[]> {
    this.looks += 1;
    this.#answer();
    return [...this.#held.values()].filter(({ name }) => name.startsWith(prefix));
  }
}

const link = await newKey();

function card(boot: string, change: Partial<NodeCard> = {}): NodeCard {
  const { kid, jwk } = link;
  return { boot, root: `root of ${boot}`, publicUrl: 'https://hp.test', link: { kid, jwk }, ...change };
}

function enter(store: Leases, name: string, own: NodeCard, lost?: (message: string) => void): Promise<Nodes> {
  const { mono, after } = store.clock;
  return Nodes.enter({ store, name, card: own, mono, after, ...(lost !== undefined && { lost }) });
}

/** Lets time pass in steps that timers are made for, until it is settled. */
async function settled<T>(store: Leases, what: Promise<T>): Promise<T> {
  let over = false;
  const end = what.finally(() => {
    over = true;
  });
  end.catch(() => {});
  for (let steps = 0; !over && steps < 200; steps += 1) await store.clock.pass(250);
  return end;
}

test('a name that a node keeps is not given to another', async () => {
  const store = new Leases();
  await enter(store, 'n1', card('a'));
  await expect(settled(store, enter(store, 'n1', card('b')))).rejects.toMatchObject({ code: 'conflict' });
  await expect(settled(store, enter(store, 'n1', card('c')))).rejects.toThrow('node:');
  await enter(store, 'n2', card('d'));
});

test('a name whose node is gone is waited for, and given when its lease is over', async () => {
  const store = new Leases();
  const first = await enter(store, 'n1', card('a'));
  await first.close();
  const begun = store.clock.mono();
  await enter(store, 'n1', card('b'));
  expect(store.clock.mono()).toBe(begun);
  const silent = new Leases();
  await silent.lease({ name: 'node:n1', holder: 'x', text: JSON.stringify(card('x')) }, leaseMs);
  await settled(silent, enter(silent, 'n1', card('y')));
  expect(silent.clock.mono()).toBeGreaterThanOrEqual(leaseMs);
});

test('a process on the same data folder takes its name over at once, and the one before is told', async () => {
  const store = new Leases();
  const told: string[] = [];
  const first = await enter(store, 'n1', card('a', { root: 'one' }), (message) => told.push(message));
  const second = await enter(store, 'n1', card('b', { root: 'one' }));
  await store.clock.pass(3_000);
  await turn();
  expect(first.problem).toContain('another process has taken the name of this node, n1');
  expect(told).toHaveLength(1);
  expect(second.problem).toBeUndefined();
  await store.clock.pass(3_000);
  expect(told).toHaveLength(1);
});

test('a name is kept while the process lives, and taken again after the store was away', async () => {
  const store = new Leases();
  const node = await enter(store, 'n1', card('a'));
  for (let count = 0; count < 20; count += 1) await store.clock.pass(3_000);
  expect(await store.leases()).toHaveLength(1);
  store.away = true;
  for (let count = 0; count < 20; count += 1) await store.clock.pass(3_000);
  store.away = false;
  expect(await store.leases()).toHaveLength(0);
  await store.clock.pass(3_000);
  await turn();
  expect(await store.leases()).toHaveLength(1);
  expect(node.problem).toBeUndefined();
});

test('the link key of another node is found, also one that came a moment ago; what is no card is passed over', async () => {
  const store = new Leases();
  const node = await enter(store, 'n1', card('a', { link: { kid: 'own', jwk: link.jwk } }));
  expect(await settled(store, node.linkKey(link.kid))).toBeUndefined();
  await enter(store, 'n2', card('b'));
  for (const [name, text] of [
    ['node:n3', '{"link":1}'],
    ['node:n4', 'nonsense'],
    ['other:n5', JSON.stringify(card('c', { link: { kid: 'other', jwk: link.jwk } }))],
  ]) {
    await store.lease({ name: name!, holder: 'x', text: text! }, leaseMs);
  }
  const looks = store.looks;
  const asked = [node.linkKey(link.kid), node.linkKey(link.kid), node.linkKey('other')];
  expect(await settled(store, Promise.all(asked))).toEqual([link.jwk, link.jwk, undefined]);
  expect(store.looks - looks).toBe(1);
  await store.clock.pass(1_001);
  await enter(store, 'n6', card('d', { link: { kid: 'late', jwk: link.jwk } }));
  expect(await settled(store, node.linkKey('late'))).toEqual(link.jwk);
  await enter(store, 'n7', card('e', { link: { kid: 'later', jwk: link.jwk } }));
  expect(await settled(store, node.linkKey('later'))).toEqual(link.jwk);
  store.away = true;
  expect(await node.linkKey(link.kid)).toEqual(link.jwk);
  expect(await settled(store, node.linkKey('unknown'))).toBeUndefined();
});

test('a node with another public URL is a warning', async () => {
  const store = new Leases();
  await enter(store, 'n1', card('a'));
  const node = await enter(store, 'n2', card('b', { publicUrl: 'https://elsewhere.test' }));
  expect(node.warnings).toEqual([expect.stringContaining('node n1 has the publicUrl https://hp.test')]);
});

test('a node is gone when its lease was not there for longer than a lease lasts, and not because the store was', async () => {
  const store = new Leases();
  const node = await enter(store, 'n1', card('a'));
  const other = await enter(store, 'n2', card('b'));
  const passes = async (count: number) => {
    for (let at = 0; at < count; at += 1) await store.clock.pass(3_000);
    await turn();
  };
  await passes(10);
  expect(node.isGone('n2')).toBe(false);
  await other.close();
  await passes(3);
  store.away = true;
  await passes(10);
  expect(node.someGone).toBe(false);
  store.away = false;
  await passes(4);
  expect(node.isGone('n2')).toBe(false);
  await passes(1);
  expect([node.isGone('n2'), node.someGone]).toEqual([true, true]);
  expect([node.isGone('n1'), node.isGone('unknown')]).toEqual([false, false]);
  node.met('unknown');
  node.met('n1');
  await passes(5);
  expect([node.isGone('n1'), node.isGone('unknown')]).toEqual([false, true]);
  node.clearedOfGone();
  expect(node.someGone).toBe(false);
});
