// A shared store that forgets what it had answered: restarted from an older copy, failed over to a replica that was cut
// off, written to by hand. What was used is not used again, what nobody vouches for is void and has to be asked for
// again, and nothing runs without a person's evidence. audit-approval B6, B10.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Guard } from '../support/holdpoint.ts';
import {
  eventually,
  startRedis,
  startRedisSentinel,
  type TestRedis,
  type TestSentinel,
} from '../support/redis.ts';
import { answered, answerOf, held, newWitness, startPair, type Witness } from '../support/shared.ts';

// A store comes back, and a replica is promoted, in its own time.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

let witness: Witness;
let one: Guard;
let two: Guard;

/** The approver and the address are the same for every start. */
let folder: string;
const like = () => ({ keyFile: join(folder, 'dba.jwk'), publicUrl: 'http://127.0.0.1:1' });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-set-back-'));
  witness = await newWitness();
});

afterEach(async () => {
  await one?.close();
  await two?.close();
  await witness?.close();
  rmSync(folder, { recursive: true });
});

/** On the second node, whose sessions do not wait: asks, and has it approved. */
async function approvedForRetry(name: string): Promise<string> {
  const asking = await two.connect();
  const { came, rid } = await answered(asking, witness.write(name));
  expect(came).toBe('42501');
  asking.destroy();
  await one.decide(rid!, 'approve');
  return rid!;
}

/** A retry on the second node: what came of it, and for which request. */
async function retry(name: string): Promise<{ came: string; rid: string | undefined }> {
  const client = await two.connect();
  const { came, rid } = await answered(client, witness.write(name));
  client.destroy();
  return { came, rid };
}

const ready = () =>
  eventually('both nodes have the store', async () => {
    const answers = await Promise.all([one, two].map(({ http }) => fetch(`${http}/readyz`)));
    return answers.every(({ status }) => status === 200);
  });

/** Other nodes take their place: whatever the ones before remembered is gone. */
async function afresh(store: string): Promise<void> {
  await one.close();
  await two.close();
  [one, two] = await startPair(witness, store, { like: like() });
}

describe('restarted from an older copy', () => {
  let redis: TestRedis;

  beforeEach(async () => {
    redis = await startRedis();
    [one, two] = await startPair(witness, redis.url, { like: like() });
  });

  afterEach(async () => redis?.stop());

  test.each([
    ['the nodes that used it', false],
    ['nodes that remember nothing', true],
  ])('what was used is void for %s, and has to be approved anew', async (_who, forgetful) => {
    const used = await approvedForRetry('used');
    const unused = await approvedForRetry('unused');
    await redis.admin.save();
    expect((await retry('used')).came).toBe('ran');
    await redis.kill();
    await redis.start();
    await ready();
    if (forgetful) await afresh(redis.url);
    for (const [name, before] of [
      ['used', used],
      ['unused', unused],
    ] as const) {
      const again = await retry(name);
      expect(again.came).toBe('42501');
      expect(again.rid).not.toBe(before);
      if (!forgetful) {
        await eventually('it is void', async () => (await one.show(before)).state === 'canceled');
        await expect(one.decide(before, 'approve')).rejects.toThrow('canceled');
      }
      expect(await witness.runs(name)).toBe(name === 'used' ? 1 : 0);
      const [mine] = (await two.pending(1)).filter(({ id }) => id === again.rid);
      await two.decide(mine!.id, 'approve');
      expect((await retry(name)).came).toBe('ran');
    }
    expect(await witness.all()).toEqual(
      new Map([
        ['used', 2],
        ['unused', 1],
      ]),
    );
  });

  test('what a session waits for is decided again, and released by that session, once', async () => {
    const [early, late] = [await one.connect(), await one.connect()];
    const before = await held(early, witness.write('before'));
    await redis.admin.save();
    const after = await held(late, witness.write('after'));
    await two.decide(before, 'approve');
    expect(answerOf(await early.until('Z')).came).toBe('ran');
    await redis.kill();
    await redis.start();
    await ready();
    // The copy still has the first as pending, held by a session that knows better.
    await two.decide(before, 'approve').catch(() => undefined);
    await eventually('the second is back', async () => (await two.pending()).some(({ id }) => id === after));
    await two.decide(after, 'approve');
    expect(answerOf(await late.until('Z')).came).toBe('ran');
    expect((await retry('before')).came).toBe('42501');
    expect(await witness.all()).toEqual(
      new Map([
        ['before', 1],
        ['after', 1],
      ]),
    );
  });
});

describe('failed over to a replica that was cut off', () => {
  let sentinel: TestSentinel;

  beforeEach(async () => {
    sentinel = await startRedisSentinel();
    [one, two] = await startPair(witness, sentinel.url, { like: like() });
  });

  afterEach(async () => sentinel?.stop());

  test('the nodes follow; what was approved for a retry is void, what a session waits for is not', async () => {
    const used = await approvedForRetry('used');
    const waiting = await one.connect();
    const rid = await held(waiting, witness.write('waited'));
    await eventually('the replica has it', async () => {
      const state = await sentinel.replica.admin.hget(`hp:{${used}}:row`, 'state');
      return state === 'approved' && (await sentinel.replica.admin.exists(`hp:{${rid}}:row`)) === 1;
    });
    await sentinel.cutOff();
    expect((await retry('used')).came).toBe('ran');
    const lost = await one.connect();
    const unseen = await held(lost, witness.write('unseen'));
    await sentinel.primary.kill();
    await sentinel.promoted();
    await ready();
    const again = await retry('used');
    expect(again.came).toBe('42501');
    expect(again.rid).not.toBe(used);
    await two.decide(rid, 'approve');
    expect(answerOf(await waiting.until('Z')).came).toBe('ran');
    await eventually('the unseen one is back', async () =>
      (await two.pending()).some(({ id }) => id === unseen),
    );
    await two.decide(unseen, 'approve');
    expect(answerOf(await lost.until('Z')).came).toBe('ran');
    expect(await witness.all()).toEqual(
      new Map([
        ['used', 1],
        ['waited', 1],
        ['unseen', 1],
      ]),
    );
  });
});

describe('written to by hand', () => {
  let redis: TestRedis;
  let hand: Redis;

  beforeEach(async () => {
    redis = await startRedis();
    hand = new Redis(redis.url);
    [one, two] = await startPair(witness, redis.url, { like: like() });
  });

  afterEach(async () => {
    hand.disconnect();
    await redis.stop();
  });

  test('a row that says approved releases nothing, for a session that waits or for a retry, and is reported', async () => {
    const waiting = await one.connect();
    const rid = await held(waiting, witness.write('forged'));
    const left = await two.connect();
    const { rid: free } = await answered(left, witness.write('left'));
    for (const name of [rid, free!]) {
      await hand.hset(`hp:{${name}}:row`, 'state', 'approved');
      await hand.publish('hp:changed', name);
    }
    await eventually('it is reported', async () =>
      one.reports.join().includes('no valid evidence supports it'),
    );
    expect((await answered(left, witness.write('left'))).came).toBe('42501');
    expect(two.reports.join()).toContain('no valid evidence supports it');
    expect(await witness.all()).toEqual(new Map());
  });

  test('a used row that is made approved again is not used again on any node that was there', async () => {
    const rid = await approvedForRetry('used');
    expect((await retry('used')).came).toBe('ran');
    const key = `hp:{${rid}}:row`;
    const lineage = (await hand.hget(key, 'lineage')) ?? '';
    expect(lineage).toMatch(/^[0-9a-f]{40}$/);
    const now = await hand.hgetall(key);
    const other = await two.connect();
    const { rid: fresh } = await answered(other, witness.write('other'));
    // With the values of its own, which went when it was used.
    const values = (await hand.hget(`hp:{${fresh}}:row`, 'values')) ?? '';
    await hand.hset(key, { state: 'approved', values });
    await hand.zadd('hp:{a:claude}:open', 1, `${rid} ${now.match}`);
    for (const guard of [two, one]) {
      const client = await guard.connect();
      if (guard === two) expect((await answered(client, witness.write('used'))).came).toBe('42501');
      else expect(await held(client, witness.write('used'))).not.toBe(rid);
      client.destroy();
    }
    expect(await witness.runs('used')).toBe(1);
  });
});
