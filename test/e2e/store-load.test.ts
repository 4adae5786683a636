// Two hundred requests on two nodes while the store is killed, emptied, set back and failed over in the middle of them.
// Agents send a statement again as long as they are told that it did not run; a person approves what they see. In the
// end the database is asked how often each statement ran, and both logs are verified. audit-approval B1, B6.

import { afterEach, expect, test } from 'vitest';
import { verify } from '../../src/cli/audit.ts';
import type { Guard } from '../support/holdpoint.ts';
import type { RawClient } from '../support/raw.ts';
import { eventually, startRedis, startRedisSentinel } from '../support/redis.ts';
import { answered, newWitness, startPair, type Witness } from '../support/shared.ts';

const requests = 200;
/** Sessions at a time on each node. */
const sessions = 8;

let stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

interface Load {
  readonly witness: Witness;
  readonly guards: readonly [Guard, Guard];
  /** Resolves when so many statements have run. */
  ran(count: number): Promise<void>;
  /** Runs everything to its end. */
  over(): Promise<void>;
}

/** Names of what ran as its agents were told, and a person who approves whatever waits. */
async function start(store: string): Promise<Load> {
  const witness = await newWitness();
  stops.push(() => witness.close());
  const guards = await startPair(witness, store);
  stops.push(...guards.map((guard) => () => guard.close()));
  const told = new Set<string>();
  const marks: { count: number; reached: () => void }[] = [];
  const names = Array.from({ length: requests }, (_, index) => `s${index}`);
  const failures: string[] = [];

  const agent = async (guard: Guard): Promise<void> => {
    const client: RawClient = await guard.connect();
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      let tries = 0;
      let last = '';
      for (; tries < 2_000 && !told.has(name); tries += 1) {
        const { came, message } = await answered(client, witness.write(name));
        last = `${came} ${message}`;
        if (came === 'ran') told.add(name);
        // Away, still pending, canceled or void: it did not run, and says so.
        else if (!['58000', '42501', '57014', '53300'].includes(came)) failures.push(last);
        if (came === '58000') await new Promise((resolve) => setTimeout(resolve, 50));
      }
      if (!told.has(name)) failures.push(`${name} never ran, told ${tries} times, at last: ${last}`);
      for (const { count, reached } of marks) if (told.size >= count) reached();
    }
    client.destroy();
  };

  let over = false;
  const person = async (): Promise<void> => {
    for (let turn = 0; !over; turn += 1) {
      const [near, far] = turn % 2 === 0 ? guards : [guards[1], guards[0]];
      const waiting = await near.pending().catch(() => []);
      await Promise.all(waiting.map(({ id }) => far.decide(id, 'approve').catch(() => undefined)));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  const persons = person();
  const agents = guards.flatMap((guard) => Array.from({ length: sessions }, () => agent(guard)));
  return {
    witness,
    guards,
    ran: (count) =>
      new Promise((resolve) => {
        marks.push({ count, reached: resolve });
      }),
    async over() {
      await Promise.all(agents);
      over = true;
      await persons;
      expect(failures).toEqual([]);
    },
  };
}

/** Each ran once, no more; every run was released by evidence that an outsider verifies. */
async function judge({ witness, guards }: Load): Promise<void> {
  const runs = await witness.all();
  expect(runs.size).toBe(requests);
  expect([...runs].filter(([, count]) => count !== 1)).toEqual([]);
  let proved = 0;
  for (const guard of guards) {
    let text = '';
    await eventually('the log verifies', async () => {
      text = '';
      const output = { out: (more: string) => (text += more), err: (more: string) => (text += more) };
      return (await verify(guard.auditDir, { gaps: true } as never, output as never)) === 0;
    });
    const told = /(\d+) releases? of held statements: (.*)/.exec(text);
    expect(told?.[2], text).toMatch(/signature/);
    proved += Number(told?.[1]);
  }
  expect(proved).toBe(requests);
}

test('the store is killed in the middle and starts empty, twice', { timeout: 240_000 }, async () => {
  const redis = await startRedis();
  stops.push(() => redis.stop());
  const load = await start(redis.url);
  for (const count of [50, 120]) {
    await load.ran(count);
    await redis.kill();
    await redis.start();
  }
  await load.over();
  await judge(load);
});

test('the store is killed in the middle and starts from an older copy', { timeout: 240_000 }, async () => {
  const redis = await startRedis();
  stops.push(() => redis.stop());
  const load = await start(redis.url);
  await load.ran(40);
  await redis.admin.save();
  for (const count of [90, 140]) {
    await load.ran(count);
    await redis.kill();
    await redis.start();
  }
  await load.over();
  await judge(load);
});

test('the store is emptied in the middle, three times', { timeout: 240_000 }, async () => {
  const redis = await startRedis();
  stops.push(() => redis.stop());
  const load = await start(redis.url);
  for (const count of [40, 90, 140]) {
    await load.ran(count);
    await redis.admin.flushall();
  }
  await load.over();
  await judge(load);
});

test('the store fails over to a replica that was cut off before', { timeout: 240_000 }, async () => {
  const sentinel = await startRedisSentinel();
  stops.push(() => sentinel.stop());
  const load = await start(sentinel.url);
  await load.ran(50);
  await sentinel.cutOff();
  await load.ran(90);
  await sentinel.primary.kill();
  await sentinel.promoted();
  await load.over();
  await judge(load);
});
