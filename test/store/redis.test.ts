// The same contract on a real Redis, and what only a shared store can get wrong.

import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RedisStore } from '../../src/store/redis.ts';
import { decideAs, gate, newBench, until } from '../support/approvals.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { row, storeContract, vote } from './contract.ts';

let server: TestRedis;
let admin: Redis;

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.url);
});

afterAll(async () => {
  admin?.disconnect();
  await server?.stop();
});

storeContract('redis', async () => {
  await admin.flushall();
  return RedisStore.open(server.url);
});

test('two proxies on one Redis: decided on one, released on the other, once', async () => {
  await admin.flushall();
  const [one, two] = await Promise.all([RedisStore.open(server.url), RedisStore.open(server.url)]);
  const bench = await newBench({ store: one });
  const far = await newBench({ store: two, like: bench, node: 'n2' });
  const { request, values } = gate();
  const hold = await bench.desk.open(request, values, 0);
  await decideAs(far, 'ann', hold.rid);
  expect(await hold.settled).toMatchObject({ state: 'approved', by: ['ann'] });
  expect(await far.desk.claimApproved(request.match, 'claude', 1)).toBeUndefined();
  expect(await hold.claim()).toBeDefined();
  await one.close();
  await two.close();
});

test('many retries on two proxies use an approval once between them', async () => {
  await admin.flushall();
  const [one, two] = await Promise.all([RedisStore.open(server.url), RedisStore.open(server.url)]);
  const bench = await newBench({ store: one });
  const far = await newBench({ store: two, like: bench, node: 'n2' });
  for (let round = 0; round < 5; round += 1) {
    const { request, values } = gate({ sql: `DROP TABLE t${round}` });
    const hold = await bench.desk.open(request, values, 0);
    hold.detach();
    await decideAs(bench, 'ann', hold.rid);
    const claims = await Promise.all(
      [bench, far, bench, far, bench, far].map((at, ref) =>
        at.desk.claimApproved(request.match, 'claude', ref),
      ),
    );
    expect(claims.filter((grant) => grant !== undefined)).toHaveLength(1);
  }
  await one.close();
  await two.close();
});

test('a row set to approved by hand releases nothing', async () => {
  await admin.flushall();
  const store = await RedisStore.open(server.url);
  const bench = await newBench({ store });
  const { request, values } = gate();
  const hold = await bench.desk.open(request, values, 0);
  await admin.hset(`{holdpoint}:r:${hold.rid}`, 'state', 'approved');
  await admin.publish('{holdpoint}:changed', hold.rid);
  await until(() => bench.suspicious.length > 0);
  expect(await hold.claim()).toBeUndefined();
  await store.close();
});

test('a Redis that is away is one clear error, at the start and later', async () => {
  const other = await startRedis();
  const store = await RedisStore.open(other.url);
  await other.stop();
  await expect(store.create(row(), 1, 0)).rejects.toMatchObject({ code: 'store-unreachable' });
  await expect(store.vote('x', 'y', vote('ann'))).rejects.toMatchObject({ code: 'store-unreachable' });
  await expect(store.ping()).rejects.toMatchObject({ code: 'store-unreachable' });
  await store.close();
  await expect(RedisStore.open(other.url)).rejects.toMatchObject({ code: 'store-unreachable' });
});
