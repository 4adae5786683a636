// A shared store that is away, or has forgotten everything: what needs no approval goes on, what waits keeps waiting,
// what is new fails with a clear error, and all of it recovers by itself. A real Redis is killed and emptied for it.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { cancelRequest } from '../../src/wire/startup.ts';
import type { Guard } from '../support/holdpoint.ts';
import { RawClient } from '../support/raw.ts';
import { eventually, startRedis, type TestRedis } from '../support/redis.ts';
import { answered, answerOf, held, newWitness, startPair, type Witness } from '../support/shared.ts';

// A store comes back, and a replica is promoted, in its own time.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

let redis: TestRedis;
let witness: Witness;
let one: Guard;
let two: Guard;

beforeEach(async () => {
  [redis, witness] = await Promise.all([startRedis(), newWitness()]);
  [one, two] = await startPair(witness, redis.url);
});

afterEach(async () => {
  await one?.close();
  await two?.close();
  await witness?.close();
  await redis?.stop();
});

const readiness = async (guard: Guard) => {
  const answer = await fetch(`${guard.http}/readyz`);
  return { status: answer.status, text: await answer.text() };
};

/** Both nodes have the store again. */
const back = () =>
  eventually('the store is back', async () => {
    const ready = await Promise.all([one, two].map(readiness));
    return ready.every(({ status }) => status === 200);
  });

test('while it is away reads and writes pass, holds wait, and what is new is told so; then all goes on', async () => {
  const [waiting, other] = [await one.connect(), await one.connect()];
  const rid = await held(waiting, witness.write('waited'));
  await redis.kill();
  expect((await answered(other, 'select count(*) from orders')).came).toBe('ran');
  expect((await answered(other, "insert into runs values ('passed')")).came).toBe('ran');
  const refused = await answered(other, witness.write('new'));
  expect(refused).toMatchObject({
    came: '58000',
    message: expect.stringContaining('the store cannot be reached'),
  });
  expect(refused.message).not.toContain('127.0.0.1');
  await expect(two.decide(rid, 'approve')).rejects.toThrow('the store cannot be reached');
  await eventually('the store is named', async () => {
    const { status, text } = await readiness(two);
    return status === 503 && text.includes(`the store ${redis.url} cannot be reached`);
  });
  // Nothing of it was kept: the node that waits puts the request back.
  await redis.start();
  await back();
  await eventually('the request is back', async () => (await two.pending()).some(({ id }) => id === rid));
  expect(one.reports.join()).toContain('the store had lost a request that is waited for');
  await two.decide(rid, 'approve');
  expect(answerOf(await waiting.until('Z')).came).toBe('ran');
  expect((await answered(other, 'select 1')).came).toBe('ran');
  const again = await held(other, witness.write('new'));
  await one.decide(again, 'approve');
  expect(answerOf(await other.until('Z')).came).toBe('ran');
  expect(await witness.all()).toEqual(
    new Map([
      ['waited', 1],
      ['passed', 1],
      ['new', 1],
    ]),
  );
});

test('FLUSHALL loses what nobody waits for, and nothing else', async () => {
  const [waiting, asking] = [await one.connect(), await two.connect()];
  const rid = await held(waiting, witness.write('waited'));
  const left = await answered(asking, witness.write('left'));
  expect(left.came).toBe('42501');
  await one.decide(left.rid!, 'approve');
  await redis.admin.flushall();
  const anew = await answered(asking, witness.write('left'));
  expect(anew.came).toBe('42501');
  expect(anew.rid).not.toBe(left.rid);
  await eventually('the request is back', async () => (await two.pending()).some(({ id }) => id === rid));
  await two.decide(rid, 'approve');
  expect(answerOf(await waiting.until('Z')).came).toBe('ran');
  await expect(one.decide(left.rid!, 'approve')).rejects.toThrow('there is no request');
  expect(await witness.all()).toEqual(new Map([['waited', 1]]));
});

test('a statement that is canceled while the store is away is canceled for its client, and later for the store', async () => {
  const waiting = await one.connect();
  const rid = await held(waiting, witness.write('canceled'));
  await redis.admin.config('SET', 'save', '');
  await redis.admin.save();
  await redis.kill();
  const canceling = await RawClient.connect(one.host, one.port);
  canceling.send(cancelRequest(waiting.pid, waiting.key));
  expect(answerOf(await waiting.until('Z'))).toMatchObject({ came: '57014', rid });
  await redis.start();
  await back();
  await eventually('the store knows', async () => (await two.show(rid)).state === 'canceled');
  await expect(two.decide(rid, 'approve')).rejects.toThrow('canceled');
  expect(await witness.runs('canceled')).toBe(0);
});

test('the outcome of a statement that ran while the store went away is told to it later', async () => {
  const waiting = await one.connect();
  const rid = await held(waiting, `${witness.write('slow')} returning pg_sleep(1)`);
  await two.decide(rid, 'approve');
  await eventually('it runs', async () => {
    const { rows } = await witness.direct.query(
      "select 1 from pg_stat_activity where state = 'active' and query like 'with gone%'",
    );
    return rows.length === 1;
  });
  await redis.admin.save();
  await redis.kill();
  expect(answerOf(await waiting.until('Z')).came).toBe('ran');
  await redis.start();
  await back();
  await eventually('the store knows', async () => (await two.show(rid)).state === 'executed');
});
