// The queue in front of a channel, with a clock that only moves when told.

import { expect, test } from 'vitest';
import type { Delivery } from '../../src/notify/channel.ts';
import { Lane, type LaneOptions, lettersMax } from '../../src/notify/lane.ts';
import { FakeClock, turn } from '../support/approvals.ts';

/** A lane whose deliveries end as the test says, in the order of their attempts. */
function scene(change: Partial<LaneOptions> = {}) {
  const clock = new FakeClock();
  const attempts: { letter: string; at: number; land: (delivery: Delivery) => void }[] = [];
  const outcomes: string[] = [];
  const troubles: (string | undefined)[] = [];
  const lane = new Lane({
    atOnce: 4,
    deliver: (letter) => new Promise((land) => attempts.push({ letter, at: clock.mono(), land })),
    outcome: (outcome, letter) => outcomes.push(`${letter} ${outcome}`),
    trouble: (why) => troubles.push(why),
    mono: clock.mono,
    after: clock.after,
    random: () => 1,
    ...change,
  });
  /** Ends the oldest attempt that is under way. */
  const land = async (delivery: Delivery): Promise<void> => {
    attempts.shift()!.land(delivery);
    await turn();
  };
  const underWay = (): string[] => attempts.map(({ letter }) => letter);
  return { lane, clock, outcomes, troubles, land, underWay };
}

const sent: Delivery = { done: 'sent' };
const down: Delivery = { later: 'ECONNREFUSED', all: true };

test('what changes ten times while the channel is down is delivered once, when it is back', async () => {
  const { lane, clock, land, outcomes, underWay } = scene();
  lane.put('a');
  await land(down);
  for (let times = 0; times < 10; times += 1) lane.put('a');
  expect(underWay()).toEqual([]);
  await clock.pass(1_000);
  await land(sent);
  expect(underWay()).toEqual([]);
  expect(outcomes).toEqual(['a retried', 'a sent']);
  expect(lane.length).toBe(0);
});

test('what changes while it is being told is told again', async () => {
  const { lane, land, outcomes, underWay } = scene();
  lane.put('a');
  lane.put('a');
  lane.put('a');
  expect(underWay()).toEqual(['a']);
  await land(sent);
  expect(underWay()).toEqual(['a']);
  await land({ done: 'unchanged' });
  expect(outcomes).toEqual(['a sent', 'a unchanged']);
  expect(lane.length).toBe(0);
});

test('nothing is sent before a Retry-After is over, also when another delivery succeeds meanwhile', async () => {
  const { lane, clock, land, underWay } = scene();
  lane.put('a');
  lane.put('b');
  await land({ later: 'rate limited', afterMs: 30_000, all: true });
  await land(sent);
  lane.put('c');
  await clock.pass(29_999);
  expect(underWay()).toEqual([]);
  await clock.pass(1);
  expect(underWay()).toEqual(['a', 'c']);
});

test('waiting doubles from failure to failure up to a minute, and one letter alone tries the way', async () => {
  const { lane, clock, land, underWay } = scene();
  for (const letter of ['a', 'b', 'c']) lane.put(letter);
  for (let times = 0; times < 3; times += 1) await land(down);
  const waits: number[] = [];
  for (let tries = 0; tries < 8; tries += 1) {
    const from = clock.mono();
    while (underWay().length === 0) await clock.pass(500);
    expect(underWay()).toHaveLength(1);
    waits.push(clock.mono() - from);
    await land(down);
  }
  expect(waits[0]).toBe(4_000);
  expect(waits.slice(0, 5)).toEqual([4_000, 8_000, 16_000, 32_000, 60_000]);
  expect(Math.max(...waits)).toBe(60_000);
});

test('half of a waiting time is chance', async () => {
  const { lane, clock, land, underWay } = scene({ random: () => 0 });
  lane.put('a');
  await land(down);
  await clock.pass(499);
  expect(underWay()).toEqual([]);
  await clock.pass(1);
  expect(underWay()).toEqual(['a']);
});

test('a letter that fails by itself holds up no other', async () => {
  const { lane, clock, land, outcomes, underWay } = scene({ atOnce: 1 });
  lane.put('a');
  lane.put('b');
  await land({ later: 'channel_not_found', all: false });
  expect(underWay()).toEqual(['b']);
  await land(sent);
  await clock.pass(1_000);
  expect(underWay()).toEqual(['a']);
  expect(outcomes).toEqual(['a retried', 'b sent']);
});

test('a refused letter does not come again, and what was put in meanwhile does', async () => {
  const { lane, land, outcomes, underWay } = scene();
  lane.put('a');
  await land({ refused: 'invalid_blocks' });
  expect(underWay()).toEqual([]);
  lane.put('b');
  lane.put('b');
  await land({ refused: 'invalid_blocks' });
  expect(underWay()).toEqual(['b']);
  expect(outcomes).toEqual(['a refused', 'b refused']);
});

test('a delivery that throws is given up and stops nothing', async () => {
  const { lane, outcomes } = scene({ deliver: async () => Promise.reject(new Error('ours')) });
  lane.put('a');
  lane.put('b');
  await turn();
  expect(outcomes).toEqual(['a refused', 'b refused']);
});

test('at the bound further letters are dropped and counted', async () => {
  const { lane, land, outcomes } = scene({ atOnce: 1 });
  lane.put('first');
  await land(down);
  for (let count = 1; count < lettersMax; count += 1) expect(lane.put(`letter ${count}`)).toBe(true);
  expect(lane.put('one more')).toBe(false);
  expect(lane.put('first')).toBe(true);
  expect(lane.length).toBe(lettersMax);
  expect(outcomes).toEqual(['first retried', 'one more dropped']);
});

test('a letter is given up after a day', async () => {
  const { lane, clock, land, outcomes, underWay } = scene();
  lane.put('a');
  await land(down);
  await clock.pass(23 * 3_600_000);
  await land(down);
  await clock.pass(3_600_000);
  await land(down);
  expect(outcomes).toEqual(['a retried', 'a retried', 'a given-up']);
  expect(underWay()).toEqual([]);
  expect(lane.length).toBe(0);
});

test('trouble is told once when it begins and once when nothing is left that failed', async () => {
  const { lane, clock, land, troubles } = scene();
  lane.put('a');
  lane.put('b');
  await land(down);
  await land({ later: 'HTTP 503', all: true });
  expect(lane.why).toBe('HTTP 503');
  await clock.pass(60_000);
  await land(sent);
  expect(troubles).toEqual(['ECONNREFUSED']);
  await land(sent);
  expect(troubles).toEqual(['ECONNREFUSED', undefined]);
  expect(lane.why).toBeUndefined();
});

test('the lag is the age of the oldest letter, under way or not', async () => {
  const { lane, clock, land } = scene({ atOnce: 1 });
  expect(lane.lagMs).toBe(0);
  lane.put('a');
  await clock.pass(5_000);
  lane.put('b');
  expect(lane.lagMs).toBe(5_000);
  await land(sent);
  expect(lane.lagMs).toBe(0);
  await clock.pass(2_000);
  expect(lane.lagMs).toBe(2_000);
});

test('closing waits for what is under way, at most as long as it is given, and then nothing is sent any more', async () => {
  const { lane, land } = scene({ atOnce: 1 });
  lane.put('a');
  let closed = false;
  const closing = lane.close(3_000).then(() => {
    closed = true;
  });
  await turn();
  expect(closed).toBe(false);
  await land(sent);
  await closing;
  expect(lane.put('b')).toBe(false);
  const other = scene({ atOnce: 1 });
  other.lane.put('a');
  other.lane.put('b');
  const late = other.lane.close(3_000);
  await other.clock.pass(3_000);
  await late;
  await other.land(sent);
  expect(other.underWay()).toEqual([]);
});
