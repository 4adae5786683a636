// A log whose first segments are not here, by its own word or by somebody's hand, and a part of one.

import { expect, test } from 'vitest';
import { certify, freshKey } from '../../src/audit/keyring.ts';
import type { RecordBody } from '../../src/audit/record.ts';
import { type Sign, signToken } from '../../src/audit/seal.ts';
import { canonical } from '../../verify/src/jcs.ts';
import { segmentName } from '../../verify/src/names.ts';
import { readToken } from '../../verify/src/token.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { MemorySource, openTestLog, origin, snapshot, statement, temporaryFolder } from '../audit/fixture.ts';

interface Sized {
  readonly source: MemorySource;
  /** Records up to the end of each closed segment. */
  readonly sizes: readonly number[];
}

/** A log of many segments, whose last record but one may say that the first were pruned. */
async function manySegments(
  more: (sizes: readonly number[]) => RecordBody[] = () => [],
  sign: Sign = signToken,
): Promise<Sized> {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 2500, sign });
  for (let n = 0; n < 14; n += 1) {
    const ref = log.append(statement(n));
    await log.durable(ref);
    await log.durable(log.append({ kind: 'outcome', ref, st: 'ok', dur_us: 250 }));
  }
  for (const record of more(sizesOf(snapshot(path)))) await log.durable(log.append(record));
  await log.close();
  const source = snapshot(path);
  return { source, sizes: sizesOf(source) };
}

function sizesOf(source: MemorySource): number[] {
  if (!source.files.has('manifest.jsonl')) return [];
  return source.lines('manifest.jsonl').map((line) => Number(readToken(line).claims.size));
}

function without(source: MemorySource, ...names: string[]): MemorySource {
  const copy = new MemorySource(source.files);
  for (const name of names) copy.files.delete(name);
  return copy;
}

const prune = (last: number, size: number): RecordBody => ({
  kind: 'prune',
  first: 0,
  last,
  size,
  reason: 'retention',
});
const pruned = (sizes: readonly number[]) => [prune(1, sizes[1]!)];
const gone = [segmentName(0), segmentName(1)];

test('a log whose first segments were pruned is verified from where it begins, and says what is missing', async () => {
  const { source, sizes } = await manySegments(pruned);
  const whole = await verifyLog(source);
  expect(whole).toMatchObject({ ok: true, skipped: undefined });
  const report = await verifyLog(without(source, ...gone));
  expect(report).toMatchObject({
    findings: [],
    ok: true,
    skipped: { segments: 2, records: sizes[1] },
    records: whole.records,
    epochs: whole.epochs,
    root: whole.root,
    sealed: whole.sealed,
  });
  expect(report.notes.join()).toContain('pruned');
});

test('segments that are missing without such a record, or with one that speaks of others, were removed', async () => {
  const cases = [
    await manySegments(),
    await manySegments((sizes) => [prune(0, sizes[0]!)]),
    await manySegments((sizes) => [prune(1, sizes[1]! - 1)]),
    await manySegments((sizes) => [prune(2, sizes[2]!)]),
  ];
  for (const { source } of cases)
    expect(await verifyLog(without(source, ...gone))).toMatchObject({
      code: 10,
      findings: [{ file: segmentName(2) }],
    });
});

test('a pruned log is bound to the root by its manifest and its certificates', async () => {
  const { source } = await manySegments(pruned);
  const left = without(source, ...gone);
  const { root } = await verifyLog(source);
  expect(await verifyLog(left, { rootKid: root!.kid })).toMatchObject({ ok: true, root: { pinned: true } });
  const other = await freshKey();
  expect(await verifyLog(left, { rootKid: other.kid })).toMatchObject({ code: 17 });
  for (const name of ['keys/root.jwk', 'keys/0.jwk', 'keys/0.cert', 'keys/1.cert'])
    expect(await verifyLog(without(left, name)), name).toMatchObject({ code: 17 });
  // A certificate by a root of their own, for a key of their own.
  const cert = await certify(other, signToken, origin, 0, other.kid);
  expect(await verifyLog(left.with('keys/0.cert', Buffer.from(cert)))).toMatchObject({ code: 17 });
  const lines = left.lines('manifest.jsonl');
  expect(await verifyLog(left.withLines('manifest.jsonl', lines.slice(1)))).toMatchObject({ ok: false });
  expect(await verifyLog(left.withLines('manifest.jsonl', lines.toSpliced(0, 1, lines[1]!)))).toMatchObject({
    ok: false,
  });
  expect(await verifyLog(left.withLines('manifest.jsonl', []))).toMatchObject({ code: 10 });
});

test('what is remembered of pruned records cannot be compared any more, and that is said', async () => {
  const { source } = await manySegments(pruned);
  const left = without(source, ...gone);
  const { sealed } = await verifyLog(source);
  expect(await verifyLog(left, { expect: sealed! })).toMatchObject({ ok: true });
  const report = await verifyLog(left, { expect: { size: 3, root: sealed!.root } });
  expect(report).toMatchObject({ code: 16 });
  expect(report.findings[0]!.message).toContain('pruned');
});

test('a part of a log is verified by itself, and nothing else is looked at', async () => {
  const { source, sizes } = await manySegments();
  const part = await verifyLog(source, { from: sizes[1]! + 1, to: sizes[2]! - 1 });
  expect(part).toMatchObject({ findings: [], ok: true, records: sizes[2], skipped: { segments: 2 } });
  expect(part.notes).toHaveLength(2);
  // What is wrong outside is not seen; what is wrong inside is.
  const damaged = (n: number) => source.with(segmentName(n), Buffer.from('{}\n'));
  for (const n of [0, 1, 3])
    expect(await verifyLog(damaged(n), { from: sizes[1]!, to: sizes[1]! }), `${n}`).toMatchObject({
      ok: true,
    });
  expect(await verifyLog(damaged(2), { from: sizes[1]!, to: sizes[1]! })).toMatchObject({ code: 18 });
  // From the last record of a segment: that segment.
  expect(await verifyLog(damaged(1), { from: sizes[1]! - 1 })).toMatchObject({ code: 18 });
});

test('a statement that was open where a log begins may end there once', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 2500 });
  const open = log.append(statement(0));
  let sizes: number[] = [];
  while (sizes.length < 1) {
    const ref = log.append(statement(1));
    await log.durable(log.append({ kind: 'outcome', ref, st: 'ok', dur_us: 250 }));
    sizes = sizesOf(snapshot(path));
  }
  log.append({ kind: 'outcome', ref: open, st: 'ok', dur_us: 250 });
  await log.durable(log.append(prune(0, sizes[0]!)));
  await log.close();
  const source = snapshot(path);
  expect(await verifyLog(source)).toMatchObject({ findings: [] });
  expect(await verifyLog(without(source, segmentName(0)))).toMatchObject({ findings: [] });
});

test.each([
  ['pmh', 'x'],
  ['first', 0],
  ['origin', 'other'],
  ['n', 7],
  ['epoch', 0],
] as const)('a manifest line that its own key signs with a wrong %s leads nowhere', async (member, value) => {
  const lie: Sign = (key, type, payload) => {
    const claims = JSON.parse(payload) as Record<string, unknown>;
    const isIt = type === 'holdpoint-segment+jws' && claims.n === 1;
    return signToken(key, type, isIt ? canonical({ ...claims, [member]: value }) : payload);
  };
  const { source } = await manySegments(pruned, lie);
  expect(await verifyLog(without(source, ...gone))).toMatchObject({
    code: 12,
    findings: [{ file: 'manifest.jsonl', line: 2 }],
  });
});
