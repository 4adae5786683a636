import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type AheadJob, follows, readAhead } from '../../verify/src/ahead.ts';
import { Crew } from '../../verify/src/crew.ts';
import type { Report } from '../../verify/src/report.ts';
import { FolderSource } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { logFolder, type MemorySource, smallLog, temporaryFolder } from '../audit/fixture.ts';

/** Every change to every line, rather than one to each: minutes. */
const isThorough = process.env.HOLDPOINT_TAMPER_ALL === '1';

/** Reads ahead in this thread: the same, without the time that threads take to begin. */
function readersOf(source: MemorySource, width: number) {
  let used = 0;
  return {
    width,
    read: (job: AheadJob) => {
      used += 1;
      return readAhead(source, job);
    },
    used: () => used,
  };
}

/** What is found in order, and read ahead by two and by four. */
async function side(source: MemorySource): Promise<Report[]> {
  const reports = [await verifyLog(source)];
  for (const width of [2, 4]) reports.push(await verifyLog(source, { readers: readersOf(source, width) }));
  return reports;
}

async function manySegments(): Promise<MemorySource> {
  return smallLog({ segmentBytesMax: 2500 }, 12);
}

test('segments that are read ahead are those that count', async () => {
  const source = await manySegments();
  const readers = readersOf(source, 2);
  const report = await verifyLog(source, { readers });
  expect(report).toMatchObject({ ok: true });
  expect(readers.used()).toBe(report.segments);
});

test('reading in order and reading ahead make the same report', async () => {
  const [first, ...others] = await side(await manySegments());
  expect(first).toMatchObject({ ok: true });
  for (const other of others) expect(other).toEqual(first);
});

test('a change to any line is found in the same place, however the segments are read', async () => {
  const source = await manySegments();
  const names = [...(await source.segments()), 'manifest.jsonl'];
  for (const name of names) {
    const lines = source.lines(name);
    for (const [i, line] of lines.entries()) {
      const at = (i * 37) % line.length;
      const flipped = line.slice(0, at) + String.fromCharCode(line.charCodeAt(at) ^ 1) + line.slice(at + 1);
      const changes = [lines.with(i, flipped), lines.toSpliced(i, 1), lines.toSpliced(i, 0, line)];
      for (const [which, changed] of changes.entries()) {
        if (!isThorough && which !== i % changes.length) continue;
        // The last line may not have been written yet; that is said and no fault.
        if (name === 'manifest.jsonl' && which === 1 && i === lines.length - 1) continue;
        const [first, ...others] = await side(source.withLines(name, changed));
        const where = `${name} line ${i + 1} change ${which}`;
        expect(first!.ok, where).toBe(false);
        for (const other of others) expect(other.findings, where).toEqual(first!.findings);
      }
    }
  }
});

test('hints that lie cost time and change nothing', async () => {
  const source = await manySegments();
  const other = await smallLog({ segmentBytesMax: 2500 }, 12);
  const [first] = await side(source);
  // Keys of another log: no segment can be read ahead with them.
  const copy = source.with('keys/1.jwk', other.files.get('keys/1.jwk')!);
  for (const report of await side(copy)) expect(report).toEqual(first);
  // A reader that answers with what another segment is.
  const answers: AheadJob[] = [];
  const liar = {
    width: 4,
    read: async (job: AheadJob) => {
      answers.push(job);
      return readAhead(source, answers[0]!);
    },
  };
  expect(await verifyLog(source, { readers: liar })).toEqual(first);
});

test('threads find what one thread finds', async () => {
  const source = await manySegments();
  const path = temporaryFolder();
  const folder = logFolder(path);
  for (const [name, content] of source.files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  const crew = new Crew(folder, 2);
  onTestFinished(() => crew.close());
  const report = await verifyLog(new FolderSource(folder), { readers: crew });
  expect(report).toEqual(await verifyLog(source));
  expect(report.ok).toBe(true);
});

test('what was read ahead counts only behind exactly what it was read from', async () => {
  const source = await manySegments();
  const ahead = await readAhead(source, {
    file: 'seg-00000000.jsonl',
    origin: 'holdpoint/test',
    start: undefined,
    sizes: [],
    bytesMax: undefined,
  });
  const { start, first, last } = ahead!;
  const truth = { ...start, boot: first.boot, mono: first.mono };
  expect(follows(truth, ahead!)).toBe(true);
  const key = { epoch: 0, kid: 'k', jwk: {} };
  for (const other of [
    { size: 1 },
    { head: 'x' },
    { psh: 'x' },
    { key },
    { nextKey: { ...key, seq: 0 } },
    { range: ['x'] },
    { unsealed: { ...truth.unsealed, lines: new Float64Array(1) } },
    // The same process, and later than the segment's first record.
    { mono: first.mono + 1 },
  ])
    expect(follows({ ...truth, ...other }, ahead!), JSON.stringify(other)).toBe(false);
  expect(follows({ ...truth, boot: 'another', mono: first.mono + 1 }, ahead!)).toBe(true);
  expect(last.kind).toBeDefined();
});
