import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { chunkBytes } from '../../src/trail/segment.ts';
import { storyOf } from '../../src/trail/story.ts';
import { Trail } from '../../src/trail/trail.ts';
import { temporaryFolder } from '../audit/fixture.ts';

/** A log of these records, each followed by as many bytes of others as `apart` says. */
function logOf(records: readonly (readonly [kind: string, members: object])[], apart: number) {
  const path = temporaryFolder();
  const lines: string[] = [];
  const seqs: number[] = [];
  let seq = 0;
  const add = (kind: string, members: object) => {
    lines.push(JSON.stringify({ boot: 'b', ...members, kind, seq, ts: seq, v: 1 }));
    seq += 1;
  };
  for (const [kind, members] of records) {
    seqs.push(seq);
    add(kind, members);
    for (let filled = 0; filled < apart; filled += 1100)
      add('stmt', { agent: 'other', sid: 'x', sql: 'y'.repeat(1000) });
  }
  writeFileSync(join(path, 'seg-00000000.jsonl'), `${lines.join('\n')}\n`);
  return { trail: new Trail(path), seqs };
}

const D = JSON.stringify({ approver: 'ann', for: 'ben', verdict: 'approve' });
const records = (ref: number) =>
  [
    ['boot', {}],
    ['approver', { id: 'ann' }],
    ['approver', { id: 'zoe' }],
    ['delegation', { from: 'ben', to: 'ann' }],
    ['auth', { sid: 's', ok: true }],
    ['auth', { sid: 'other', ok: true }],
    ['stmt', { sid: 's', dec: 'hold' }],
    ['hold', { ref, rid: 'R' }],
    ['decision', { rid: 'R', D }],
    ['grant_use', { ref, rid: 'R', by: ['ann'] }],
    ['intent', { ref, rid: 'R' }],
    ['outcome', { ref, st: 'ok' }],
    ['hold', { ref: 1, rid: 'Q' }],
    ['redact', { seqs: [ref], basis: 'asked', by: 'ann' }],
  ] as const;

const whole = { bytesMax: 1 << 30, recordsMax: 500 };

test('a story is found from any of its records, however far apart they are', async () => {
  for (const apart of [0, 3 * chunkBytes]) {
    const ref = logOf(records(0), apart).seqs[6]!;
    const { trail, seqs } = logOf(records(ref), apart);
    const expected = [1, 3, 4, 6, 7, 8, 9, 10, 11, 13].map((at) => seqs[at]);
    for (const at of [6, 7, 8, 9, 10, 11]) {
      const story = (await storyOf(trail, seqs[at]!, whole))!;
      expect([at, story.records.map(({ seq }) => seq)]).toEqual([at, expected]);
      expect(story).toMatchObject({ rid: 'R', complete: true, statement: { seq: ref } });
    }
  }
});

test('a story says that it is not all where more of the log than is looked at may tell of it', async () => {
  const ref = logOf(records(0), 3 * chunkBytes).seqs[6]!;
  const { trail, seqs } = logOf(records(ref), 3 * chunkBytes);
  const short = (await storyOf(trail, ref, { ...whole, bytesMax: 4 * chunkBytes }))!;
  expect(short.complete).toBe(false);
  expect(short.records.length).toBeLessThan(10);
  const few = (await storyOf(trail, ref, { ...whole, recordsMax: 5 }))!;
  expect([few.complete, few.records.length]).toEqual([false, 5]);
  expect(await storyOf(trail, 1e9, whole)).toBeUndefined();
  expect(await storyOf(trail, seqs[0]!, whole)).toMatchObject({
    complete: true,
    records: [{ kind: 'boot' }],
  });
});

test('enrolments that were passed by before it was known who decided are found all the same', async () => {
  const order = (held: number, ref: number) =>
    [
      ['boot', { boot: 'a' }],
      ['stmt', { boot: 'a', sid: 'before', dec: 'hold' }],
      ['hold', { boot: 'a', ref: held, rid: 'R' }],
      ['boot', {}],
      ['approver', { id: 'ann' }],
      ['auth', { sid: 's', ok: true }],
      ['stmt', { sid: 's', dec: 'pass', rid: 'R' }],
      ['decision', { rid: 'R', D }],
      ['grant_use', { ref, rid: 'R' }],
    ] as const;
  const places = logOf(order(0, 0), 3 * chunkBytes).seqs;
  const { trail, seqs } = logOf(order(places[1]!, places[6]!), 3 * chunkBytes);
  const story = (await storyOf(trail, seqs[6]!, whole))!;
  expect(story.records.map(({ seq }) => seq)).toEqual(
    expect.arrayContaining([4, 7, 8].map((at) => seqs[at])),
  );
});
