// A descriptor against the stream that it stands in for, over real connections of this machine. Where the hop is not built
// for this platform there is nothing to test, and the proxy runs without it.

import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { Descriptor, hasHop } from '../../src/hop/descriptor.ts';
import { loadHop } from '../../src/hop/hop.ts';
import type { Line } from '../../src/hop/line.ts';
import { takeOver } from '../../src/hop/takeover.ts';
import { atClosing, closeAll, connected } from './pair.ts';

const root = join(import.meta.dirname, '../..');
const isBuilt = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

afterEach(closeAll);

/** Everything that is read until the end. */
async function whole(line: Pick<Line, 'on'>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  line.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve, reject) => {
    line.on('end', resolve);
    line.on('error', reject);
  });
  return Buffer.concat(chunks);
}

function noise(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) buffer.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
  return buffer;
}

describe.skipIf(!isBuilt)('a descriptor', () => {
  test('what one end writes the other reads, both ways, and each end is told', async () => {
    const { far, near } = await connected();
    const line = near();
    const events: string[] = [];
    for (const name of ['end', 'close'] as const) line.on(name, () => events.push(name));
    const read = whole(line);
    line.resume();
    expect(line.write(Buffer.from('from here'))).toBe(true);
    expect(String((await once(far, 'data'))[0])).toBe('from here');
    const closed = once(far, 'close');
    far.end('from there');
    expect(String(await read)).toBe('from there');
    await closed;
    await expect.poll(() => events).toEqual(['end', 'close']);
  });

  test('more than the kernel takes waits, is asked to wait, and arrives whole and in order', async () => {
    const { far, near } = await connected();
    const line = near();
    const sent: Buffer[] = [];
    let drained = 0;
    line.on('drain', () => (drained += 1));
    far.pause();
    let isFull = false;
    for (let n = 0; !isFull || n < 40; n += 1) {
      const bytes = noise(257_003 + n);
      sent.push(bytes);
      isFull = !line.write(bytes);
    }
    expect(line.writableLength).toBeGreaterThan(0);
    line.end(Buffer.from('the last'));
    line.write(Buffer.from('too late'));
    const read = whole(far);
    far.resume();
    expect((await read).equals(Buffer.concat([...sent, Buffer.from('the last')]))).toBe(true);
    expect(drained).toBe(1);
    expect(line.writableLength).toBe(0);
  });

  test('what is written while older bytes wait goes behind them, though the kernel has room again', async () => {
    const { far, near } = await connected();
    const line = near();
    const sent: Buffer[] = [];
    const write = (bytes: Buffer): void => {
      sent.push(bytes);
      line.write(bytes);
    };
    far.pause();
    while (line.writableLength === 0) write(noise(300_001));
    const waiting = line.writableLength;
    // Its reading makes room, of which the line has not been told yet.
    let early = 0;
    far.on('data', () => {
      if (line.writableLength === waiting) early += 1;
      if (sent.length < 300) write(Buffer.from(`${sent.length};`));
      else line.end();
    });
    const read = whole(far);
    far.resume();
    expect((await read).equals(Buffer.concat(sent))).toBe(true);
    expect(early).toBeGreaterThan(0);
  });

  test('paused, nothing is given, not even the end; resumed, all of it is', async () => {
    const { far, near } = await connected();
    const line = near();
    const given: string[] = [];
    line.on('data', (chunk: Buffer) => {
      given.push(...String(chunk));
      line.pause();
    });
    line.on('end', () => given.push('end'));
    line.resume();
    far.write('a');
    await expect.poll(() => given).toEqual(['a']);
    far.end('b');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(given).toEqual(['a']);
    line.resume();
    await expect.poll(() => given).toEqual(['a', 'b']);
    line.resume();
    await expect.poll(() => given).toEqual(['a', 'b', 'end']);
  });

  test('one that another pauses in the same turn keeps what was read of it', async () => {
    const [one, two] = [await connected(), await connected()];
    const lines = [one.near(), two.near()] as const;
    const given: string[] = [];
    let first: Line | undefined;
    for (const line of lines) {
      line.on('data', (chunk: Buffer) => {
        given.push(String(chunk));
        if (first !== undefined) return;
        first = line;
        for (const other of lines) if (other !== line) other.pause();
      });
      line.resume();
    }
    one.far.write('x');
    two.far.write('x');
    // Both are readable before the loop looks at either.
    const until = performance.now() + 50;
    while (performance.now() < until);
    await expect.poll(() => given.length).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(given).toEqual(['x']);
    for (const line of lines) line.resume();
    await expect.poll(() => given).toEqual(['x', 'x']);
  });

  test('a reset is an error and the end of it', async () => {
    const { far, near } = await connected();
    const line = near();
    const events: unknown[] = [];
    line.on('error', (error) => events.push(error));
    line.on('close', () => events.push('close'));
    line.resume();
    far.resetAndDestroy();
    await expect
      .poll(() => events)
      .toEqual([expect.objectContaining({ code: 'ECONNRESET', syscall: 'read' }), 'close']);
  });

  test('writing to somebody who is gone is an error, not the end of the process', async () => {
    const { far, near } = await connected();
    const line = near();
    const errors: NodeJS.ErrnoException[] = [];
    line.on('error', (error) => errors.push(error));
    far.resetAndDestroy();
    await expect
      .poll(() => {
        line.write(Buffer.from('anybody?'));
        return errors.map(({ code }) => code);
      })
      .toEqual([expect.stringMatching(/^(EPIPE|ECONNRESET)$/)]);
    expect(line.write(Buffer.from('nobody'))).toBe(true);
  });

  test('destroyed, it is gone at once and says so once', async () => {
    const { far, near } = await connected();
    const line = near();
    let closed = 0;
    line.on('close', () => (closed += 1));
    line.on('data', () => expect.unreachable());
    line.resume();
    far.write('unheard');
    line.destroy();
    line.destroy();
    await expect.poll(() => far.destroyed).toBe(true);
    expect(closed).toBe(1);
  });

  test('a listener that throws is an uncaught exception, and the others go on', async () => {
    const [one, two] = [await connected(), await connected()];
    const [bad, good] = [one.near(), two.near()];
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error));
    try {
      bad.on('data', () => {
        throw new Error('a defect');
      });
      const read = whole(good);
      bad.resume();
      good.resume();
      one.far.write('x');
      two.far.end('y');
      expect(String(await read)).toBe('y');
      await expect.poll(() => thrown).toEqual([new Error('a defect')]);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });

  test('whatever the order of writes, pauses and reads, bytes arrive as they were sent', {
    timeout: 120_000,
  }, async () => {
    const step = fc.record({
      bytes: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300_000 })),
      from: fc.constantFrom('near', 'far'),
      pause: fc.boolean(),
      wait: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
        const { far, near } = await connected();
        const line = near();
        const sent = { near: [] as Buffer[], far: [] as Buffer[] };
        const [atFar, atNear] = [whole(far), whole(line)];
        line.resume();
        for (const { bytes, from, pause, wait } of steps) {
          const piece = noise(bytes);
          sent[from as 'near' | 'far'].push(piece);
          (from === 'near' ? line : far).write(piece);
          if (pause) line.pause();
          if (wait) await new Promise((resolve) => setImmediate(resolve));
          line.resume();
        }
        far.end();
        line.resume();
        expect((await atNear).equals(Buffer.concat(sent.far))).toBe(true);
        expect((await atFar).equals(Buffer.concat(sent.near))).toBe(true);
        far.destroy();
      }),
      { numRuns: 60 },
    );
  });

  test('a thread with a hop of its own ends, with a connection open and with none', async () => {
    const program = `
      const { workerData, parentPort } = require('node:worker_threads');
      const net = require('node:net');
      (async () => {
        const { takeOver } = await import(workerData.module);
        const server = net.createServer(() => undefined).listen(0, '127.0.0.1', () => {
          const socket = net.connect(server.address().port, '127.0.0.1', () => {
            const { line } = takeOver(socket.pause(), Buffer.alloc(0));
            line.resume();
            server.close();
            parentPort.postMessage(line.constructor.name);
            if (workerData.leaves) line.destroy();
          });
        });
      })();`;
    const module = join(root, 'src/hop/takeover.ts');
    for (const leaves of [true, false]) {
      const worker = new Worker(program, { eval: true, workerData: { module, leaves } });
      expect((await once(worker, 'message'))[0]).toBe('Descriptor');
      const exit = once(worker, 'exit');
      if (!leaves) await worker.terminate();
      // One that has let go of its connections has nothing left to wait for.
      expect((await exit)[0]).toBe(leaves ? 0 : 1);
    }
  });
});

describe('taking over', () => {
  test('what was read before comes first, and what the kernel still has after it', {
    skip: !isBuilt,
  }, async () => {
    const { far, socket } = await connected();
    socket.once('data', () => socket.pause());
    socket.resume();
    far.write('one ');
    await once(socket, 'pause');
    far.write('two ');
    // Read into the stream, and given to nobody.
    await expect.poll(() => socket.readableLength).toBe(4);
    far.end('three');
    const { line, head } = takeOver(socket, Buffer.from('zero '));
    atClosing(() => line.destroy());
    expect(line).toBeInstanceOf(Descriptor);
    const read = whole(line);
    line.resume();
    expect(`${head}${await read}`).toBe('zero two three');
  });

  test('a socket that still has to write, or was ended, stays what it is', async () => {
    const { far, socket } = await connected();
    far.pause();
    while (socket.write(noise(1 << 20)));
    expect(takeOver(socket, Buffer.alloc(0)).line).toBe(socket);
    socket.destroy();
    expect(takeOver(socket, Buffer.alloc(0)).line).toBe(socket);
  });

  test('where no further descriptor is to be had, a socket stays what it is and goes on', {
    skip: !isBuilt,
  }, async () => {
    const { far, socket } = await connected();
    const inside = socket as unknown as { _handle: object };
    const handle = inside._handle;
    // What dup(2) refuses.
    inside._handle = { fd: 2 ** 30, readStop: () => expect.unreachable() };
    expect(takeOver(socket, Buffer.alloc(0)).line).toBe(socket);
    inside._handle = handle;
    const read = whole(socket);
    socket.resume();
    far.end('still here');
    expect(String(await read)).toBe('still here');
  });

  test('a stream that is no socket stays what it is', async () => {
    const { PassThrough } = await import('node:stream');
    const stream = new PassThrough();
    const head = Buffer.from('head');
    expect(takeOver(stream, head)).toEqual({ line: stream, head });
  });

  test('with HOLDPOINT_NATIVE=off there is none', () => {
    process.env.HOLDPOINT_NATIVE = 'off';
    try {
      expect(loadHop()).toBeUndefined();
    } finally {
      delete process.env.HOLDPOINT_NATIVE;
    }
    expect(hasHop()).toBe(isBuilt);
  });
});
