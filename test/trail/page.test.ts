import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Filter } from '../../src/trail/filter.ts';
import { type Page, page } from '../../src/trail/page.ts';
import { chunkBytes } from '../../src/trail/segment.ts';
import { Trail } from '../../src/trail/trail.ts';
import { temporaryFolder } from '../audit/fixture.ts';
import { compress, writtenLog } from './fixture.ts';

const everything = { rowsMax: 1_000_000, bytesMax: Number.MAX_SAFE_INTEGER };
const ofPage = ({ rows }: Page) => rows.map(({ entry }) => entry.seq);

test('pages of a log in several segments, some compressed, give every statement once, newest first, with its outcome', async () => {
  const log = await writtenLog(200, { late: [3], never: [5] });
  for (const n of [0, 2]) compress(log, n);
  const filter: Filter = { kinds: ['stmt'] };
  const found: number[] = [];
  for (let before: number | undefined, at = 0; at < 100; at += 1) {
    const one = await page(log.trail, filter, { ...everything, rowsMax: 7, before });
    found.push(...ofPage(one));
    for (const { entry, outcome } of one.rows) {
      const n = Number(entry.members.n);
      expect(outcome?.members.rows).toBe(n === 5 ? undefined : n);
    }
    before = one.older;
    if (before === undefined) break;
  }
  expect(found).toEqual([...log.seqs.values()].reverse());
});

test('a page says where it stopped looking, and the next one goes on there', async () => {
  const log = await writtenLog(2_000, {
    change: (n) => (n === 4 ? { agent: 'rare' } : {}),
    segmentBytesMax: 1 << 26,
  });
  const filter = { agent: 'rare' };
  const found: number[] = [];
  let cuts = 0;
  for (let before: number | undefined; ; ) {
    const one = await page(log.trail, filter, { rowsMax: 10, bytesMax: chunkBytes, before });
    found.push(...ofPage(one));
    cuts += Number(one.cut);
    if (one.older === undefined) break;
    if (before !== undefined) expect(one.older).toBeLessThan(before);
    before = one.older;
  }
  expect(found).toEqual([log.seqs.get(4)]);
  expect(cuts).toBeGreaterThan(1);
});

test('everything about a request is found from the records that name it', async () => {
  const path = temporaryFolder();
  const line = (seq: number, kind: string, more: object) =>
    `${JSON.stringify({ ...more, kind, seq, ts: seq })}\n`;
  writeFileSync(
    join(path, 'seg-00000000.jsonl'),
    [
      line(0, 'stmt', { agent: 'a', dec: 'hold' }),
      line(1, 'hold', { ref: 0, rid: 'R' }),
      line(2, 'stmt', { agent: 'a', dec: 'hold' }),
      line(3, 'hold', { ref: 2, rid: 'other' }),
      line(4, 'decision', { rid: 'R' }),
      line(5, 'outcome', { ref: 0, st: 'ok' }),
    ].join(''),
  );
  const one = await page(new Trail(path), { request: 'R' }, everything);
  expect(ofPage(one)).toEqual([4, 1, 0]);
  expect(one.rows.at(-1)?.outcome?.seq).toBe(5);
});

test('records and moments are found by halving: little is read of a long log', async () => {
  const path = temporaryFolder();
  const pad = 'x'.repeat(300);
  for (let n = 0; n < 4; n += 1) {
    const lines = Array.from({ length: 5_000 }, (_, index) => {
      const seq = n * 5_000 + index;
      const seal = seq % 50 === 0 ? `e${pad}\n` : '';
      return `${JSON.stringify({ agent: 'a', dec: 'pass', kind: 'stmt', pad, seq, ts: seq * 1_000_000 })}\n${seal}`;
    });
    writeFileSync(join(path, `seg-0000000${n}.jsonl`), lines.join(''));
  }
  const trail = new Trail(path);
  for (const seq of [0, 1, 4_999, 5_000, 9_997, 19_999]) {
    const position = (await trail.atSeq(seq))!;
    // At the end of one segment, or in the next one.
    const both = [position.n, Math.min(position.n + 1, 3)].map((n) =>
      readFileSync(join(path, `seg-0000000${n}.jsonl`)),
    );
    const ahead = Buffer.concat(both).subarray(position.at).indexOf(`"seq":${seq},`);
    expect(ahead).toBeGreaterThanOrEqual(0);
    expect(ahead).toBeLessThanOrEqual(2 * chunkBytes);
  }
  const since = 12_000 * 1_000_000;
  const one = await page(trail, { since, until: since + 5_000_000 }, { rowsMax: 50, bytesMax: 2 << 20 });
  expect(ofPage(one)).toEqual([12_005, 12_004, 12_003, 12_002, 12_001, 12_000]);
  expect(one).toMatchObject({ older: undefined, cut: false });
});

test('a torn line, an empty file, and lines that are no records are passed over', async () => {
  const garbage = await writtenLog(3);
  const last = garbage.trail.segments().at(-1)!;
  const file = join(garbage.trail.path, last.name);
  const before = await page(garbage.trail, {}, everything);
  writeFileSync(file, `${readFileSync(file, 'utf8')}\n{"seq":\n{}\nnonsense\n{"kind":"stmt","seq":99,"ts"`);
  writeFileSync(join(garbage.trail.path, `seg-${String(last.n + 1).padStart(8, '0')}.jsonl`), '');
  const after = await page(garbage.trail, {}, everything);
  expect(ofPage(after)).toEqual(ofPage(before));
});
