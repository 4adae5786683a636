// Records in a stream of a real Redis: each once, whatever is sent twice, and never another log's.

import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { streamDestination, streamKey } from '../../src/ship/stream.ts';
import { type RedisAddress, readStoreUrl } from '../../src/store-url.ts';
import { leafHash } from '../../verify/src/leaf.ts';
import { openTestLog, origin, statement, temporaryFolder } from '../audit/fixture.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { entry, follow } from './following.ts';

let redis: TestRedis;
let reader: Redis;
const key = streamKey(origin);

beforeAll(async () => {
  redis = await startRedis();
  reader = new Redis(redis.url);
});

afterAll(async () => {
  reader?.disconnect();
  await redis?.stop();
});

beforeEach(async () => {
  await reader.flushall();
});

const destination = (lengthMax = 100_000) =>
  streamDestination({ address: readStoreUrl(redis.url) as RedisAddress, lengthMax }, origin);
const signal = () => AbortSignal.timeout(10_000);
const some = (n: number, kind = 'hb') => Array.from({ length: n }, (_, seq) => entry({ kind, seq, ts: 1 }));

test('each record is an entry whose id is its place in the log', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  for (let n = 0; n < 20; n += 1) log.append(statement(n));
  await log.close();
  await follow(path, log, destination()).drain();
  const entries = await reader.xrange(key, '-', '+');
  expect(entries.map(([id]) => id)).toEqual(
    Array.from({ length: log.health.sealed }, (_, seq) => `${seq + 1}-0`),
  );
  for (const [seq, [, fields]] of entries.entries()) {
    const {
      line,
      leaf,
      kind,
      seq: said,
    } = Object.fromEntries(
      fields.map((name, i) => [name, fields[i + 1]]).filter((_, i) => i % 2 === 0),
    ) as Record<string, string>;
    expect(JSON.parse(line!)).toMatchObject({ seq, kind });
    expect({ said, leaf }).toEqual({ said: String(seq), leaf: leafHash(line!) });
  }
});

test('what is sent twice is there once, and what is behind it comes', async () => {
  await destination().deliver(some(10), signal());
  await destination().deliver(some(15), signal());
  expect(await reader.xlen(key)).toBe(15);
});

test('another log under the same name is refused', async () => {
  await destination().deliver(some(10), signal());
  await expect(destination().deliver(some(10, 'bye'), signal())).rejects.toThrow(
    /the stream holdpoint:\{holdpoint\/test\}:log holds another log's record 0; delete the stream/,
  );
});

test('the stream keeps about as many records as it may', async () => {
  const to = destination(1000);
  for (let i = 0; i < 10; i += 1) await to.deliver(some(5000).slice(i * 500, (i + 1) * 500), signal());
  await to.close();
  expect(await reader.xlen(key)).toBeLessThan(1500);
  // And what was trimmed away may be sent again.
  await destination(1000).deliver(some(10), signal());
});

test('a Redis that is away or full is a failure that names no secret, and gets everything later', async () => {
  const to = destination();
  await to.deliver(some(5), signal());
  await reader.config('SET', 'maxmemory', '1');
  await expect(to.deliver(some(8), signal())).rejects.toThrow(/Redis refused a record: OOM/);
  await reader.config('SET', 'maxmemory', '0');
  await to.deliver(some(8), signal());
  expect(await reader.xlen(key)).toBe(8);
  await redis.kill();
  await expect(to.deliver(some(9), signal())).rejects.toThrow();
  await redis.start();
  await expect
    .poll(
      () =>
        to.deliver(some(9), signal()).then(
          () => true,
          () => false,
        ),
      { timeout: 15_000 },
    )
    .toBe(true);
  await to.close();
});
