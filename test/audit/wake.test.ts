import * as fs from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { Folder, systemFs } from '../../src/audit/folder.ts';
import { Wake } from '../../src/audit/wake.ts';
import { leafHash } from '../../verify/src/leaf.ts';
import { consistencyProof, rootOf, verifyConsistency } from '../../verify/src/merkle.ts';
import { logFolder, openTestLog, origin, snapshot, statement, temporaryFolder } from './fixture.ts';

function wakeOf(path: string): Wake {
  return new Wake(new Folder(join(path, 'audit'), origin, systemFs));
}

/** The leaves of the log under `path`, in order. */
function leavesOf(path: string): Buffer[] {
  const source = snapshot(path);
  const names = [...source.files.keys()].filter((name) => name.startsWith('seg-')).sort();
  return names
    .flatMap((name) => source.lines(name))
    .filter((line) => line.startsWith('{'))
    .map((line) => Buffer.from(leafHash(line), 'base64url'));
}

test('a wake follows its log through its segments, and proves each size it remembered to continue to each later', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 4000 });
  const wake = wakeOf(path);
  const stood: number[] = [];
  for (let n = 0; n < 70; n += 1) {
    const seqs = Array.from({ length: 1 + (n % 3) }, () => log.append(statement(n)));
    await log.durable(seqs.at(-1)!);
    const standing = await wake.advance();
    // A segment that closes adds the next key's record.
    expect([seqs.at(-1)! + 1, seqs.at(-1)! + 2]).toContain(standing!.size);
    const leaves = leavesOf(path).slice(0, standing!.size);
    expect(standing!.root.equals(rootOf(leaves))).toBe(true);
    for (const old of stood) {
      // At the present size, from memory; a moment ago, out of the files.
      const proof = await wake.consistency(old, standing!.size);
      expect(proof, `${old} to ${standing!.size}`).toEqual(consistencyProof(leaves, old));
      expect(verifyConsistency(old, rootOf(leaves.slice(0, old)), leaves.length, standing!.root, proof)).toBe(
        true,
      );
    }
    stood.push(standing!.size);
    if (stood.length > 6) stood.splice(n % 6, 1);
    wake.remember(new Set(stood));
  }
  expect((await wake.advance())!.size).toBe(log.health.sealed);
  expect(fs.existsSync(join(logFolder(path), 'seg-00000005.jsonl'))).toBe(true);
}, 60_000);

test('what was not remembered is proved out of the files, by a wake that has just begun', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 4000 });
  for (let n = 0; n < 30; n += 1) await log.durable(log.append(statement(n)));
  await log.close();
  const leaves = leavesOf(path);
  const wake = wakeOf(path);
  expect((await wake.advance())!.size).toBe(leaves.length);
  for (let old = 0; old <= leaves.length; old += 1) {
    expect((await wake.rootAt(old)).equals(rootOf(leaves.slice(0, old)))).toBe(true);
    for (const size of [old, old + 1, leaves.length - 1, leaves.length]) {
      if (size < old || size > leaves.length) continue;
      expect(await wake.consistency(old, size)).toEqual(
        old === size ? [] : consistencyProof(leaves.slice(0, size), old),
      );
    }
  }
  await expect(wake.rootAt(leaves.length + 1)).rejects.toThrow(RangeError);
});

test('compressed segments are read as the plain ones', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { segmentBytesMax: 4000 });
  for (let n = 0; n < 30; n += 1) await log.durable(log.append(statement(n)));
  await log.close();
  const leaves = leavesOf(path);
  for (const n of [0, 1, 2]) {
    const plain = join(logFolder(path), `seg-0000000${n}.jsonl`);
    fs.writeFileSync(`${plain}.zst`, zstdCompressSync(fs.readFileSync(plain)));
    fs.rmSync(plain);
  }
  const wake = wakeOf(path);
  await wake.advance();
  for (const old of [1, 5, 9, 20])
    expect(await wake.consistency(old, leaves.length)).toEqual(consistencyProof(leaves, old));
});

test('records that are not what was sealed are not vouched for', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path);
  const wake = wakeOf(path);
  await wake.advance();
  await log.durable(log.append(statement(1)));
  const file = join(logFolder(path), 'seg-00000000.jsonl');
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('select 1', 'select 2'));
  await expect(wake.advance()).rejects.toThrow(/not what was sealed/);
});
