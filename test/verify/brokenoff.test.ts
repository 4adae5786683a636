// A segment that was broken off and not cut yet, as a crash between the two leaves it: what the next one repeats counts
// once, and only if it is the same.

import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog } from '../../src/audit/opening.ts';
import { signToken } from '../../src/audit/seal.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { FaultFs } from '../audit/faultfs.ts';
import {
  logFolder,
  type MemorySource,
  openTestLog,
  optionsFor,
  snapshot,
  statement,
  temporaryFolder,
} from '../audit/fixture.ts';

const [first, second] = ['seg-00000000.jsonl', 'seg-00000001.jsonl'] as const;

/** Dies when the next segment has its name and the old one is not cut; the disk has kept all of the old one. */
async function uncut(): Promise<{ path: string; source: MemorySource }> {
  const path = temporaryFolder();
  const disk = new FaultFs();
  const { log } = await openTestLog(path, { fs: disk.fs, retryMs: 1, sealMs: 20 });
  await log.durable(log.append(statement(1)));
  let isBroken = false;
  disk.fault = (name) => {
    if (name === 'fdatasync' && !isBroken) {
      isBroken = true;
      return 'EIO';
    }
    return name === 'ftruncateSync' ? 'EIO' : undefined;
  };
  for (const n of [2, 3]) log.append(statement(n));
  await expect(log.durable(log.append(statement(4)))).rejects.toThrow(/EIO/);
  await log.abandon();
  return { path, source: snapshot(path) };
}

test('counts once: the log verifies as it lies, and is taken up', async () => {
  const { path, source } = await uncut();
  const again = source.lines(second).filter((line) => line.startsWith('{'));
  expect(source.lines(first)).toEqual(expect.arrayContaining(again.slice(0, 3)));
  expect(await verifyLog(source, { live: true })).toMatchObject({ ok: true, kinds: { stmt: 4, gap: 1 } });
  const { log, recovered } = await openLog(optionsFor(path));
  expect(recovered.tornBytes).toBeGreaterThan(0);
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true, kinds: { stmt: 4, gap: 1, recover: 1 } });
  const [aside] = fs.readdirSync(join(logFolder(path), 'quarantine'));
  expect(aside).toContain(first);
});

test.each([
  ['changed in the old segment', first],
  ['changed in the new segment', second],
])('with a record %s it is refused by both, and left as it is', async (_, name) => {
  const { path, source } = await uncut();
  const lines = source.lines(name);
  const at = lines.findLastIndex((line) => line.includes('select 3'));
  const changed = lines.with(at, lines[at]!.replace('select 3', 'select 7'));
  expect(await verifyLog(source.withLines(name, changed), { live: true })).toMatchObject({
    ok: false,
    code: 10,
  });
  fs.writeFileSync(join(logFolder(path), name), changed.map((line) => `${line}\n`).join(''));
  const before = snapshot(path).files;
  await expect(openLog(optionsFor(path))).rejects.toMatchObject({ code: 'log-unwritable' });
  expect(snapshot(path).files).toEqual(before);
});

test('with a record more than the next segment repeats it is refused', async () => {
  const { source } = await uncut();
  const lines = source.lines(second);
  const at = lines.findIndex((line) => line.includes('select 3'));
  const report = await verifyLog(source.withLines(second, lines.slice(0, at)), { live: true });
  expect(report).toMatchObject({ ok: false, code: 10 });
});

test('its last records may be under a seal of the next segment only: that one says that this one was broken off', async () => {
  const path = temporaryFolder();
  const disk = new FaultFs();
  let gate: PromiseWithResolvers<void> | undefined;
  let isAsked = false;
  const { log } = await openTestLog(path, {
    fs: disk.fs,
    retryMs: 1,
    sign: async (...given) => {
      isAsked = gate !== undefined;
      await gate?.promise;
      return signToken(...given);
    },
  });
  gate = Promise.withResolvers();
  const one = log.durable(log.append(statement(1)));
  while (!isAsked) await new Promise((resolve) => setImmediate(resolve));
  // Confirmed with the first one's seal, and not under it; then the next seal covers more than these two.
  log.append(statement(2));
  await new Promise((resolve) => log.written(resolve));
  let isBroken = false;
  disk.fault = (name, given) => {
    if (name === 'writeSync' && String(given[1]).includes('select 3') && !isBroken) {
      isBroken = true;
      return 'EIO';
    }
    return isBroken && name === 'ftruncateSync' ? 'EIO' : undefined;
  };
  one.then(() => log.append(statement(3)));
  gate.resolve();
  gate = undefined;
  await one;
  while (log.failed === undefined) await new Promise((resolve) => setImmediate(resolve));
  await log.abandon();
  const source = snapshot(path);
  expect(source.lines(first).at(-2)).toContain('select 2');
  expect(source.lines(second)[0]).toContain('select 3');
  const { log: again } = await openLog(optionsFor(path));
  await again.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true, kinds: { stmt: 3, gap: 1 } });
});
