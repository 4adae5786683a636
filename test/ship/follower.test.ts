// What a destination gets, whatever it and its process do: everything, in order, at least once.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Cursor } from '../../src/ship/cursor.ts';
import type { Destination } from '../../src/ship/follower.ts';
import { pauseMs, Retry, RetryLater } from '../../src/ship/retry.ts';
import { logFolder, openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';
import { follow } from './following.ts';

/** Takes everything, and fails as told. */
function collecting(fail: (delivery: number) => boolean = () => false): Destination & { seqs: number[] } {
  const seqs: number[] = [];
  let deliveries = 0;
  return {
    place: 'here',
    seqs,
    async deliver(records) {
      deliveries += 1;
      if (fail(deliveries)) throw new Error('away');
      seqs.push(...records.map(({ begin }) => begin.seq));
      return { bytes: 1, refused: 0 };
    },
    close() {},
  };
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

test('a delivery that failed is made again, and nothing overtakes it', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  for (let n = 0; n < 1200; n += 1) log.append(statement(n));
  await log.close();
  const destination = collecting((delivery) => delivery === 2);
  const { follower, drain } = follow(path, log, destination);
  await expect(drain()).rejects.toThrow('away');
  expect(follower.at!.seq).toBe(destination.seqs.length);
  await drain();
  expect(destination.seqs).toEqual(upTo(log.health.sealed));
});

test('a process that dies after a delivery makes it again, and goes on where it stood', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  for (let n = 0; n < 1200; n += 1) log.append(statement(n));
  await log.close();
  const first = collecting();
  const dying: Destination = {
    ...first,
    async deliver(records, signal) {
      await first.deliver(records, signal);
      if (first.seqs.length > 600) throw new Error('killed');
      return { bytes: 1, refused: 0 };
    },
  };
  await expect(follow(path, log, dying).drain()).rejects.toThrow('killed');
  const second = collecting();
  await follow(path, log, second).drain();
  expect(second.seqs[0]).toBeGreaterThan(0);
  expect(second.seqs[0]).toBeLessThanOrEqual(first.seqs.length);
  expect([...new Set([...first.seqs, ...second.seqs])]).toEqual(upTo(log.health.sealed));
});

test('another destination under the same name gets everything, and so does one whose cursor is unreadable', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  await log.close();
  await follow(path, log, collecting()).drain();
  const moved = collecting();
  await follow(path, log, { ...moved, place: 'elsewhere' }).drain();
  expect(moved.seqs).toEqual(upTo(log.health.sealed));
  const cursor = new Cursor<{ at: number }>(join(path, 'ship', 'cursor.json'), 'elsewhere');
  rmSync(join(path, 'ship'), { recursive: true });
  expect(await cursor.read({ at: 7 })).toEqual({ at: 7 });
});

test('records that were pruned before they could be sent are told of, and the rest is sent', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 65_536 });
  for (let n = 0; n < 20; n += 1) await log.durable(log.append(statement(n, { sql: 'x'.repeat(8000) })));
  await log.close();
  rmSync(join(logFolder(path), 'seg-00000000.jsonl'));
  const destination = collecting();
  const { drain, told } = follow(path, log, destination);
  await drain();
  const first = destination.seqs[0]!;
  expect(first).toBeGreaterThan(0);
  expect(told).toEqual([`lost 0 to ${first}`]);
  expect(destination.seqs).toEqual(upTo(log.health.sealed).slice(first));
});

test('pauses double from half a second to half a minute, and no two processes pause alike', () => {
  expect([1, 2, 3, 7, 50].map((failures) => pauseMs(failures, 1))).toEqual([500, 1000, 2000, 30_000, 30_000]);
  expect(pauseMs(7, 0)).toBe(15_000);
});

test('work that fails is tried again, is told of once it succeeds, and ends when it is closed', async () => {
  const outcomes: (string | undefined)[] = [];
  let rounds = 0;
  const done = Promise.withResolvers<void>();
  const retry = new Retry({
    round: async () => {
      rounds += 1;
      if (rounds === 1) throw new RetryLater('busy', 1);
      return false;
    },
    idleMs: 3_600_000,
    roundMs: 10_000,
    random: () => 0,
    outcome: (why) => {
      outcomes.push(why);
      if (why === undefined) done.resolve();
    },
  });
  await done.promise;
  expect(outcomes).toEqual(['busy', undefined]);
  retry.wake();
  await expect.poll(() => rounds).toBe(3);
  await retry.close();
});

test('a round that hangs is given up, and closing does not wait for it', async () => {
  const why = Promise.withResolvers<string | undefined>();
  const hang = (signal: AbortSignal) =>
    new Promise<boolean>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  const slow = new Retry({ round: hang, idleMs: 1, roundMs: 20, random: () => 0, outcome: why.resolve });
  expect(await why.promise).toMatch(/timeout/);
  await slow.close();
  const endless = new Retry({
    round: hang,
    idleMs: 1,
    roundMs: 3_600_000,
    random: () => 0,
    outcome: () => {},
  });
  await endless.close();
});
