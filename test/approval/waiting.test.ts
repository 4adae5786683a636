// Several sessions of one agent that send the same statement: they wait for one request, one approval runs once, and a
// rejection speaks for the next ten minutes. On one node and on two, whatever the order of comings and goings.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Hold } from '../../src/approval/hold.ts';
import type { Settlement } from '../../src/approval/request.ts';
import { HoldpointError } from '../../src/errors.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { type Bench, decideAs, gate, newBench, turn, until } from '../support/approvals.ts';

let refs = 100;

/** Another session sends the statement, at this node. */
async function ask(bench: Bench, change: Parameters<typeof gate>[0] = {}) {
  const { request, values } = gate(change, undefined, bench.clock.now());
  refs += 1;
  const hold = await bench.desk.open(request, values, refs);
  return { request, hold, ref: refs };
}

async function twoNodes(): Promise<[Bench, Bench]> {
  const store = new MemoryStore();
  const near = await newBench({ store });
  return [near, await newBench({ store, like: near, node: 'n2' })];
}

/** Waits until the hold has come to this. */
async function becomes(hold: Hold, state: Settlement['state']): Promise<void> {
  expect((await hold.settled).state).toBe(state);
}

/** Nothing that is under way settles the hold. */
async function waits(hold: Hold): Promise<void> {
  await turn();
  expect(await Promise.race([hold.settled, Promise.resolve('waits')])).toBe('waits');
}

async function rows(bench: Bench) {
  return bench.store.list({ rowsMax: 100 });
}

describe('the same statement in another session of the agent', () => {
  test('joins the pending request: one request, one notification, one record, one of pendingMax', async () => {
    const bench = await newBench({ pendingMax: 1 });
    const first = await ask(bench);
    const second = await ask(bench);
    const third = await ask(bench);
    await turn();
    expect([second.hold.rid, third.hold.rid]).toEqual([first.hold.rid, first.hold.rid]);
    expect([first.hold.joined, second.hold.joined, third.hold.joined]).toEqual([false, true, true]);
    expect(await rows(bench)).toHaveLength(1);
    expect(bench.opened).toHaveLength(1);
    expect(bench.log.kinds()).toEqual(['hold']);
  });

  test('sent in the same moment asks once, on one node and on two', async () => {
    for (const benches of [[await newBench()], await twoNodes()]) {
      const asked = await Promise.all(
        Array.from({ length: 6 }, (_, at) => ask(benches[at % benches.length]!)),
      );
      await turn();
      expect(new Set(asked.map(({ hold }) => hold.rid)).size).toBe(1);
      const open = (await rows(benches[0]!)).filter((row) => row.state === 'pending');
      expect(open).toHaveLength(1);
      expect(benches.flatMap(({ opened }) => opened)).toHaveLength(1);
      expect(benches.flatMap(({ log }) => log.kinds())).toEqual(['hold']);
    }
  });

  test('of another agent, another text or another context does not join', async () => {
    const bench = await newBench();
    const { hold } = await ask(bench);
    for (const change of [
      { agent: { id: 'gpt', auth: 'scram-sha-256' as const } },
      { sql: 'DROP TABLE customers' },
      { role: 'somebody' },
      { state: { searchPath: 'other', settings: {} } },
    ])
      expect((await ask(bench, change)).hold.rid).not.toBe(hold.rid);
  });

  test('that rests on its session does not join, and is not joined', async () => {
    const bench = await newBench();
    const rids = [await ask(bench, { once: true }), await ask(bench, { once: true }), await ask(bench)];
    expect(new Set(rids.map(({ hold }) => hold.rid)).size).toBe(3);
  });

  test('whose approval rests on its session is used by no other, also when nobody holds it', async () => {
    const bench = await newBench();
    const { hold, request } = await ask(bench, { once: true });
    await decideAs(bench, 'ann', hold.rid);
    await becomes(hold, 'approved');
    hold.detach();
    expect(await bench.desk.claimApproved(request.match, 'claude', 1)).toBeUndefined();
    expect(bench.log.kinds()).not.toContain('grant_use');
  });

  test('that comes late does not take an approval from the session that waits for it', async () => {
    const bench = await newBench();
    const { hold, request } = await ask(bench);
    await decideAs(bench, 'ann', hold.rid);
    bench.store.findFree = () => bench.store.get(hold.rid);
    expect(await bench.desk.claimApproved(request.match, 'claude', 1)).toBeUndefined();
    expect(await hold.claim()).toBeDefined();
  });

  test('does not join a request that a store gives out for the same', async () => {
    const bench = await newBench();
    const harmless = await ask(bench, { sql: 'DROP TABLE scratch' });
    const { match } = gate().request;
    const { open } = bench.store;
    bench.store.open = async (...args) =>
      (await open.apply(bench.store, args)).map((row) => ({ ...row, match }));
    expect((await ask(bench)).hold.rid).not.toBe(harmless.hold.rid);
  });

  test('does not join a request that was approved since it looked', async () => {
    const [near, far] = await twoNodes();
    const first = await ask(near);
    const before = await near.store.open('claude', near.clock.now());
    await decideAs(near, 'ann', first.hold.rid);
    const { open } = near.store;
    near.store.open = async () => before;
    const other = far.desk.recall(gate().request, 1);
    expect(await other).toBeUndefined();
    near.store.open = open;
    expect(await first.hold.claim()).toBeDefined();
  });

  test('leaving in the moment of the release does not keep it from the one who has it', async () => {
    const [near, far] = await twoNodes();
    const first = await ask(near);
    const other = await ask(far);
    await decideAs(near, 'ann', first.hold.rid);
    await becomes(first.hold, 'approved');
    const { consume } = near.store;
    near.store.consume = async (...args) => {
      near.store.consume = consume;
      await other.hold.cancel('client');
      return consume.apply(near.store, args);
    };
    expect(await first.hold.claim()).toBeDefined();
  });

  test('an approval runs once, in the session that asked first; the others hear where it ran', async () => {
    const [near, far] = await twoNodes();
    const first = await ask(near);
    const others = [await ask(near), await ask(far), await ask(far)];
    await decideAs(far, 'ann', first.hold.rid);
    await becomes(first.hold, 'approved');
    for (const { hold } of others) await waits(hold);
    for (const { hold } of others) expect(await hold.claim()).toBeUndefined();
    expect(await first.hold.claim()).toMatchObject({ rid: first.hold.rid, by: ['ann'] });
    for (const { hold } of others) await becomes(hold, 'elsewhere');
    const uses = [near, far].flatMap(({ log }) => log.records.filter(({ kind }) => kind === 'grant_use'));
    expect(uses).toEqual([expect.objectContaining({ ref: first.ref })]);
  });

  test('a rejection reaches them all', async () => {
    const [near, far] = await twoNodes();
    const asked = [await ask(near), await ask(near), await ask(far)];
    await decideAs(near, 'bob', asked[0]!.hold.rid, { verdict: 'reject', reason: 'no' });
    for (const { hold } of asked)
      expect(await hold.settled).toMatchObject({ state: 'rejected', by: 'bob', reason: 'no' });
  });

  test('the end of its time reaches them all', async () => {
    const [near, far] = await twoNodes();
    const asked = [await ask(near), await ask(near), await ask(far)];
    await near.clock.pass(3_600_000);
    for (const { hold } of asked) expect(await hold.settled).toMatchObject({ state: 'expired' });
  });

  test('more sessions than can wait for one request are turned away', async () => {
    const bench = await newBench();
    for (let each = 0; each < 64; each += 1) await ask(bench);
    await expect(ask(bench)).rejects.toMatchObject({ code: 'too-many-pending' });
    expect(await rows(bench)).toHaveLength(1);
  });
});

describe('the session that asked first leaves', () => {
  const ways: [string, (hold: Hold) => Promise<void> | void][] = [
    ['canceled by its client', (hold) => hold.cancel('client')],
    ['disconnected', (hold) => hold.cancel('disconnect')],
    ['shut down', (hold) => hold.cancel('shutdown')],
    ['tired of waiting', (hold) => hold.detach()],
  ];
  test.each(ways)('%s: the next one inherits the hold, here and on another node', async (_, leave) => {
    for (const second of [0, 1]) {
      const benches = await twoNodes();
      const first = await ask(benches[0]);
      const next = await ask(benches[second]!);
      const last = await ask(benches[0]);
      await leave(first.hold);
      await turn();
      expect((await rows(benches[0]))[0]).toMatchObject({ state: 'pending' });
      await decideAs(benches[0], 'ann', first.hold.rid);
      await becomes(next.hold, 'approved');
      await waits(last.hold);
      expect(await next.hold.claim()).toBeDefined();
      await becomes(last.hold, 'elsewhere');
      expect(benches.flatMap(({ log }) => log.kinds())).not.toContain('cancel');
    }
  });

  test('after the approval and before it used it: the next one uses it', async () => {
    const [near, far] = await twoNodes();
    const first = await ask(near);
    const next = await ask(far);
    await decideAs(near, 'ann', first.hold.rid);
    await becomes(first.hold, 'approved');
    await first.hold.cancel('disconnect');
    await becomes(next.hold, 'approved');
    expect(await next.hold.claim()).toBeDefined();
    expect(await first.hold.claim()).toBeUndefined();
  });

  test('and the last one with it: then the request is canceled, unless it only stopped waiting', async () => {
    for (const [leave, after] of [
      [(hold: Hold) => hold.cancel('client'), 'canceled'],
      [(hold: Hold) => hold.detach(), 'pending'],
    ] as const) {
      const [near, far] = await twoNodes();
      const first = await ask(near);
      const next = await ask(far);
      await first.hold.cancel('client');
      await leave(next.hold);
      await turn();
      expect((await rows(near))[0]).toMatchObject({ state: after });
    }
  });

  test('a session that joins in the moment in which the last one gives up asks anew, and waits for nothing dead', async () => {
    const [near, far] = await twoNodes();
    const first = await ask(near);
    const end = near.store.end.bind(near.store);
    let joins: Promise<{ hold: Hold }> | undefined;
    near.store.end = async (...args) => {
      joins ??= ask(far);
      await turn();
      return end(...args);
    };
    await first.hold.cancel('client');
    const other = await joins!;
    expect(other.hold.rid).not.toBe(first.hold.rid);
    await waits(other.hold);
    await decideAs(far, 'ann', other.hold.rid);
    expect(await other.hold.claim()).toBeDefined();
  });

  test('a joined session that leaves leaves the others untouched', async () => {
    for (const [, leave] of ways) {
      const bench = await newBench();
      const first = await ask(bench);
      const joined = await ask(bench);
      await leave(joined.hold);
      await turn();
      await decideAs(bench, 'ann', first.hold.rid);
      expect(await first.hold.claim()).toBeDefined();
    }
  });

  test('while the store is away: once it is back the next one does not wait behind a ghost', async () => {
    for (const [, leave] of ways) {
      const [near, far] = await twoNodes();
      const first = await ask(near);
      const next = await ask(far);
      const { get } = near.store;
      near.store.get = async () => {
        throw new HoldpointError('store-unreachable', 'away');
      };
      await Promise.resolve(leave(first.hold)).catch(() => undefined);
      await turn();
      near.store.get = get;
      await near.clock.pass(5_000);
      await decideAs(far, 'ann', first.hold.rid);
      await becomes(next.hold, 'approved');
      expect(await next.hold.claim()).toBeDefined();
    }
  });
});

interface Session {
  readonly hold: Hold;
  gone: boolean;
  used: boolean;
  told: Settlement['state'] | undefined;
}

test('whatever the order of asking, leaving and deciding: at most one release, and none lost while somebody waits', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('ask' as const), node: fc.nat(1) }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('detach' as const, 'cancel' as const), who: fc.nat(9) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('approve' as const), node: fc.nat(1) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('claim' as const), who: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('breathe' as const) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 25 }), async (steps) => {
      const benches = await twoNodes();
      const here: Session[] = [];
      const doing: Promise<unknown>[] = [];
      const grants = new Map<string, number>();
      const claim = async (one: Session): Promise<void> => {
        const grant = await one.hold.claim();
        if (grant === undefined) return;
        one.used = true;
        grants.set(grant.rid, (grants.get(grant.rid) ?? 0) + 1);
      };
      const arrive = ({ hold }: { hold: Hold }): void => {
        const one: Session = { hold, gone: false, used: false, told: undefined };
        here.push(one);
        void hold.settled.then(({ state }) => (one.told = state));
      };
      for (const each of steps) {
        const one = 'who' in each ? here[each.who % Math.max(1, here.length)] : undefined;
        if (each.do === 'ask') {
          doing.push(ask(benches[each.node]!).then(arrive));
        } else if (each.do === 'approve') {
          const [pending] = await benches[0].store.list({ states: ['pending'], rowsMax: 1 });
          if (pending !== undefined)
            doing.push(decideAs(benches[each.node]!, 'ann', pending.rid).catch(() => undefined));
        } else if (each.do === 'breathe') await turn();
        else if (one === undefined || one.gone || one.used) continue;
        else if (each.do === 'claim') doing.push(claim(one));
        else {
          one.gone = true;
          doing.push(each.do === 'cancel' ? one.hold.cancel('client') : Promise.resolve(one.hold.detach()));
        }
      }
      // A node that waits for another to have asked looks again after a moment.
      let done = false;
      const all = Promise.all(doing).finally(() => {
        done = true;
      });
      while (!done) await benches[0].clock.pass(100);
      await all;
      await turn();
      const waiting = (rid: string) => here.filter((one) => one.hold.rid === rid && !one.gone && !one.used);
      // Everybody who is told of an approval claims it, as a session does; one after the other they are.
      for (const { rid, state } of await rows(benches[0])) {
        if (state !== 'approved' || waiting(rid).length === 0) continue;
        await until(() => waiting(rid).some(({ told }) => told === 'approved'));
        for (const one of waiting(rid)) if (one.told === 'approved') await claim(one);
      }
      await turn();
      for (const count of grants.values()) expect(count).toBe(1);
      for (const { rid, state } of await rows(benches[0])) {
        const told = waiting(rid).map((one) => one.told);
        if (state === 'pending') expect(told.every((one) => one === undefined)).toBe(true);
        if (state === 'approved' || state === 'canceled') expect(told).toEqual([]);
        if (state === 'consumed') expect(grants.get(rid)).toBe(1);
        if (state === 'consumed') expect(told.every((one) => one === 'elsewhere')).toBe(true);
      }
    }),
    { numRuns: 150 },
  );
});

describe('the identical statement after a rejection', () => {
  async function rejected(change: Parameters<typeof gate>[0] = {}): Promise<[Bench, Bench, Hold]> {
    const [near, far] = await twoNodes();
    const { hold } = await ask(near, change);
    await decideAs(near, 'bob', hold.rid, { verdict: 'reject', reason: 'not before the backup' });
    await turn();
    return [near, far, hold];
  }

  test('is refused in the same words for ten minutes, on every node, and nobody is asked', async () => {
    for (const change of [{}, { once: true as const }]) {
      const [near, far, hold] = await rejected(change);
      const said = await hold.settled;
      const before = await rows(near);
      for (const bench of [near, far]) {
        expect(await bench.desk.recall(gate(change).request, 1)).toEqual(said);
        const late = await ask(bench, change);
        expect([late.hold.rid, await late.hold.settled]).toEqual([hold.rid, said]);
      }
      expect(await rows(near)).toEqual(before);
      expect([...near.opened, ...far.opened]).toHaveLength(1);
      await near.clock.pass(600_000);
      expect(await near.desk.recall(gate(change).request, 1)).toEqual(said);
      await near.clock.pass(1);
      expect(await near.desk.recall(gate(change).request, 1)).toBeUndefined();
      expect((await ask(far, change)).hold.rid).not.toBe(hold.rid);
    }
  });

  test('of another agent, another text, other rules or another context is asked for', async () => {
    const [near, , hold] = await rejected();
    for (const change of [
      { agent: { id: 'gpt', auth: 'scram-sha-256' as const } },
      { sql: 'DROP TABLE customers' },
      { policy: { digest: 'q'.repeat(43), rule: 'definitions', reason: 'DROP TABLE removes objects' } },
      { role: 'somebody' },
      { once: true as const },
    ])
      expect((await ask(near, change)).hold.rid).not.toBe(hold.rid);
  });

  test('passes all the same where another request for it was approved', async () => {
    const bench = await newBench();
    const first = await ask(bench);
    first.hold.detach();
    await decideAs(bench, 'ann', first.hold.rid);
    const second = await ask(bench);
    await decideAs(bench, 'bob', second.hold.rid, { verdict: 'reject' });
    expect(await bench.desk.claimApproved(first.request.match, 'claude', 1)).toBeDefined();
  });

  test('a statement that ran into the end of its time, or was canceled, is asked for again', async () => {
    const bench = await newBench();
    const first = await ask(bench);
    await first.hold.cancel('client');
    const second = await ask(bench);
    expect(second.hold.rid).not.toBe(first.hold.rid);
    await bench.clock.pass(3_600_000);
    expect((await ask(bench)).hold.rid).not.toBe(second.hold.rid);
  });
});
