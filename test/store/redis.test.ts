// The same contract on real servers in the three shapes, and what only a shared store can get wrong.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { RedisStore } from '../../src/store/redis.ts';
import { type RedisAddress, readStoreUrl } from '../../src/store-url.ts';
import {
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  type TestCluster,
  type TestRedis,
  type TestSentinel,
} from '../support/redis.ts';
import { row, storeContract, vote } from './contract.ts';

let server: TestRedis;
let cluster: TestCluster;
let sentinel: TestSentinel;

const open = (url: string) => RedisStore.open(readStoreUrl(url) as RedisAddress);

beforeAll(async () => {
  [server, cluster, sentinel] = await Promise.all([startRedis(), startRedisCluster(), startRedisSentinel()]);
});

afterAll(async () => {
  await server?.stop();
  await cluster?.stop();
  await sentinel?.stop();
});

/** Every key there is, and how long it has to live. */
async function lives(nodes: readonly TestRedis[]): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const { admin } of nodes) {
    for (const key of await admin.keys('*')) found.set(key, await admin.pttl(key));
  }
  return found;
}

storeContract('redis', async () => {
  await server.admin.flushall();
  return open(server.url);
});

storeContract('redis cluster', async () => {
  await Promise.all(cluster.nodes.map(({ admin }) => admin.flushall()));
  return open(cluster.url);
});

storeContract('redis sentinel', async () => {
  await sentinel.primary.admin.flushall();
  return open(sentinel.url);
});

test('every key has a time to live', async () => {
  await Promise.all(cluster.nodes.map(({ admin }) => admin.flushall()));
  const store = await open(cluster.url);
  const now = Date.now();
  const [one, two] = [row({ created: now, exp: now + 1000 }), row({ created: now, exp: now + 1000 })];
  await store.create(one, 10, now);
  await store.restore(two);
  await store.vote(one.rid, one.rd, vote('ann'));
  await store.consume(one.rid, one.rd, one.holder);
  await store.grant(one.rid, one.rd, now + 1000);
  await store.vote(two.rid, two.rd, vote('ann', 'reject'));
  await store.once('jti', now + 1000, now);
  await store.lease({ name: 'n', holder: 'h', text: '' }, 1000);
  const found = await lives(cluster.nodes);
  expect(found.size).toBeGreaterThan(12);
  for (const [key, ms] of found) expect(ms, key).toBeGreaterThan(0);
  await store.close();
});
