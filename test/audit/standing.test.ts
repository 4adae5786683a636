// What the log does while its disk or its signer is slow or silent: nobody waits for ever, nothing is refused longer than
// it must be, and memory has a bound.

import * as fs from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { AuditLog } from '../../src/audit/log.ts';
import type { LogOptions } from '../../src/audit/opening.ts';
import { type Sign, signToken } from '../../src/audit/seal.ts';
import type { HoldpointError } from '../../src/errors.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { FaultFs } from './faultfs.ts';
import { logFolder, openTestLog, snapshot, statement, temporaryFolder } from './fixture.ts';

const refused = { code: 'log-unwritable', sqlstate: '58030' };

function written(log: AuditLog): Promise<HoldpointError | undefined> {
  return new Promise((resolve) => log.written(resolve));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

async function slowLog(more: Partial<LogOptions> = {}) {
  const path = temporaryFolder();
  const disk = new FaultFs();
  const told: (string | undefined)[] = [];
  const { log } = await openTestLog(path, {
    fs: disk.fs,
    retryMs: 10,
    stallMs: 60,
    meter: { stopped: (error) => told.push(error?.message) },
    ...more,
  });
  return { path, disk, log, told };
}

/** A signer that does as the test says, once it says so. */
function signer(): { sign: Sign; behave: (how: (sign: () => Promise<string>) => Promise<string>) => void } {
  let how: ((sign: () => Promise<string>) => Promise<string>) | undefined;
  return {
    sign: (...given) => (how === undefined ? signToken(...given) : how(() => signToken(...given))),
    behave: (next) => {
      how = next;
    },
  };
}

test('a disk that hangs is told of in time, to whoever waits and to whoever comes; when it answers, all goes on', async () => {
  const { path, disk, log, told } = await slowLog();
  disk.hangs = true;
  const seq = log.append(statement(1));
  await expect(log.durable(seq)).rejects.toMatchObject(refused);
  expect(() => log.append(statement(2))).toThrow(/waiting for its disk for .* taken again$/);
  await expect(log.durable(seq)).rejects.toMatchObject(refused);
  expect(log.health).toMatchObject({ writable: false, reason: log.failed?.message });
  expect(told).toEqual([expect.stringContaining('waiting for its disk')]);
  // What has run is told of all the same.
  log.append({ kind: 'outcome', ref: seq, st: 'unknown', dur_us: 0 });
  disk.answer();
  await until(() => log.failed === undefined);
  expect(told.slice(1)).toEqual([undefined]);
  await log.durable(log.append(statement(3)));
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true, kinds: { stmt: 2 } });
});

test('the age of what waits is measured on a clock that does not step', async () => {
  let nowMs = 0;
  const clock = { now: () => 1_700_000_000_000, mono: () => nowMs };
  const { disk, log } = await slowLog({ clock, stallMs: 10_000 });
  disk.hangs = true;
  const durable = log.durable(log.append(statement(1)));
  await until(() => disk.kept.length > 0);
  nowMs += 9_000;
  log.append(statement(2));
  nowMs += 2_000;
  expect(() => log.append(statement(3))).toThrow(/waiting for its disk for 11 s/);
  expect(log.health).toMatchObject({ writable: false, unsealedMs: 11_000 });
  disk.answer();
  await durable;
  await log.durable(log.append(statement(4)));
  expect(log.health).toMatchObject({ writable: true, unsealedMs: 0 });
});

test('a log whose disk hangs can be closed, and keeps its lock until the disk has answered', async () => {
  const { path, disk, log } = await slowLog();
  disk.hangs = true;
  log.append(statement(1));
  await log.close();
  expect(fs.existsSync(join(logFolder(path), 'LOCK'))).toBe(true);
  disk.answer();
  await until(() => !fs.existsSync(join(logFolder(path), 'LOCK')));
});

test('a signer that fails once is asked again, for the same bytes, and nobody hears of it', async () => {
  const asked: string[] = [];
  let left = 1;
  const failures: string[] = [];
  const path = temporaryFolder();
  let isOpen = false;
  const { log } = await openTestLog(path, {
    sign: async (key, type, payload) => {
      if (isOpen) asked.push(payload);
      if (isOpen && left-- > 0) throw new Error('the signer is busy');
      return signToken(key, type, payload);
    },
    meter: { failure: (error) => failures.push(error.message) },
  });
  isOpen = true;
  await log.durable(log.append(statement(1)));
  expect(asked.slice(0, 2)).toEqual([asked[0], asked[0]]);
  expect(failures).toEqual([expect.stringContaining('the signer failed: the signer is busy')]);
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true });
});

test('a signer that never answers is like a disk that hangs; it is asked again, and a late answer is of no harm', async () => {
  const { sign, behave } = signer();
  const { path, log } = await slowLog({ sign });
  const late: (() => void)[] = [];
  behave((go) => new Promise((resolve) => late.push(() => void go().then(resolve))));
  const seq = log.append(statement(1));
  await expect(log.durable(seq)).rejects.toThrow(/waiting for its signer/);
  expect(() => log.append(statement(2))).toThrow(/waiting for its signer/);
  await until(() => late.length > 1);
  behave((go) => go());
  for (const answer of late) answer();
  await until(() => log.failed === undefined);
  await log.durable(log.append(statement(3)));
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true, kinds: { stmt: 2 } });
});

test('64 sessions and a signer that takes its time: no gap, the order of the file, one seal at a time', async () => {
  const path = temporaryFolder();
  let inFlight = 0;
  let most = 0;
  let calls = 0;
  const { log } = await openTestLog(path, {
    segmentBytesMax: 60_000,
    sign: async (...given) => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      calls += 1;
      await new Promise((resolve) => setTimeout(resolve, (calls * 7919) % 41));
      inFlight -= 1;
      if (calls > 6 && calls % 9 === 0) throw new Error('not now');
      return signToken(...given);
    },
  });
  const order: number[] = [];
  const session = async (id: number): Promise<void> => {
    for (let n = 0; n < 10; n += 1) {
      const seq = log.append(statement(n, { sid: `s${id}` }));
      order.push(seq);
      if ((n + id) % 4 === 0) {
        await log.durable(seq);
        expect(log.sealed).toBeGreaterThan(seq);
      } else expect(await written(log)).toBeUndefined();
    }
  };
  await Promise.all(Array.from({ length: 64 }, (_, id) => session(id)));
  await log.close();
  expect(order).toEqual([...order].sort((a, b) => a - b));
  const source = snapshot(path);
  const names = [...source.files.keys()].filter((name) => /^seg-\d+\.jsonl$/.test(name)).sort();
  const seqs = names
    .flatMap((name) => source.lines(name))
    .filter((line) => line.startsWith('{'))
    .map((line) => (JSON.parse(line) as { seq: number }).seq);
  expect(seqs).toEqual(seqs.map((_, i) => i));
  expect(names.length).toBeGreaterThan(2);
  expect(most).toBe(1);
  expect((await verifyLog(source)).findings).toEqual([]);
}, 60_000);

test('while the disk is silent memory has a bound: clients wait, then hear 58030, and nothing is lost', async () => {
  const { path, disk, log } = await slowLog({ stallMs: 60_000, unconfirmedBytesMax: 20_000 });
  disk.hangs = true;
  const waits: Promise<HoldpointError | undefined>[] = [];
  let n = 0;
  const more = (): void => {
    log.append(statement(n + 1));
    n += 1;
  };
  while (!log.congested) more();
  let answered = 0;
  const wait = written(log);
  wait.then(() => {
    answered += 1;
  });
  waits.push(wait);
  for (let turns = 0; turns < 20; turns += 1) await turn();
  expect(answered).toBe(0);
  expect(() => {
    for (;;) more();
  }).toThrow(/KiB of records wait for the disk of the log, which does not keep up/);
  expect(n).toBeLessThan(80_000 / 200);
  disk.answer();
  expect(await Promise.all(waits)).toEqual([undefined]);
  await until(() => !log.congested);
  await log.durable(log.append(statement(0)));
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true, kinds: { stmt: n + 1 } });
});

test('a clock that steps by an hour changes no order: ts steps, mono does not', async () => {
  let nowMs = 1_700_000_000_000;
  let monoMs = 0;
  const path = temporaryFolder();
  const { log } = await openTestLog(path, {
    clock: { now: () => nowMs, mono: () => (monoMs += 1) },
    epochMs: 3_600_000,
  });
  for (const step of [3_600_000, -7_200_000, 3_600_000]) {
    nowMs += step;
    await log.durable(log.append(statement(1)));
  }
  await log.close();
  const source = snapshot(path);
  const report = await verifyLog(source);
  expect(report).toMatchObject({ ok: true, epochs: 1, segments: 1 });
  const records = source
    .lines('seg-00000000.jsonl')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { ts: number; mono: number; kind: string });
  const ts = records.filter(({ kind }) => kind === 'stmt').map((record) => record.ts);
  expect(ts[1]! - ts[0]!).toBe(-7_200_000_000);
  const monos = records.map(({ mono }) => mono);
  expect(monos).toEqual([...monos].sort((a, b) => a - b));
});

test.each([
  ['a line feed', 'select 1\nselect 2'],
  ['line and paragraph separators', 'select 1\u2028select\u20292'],
  ['NUL', 'select \u0000 1'],
  ['what looks like the next record', 'x"}\n{"kind":"stmt","seq":0}\neyJhbGciOiJFZDI1NTE5In0.e30.AA\n'],
  ['halves of characters', 'select \ud800 \udc00\udfff'],
  ['a carriage return and controls', '\r\n\u0007\u001b[2K\u007f\u0085'],
])('a text with %s stays one record', async (_, sql) => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const seq = log.append(statement(1, { sql, sid: sql, rule: sql, agent: sql }));
  await log.durable(seq);
  await log.close();
  const source = snapshot(path);
  expect(await verifyLog(source)).toMatchObject({ ok: true, kinds: { stmt: 1 } });
  const lines = source.lines('seg-00000000.jsonl').filter((line) => line.includes(`"seq":${seq},`));
  expect(lines).toHaveLength(1);
  expect((JSON.parse(lines[0]!) as { sql: string }).sql).toBe(sql.toWellFormed());
});
