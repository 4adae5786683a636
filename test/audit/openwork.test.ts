// What a log has begun and not ended, and how much of that a manifest line has to tell.

import { expect, test } from 'vitest';
import { OpenWork } from '../../src/audit/openwork.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { openTestLog, snapshot, statement, temporaryFolder } from './fixture.ts';

const outcome = (ref: number) => ({ kind: 'outcome', ref, st: 'ok', dur_us: 1 }) as const;

test('a copy, and what is read back from a manifest line, know the same', () => {
  const open = new OpenWork();
  for (const [seq, dec] of ['pass', 'hold', 'hold', 'pass', 'deny'].entries())
    open.note(statement(seq, { dec: dec as 'pass' }), seq);
  open.note({ kind: 'intent', rid: 'r', ref: 1, wire: 'w' }, 5);
  open.note({ kind: 'hold', rid: 'r2', rd: 'd', R: '{}', ref: 2 }, 6);
  open.note(outcome(3), 7);
  open.note(outcome(4), 8);
  expect(open.members()).toEqual({ intents: [1], passes: [0, 1], waits: [2], holds: ['r2'] });
  const again = new OpenWork(JSON.parse(JSON.stringify(open.members())));
  for (const each of [open, open.copy(), again])
    expect(each.endings().map(({ ref, st }) => `${ref} ${st}`)).toEqual([
      '0 unknown',
      '1 unknown',
      '2 canceled',
    ]);
});

test('statements that passed are told in runs', () => {
  const open = new OpenWork();
  for (const seq of [3, 4, 5, 9, 11, 12]) open.note(statement(seq), seq);
  expect(open.members().passes).toEqual([3, 3, 9, 1, 11, 2]);
  expect(new OpenWork(open.members()).endings().map(({ ref }) => ref)).toEqual([3, 4, 5, 9, 11, 12]);
});

test('of too many runs the oldest statements that passed are ended, and what is said of them later is not recorded', () => {
  const open = new OpenWork();
  open.note(statement(0, { dec: 'hold' }), 0);
  for (const seq of [2, 3, 5, 7, 9, 11]) open.note(statement(seq), seq);
  expect(open.forgo(7)).toEqual([]);
  const ended = open.forgo(3);
  expect(ended.map(({ ref, st }) => `${ref} ${st}`)).toEqual(['2 unknown', '3 unknown', '5 unknown']);
  for (const [at, body] of ended.entries()) open.note(body, 20 + at);
  expect(open.members()).toMatchObject({ waits: [0], passes: [7, 1, 9, 1, 11, 1] });
  expect([open.repeats(outcome(3)), open.repeats(outcome(3)), open.repeats(outcome(7))]).toEqual([
    true,
    false,
    false,
  ]);
});

test('a segment that closes while very many statements are open has a line that verifies, and each has one outcome', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 65_536 });
  const refs: number[] = [];
  for (let n = 0; n < 3000; n += 1) {
    refs.push(log.append(statement(n)));
    log.append({ kind: 'hb' });
  }
  await log.durable(refs.at(-1)!);
  for (const ref of refs) log.append(outcome(ref));
  await log.close();
  const source = snapshot(path);
  expect(source.lines('manifest.jsonl').length).toBeGreaterThan(0);
  const report = await verifyLog(source);
  expect(report).toMatchObject({ ok: true, kinds: { stmt: 3000, outcome: 3000 } });
});
