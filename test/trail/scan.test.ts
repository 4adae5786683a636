import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { readEntry } from '../../src/trail/entry.ts';
import { Follower, onward } from '../../src/trail/scan.ts';
import { chunkBytes, SegmentFile } from '../../src/trail/segment.ts';
import { Trail } from '../../src/trail/trail.ts';
import { temporaryFolder } from '../audit/fixture.ts';

const line = (seq: number) => `${JSON.stringify({ kind: 'hb', seq, ts: seq })}\n`;
const file = (path: string, n: number) => join(path, `seg-0000000${n}.jsonl`);

async function read(batches: AsyncGenerator<{ lines: readonly { bytes: Buffer }[] }>): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { lines } of batches) for (const { bytes } of lines) seqs.push(readEntry(bytes)!.seq);
  return seqs;
}

test('whoever follows a log misses nothing: lines that grow, new segments, segments that are compressed or deleted', async () => {
  const path = temporaryFolder();
  writeFileSync(file(path, 0), line(0));
  const follower = new Follower(new Trail(path), undefined);
  expect(await read(follower.fresh())).toEqual([0]);
  appendFileSync(file(path, 0), line(1) + line(2).slice(0, 5));
  expect(await read(follower.fresh())).toEqual([1]);
  appendFileSync(file(path, 0), line(2).slice(5) + line(3));
  // Closed, compressed and taken away before it was read to its end.
  writeFileSync(`${file(path, 0)}.zst`, zstdCompressSync(readFileSync(file(path, 0))));
  rmSync(file(path, 0));
  writeFileSync(file(path, 1), line(4));
  expect(await read(follower.fresh())).toEqual([2, 3, 4]);
  rmSync(`${file(path, 0)}.zst`);
  writeFileSync(file(path, 2), '');
  writeFileSync(file(path, 3), line(5));
  expect(await read(follower.fresh())).toEqual([5]);
  expect(await read(follower.fresh())).toEqual([]);
  await follower.close();
});

test('lines are the same read onward and backward, wherever the pieces end', async () => {
  const path = temporaryFolder();
  const lengths = [chunkBytes - 1, 1, chunkBytes, 2, 0, 60_000, 65_000, 3, chunkBytes + 60_000];
  const texts = lengths.map((length, at) => String(at) + 'y'.repeat(length));
  writeFileSync(file(path, 0), `${texts.join('\n')}\ntorn`);
  const segment = await SegmentFile.open(0, file(path, 0));
  const ahead: string[] = [];
  for await (const lines of segment.forward(0)) ahead.push(...lines.map(({ bytes }) => String(bytes)));
  const behind: string[] = [];
  for await (const lines of segment.backward(await segment.size()))
    behind.push(...lines.map(({ bytes }) => String(bytes)));
  expect(ahead).toEqual(texts);
  expect(behind.reverse()).toEqual(texts);
  await segment.close();
});

test('a line without an end is refused, not read into memory', async () => {
  const path = temporaryFolder();
  writeFileSync(file(path, 0), `{"a":"${'x'.repeat(1 << 20)}`);
  await expect(read(onward(new Trail(path), undefined))).rejects.toThrow('a line of the log has more than');
});
