import { expect, test } from 'vitest';
import type { Report } from '../../verify/src/report.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { type MemorySource, smallLog } from '../audit/fixture.ts';

const first = 'seg-00000000.jsonl';

async function only(source: MemorySource): Promise<Report['findings'][number] | undefined> {
  return (await verifyLog(source)).findings[0];
}

const isRecord = (line: string) => line.startsWith('{');

test('an untouched log verifies', async () => {
  const report = await verifyLog(await smallLog());
  expect(report).toMatchObject({ ok: true, code: 0, records: 12, ended: true });
  expect(report.sealed?.size).toBe(12);
});

test('a flipped bit in any byte is found, and in the line where it is', async () => {
  const source = await smallLog({}, 1);
  const content = source.files.get(first)!;
  const missed: string[] = [];
  let line = 1;
  for (let at = 0; at < content.length; at += 1) {
    const copy = Buffer.from(content);
    copy[at]! ^= 1 << (at % 8);
    const finding = await only(source.with(first, copy));
    if (finding?.file !== first || finding.line !== line)
      missed.push(`byte ${at} of line ${line}: ${JSON.stringify(finding)}`);
    if (content[at] === 10) line += 1;
  }
  expect(missed).toEqual([]);
}, 120_000);

test('a removed record is missed in the line where it should be', async () => {
  const source = await smallLog();
  const lines = source.lines(first);
  for (const [i, line] of lines.entries()) {
    if (!isRecord(line)) continue;
    const finding = await only(source.withLines(first, lines.toSpliced(i, 1)));
    expect(finding, `record in line ${i + 1}`).toBeDefined();
    const expected = isRecord(lines[i + 1]!) || i === 0 ? [i + 1] : [i + 1, i];
    expect(expected).toContain(finding!.line);
  }
});

test('a removed seal is missed by the next, or leaves the end unsealed', async () => {
  const source = await smallLog();
  const lines = source.lines(first);
  for (const [i, line] of lines.entries()) {
    if (isRecord(line)) continue;
    const finding = await only(source.withLines(first, lines.toSpliced(i, 1)));
    if (i === lines.length - 1) expect(finding?.code).toBe(14);
    else expect([10, 11, 17]).toContain(finding?.code);
  }
});

test('swapped and repeated records are found', async () => {
  const source = await smallLog();
  const lines = source.lines(first);
  for (let i = 0; i + 1 < lines.length; i += 1) {
    const [a, b] = [lines[i]!, lines[i + 1]!];
    const repeated = await only(source.withLines(first, lines.toSpliced(i, 0, a)));
    expect(repeated?.line, `line ${i + 1} twice`).toBe(i + 2);
    const swapped = await only(source.withLines(first, lines.toSpliced(i, 2, b, a)));
    // A seal may stand behind records that it does not speak of; nothing is said or hidden by that.
    if (isRecord(a) || !isRecord(b)) expect(swapped?.line, `lines ${i + 1} and ${i + 2}`).toBe(i + 1);
  }
});

test('an inserted record is found even if it names the hash above it', async () => {
  const source = await smallLog();
  const lines = source.lines(first);
  const i = lines.findLastIndex((line) => line.includes('"kind":"stmt"'));
  const forged = lines[i]!.replace('select 3', 'select 4');
  expect(await only(source.withLines(first, lines.toSpliced(i, 0, forged)))).toMatchObject({ code: 10 });
});

test('records appended without the key are unsealed', async () => {
  const { leafHash } = await import('../../verify/src/leaf.ts');
  const source = await smallLog();
  const lines = source.lines(first);
  const last = lines.findLast(isRecord)!;
  const forged = last
    .replace(/"prev":"[^"]*"/, `"prev":"${leafHash(last)}"`)
    .replace(/"seq":(\d+)/, (_, seq) => `"seq":${Number(seq) + 1}`);
  expect(await only(source.withLines(first, [...lines, forged]))).toMatchObject({ code: 14 });
});

test('a cut in the middle of a line is a torn line; a cut behind a record leaves it unsealed', async () => {
  const source = await smallLog({}, 2);
  const content = source.files.get(first)!;
  for (let at = 1; at < content.length; at += 7) {
    const finding = await only(source.with(first, content.subarray(0, at)));
    if (content[at - 1] === 10) continue;
    expect(finding, `cut at ${at}`).toMatchObject({ code: 13 });
  }
});

test('a log cut exactly behind an old seal verifies, unless the verifier remembers more', async () => {
  const source = await smallLog();
  const whole = await verifyLog(source);
  const lines = source.lines(first);
  const seals = lines.flatMap((line, i) => (isRecord(line) ? [] : [i]));
  const cut = source.withLines(first, lines.slice(0, seals.at(-2)! + 1));
  expect(await verifyLog(cut)).toMatchObject({ ok: true, ended: false });
  const remembered = { size: whole.sealed!.size, root: whole.sealed!.root };
  expect((await verifyLog(cut, { expect: remembered })).findings[0]).toMatchObject({ code: 16 });
  expect(await verifyLog(source, { expect: remembered })).toMatchObject({ ok: true });
  const other = { size: 5, root: whole.sealed!.root };
  expect((await verifyLog(source, { expect: other })).findings[0]).toMatchObject({ code: 16 });
});

test('a blank line, CRLF, a BOM, a byte that is not UTF-8 are refused in their line', async () => {
  const source = await smallLog();
  const lines = source.lines(first);
  expect(await only(source.withLines(first, lines.toSpliced(3, 0, '')))).toMatchObject({ code: 18, line: 4 });
  const crlf = lines.map((line, i) => (i === 4 ? `${line}\r` : line));
  expect(await only(source.withLines(first, crlf))).toMatchObject({ code: 18, line: 5 });
  const bom = lines.map((line, i) => (i === 0 ? `\ufeff${line}` : line));
  expect(await only(source.withLines(first, bom))).toMatchObject({ code: 18, line: 1 });
  const bytes = Buffer.from(source.files.get(first)!);
  bytes[bytes.indexOf('claude')] = 0xff;
  expect(await only(source.with(first, bytes))).toMatchObject({ code: 18 });
});

test('nothing to check is not a success', async () => {
  const source = await smallLog();
  expect(await verifyLog(source.with(first, Buffer.alloc(0)))).toMatchObject({ ok: false, code: 1 });
  source.files.clear();
  expect(await verifyLog(source)).toMatchObject({ ok: false, code: 1 });
});

test('a log of another root is refused when the root is pinned', async () => {
  const report = await verifyLog(await smallLog());
  expect(report.root?.pinned).toBe(false);
  const pinned = { rootKid: report.root!.kid };
  expect((await verifyLog(await smallLog(), pinned)).findings[0]).toMatchObject({ code: 17, line: 1 });
});

test('a closed segment that is removed, changed or shuffled is found', async () => {
  const source = await smallLog({ segmentBytesMax: 2500 }, 12);
  const names = await source.segments();
  expect(names.length).toBeGreaterThan(3);
  expect(await verifyLog(source)).toMatchObject({ ok: true, segments: names.length });
  for (const name of names) {
    const without = new (source.constructor as typeof MemorySource)(source.files);
    without.files.delete(name);
    expect((await verifyLog(without)).ok, `without ${name}`).toBe(false);
  }
  const manifest = source.lines('manifest.jsonl');
  for (const i of manifest.keys()) {
    const flipped = manifest.map((line, at) =>
      at === i ? line.replace(/.$/, (c) => (c === 'A' ? 'B' : 'A')) : line,
    );
    expect(await only(source.withLines('manifest.jsonl', flipped))).toMatchObject({
      file: 'manifest.jsonl',
      line: i + 1,
      code: 11,
    });
    if (i < manifest.length - 1)
      expect((await verifyLog(source.withLines('manifest.jsonl', manifest.toSpliced(i, 1)))).ok).toBe(false);
  }
});
