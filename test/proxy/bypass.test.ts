// Rows that go by a downlink unseen, over real connections of this machine: what the client gets is what the server sent, in
// order, whatever else happens to the stream meanwhile. Where the hop is not built nothing goes by.

import { once } from 'node:events';
import { setImmediate as turnOver } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Line } from '../../src/hop/line.ts';
import { Passage } from '../../src/hop/passage.ts';
import { Downlink } from '../../src/proxy/downlink.ts';
import type { BackendStep } from '../../src/session/step.ts';
import { FRAME, Framer, NONE } from '../../src/wire/framer.ts';
import { backendKnown, noticeResponse, readyForQuery } from '../../src/wire/messages/backend.ts';
import { closeAll, connected } from '../hop/pair.ts';
import { commandComplete, copyData, dataRow, rawFrame, rowDescription } from '../support/frames.ts';

const isBuilt = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

afterEach(closeAll);

/** A downlink between a server and a client, whose far ends the test has. */
class Stream {
  readonly downlink: Downlink;
  /** What the downlink was shown, and bytes that it was given of all. */
  readonly judged: Buffer[] = [];
  given = 0;
  /** What the client has. */
  readonly got: Buffer[] = [];
  gotBytes = 0;
  failure: unknown;
  readonly #database: import('node:net').Socket;
  readonly user: import('node:net').Socket;
  readonly server: Line;
  readonly client: Line;

  private constructor(
    database: import('node:net').Socket,
    user: import('node:net').Socket,
    server: Line,
    client: Line,
  ) {
    this.#database = database;
    this.user = user;
    this.server = server;
    this.client = client;
    this.downlink = new Downlink({
      client,
      server,
      judge: (frame): BackendStep => {
        this.judged.push(Buffer.from(frame.buffer.subarray(frame.start, frame.end)));
        return { kind: 'pass' };
      },
      enclosed: () => true,
    });
    server.on('data', (chunk: Buffer) => {
      this.given += chunk.length;
      try {
        this.downlink.feed(chunk);
      } catch (error) {
        this.failure = error;
        server.destroy();
      }
    });
    server.on('end', () => this.downlink.finish(() => client.end()));
    server.on('error', () => undefined);
    client.on('error', () => undefined);
    user.on('data', (chunk: Buffer) => {
      this.got.push(chunk);
      this.gotBytes += chunk.length;
    });
    server.resume();
  }

  static async open(): Promise<Stream> {
    const [down, up] = [await connected(), await connected()];
    return new Stream(up.far, down.far, up.near(), down.near());
  }

  /** The server sends. */
  async send(bytes: Buffer): Promise<void> {
    this.#database.write(bytes);
    await turnOver();
  }

  async until(bytes: number): Promise<Buffer> {
    await expect.poll(() => this.gotBytes, { timeout: 20_000, interval: 5 }).toBeGreaterThanOrEqual(bytes);
    return Buffer.concat(this.got);
  }

  end(): void {
    this.#database.end();
  }
}

function framesOf(bytes: Buffer): Buffer[] {
  const framer = new Framer({ wanted: backendKnown, known: backendKnown, frameBytesMax: () => 1 << 30 });
  const frames: Buffer[] = [];
  framer.push(bytes);
  for (let given = framer.next(); given !== NONE; given = framer.next())
    if (given === FRAME) frames.push(framer.copy());
  expect(framer.pendingBytes).toBe(0);
  return frames;
}

const ours = (n: number): Buffer => noticeResponse({ S: 'NOTICE', C: '00000', M: `of ours ${n}` });

const frame = fc.oneof(
  { weight: 6, arbitrary: fc.nat(300).map((bytes) => dataRow('x'.repeat(bytes))) },
  { weight: 3, arbitrary: fc.nat(120_000).map((bytes) => dataRow('y'.repeat(bytes))) },
  { weight: 3, arbitrary: fc.nat(5000).map((bytes) => copyData('z'.repeat(bytes))) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(commandComplete('SELECT 3'), readyForQuery('I'), rowDescription('a')),
  },
);

type Act = 'nothing' | 'turn' | 'notice' | 'pause' | 'resume' | 'withhold' | 'settle';

const act: fc.Arbitrary<Act> = fc.constantFrom(
  ...(['nothing', 'turn', 'turn', 'turn', 'notice', 'pause', 'resume', 'withhold', 'settle'] as const),
);

describe.skipIf(!isBuilt)('a downlink', () => {
  test('what the client gets is what was sent, whole and in order, whatever happens meanwhile', async () => {
    let sentBytes = 0;
    let seenBytes = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(frame, { minLength: 1, maxLength: 40 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 90_000 }), act), { minLength: 1, maxLength: 40 }),
        async (frames, pieces) => {
          const stream = await Stream.open();
          const all = Buffer.concat(frames);
          for (let at = 0, n = 0; at < all.length; n += 1) {
            const [bytes, what] = pieces[n % pieces.length]!;
            await stream.send(all.subarray(at, at + bytes));
            at += bytes;
            if (what === 'turn') await turnOver();
            else if (what === 'pause') stream.user.pause();
            else if (what === 'resume') stream.user.resume();
            else if (what === 'withhold') {
              // An enclosure begins where the server owes nothing.
              if (stream.downlink.isIdle) stream.downlink.withhold(() => 'stream');
            } else if (what === 'settle') stream.downlink.settle(true);
            else if (what === 'notice') stream.downlink.notice(ours(n));
          }
          stream.downlink.settle(true);
          stream.user.resume();
          stream.end();
          await once(stream.user, 'end');
          const got = framesOf(Buffer.concat(stream.got));
          expect(got.filter((each) => !each.includes('of ours')).map(String)).toEqual(frames.map(String));
          const wanted = frames.filter((each) => !'Dd'.includes(String.fromCharCode(each[0]!)));
          expect(stream.judged.map(String)).toEqual(wanted.map(String));
          sentBytes += all.length;
          seenBytes += stream.given;
        },
      ),
      { numRuns: Number(process.env.HOLDPOINT_FUZZ_STREAMS ?? 200) },
    );
    expect(seenBytes).toBeLessThan(sentBytes);
  }, 120_000);

  test('rows go by unseen, from the middle of the first ones up to what follows them', async () => {
    const stream = await Stream.open();
    const rows = Buffer.concat(Array.from({ length: 2000 }, (_, n) => dataRow(`row ${n}`.padEnd(100))));
    // Not in a header, which is given on when it is whole.
    const middle = 10 * dataRow(''.padEnd(100)).length + 50;
    await stream.send(Buffer.concat([rowDescription('a'), rows.subarray(0, middle)]));
    await stream.until(rowDescription('a').length + middle);
    const before = stream.given;
    await stream.send(rows.subarray(middle));
    await stream.until(rowDescription('a').length + rows.length);
    expect(stream.given).toBe(before);
    await stream.send(commandComplete('SELECT 2000'));
    const end = commandComplete('SELECT 2000');
    const got = await stream.until(rowDescription('a').length + rows.length + end.length);
    expect(got.equals(Buffer.concat([rowDescription('a'), rows, end]))).toBe(true);
    expect(stream.judged.map(String)).toEqual([rowDescription('a'), end].map(String));
  });

  test('a notice waits for the end of the row that goes by', async () => {
    const stream = await Stream.open();
    const row = dataRow('r'.repeat(1000));
    await stream.send(Buffer.concat([row, row.subarray(0, 500)]));
    await stream.until(row.length + 500);
    await stream.send(row.subarray(500, 900));
    await stream.until(row.length + 900);
    expect(stream.given).toBe(row.length + 500);
    stream.downlink.notice(ours(1));
    await stream.send(row.subarray(900));
    const got = await stream.until(2 * row.length + ours(1).length);
    expect(got.equals(Buffer.concat([row, row, ours(1)]))).toBe(true);
  });

  test.each([false, true])(
    'the last word of a session is not put into a row that goes by (unseen: %s)',
    async (unseen) => {
      const stream = await Stream.open();
      const row = dataRow('r'.repeat(1000));
      await stream.send(row);
      await stream.until(row.length);
      await stream.send(row.subarray(0, 500));
      await stream.until(row.length + 500);
      expect(stream.given).toBe(row.length);
      // The end of the row is not there: nothing may follow.
      stream.downlink.last(ours(1), unseen);
      stream.client.end();
      await once(stream.user, 'end');
      expect(stream.gotBytes).toBe(row.length + 500);
    },
  );

  test('nothing goes by a line that is not read, or that has not taken what it was given', async () => {
    const [one, two] = [await connected(), await connected()];
    const [source, sink] = [one.near(), two.near()];
    const passage = Passage.between(source, sink)!;
    source.on('data', () => undefined);
    passage.open(68, 0, 1 << 20);
    expect(passage.isOpen).toBe(false);
    source.resume();
    two.far.pause();
    while (sink.writableLength === 0) sink.write(Buffer.alloc(1 << 20));
    passage.open(68, 0, 1 << 20);
    expect(passage.isOpen).toBe(false);
    two.far.resume();
    await expect.poll(() => sink.writableLength).toBe(0);
    passage.open(68, 7, 1 << 20);
    expect(passage.isOpen).toBe(true);
    sink.destroy();
    expect(passage.shut()).toBe(7);
    passage.open(68, 0, 1 << 20);
    expect(passage.isOpen).toBe(false);
  });

  test('what is no row ends the stream, and nothing of it is passed on', async () => {
    const stream = await Stream.open();
    const row = dataRow('r'.repeat(100));
    await stream.send(row);
    await stream.until(row.length);
    await stream.send(Buffer.concat([row, rawFrame('?', 'nothing that a server sends')]));
    await expect.poll(() => String(stream.failure)).toContain('invalid message type 63');
    const got = await stream.until(2 * row.length);
    expect(got.equals(Buffer.concat([row, row]))).toBe(true);
  });

  test.each([-2147483648, -1, 0, 3])('a row of length %i ends it too', async (length) => {
    const stream = await Stream.open();
    const row = dataRow('r'.repeat(100));
    const bad = Buffer.from(row);
    bad.writeInt32BE(length, 1);
    await stream.send(row);
    await stream.until(row.length);
    await stream.send(Buffer.concat([row, bad, row]));
    await expect.poll(() => String(stream.failure)).toContain(`invalid message length ${length}`);
    const got = await stream.until(2 * row.length);
    expect(got.equals(Buffer.concat([row, row]))).toBe(true);
  });

  test('nothing of it comes to whoever has the number of a client that is gone', async () => {
    const stream = await Stream.open();
    const row = dataRow('r'.repeat(100));
    await stream.send(row);
    await stream.until(row.length);
    const { fd } = stream.client as unknown as { fd: number };
    const others = await Promise.all(Array.from({ length: 20 }, connected));
    stream.client.destroy();
    // Each gets the lowest number that is free.
    const other = others.find(({ near }) => (near() as Line & { fd: number }).fd === fd)!;
    const before = stream.given;
    await stream.send(row);
    await expect.poll(() => stream.given).toBe(before + row.length);
    await new Promise((resolve) => setImmediate(resolve));
    expect(other.far.bytesRead).toBe(0);
  });

  test('a client that reads nothing keeps the server from being read', async () => {
    const stream = await Stream.open();
    stream.user.pause();
    const row = dataRow('r'.repeat(60_000));
    let sent = 0;
    // More than all the kernel's buffers on the way.
    for (let n = 0; n < 600; n += 1) {
      await stream.send(row);
      sent += row.length;
      await turnOver();
    }
    expect(stream.client.writableLength).toBeLessThan(1 << 20);
    stream.user.resume();
    const got = await stream.until(sent);
    expect(got.length).toBe(sent);
    expect(framesOf(got).every((each) => each.equals(row))).toBe(true);
  }, 60_000);
});
