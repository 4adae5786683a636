// A lane whose client is no descriptor: what it sends is fed, and what it is answered is told. The server's end is a real
// connection of this machine. Where the hop is not built there are no lanes.

import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { laneBetween, revokeRounds } from '../../src/hop/lanes.ts';
import type { Line } from '../../src/hop/line.ts';
import { answer, FakeLog, FakeUser, formOf, round } from './lane.ts';
import { closeAll, connected } from './pair.ts';

const isBuilt = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

afterEach(closeAll);

const roundOf = (value: string) => round([Buffer.from(value)]);

/** `place`: of the form that it has. */
async function fedWay(log = new FakeLog()) {
  const pair = await connected();
  const near = pair.near();
  const user = new FakeUser(log);
  user.keepsValues = false;
  const lane = laneBetween(new PassThrough() as unknown as Line, near, user)!;
  let [toServer, toSession] = [Buffer.alloc(0), Buffer.alloc(0)];
  pair.far.on('data', (chunk: Buffer) => {
    toServer = Buffer.concat([toServer, chunk]);
  });
  near.on('data', (chunk: Buffer) => {
    toSession = Buffer.concat([toSession, chunk]);
  });
  near.resume();
  pair.far.setNoDelay(true);
  lane.learn(0, formOf(roundOf('a')));
  lane.open(0, 'I');
  return {
    ...{ log, user, lane, near, server: pair.far },
    get toServer() {
      return toServer;
    },
    get toSession() {
      return toSession;
    },
    get toClient() {
      return Buffer.concat(user.answers);
    },
    /** All that the server has been sent in front of what is sent here. */
    async sent(): Promise<Buffer> {
      const mark = Buffer.from('<- up to here ->');
      near.write(mark);
      await expect.poll(() => toServer.includes(mark)).toBe(true);
      const all = toServer.subarray(0, toServer.indexOf(mark));
      toServer = Buffer.alloc(0);
      return all;
    },
    async answered(bytes: Buffer): Promise<void> {
      const before = user.answers.length;
      pair.far.write(bytes);
      await expect.poll(() => user.answers.length).toBe(before + 1);
      expect(user.answers.at(-1)!.equals(bytes)).toBe(true);
    },
  };
}

describe.skipIf(!isBuilt)('what is fed', () => {
  test('goes to the server exactly if it is a round, and its answer comes whole', async () => {
    const way = await fedWay();
    for (const text of ['one', 'two', 'x'.repeat(4000), '']) {
      expect(way.lane.feed(roundOf(text))).toBe(true);
      expect((await way.sent()).equals(roundOf(text))).toBe(true);
      // What is under way is followed by nothing.
      expect(way.lane.feed(roundOf('meanwhile'))).toBe(false);
      await way.answered(answer([text]));
    }
    const whole = roundOf('x');
    const others = [whole.subarray(0, 9), whole.subarray(1), Buffer.concat([whole, whole]), Buffer.alloc(0)];
    for (const other of [...others, Buffer.alloc(5000, whole), round([null, null])])
      expect(way.lane.feed(other)).toBe(false);
    expect((await way.sent()).toString()).toBe('');
    expect(way.toSession.toString()).toBe('');
    expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: 4 });
    const briefs = way.log.records.map(({ brief }) => brief);
    expect(briefs).toEqual(['passed', 0, 'passed', 2, 'passed', 4, 'passed', 6]);
  });

  test('waits for its record to be in the file', async () => {
    const way = await fedWay();
    way.log.isQuick = false;
    expect(way.lane.feed(roundOf('a'))).toBe(true);
    expect((await way.sent()).toString()).toBe('');
    way.log.answer();
    expect((await way.sent()).equals(roundOf('a'))).toBe(true);
    await way.answered(answer());
  });

  test('and is not admitted is the session’s, and it is as if the lane had not had it', async () => {
    const way = await fedWay();
    way.user.isAdmitting = false;
    expect(way.lane.feed(roundOf('a'))).toBe(false);
    way.user.isAdmitting = true;
    way.log.takes = false;
    expect(way.lane.feed(roundOf('b'))).toBe(false);
    way.log.takes = true;
    expect((await way.sent()).toString()).toBe('');
    expect(way.log.records).toEqual([]);
    expect(way.lane.feed(roundOf('c'))).toBe(true);
    expect((await way.sent()).equals(roundOf('c'))).toBe(true);
    await way.answered(answer());
    expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: 1 });
  });

  test('is the session’s while the lane is shut, or there is none any more', async () => {
    const way = await fedWay();
    way.lane.shut();
    expect(way.lane.feed(roundOf('a'))).toBe(false);
    way.lane.open(3, 'I');
    expect(way.lane.feed(roundOf('b'))).toBe(true);
    way.near.destroy();
    expect(way.lane.feed(roundOf('c'))).toBe(false);
    expect(way.lane.shut()).toMatchObject({ state: 'flight', rounds: 1 });
  });

  test('is answered through the session where the lane is shut meanwhile, or the answer is another', async () => {
    for (const isShut of [true, false]) {
      const way = await fedWay();
      expect(way.lane.feed(roundOf('a'))).toBe(true);
      expect((await way.sent()).equals(roundOf('a'))).toBe(true);
      if (isShut) expect(way.lane.shut()).toMatchObject({ state: 'flight', rounds: 1, ref: 0 });
      const bytes = isShut ? answer() : answer().subarray(0, 20);
      way.server.write(bytes);
      await expect.poll(() => way.toSession.equals(bytes)).toBe(true);
      expect(way.toClient.toString()).toBe('');
    }
  });

  test('of many lanes at once is each answered its own', async () => {
    const log = new FakeLog();
    const ways = await Promise.all(Array.from({ length: 40 }, () => fedWay(log)));
    for (let times = 0; times < 5; times += 1) {
      for (const [at, way] of ways.entries()) expect(way.lane.feed(roundOf(`${at} ${times}`))).toBe(true);
      for (const [at, way] of ways.entries())
        expect((await way.sent()).equals(roundOf(`${at} ${times}`))).toBe(true);
      for (const [at, way] of ways.entries())
        way.server.write(answer([`${at} ${times}`, 'y'.repeat(at * 50)]));
      for (const [at, way] of ways.entries())
        await expect
          .poll(() => way.user.answers[times]?.equals(answer([`${at} ${times}`, 'y'.repeat(at * 50)])))
          .toBe(true);
    }
    for (const way of ways) {
      expect(way.toSession.toString()).toBe('');
      expect(way.lane.shut()).toMatchObject({ state: 'idle', rounds: 5 });
    }
    expect(log.records).toHaveLength(40 * 5 * 2);
  });

  test('is asked about again once rounds were revoked', async () => {
    const way = await fedWay();
    expect(way.lane.feed(roundOf('a'))).toBe(true);
    await way.sent();
    await way.answered(answer());
    revokeRounds();
    way.user.isAdmitting = false;
    expect(way.lane.feed(roundOf('b'))).toBe(false);
    expect((await way.sent()).toString()).toBe('');
  });
});
