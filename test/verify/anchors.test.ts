// What files alone cannot show, a witness's cosignature or a remembered checkpoint does: a cut end, an older copy, a fork,
// a log written anew. The log is the real writer's, the witness the real one.

import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { anchorsOf, keptNotes } from '../../verify/src/anchor-input.ts';
import { type NoteKey, noteOf, readNote } from '../../verify/src/note.ts';
import type { Report } from '../../verify/src/report.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { begunLog, copyOf, filesOf, folderOf, runLog, vkeyOf, witnessFor } from '../audit/anchored.ts';
import { type MemorySource, statement } from '../audit/fixture.ts';

const first = 'seg-00000000.jsonl';
const isRecord = (line: string) => line.startsWith('{');

let source: MemorySource;
let keys: NoteKey[] | undefined;
/** By when the last checkpoint was cosigned, ms. */
let cosignedAt: number;

/** Makes the log that most tests look at, in the first that asks for it. */
async function prepare(): Promise<void> {
  if (keys !== undefined) return;
  const dataDir = await begunLog();
  const witnesses = [await witnessFor(dataDir, { name: 'w/a' }), await witnessFor(dataDir, { name: 'w/b' })];
  const config = witnesses.map((witness) => witness.config);
  const { log, anchoring, close } = await runLog(dataDir, config, { witnessQuorum: 2 });
  for (let n = 0; n < 3; n += 1) {
    const ref = log.append(statement(n));
    await log.durable(log.append({ kind: 'outcome', ref, st: 'ok', dur_us: 1 }));
  }
  await anchoring.outside('witness')!(log.health.sealed - 1);
  await close();
  source = filesOf(dataDir);
  const both = config.map(({ key }) => key);
  cosignedAt = (await verifyLog(source, { anchors: { witnesses: both } })).witnessed!.seconds * 1000;
  keys = both;
}

/** The finding of a verification that asks both witnesses. */
async function asked(of: MemorySource, more = {}): Promise<Report['findings'][number] | undefined> {
  return (await verifyLog(of, { anchors: { witnesses: keys, ...more } })).findings[0];
}

/** A checkpoint that both cosigned before the newest. */
function olderNote(): Buffer {
  const newest = source.files.get('checkpoint')!;
  const notes = [...source.files].filter(([name]) => name.startsWith('checkpoints/')).map(([, note]) => note);
  return notes.find((note) => !note.equals(newest) && readNote(note).signatures.length === 3)!;
}

describe('with its witnesses', () => {
  test('a whole log verifies, and the report says who saw how much of it and when', async () => {
    await prepare();
    const report = await verifyLog(source, { anchors: { witnesses: keys } });
    expect(report).toMatchObject({ ok: true, witnessed: { need: 2, behind: 0, size: report.records } });
    expect(report.witnessed!.witnesses.map(({ name }) => name).sort()).toEqual(['w/a', 'w/b']);
  });

  test('a log cut at any byte is refused', async () => {
    await prepare();
    const content = source.files.get(first)!;
    const missed: number[] = [];
    for (let at = 0; at < content.length; at += 1) {
      // Between two ends of lines nothing else is seen: the neighbours of an end, and a few in between.
      const nearEnd = content[at] === 10 || content[at - 1] === 10 || at % 97 === 0;
      if (nearEnd && (await asked(source.with(first, content.subarray(0, at)))) === undefined)
        missed.push(at);
    }
    expect(missed).toEqual([]);
  });

  test('a log cut exactly behind a seal, which alone verifies, is known to be shorter than what was cosigned', async () => {
    await prepare();
    const lines = source.lines(first);
    const seals = lines.flatMap((line, i) => (isRecord(line) ? [] : [i]));
    let alone = 0;
    for (const seal of seals.slice(0, -1)) {
      const cut = source.withLines(first, lines.slice(0, seal + 1));
      if ((await verifyLog(cut)).ok) alone += 1;
      expect(await asked(cut), `cut behind line ${seal + 1}`).toBeDefined();
    }
    expect(alone).toBeGreaterThan(2);
    const cut = source.withLines(first, lines.slice(0, seals.at(-2)! + 1));
    expect(await asked(cut)).toMatchObject({
      code: 16,
      message: expect.stringMatching(/its end was cut off/),
    });
  });

  test('records behind what was cosigned are reported as unseen', async () => {
    await prepare();
    const report = await verifyLog(source.with('checkpoint', olderNote()), { anchors: { witnesses: keys } });
    expect(report.ok).toBe(true);
    expect(report.witnessed!.behind).toBeGreaterThan(0);
  });

  test('no checkpoint, one that is none, one of another log, and a forged one are no witness', async () => {
    await prepare();
    const without = source.with('checkpoint', Buffer.alloc(0));
    without.files.delete('checkpoint');
    expect(await asked(without)).toMatchObject({ code: 15, file: 'checkpoint' });
    expect(await asked(source.with('checkpoint', Buffer.from('hello\n')))).toMatchObject({ code: 15 });
    const text = source.files.get('checkpoint')!.toString('utf8');
    const note = readNote(text);
    const [own, ...cosignatures] = note.signatures.map(({ line }) => line);
    const write = (...lines: string[]) => source.with('checkpoint', Buffer.from(noteOf(note.text, lines)));
    expect(await asked(write(own!, ...cosignatures))).toBeUndefined();
    expect(await asked(write(own!))).toMatchObject({ code: 15, message: expect.stringContaining('0 of 2') });
    expect(await asked(write(own!, cosignatures[0]!))).toMatchObject({ code: 15 });
    expect(await asked(write(own!, cosignatures[0]!), { need: 1 })).toBeUndefined();
    // One witness twice is one.
    expect(await asked(write(own!, cosignatures[0]!, cosignatures[0]!))).toMatchObject({ code: 15 });
    expect(await asked(write(...cosignatures))).toMatchObject({
      code: 15,
      message: expect.stringContaining('no key'),
    });
    const bent = cosignatures.map((line) => line.replace(/.{9}$/, 'AAAAAAAA='));
    expect(await asked(write(own!, ...bent))).toMatchObject({ code: 15 });
    const other = source.with(
      'checkpoint',
      Buffer.from(text.replace('holdpoint/test\n', 'holdpoint/other\n')),
    );
    expect(await asked(other)).toMatchObject({ code: 15 });
    const larger = source.with(
      'checkpoint',
      Buffer.from(text.replace(/\n(\d+)\n/, (_, n) => `\n${Number(n) + 1}\n`)),
    );
    expect(await asked(larger)).toMatchObject({ code: 15, message: expect.stringContaining('not valid') });
  });

  test('a checkpoint that is too old is stale, however good', async () => {
    await prepare();
    const now = cosignedAt + 61_000;
    expect(await asked(source, { now, maxAgeMs: 60_000 })).toMatchObject({
      code: 15,
      message: expect.stringMatching(/cosigned 61 s ago, and may be 60 s old/),
    });
    expect(await asked(source, { now, maxAgeMs: 62_000 })).toBeUndefined();
    const report = await verifyLog(source, { anchors: { now, maxAgeMs: 1 } });
    expect(report.findings[0]).toMatchObject({
      code: 15,
      message: expect.stringContaining('no witness named'),
    });
  });
});

test('a log that was forked, put back and gone on, or written anew is not what was cosigned or is remembered', async () => {
  await prepare();
  const dataDir = await begunLog();
  const witness = await witnessFor(dataDir);
  await (await runLog(dataDir, [witness.config])).close();
  const thief = copyOf(dataDir);
  const honest = await runLog(dataDir, [witness.config]);
  for (let n = 0; n < 3; n += 1) await honest.log.durable(honest.log.append(statement(n)));
  await honest.close();
  const note = filesOf(dataDir).files.get('checkpoint')!;
  const witnesses = [witness.config.key];
  // The thief writes on with the log's own keys, and brings the honest log's newest checkpoint.
  const forked = await runLog(thief);
  for (let n = 0; n < 9; n += 1) await forked.log.durable(forked.log.append(statement(n + 100)));
  await forked.close();
  expect(await verifyLog(filesOf(thief), { live: true })).toMatchObject({ ok: true });
  const fork = filesOf(thief).with('checkpoint', note);
  const report = await verifyLog(fork, { live: true, anchors: { witnesses } });
  expect(report.findings[0]).toMatchObject({ code: 16, message: expect.stringContaining('written anew') });
  // Without a witness, a remembered note does as well; and the thief's own checkpoint is by the right key.
  const remembered = { anchors: { remembered: [note.toString('utf8')] } };
  expect((await verifyLog(filesOf(thief), { live: true, ...remembered })).findings[0]).toMatchObject({
    code: 16,
  });
  expect(await verifyLog(filesOf(dataDir), { live: true, ...remembered })).toMatchObject({ ok: true });
  // A whole new log under the same name has another root; its checkpoint by a witness that knows the old is none of its.
  const anew = filesOf(await begunLog()).with('checkpoint', note);
  expect((await verifyLog(anew, { anchors: { witnesses } })).code).toBe(15);
  expect((await verifyLog(anew, remembered)).findings[0]).toMatchObject({ code: 16 });
  const { root } = await verifyLog(filesOf(dataDir), { live: true });
  expect((await verifyLog(anew, { rootKid: root!.kid })).code).toBe(17);
  expect((await verifyLog(source, { anchors: { remembered: ['hello'] } })).findings[0]).toMatchObject({
    code: 16,
  });
});

test('a witness that has seen more than lies beside the log is believed where the caller brings its note', async () => {
  await prepare();
  const newest = source.files.get('checkpoint')!.toString('utf8');
  const behind = source.with('checkpoint', olderNote());
  const seen = async (remembered: string[]) =>
    (await verifyLog(behind, { anchors: { witnesses: keys, remembered } })).witnessed!.behind;
  expect(await seen([])).toBeGreaterThan(0);
  expect(await seen([newest])).toBe(0);
});

describe('the key of the checkpoints', () => {
  test('is certified in the chain: one that is put in its place is not believed', async () => {
    const dataDir = await begunLog();
    const witness = await witnessFor(dataDir);
    await (await runLog(dataDir, [witness.config])).close();
    const other = await begunLog();
    const stolen = filesOf(other).files.get('checkpoint')!.toString('utf8').split('\n').at(-2)!;
    const files = filesOf(dataDir);
    const note = readNote(files.files.get('checkpoint')!);
    const lines = [stolen, ...note.signatures.slice(1).map(({ line }) => line)];
    const put = files.with('checkpoint', Buffer.from(noteOf(note.text, lines)));
    for (const name of ['jwk', 'cert'])
      put.files.set(`keys/checkpoint.${name}`, filesOf(other).files.get(`keys/checkpoint.${name}`)!);
    const report = await verifyLog(put, { anchors: { witnesses: [witness.config.key] } });
    expect(report.findings[0]).toMatchObject({ code: 15, message: expect.stringContaining('no key') });
  });
});

test('what the command line says of the outside is read strictly', () => {
  const [a, b] = [vkeyText(0), vkeyText(1)];
  const read = (flags: Parameters<typeof anchorsOf>[0]) => anchorsOf(flags, [], 0);
  expect(read({ witness: [a, b] })).toMatchObject({ need: 2 });
  expect(read({ witness: [a, b], policy: '1of2', maxAge: '5m' })).toMatchObject({
    need: 1,
    maxAgeMs: 300_000,
  });
  const folder = fs.mkdtempSync('/tmp/holdpoint-keys-');
  onTestFinished(() => fs.rmSync(folder, { recursive: true }));
  fs.writeFileSync(join(folder, 'keys'), `# two\n${a}\n\n${b}\n`);
  expect(read({ witness: [join(folder, 'keys')] }).witnesses).toHaveLength(2);
  for (const flags of [
    { witness: ['nobody'] },
    { witness: [a, a] },
    { policy: '1of1' },
    { maxAge: '5m' },
    { witness: [a], policy: '1of2' },
    { witness: [a, b], policy: '3of2' },
    { witness: [a, b], policy: '0of2' },
    { witness: [a], maxAge: '5' },
    { witness: [a], maxAge: '0m' },
  ])
    expect(() => read(flags), JSON.stringify(flags)).toThrow();
  expect(keptNotes(folder)).toEqual([]);
});

function vkeyText(i: number): string {
  return [
    'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop',
  ][i]!;
}

test('a witness is asked through a log’s folder too, beside its kept notes', async () => {
  const dataDir = await begunLog();
  await (await runLog(dataDir)).close();
  expect(keptNotes(folderOf(dataDir)).length).toBeGreaterThan(0);
  expect(vkeyOf(dataDir)).toMatch(/^holdpoint\/test\+/);
});
