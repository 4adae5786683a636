// B8: what has expired, was rejected or was canceled never runs, whatever comes a moment later, and whatever the clock of
// another node says.

import { describe, expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import {
  type Bench,
  decideAs,
  decisionFor,
  FakeClock,
  gate,
  newBench,
  signed,
  startMs,
} from '../support/approvals.ts';

const hour = 3_600_000;
const tenMinutes = 600_000;

async function held(bench: Bench) {
  const { request, values } = gate();
  return { request, hold: await bench.desk.open(request, values, 7) };
}

/** Two nodes; the clock of the second is off by so much. */
async function skewed(offMs: number): Promise<[Bench, Bench, FakeClock]> {
  const store = new MemoryStore();
  const near = await newBench({ store });
  const clock = new FakeClock();
  clock.ms = startMs + offMs;
  return [near, await newBench({ store, like: near, node: 'n2', clock }), clock];
}

describe('B8: a request that is over', () => {
  test.each(['rejected', 'canceled', 'expired'] as const)(
    '%s: no approval, no claim and no retry brings it back',
    async (end) => {
      const bench = await newBench();
      const { request, hold } = await held(bench);
      const decision = await decisionFor(bench, hold.rid, 'ann');
      const approval = await signed(decision, bench.ann);
      if (end === 'rejected') await decideAs(bench, 'bob', hold.rid, { verdict: 'reject' });
      else if (end === 'canceled') await hold.cancel('client');
      else await bench.clock.pass(hour);
      expect((await hold.settled).state).toBe(end);
      await expect(bench.desk.decide(hold.rid, decision, approval)).rejects.toMatchObject({
        code: end === 'expired' ? 'expired' : 'conflict',
      });
      expect(await hold.claim()).toBeUndefined();
      expect(await bench.desk.claimApproved(request.match, 'claude', 8)).toBeUndefined();
      expect(bench.log.kinds()).not.toContain('grant_use');
    },
  );

  test.each([
    [-1, true],
    [0, false],
    [1, false],
  ])('approved %i ms from its end: it may run only before', async (offset, counts) => {
    const bench = await newBench();
    const { hold } = await held(bench);
    const decision = await decisionFor(bench, hold.rid, 'ann');
    bench.clock.ms += hour + offset;
    const deciding = bench.desk.decide(hold.rid, decision, await signed(decision, bench.ann));
    if (counts) {
      await deciding;
      expect(await hold.claim()).toBeDefined();
    } else {
      await expect(deciding).rejects.toMatchObject({ code: 'expired' });
      expect(await hold.claim()).toBeUndefined();
    }
  });

  test('approved in time and claimed too late does not run', async () => {
    const bench = await newBench();
    const { hold, request } = await held(bench);
    bench.clock.ms += hour - 1;
    await decideAs(bench, 'ann', hold.rid);
    bench.clock.ms += 1;
    expect(await hold.claim()).toBeUndefined();
    hold.detach();
    expect(await bench.desk.claimApproved(request.match, 'claude', 8)).toBeUndefined();
  });
});

test('B8: the clock of the holder ends it a moment before the wall clock would, and it has expired all the same', async () => {
  const bench = await newBench();
  const { hold } = await held(bench);
  bench.clock.stepMs = -2;
  await bench.clock.pass(hour);
  expect(await hold.settled).toEqual({ state: 'expired', rid: hold.rid });
  expect((await bench.store.get(hold.rid))?.state).toBe('expired');
  expect(bench.log.kinds()).toEqual(['hold', 'expire']);
});

describe('B8: a node whose clock is off', () => {
  test('ten minutes behind takes a decision after the end, and the node that holds releases nothing', async () => {
    const [near, far, clock] = await skewed(-tenMinutes);
    const { hold } = await held(near);
    // The timer of the holder has not run yet: only its clock knows.
    near.clock.ms += hour;
    clock.ms += hour;
    const decision = await decisionFor(far, hold.rid, 'ann');
    await far.desk.decide(hold.rid, decision, await signed(decision, far.ann));
    expect((await near.store.get(hold.rid))?.state).toBe('approved');
    expect(await hold.claim()).toBeUndefined();
    expect([...near.log.kinds(), ...far.log.kinds()]).not.toContain('grant_use');
  });

  test('ten minutes ahead ends a request early, and then nothing runs anywhere', async () => {
    const [near, far, clock] = await skewed(tenMinutes);
    const { hold } = await held(near);
    near.clock.ms += hour - tenMinutes;
    clock.ms += hour - tenMinutes;
    const decision = await decisionFor(near, hold.rid, 'ann');
    await expect(far.desk.decide(hold.rid, decision, await signed(decision, far.ann))).rejects.toMatchObject({
      code: 'expired',
    });
    expect((await hold.settled).state).toBe('expired');
    await expect(near.desk.decide(hold.rid, decision, await signed(decision, near.ann))).rejects.toThrow();
    expect(await hold.claim()).toBeUndefined();
  });

  test.each([-tenMinutes, tenMinutes])(
    '%i ms: a rejection on it keeps the identical statement away on both for as long as its clock says',
    async (offMs) => {
      const [near, far] = await skewed(offMs);
      const { hold } = await held(near);
      const decision = await decisionFor(far, hold.rid, 'bob', {
        verdict: 'reject',
        nbf: startMs + Math.min(0, offMs),
      });
      await far.desk.decide(hold.rid, decision, await signed(decision, far.bob));
      expect((await hold.settled).state).toBe('rejected');
      expect(await far.desk.recall(gate().request, 1)).toMatchObject({ state: 'rejected' });
      expect(await hold.claim()).toBeUndefined();
    },
  );
});

test('a store that answers and then is away is told once a sweep, and of everything once it is back', async () => {
  const bench = await newBench();
  const rids: string[] = [];
  for (const sql of ['drop table a', 'drop table b']) {
    const { request, values } = gate({ sql });
    const hold = await bench.desk.open(request, values, 7);
    await decideAs(bench, 'ann', hold.rid);
    expect(await hold.claim()).toBeDefined();
    rids.push(hold.rid);
  }
  const { end } = bench.store;
  let told = 0;
  // Whoever told it again and again at once would never stop; after so many it gives in, so that this can fail.
  bench.store.end = async (...given) => {
    told += 1;
    if (told < 1000) throw new HoldpointError('store-unreachable', 'away');
    return end.apply(bench.store, given);
  };
  for (const rid of rids) await bench.desk.finish(rid, 'executed', 'DROP TABLE');
  expect(told).toBe(2);
  await bench.clock.pass(5000);
  expect(told).toBe(4);
  bench.store.end = end;
  await bench.clock.pass(5000);
  for (const rid of rids) expect((await bench.store.get(rid))?.state).toBe('executed');
});
