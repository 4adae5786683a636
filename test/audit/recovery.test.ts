import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type LogFs, systemFs } from '../../src/audit/folder.ts';
import { openLog } from '../../src/audit/opening.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import {
  afterCrash,
  logFolder,
  openTestLog,
  optionsFor,
  snapshot,
  statement,
  temporaryFolder,
} from './fixture.ts';

const first = 'seg-00000000.jsonl';

/** Starts the writer and kills it without warning after so many durable lines. Returns what it had acknowledged. */
async function writeAndKill(path: string, acknowledged: number, segmentBytesMax = 1 << 26) {
  const child: ChildProcess = spawn(
    process.execPath,
    [join(import.meta.dirname, 'writer.ts'), path, String(segmentBytesMax)],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  let errors = '';
  child.stderr!.on('data', (chunk) => {
    errors += chunk;
  });
  child.stdout!.on('data', (chunk) => {
    output += chunk;
    if (output.split('\nd ').length > acknowledged) child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.on('close', resolve));
  if (!output.includes('open')) throw new Error(`the writer did not open the log: ${errors}`);
  const last = (letter: string) =>
    Number(
      output
        .split('\n')
        .slice(0, -1)
        .findLast((line) => line.startsWith(`${letter} `))
        ?.slice(2),
    );
  return { written: last('w'), durable: last('d') };
}

test('a process killed without warning loses nothing that it had acknowledged', async () => {
  const path = temporaryFolder();
  for (let round = 1; round <= 4; round += 1) {
    const { written, durable } = await writeAndKill(path, round * 3, 4000);
    const source = snapshot(path);
    const report = await verifyLog(source, { live: true });
    expect(report.findings).toEqual([]);
    expect(report.records).toBeGreaterThan(written);
    expect(report.sealed!.size).toBeGreaterThan(durable);
  }
  const { log } = await openTestLog(path);
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true, ended: true, kinds: { boot: 5 } });
}, 60_000);

/** A log that ended without warning: closed, then cut back to behind its record number `seq`. */
async function crashedLog(keep: (lines: string[]) => string): Promise<string> {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  for (let n = 0; n < 3; n += 1) await log.durable(log.append(statement(n)));
  await log.close();
  const file = join(logFolder(path), first);
  fs.writeFileSync(file, keep(fs.readFileSync(file, 'utf8').split('\n').slice(0, -1)));
  return path;
}

const whole = (lines: string[]) => lines.map((line) => `${line}\n`).join('');

test('a torn last line is set aside, and the log says so', async () => {
  let torn = '';
  const path = await crashedLog((lines) => {
    const last = lines.findLastIndex((line) => line.includes('"kind":"stmt"'));
    torn = lines[last]!.slice(0, 60);
    return whole(lines.slice(0, last)) + torn;
  });
  const { log, recovered } = await openTestLog(path);
  expect(recovered).toMatchObject({ tornBytes: 60, resealed: 0 });
  await log.close();
  const [aside] = fs.readdirSync(join(logFolder(path), 'quarantine'));
  expect(fs.readFileSync(join(logFolder(path), 'quarantine', aside!), 'utf8')).toBe(torn);
  const source = snapshot(path);
  expect(await verifyLog(source)).toMatchObject({ ok: true, breaks: [{ kind: 'recover' }] });
  expect((await verifyLog(source, { noGaps: true })).code).toBe(19);
  const recover = JSON.parse(source.lines(first).find((line) => line.includes('"kind":"recover"'))!);
  expect(recover).toMatchObject({ torn_len: 60, torn_sha: createHash('sha256').update(torn).digest('hex') });
});

test('records without a seal are kept, sealed anew and named', async () => {
  const path = await crashedLog((lines) => {
    const last = lines.findLastIndex((line) => line.includes('"kind":"stmt"'));
    return whole(lines.slice(0, last + 1));
  });
  const { log, recovered } = await openTestLog(path);
  expect(recovered).toMatchObject({ tornBytes: 0, resealed: 1 });
  await log.close();
  const report = await verifyLog(snapshot(path));
  expect(report).toMatchObject({ ok: true, kinds: { stmt: 3, recover: 1 } });
});

test('a cut at any byte is taken up again, and twice is as good as once', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  for (let n = 0; n < 2; n += 1) await log.durable(log.append(statement(n)));
  await log.close();
  const file = join(logFolder(path), first);
  const keys = join(path, 'keys');
  const content = fs.readFileSync(file);
  const kept = fs
    .readdirSync(join(keys, 'audit-holdpoint%2Ftest'))
    .filter((name) => name.startsWith('epoch-'));
  const key = fs.readFileSync(join(keys, 'audit-holdpoint%2Ftest', kept[0]!));
  // Before the first seal there is no log yet to lose; from there on every cut must be survived.
  const start = content.indexOf('\neyJ') + 1;
  for (let at = start; at < content.length; at += 101) {
    fs.rmSync(join(path, 'audit'), { recursive: true });
    fs.rmSync(keys, { recursive: true });
    fs.mkdirSync(join(keys, 'audit-holdpoint%2Ftest'), { recursive: true });
    fs.writeFileSync(join(keys, 'audit-holdpoint%2Ftest', kept[0]!), key);
    fs.mkdirSync(logFolder(path), { recursive: true });
    fs.writeFileSync(file, content.subarray(0, at));
    for (let starts = 0; starts < 2; starts += 1) {
      const again = await openLog(optionsFor(path));
      await again.log.close();
    }
    const report = await verifyLog(snapshot(path));
    expect(report.findings, `cut at ${at}`).toEqual([]);
    expect(report.kinds.bye).toBeGreaterThanOrEqual(2);
  }
}, 60_000);

test('a log that was changed in the middle is not taken up, and stays as it is', async () => {
  const path = await crashedLog((lines) => whole(lines.with(4, lines[4]!.replace('select', 'SELECT'))));
  const before = snapshot(path).files;
  await expect(openLog(optionsFor(path))).rejects.toMatchObject({
    code: 'log-unwritable',
    message: expect.stringContaining(`${first} line 5`),
  });
  expect(snapshot(path).files).toEqual(before);
});

test('a closed segment whose end is under no seal is no crash', async () => {
  const path = await crashedLog((lines) => whole(lines.slice(0, -1)));
  fs.writeFileSync(join(logFolder(path), 'seg-00000001.jsonl'), '');
  await expect(openLog(optionsFor(path))).rejects.toThrow(/under no seal/);
});

test('a damaged last line with its end is no crash', async () => {
  const path = await crashedLog((lines) => whole(lines.with(-1, lines.at(-1)!.slice(0, -10))));
  await expect(openLog(optionsFor(path))).rejects.toMatchObject({ code: 'log-unwritable' });
});

test('a log without its key is not taken up', async () => {
  const path = await crashedLog(whole);
  fs.rmSync(join(path, 'keys'), { recursive: true });
  await expect(openLog(optionsFor(path))).rejects.toThrow(/the key of its epoch 0 .* is unusable/);
});

test('a released statement without outcome gets the outcome unknown; open requests are told', async () => {
  const path = temporaryFolder();
  const before = await openLog(optionsFor(path));
  const ref = before.log.append(statement(1, { dec: 'hold', cls: 'destroy', sql: 'drop table customers' }));
  before.log.append({ kind: 'hold', rid: 'waiting', rd: 'x', R: '{}', ref });
  before.log.append({ kind: 'hold', rid: 'settled', rd: 'x', R: '{}', ref });
  before.log.append({ kind: 'cancel', rid: 'settled', by: 'client', reason: 'gone' });
  await before.log.durable(before.log.append({ kind: 'intent', rid: 'r', ref, wire: 'w' }));
  const left = afterCrash(path);
  await before.log.close();
  const { log, recovered } = await openTestLog(left);
  expect(recovered).toMatchObject({ unknown: [ref], holds: ['waiting'] });
  await log.close();
  const outcome = snapshot(left)
    .lines(first)
    .find((line) => line.includes('"kind":"outcome"'));
  expect(JSON.parse(outcome!)).toMatchObject({ ref, st: 'unknown' });
  const after = await openTestLog(left);
  expect(after.recovered.unknown).toEqual([]);
});

test('a review that is owed is known after a restart and over closed segments, until it is made', async () => {
  const path = temporaryFolder();
  const owed = {
    rid: 'r1',
    rd: 'x',
    target: 'shop',
    agent: 'claude',
    by: 'eve',
    reason: 'the disk is full',
    due: 1_800_000_000_000,
  };
  const small = { segmentBytesMax: 2000 };
  const before = await openLog(optionsFor(path, small));
  before.log.append({ kind: 'breakglass', ...owed });
  before.log.append({ kind: 'breakglass', ...owed, rid: 'r2' });
  before.log.append({ kind: 'review', rid: 'r2', by: 'zoe', D: '{}', ev: {} });
  for (let n = 0; n < 20; n += 1) await before.log.durable(before.log.append(statement(n)));
  await before.log.close();
  expect(fs.existsSync(join(logFolder(path), 'seg-00000002.jsonl'))).toBe(true);
  const between = await openLog(optionsFor(path, small));
  expect(between.recovered.reviews).toEqual([owed]);
  await between.log.durable(between.log.append({ kind: 'review', rid: 'r1', by: 'zoe', D: '{}', ev: {} }));
  await between.log.close();
  const { recovered } = await openTestLog(path, small);
  expect(recovered.reviews).toEqual([]);
});

test('what was open is known over closed segments', async () => {
  const path = temporaryFolder();
  const before = await openLog(optionsFor(path, { segmentBytesMax: 2000 }));
  const [released, held, passed] = [
    before.log.append(statement(1, { dec: 'hold' })),
    before.log.append(statement(2, { dec: 'hold' })),
    before.log.append(statement(3)),
  ];
  await before.log.durable(before.log.append({ kind: 'intent', rid: 'r', ref: released, wire: 'w' }));
  for (let n = 0; n < 20; n += 1) {
    const ref = before.log.append(statement(n));
    await before.log.durable(before.log.append({ kind: 'outcome', ref, st: 'ok', dur_us: 1 }));
  }
  const left = afterCrash(path);
  await before.log.close();
  expect(fs.existsSync(join(logFolder(left), 'seg-00000002.jsonl'))).toBe(true);
  const { log, recovered } = await openTestLog(left);
  expect(recovered.unknown).toEqual([released, passed]);
  await log.close();
  expect(outcomesIn(left).filter(({ ref }) => [released, held, passed].includes(ref))).toEqual([
    { ref: released, st: 'unknown' },
    { ref: held, st: 'canceled' },
    { ref: passed, st: 'unknown' },
  ]);
});

test('every statement has one outcome after a crash: unknown if it may have run, else what kept it from running', async () => {
  const path = temporaryFolder();
  const before = await openLog(optionsFor(path));
  const [done, passed, held, denied, refused] = (['pass', 'pass', 'hold', 'deny', 'refuse'] as const).map(
    (dec, n) => before.log.append(statement(n, { dec })),
  );
  await before.log.durable(before.log.append({ kind: 'outcome', ref: done!, st: 'ok', dur_us: 1 }));
  const left = afterCrash(path);
  await before.log.close();
  // A crash in the middle of that, and once more: nothing is said twice.
  for (let round = 0; round < 3; round += 1) await (await openTestLog(left)).log.close();
  expect(outcomesIn(left)).toEqual([
    { ref: done, st: 'ok' },
    { ref: passed, st: 'unknown' },
    { ref: held, st: 'canceled' },
    { ref: denied, st: 'refused' },
    { ref: refused, st: 'refused' },
  ]);
  expect(await verifyLog(snapshot(left))).toMatchObject({ ok: true });
});

test('a session that is not heard out before the end: the log says so before its bye', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const ref = log.append(statement(1));
  await log.close();
  expect(outcomesIn(path)).toEqual([{ ref, st: 'unknown' }]);
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true, ended: true, running: 0 });
});

/** What became of which statement, in log order. */
function outcomesIn(path: string): { ref: number; st: string }[] {
  const source = snapshot(path);
  return [...source.files.keys()]
    .filter((name) => /^seg-\d+\.jsonl$/.test(name))
    .sort()
    .flatMap((name) => source.lines(name))
    .filter((line) => line.includes('"kind":"outcome"'))
    .map((line) => {
      const { ref, st } = JSON.parse(line);
      return { ref, st };
    });
}

test('a closed segment that was changed is not built upon', async () => {
  const path = temporaryFolder();
  const { log } = await openLog(optionsFor(path, { segmentBytesMax: 2000 }));
  for (let n = 0; n < 20; n += 1) await log.durable(log.append(statement(n)));
  await log.close();
  const manifest = snapshot(path).lines('manifest.jsonl').length;
  const file = join(logFolder(path), `seg-${String(manifest - 1).padStart(8, '0')}.jsonl`);
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('claude', 'clauda'));
  await expect(openLog(optionsFor(path))).rejects.toMatchObject({ code: 'log-unwritable' });
});

test('a crash before any call to the file system is survived, while keys change and segments close', async () => {
  const path = temporaryFolder();
  const copies = temporaryFolder();
  let steps = 0;
  const work = join(path, 'work');
  const hooked = Object.fromEntries(
    Object.entries(systemFs).map(([name, call]) => [
      name,
      (...given: unknown[]) => {
        if (changes.has(name) && fs.existsSync(work))
          fs.cpSync(work, join(copies, `${steps++}`), { recursive: true });
        return (call as (...given: unknown[]) => unknown)(...given);
      },
    ]),
  ) as unknown as LogFs;
  const { log } = await openLog(optionsFor(work, { fs: hooked, segmentBytesMax: 2200 }));
  for (let n = 0; n < 5; n += 1) await log.durable(log.append(statement(n)));
  await log.close();
  expect((await verifyLog(snapshot(work))).segments).toBeGreaterThan(2);
  expect(steps).toBeGreaterThan(50);
  for (let step = 0; step < steps; step += 1) {
    const copy = join(copies, `${step}`);
    // The copy's lock names this process, which lives.
    fs.rmSync(join(logFolder(copy), 'LOCK'), { force: true });
    const again = await openLog(optionsFor(copy, { segmentBytesMax: 2200 }));
    await again.log.durable(again.log.append(statement(99)));
    await again.log.close();
    expect((await verifyLog(snapshot(copy))).findings, `crash before call ${step}`).toEqual([]);
  }
}, 120_000);

const changes = new Set([
  'openSync',
  'writeSync',
  'fdatasync',
  'fsyncSync',
  'ftruncateSync',
  'renameSync',
  'unlinkSync',
]);
