// The same contract on real servers in the three shapes, and what only a shared store can get wrong.

import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RedisStore } from '../../src/store/redis.ts';
import { type RedisAddress, readStoreUrl } from '../../src/store-url.ts';
import {
  eventually,
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

test('all keys of one request are in one slot, and no two requests in the same one by design', async () => {
  const store = await open(cluster.url);
  const now = Date.now();
  const one = row({ created: now, exp: now + 60_000 });
  await store.create(one, 1000, now);
  await store.vote(one.rid, one.rd, vote('ann'));
  const keys = [...(await lives(cluster.nodes)).keys()].filter((key) => key.includes(one.rid));
  expect(keys.sort()).toEqual(['row', 'voters', 'votes'].map((name) => `hp:{${one.rid}}:${name}`));
  const slots = await Promise.all(keys.map((key) => cluster.nodes[0]!.admin.call('CLUSTER', 'KEYSLOT', key)));
  expect(new Set(slots).size).toBe(1);
  await store.close();
});

test('scripts are sent once a connection, and by their digest from then on', async () => {
  await server.admin.config('RESETSTAT');
  const store = await open(server.url);
  for (let count = 0; count < 50; count += 1) await store.get('nothing');
  const stats = String(await server.admin.info('commandstats'));
  const calls = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  expect(calls('evalsha')).toBeGreaterThanOrEqual(49);
  expect(calls('eval')).toBeLessThan(5);
  await server.admin.script('FLUSH');
  expect(await store.get('nothing')).toBeUndefined();
  await store.close();
});

describe('a lookup is a hint, and heals', () => {
  const now = Date.now();
  const keys = { pending: 'hp:{a:claude}:pending', since: 'hp:{a:claude}:since', open: 'hp:{a:claude}:open' };
  let store: RedisStore;

  const fresh = async (): Promise<void> => {
    await server.admin.flushall();
    store = await open(server.url);
  };

  test('a place that was reserved for a row that was never made is free again, but not at once', async () => {
    await fresh();
    const { admin } = server;
    await admin.zadd(keys.pending, now + 60_000, 'ghost');
    await admin.hset(keys.since, 'ghost', Date.now());
    expect(await store.create(row({ exp: now + 60_000 }), 1, now)).toBe('too-many');
    await admin.hset(keys.since, 'ghost', Date.now() - 60_000);
    expect(await store.create(row({ exp: now + 60_000 }), 1, now)).toBe('created');
    expect(await admin.zscore(keys.pending, 'ghost')).toBeNull();
    await store.close();
  });

  test('a row that ended without being taken off takes no place, is not open and not free', async () => {
    await fresh();
    const one = row({ exp: now + 60_000, holder: '' });
    await store.create(one, 1, now);
    await server.admin.hset(`hp:{${one.rid}}:row`, 'state', 'canceled');
    expect(await store.findFree('claude', one.match, 'pending', now)).toBeUndefined();
    expect(await store.open('claude', now)).toEqual([]);
    await eventually('it is taken off', async () => (await server.admin.zcard(keys.open)) === 0);
    await server.admin.zadd(keys.pending, now + 60_000, one.rid);
    expect(await store.create(row({ exp: now + 60_000 }), 1, now)).toBe('created');
    await store.close();
  });

  test('a row is in its lists, whenever the store is emptied while it is made', {
    timeout: 120_000,
  }, async () => {
    await fresh();
    let survived = 0;
    for (let round = 0; round < 400; round += 1) {
      const one = row({ created: now, exp: now + 60_000, agent: `a${round}` });
      // One command after another on a connection of its own: the store is emptied between any two steps of the other.
      let isMade = false;
      const emptied = (async () => {
        for (let times = 0; times < round % 8 && !isMade; times += 1) await server.admin.ping();
        await server.admin.flushall();
      })();
      const made = round % 2 === 0 ? store.create(one, 10, now) : store.restore(one);
      await made.finally(() => (isMade = true));
      await emptied;
      if ((await store.get(one.rid)) === undefined) continue;
      survived += 1;
      expect((await store.list({ states: ['pending'], rowsMax: 10 })).map(({ rid }) => rid)).toContain(
        one.rid,
      );
      expect((await store.open(one.agent, now)).map(({ rid }) => rid)).toEqual([one.rid]);
    }
    expect(survived).toBeGreaterThan(0);
    await store.close();
  });

  test('an open row that the list has lost is listed again when its agent asks', async () => {
    await fresh();
    const one = row({ created: now, exp: now + 60_000 });
    await store.create(one, 1, now);
    await server.admin.del('hp:{list}:open', 'hp:{list}:all');
    expect(await store.list({ states: ['pending'], rowsMax: 10 })).toEqual([]);
    expect(await store.open('claude', now)).toHaveLength(1);
    const listed = async (states?: readonly ['pending']) =>
      (await store.list({ ...(states && { states }), rowsMax: 10 })).map(({ rid }) => rid);
    await eventually('it is listed', async () => (await listed(['pending'])).includes(one.rid));
    expect(await listed()).toEqual([one.rid]);
    await store.close();
  });

  test('rows that are gone are dropped from the list, unless they may be on their way', async () => {
    await fresh();
    const [old, young] = [row({ created: now - 3_600_000 }), row({ created: Date.now() })];
    for (const one of [old, young]) {
      await store.create(one, 10, now);
      await server.admin.del(`hp:{${one.rid}}:row`);
    }
    expect(await store.list({ rowsMax: 10 })).toEqual([]);
    await eventually('the old one is dropped', async () => (await server.admin.zcard('hp:{list}:all')) === 1);
    expect(await server.admin.zscore('hp:{list}:all', young.rid)).not.toBeNull();
    await store.close();
  });
});

describe('a server that was set back', () => {
  test('what it may have forgotten about is used by nobody but whoever vouches for it', async () => {
    const own = await startRedis();
    const store = await open(own.url);
    const now = Date.now();
    const made = async (holder: string, approved = true) => {
      const one = row({ exp: now + 60_000, holder });
      await store.create(one, 100, now);
      if (approved) await store.vote(one.rid, one.rd, vote('ann'));
      return one;
    };
    const [free, waiting, held, alone] = [
      await made(''),
      await made('', false),
      await made('n1/b/s/1'),
      await made('n1/b/s/2'),
    ];
    const granted = await made('n1/b/s/3');
    await store.consume(granted.rid, granted.rd, granted.holder);
    await store.grant(granted.rid, granted.rd, now + 60_000);
    expect(
      await store.spend(granted.rid, granted.rd, { uses: 1, rows: 0 }, { uses: 2, rows: 9 }, now),
    ).toBeDefined();
    expect(await store.findFree('claude', free.match, 'approved', now)).toMatchObject({ rid: free.rid });
    expect(await store.overdue(now, 10)).toEqual([]);
    let resumed = 0;
    store.watch({ changed() {}, resumed: () => (resumed += 1) });
    await own.admin.save();
    await own.kill();
    await own.start();
    await eventually('the store is back', async () => (await store.ping()) === undefined && resumed > 0);

    expect((await store.get(free.rid))?.stale).toBe(true);
    expect(await store.findFree('claude', free.match, 'approved', now)).toBeUndefined();
    expect(await store.findFree('claude', free.match, 'pending', now)).toBeUndefined();
    expect(await store.consume(free.rid, free.rd, '')).toBe(false);
    expect(await store.hold(waiting.rid, '', 'n2/b/s/1')).toBe(false);
    expect(await store.vote(waiting.rid, waiting.rd, vote('ann'))).toEqual({ counted: false, why: 'stale' });
    expect((await store.overdue(now, 10)).map(({ rid }) => rid).sort()).toEqual(
      [free.rid, waiting.rid].sort(),
    );
    expect(await store.consume(held.rid, held.rd, held.holder)).toBe(false);
    expect(await store.consume(alone.rid, alone.rd, alone.holder, true)).toBe(true);
    expect(await store.grants('claude', now)).toEqual([]);
    expect(
      await store.spend(granted.rid, granted.rd, { uses: 1, rows: 0 }, { uses: 2, rows: 9 }, now),
    ).toBeUndefined();
    // What is made now has the new lineage.
    const anew = await made('');
    expect(await store.consume(anew.rid, anew.rd, '')).toBe(true);
    await store.close();
    await own.stop();
  });

  test('a replica is no store', async () => {
    await expect(open(sentinel.replica.url)).rejects.toMatchObject({
      code: 'bad-config',
      message: expect.stringContaining('name the primary'),
    });
  });
});

test('whoever listens hears that announcements were missed when the connection for them was cut', async () => {
  for (const [url, admin] of [
    [server.url, server.admin],
    [cluster.url, undefined],
  ] as const) {
    const store = await open(url);
    const heard = new Promise<void>((resumed) => {
      store.watch({ changed() {}, resumed });
    });
    for (const each of admin ? [admin] : cluster.nodes.map((node) => node.admin)) {
      await each.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
    await heard;
    const told = new Promise<string>((resolve) => store.watch({ changed: resolve }));
    const one = row();
    await store.create(one, 1000, Date.now());
    expect(await told).toBe(one.rid);
    await store.close();
  }
});

test('a command whose answer was lost is not sent a second time', async () => {
  const now = Date.now();
  // A wire that carries everything to the server, and breaks when the answer to what is sent next comes back.
  let breaks = false;
  const wires = new Set<net.Socket>();
  const wire = net.createServer((client) => {
    const onward = net.connect(server.port, '127.0.0.1');
    for (const end of [client, onward]) wires.add(end.on('error', () => {}));
    let asked = false;
    client.on('data', (chunk) => {
      asked = breaks;
      onward.write(chunk);
    });
    onward.on('data', (chunk) => {
      if (asked) client.destroy();
      else client.write(chunk);
      if (asked) breaks = false;
    });
    client.on('close', () => onward.end());
  });
  await new Promise<void>((resolve) => wire.listen(0, '127.0.0.1', resolve));
  const store = await open(`redis://127.0.0.1:${(wire.address() as net.AddressInfo).port}`);
  const one = row({ exp: Date.now() + 60_000 });
  await store.create(one, 1000, Date.now());
  await store.vote(one.rid, one.rd, vote('ann'));
  await store.consume(one.rid, one.rd, one.holder);
  await store.grant(one.rid, one.rd, now + 60_000);
  const spend = () => store.spend(one.rid, one.rd, { uses: 1, rows: 0 }, { uses: 9, rows: 0 }, now);
  expect(await spend()).toEqual({ uses: 1, rows: 0 });
  breaks = true;
  await expect(spend()).rejects.toMatchObject({ code: 'store-unreachable' });
  await eventually('it is connected again', async () => (await store.ping()) === undefined);
  expect((await store.get(one.rid))?.grant?.uses).toBe(2);
  await store.close();
  for (const each of wires) each.destroy();
  await new Promise((resolve) => wire.close(resolve));
});

test('a Redis that is away, or does not let us in, is one clear error without a secret', async () => {
  const own = await startRedis('--requirepass', 'hunter2');
  own.admin.disconnect();
  const url = `redis://:hunter2@127.0.0.1:${own.port}/0`;
  const store = await open(url);
  await store.ping();
  const wrong = await open(url.replace('hunter2', 'swordfish')).catch((error: Error) => error);
  expect(wrong).toMatchObject({
    code: 'store-unreachable',
    message: expect.stringContaining(
      `the store redis://127.0.0.1:${own.port}/0 cannot be reached (WRONGPASS)`,
    ),
  });
  await own.kill();
  const refused = await open(url).catch((error: Error) => error);
  expect((refused as Error).message).toContain('(ECONNREFUSED)');
  const errors = [
    refused,
    wrong,
    ...(await Promise.all(
      [
        () => store.create(row(), 1, 0),
        () => store.get('x'),
        () => store.vote('x', 'y', vote('ann')),
        () => store.consume('x', 'y', ''),
        () => store.once('x', 1, 0),
        () => store.leases(''),
        () => store.ping(),
        () => open(url),
      ].map((run) =>
        run().then(
          () => undefined,
          (error: Error) => error,
        ),
      ),
    )),
  ];
  for (const error of errors) {
    expect(error).toMatchObject({ code: 'store-unreachable' });
    const everything = JSON.stringify(error, [
      'message',
      'stack',
      'cause',
      'command',
      'args',
      'detail',
      'hint',
    ]);
    expect(everything + String((error as Error).cause)).not.toMatch(/hunter2|swordfish/);
  }
  await store.close();
  await own.stop();
});
