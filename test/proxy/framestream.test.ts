// A socket read frame by frame during a login, in memory.

import { duplexPair } from 'node:stream';
import { expect, test } from 'vitest';
import { FrameStream } from '../../src/proxy/framestream.ts';
import { typeTable } from '../../src/wire/framer.ts';
import { rawFrame } from '../support/frames.ts';
import { turn } from './link.ts';

function streamOf(head?: Buffer) {
  const [far, near] = duplexPair();
  const frames = new FrameStream(near, { known: typeTable('p'), frameBytesMax: 4096 }, head);
  return { far, near, frames };
}

const text = async (frame: ReturnType<FrameStream['next']>): Promise<string> => {
  const { buffer, end } = await frame;
  return buffer.toString('latin1', 5, end);
};

test('frames come one at a time, from the head and from however many chunks', async () => {
  const { far, frames } = streamOf(rawFrame('p', 'one'));
  const two = rawFrame('p', 'two');
  far.write(two.subarray(0, 3));
  expect(await text(frames.next())).toBe('one');
  const next = frames.next();
  far.write(Buffer.concat([two.subarray(3), rawFrame('p', 'three')]));
  expect(await text(next)).toBe('two');
  expect(await text(frames.next())).toBe('three');
});

test('each frame keeps its bytes when the next one comes', async () => {
  const { far, frames } = streamOf();
  const [one, two] = [rawFrame('p', 'one'), rawFrame('p', 'two')];
  far.write(one.subarray(0, 4));
  await turn();
  far.write(Buffer.concat([one.subarray(4), two.subarray(0, 4)]));
  const first = await frames.next();
  far.write(two.subarray(4));
  await text(frames.next());
  expect(first.buffer.toString('latin1', 5, first.end)).toBe('one');
});

test('what was read and not given out goes to the next reader', async () => {
  const { far, near, frames } = streamOf();
  far.write(Buffer.concat([rawFrame('p', 'one'), Buffer.from('Qrest')]));
  await frames.next();
  expect(frames.detach().toString()).toBe('Qrest');
  expect(near.isPaused()).toBe(true);
  expect(near.listenerCount('data')).toBe(0);
});

test('a type that may not come, and a frame too large, reject', async () => {
  const { far, frames } = streamOf();
  far.write(rawFrame('Q', 'select 1\0'));
  await expect(frames.next()).rejects.toMatchObject({ code: 'protocol-violation' });
  await expect(streamOf(rawFrame('p', 'x'.repeat(5000))).frames.next()).rejects.toMatchObject({
    code: 'too-large',
  });
});

test('a socket that closes or fails rejects, also when that came first', async () => {
  const { near, frames } = streamOf();
  const waiting = frames.next();
  near.destroy();
  await expect(waiting).rejects.toMatchObject({ code: 'upstream-unreachable' });
  await expect(frames.next()).rejects.toMatchObject({ code: 'upstream-unreachable' });
  const other = streamOf();
  other.near.destroy(new Error('reset'));
  await turn();
  await expect(other.frames.next()).rejects.toThrow('reset');
});

test('whoever floods a login is not read on until its first frame is taken', async () => {
  const { far, near, frames } = streamOf();
  for (let each = 0; each < 100; each += 1) {
    far.write(rawFrame('p', 'x'.repeat(1000)));
    await turn(2);
  }
  expect(near.isPaused()).toBe(true);
  expect(far.writableLength + near.readableLength).toBeGreaterThan(80_000);
  for (let each = 0; each < 100; each += 1) expect((await text(frames.next())).length).toBe(1000);
});
