// Compressing closed segments: what verifies before verifies after, and at no moment is there less than one whole form.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { AuditLog } from '../../src/audit/log.ts';
import { Manifest } from '../../src/ship/manifest.ts';
import { Packer, type PackFiles, threaded } from '../../src/ship/packer.ts';
import { pack } from '../../src/ship/packing.ts';
import { FolderSource, readLines } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { logFolder, openTestLog, statement, temporaryFolder } from '../audit/fixture.ts';

/** A log of so many closed segments and an open one. */
async function segmentsOf(path: string, closed: number): Promise<AuditLog> {
  const { log } = await openTestLog(path, { segmentBytesMax: 65_536 });
  while (!existsSync(join(logFolder(path), `seg-0000000${closed}.jsonl`)))
    await log.durable(log.append(statement(1, { sql: `select '${'x'.repeat(8000)}'` })));
  return log;
}

function packerOf(path: string, files?: PackFiles): { packer: Packer; told: [number, number][] } {
  const folder = logFolder(path);
  const told: [number, number][] = [];
  const packer = new Packer({
    folder,
    manifest: new Manifest(folder),
    packed: (bytes, packed) => told.push([bytes, packed]),
    ...(files !== undefined && { files }),
  });
  return { packer, told };
}

async function drain(packer: Packer): Promise<void> {
  while (await packer.round(AbortSignal.timeout(30_000)));
}

const segments = (path: string) =>
  readdirSync(logFolder(path))
    .filter((name) => name.startsWith('seg-'))
    .sort();

test('closed segments are compressed, the open one is not, and the log verifies and reads as before', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 3);
  const plain = readFileSync(join(logFolder(path), 'seg-00000001.jsonl'));
  const { packer, told } = packerOf(path);
  await drain(packer);
  expect(segments(path)).toEqual([
    'seg-00000000.jsonl.zst',
    'seg-00000001.jsonl.zst',
    'seg-00000002.jsonl.zst',
    'seg-00000003.jsonl',
  ]);
  expect(zstdDecompressSync(readFileSync(join(logFolder(path), 'seg-00000001.jsonl.zst')))).toEqual(plain);
  for (const [before, after] of told) expect(after).toBeLessThan(before / 5);
  await log.close();
  const source = new FolderSource(logFolder(path));
  expect(await verifyLog(source)).toMatchObject({ ok: true, records: log.health.sealed });
  let seq = 0;
  for await (const line of readLines(source)) if ('seq' in line) expect(line.seq).toBe(seq++);
  expect(seq).toBe(log.health.sealed);
});

test('the log is taken up behind a compressed segment, and refused behind one that was changed', async () => {
  const path = temporaryFolder();
  const first = await segmentsOf(path, 2);
  await drain(packerOf(path).packer);
  await first.close();
  const { log, recovered } = await openTestLog(path, { segmentBytesMax: 65_536 });
  expect(recovered.records).toBe(first.health.sealed);
  await log.close();
  const name = join(logFolder(path), 'seg-00000001.jsonl.zst');
  const packed = readFileSync(name);
  packed[100]! ^= 1;
  writeFileSync(name, packed);
  await expect(openTestLog(path)).rejects.toThrow(/seg-00000001.jsonl.zst line 1: it does not unpack/);
});

test('a process that dies at any step leaves a log that verifies, and the next one ends the work', async () => {
  for (let step = 0; ; step += 1) {
    const path = temporaryFolder();
    const log = await segmentsOf(path, 1);
    await log.close();
    let left = step;
    let isDead = false;
    const mortal = <A extends unknown[], R>(call: (...given: A) => Promise<R>) => {
      return async (...given: A): Promise<R> => {
        if (left === 0) isDead = true;
        left -= 1;
        if (isDead) throw new Error('killed');
        return call(...given);
      };
    };
    const files: PackFiles = {
      pack: mortal(pack),
      rename: mortal(rename) as typeof rename,
      unlink: mortal(unlink) as typeof unlink,
      syncNames: mortal(threaded.syncNames),
    };
    await drain(packerOf(path, files).packer).catch(() => undefined);
    expect(await verifyLog(new FolderSource(logFolder(path)))).toMatchObject({ ok: true });
    await drain(packerOf(path, { ...threaded, pack }).packer);
    expect(segments(path)).toEqual(['seg-00000000.jsonl.zst', 'seg-00000001.jsonl']);
    expect(await verifyLog(new FolderSource(logFolder(path)))).toMatchObject({ ok: true });
    if (!isDead) break;
  }
});

test('half a compressed file, or another one, never replaces the plain one', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 2);
  await log.close();
  const folder = logFolder(path);
  writeFileSync(join(folder, 'seg-00000000.jsonl.zst'), 'half');
  writeFileSync(join(folder, 'seg-00000001.jsonl.zst'), zstdCompressSync('another text'));
  writeFileSync(join(folder, 'seg-00000001.jsonl.zst.new'), 'half');
  await drain(packerOf(path).packer);
  expect(segments(path).filter((name) => name.endsWith('.zst'))).toHaveLength(2);
  expect(await verifyLog(new FolderSource(folder))).toMatchObject({ ok: true });
});

test('a segment that is not what was signed for stays plain', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 1);
  await log.close();
  const name = join(logFolder(path), 'seg-00000000.jsonl');
  const changed = readFileSync(name);
  changed[500]! ^= 1;
  writeFileSync(name, changed);
  await expect(drain(packerOf(path).packer)).rejects.toThrow(
    /seg-00000000.jsonl is not what its manifest line says/,
  );
  expect(readFileSync(name)).toEqual(changed);
});

test('what does not come back out of the compressed file as it went in keeps its plain file', async () => {
  const path = temporaryFolder();
  const log = await segmentsOf(path, 1);
  await log.close();
  const lossy: PackFiles['pack'] = async (job) => ({ ...(await pack(job)), unpacked: '0'.repeat(64) });
  await expect(drain(packerOf(path, { ...threaded, pack: lossy }).packer)).rejects.toThrow(
    /did not come out/,
  );
  expect(segments(path)).toContain('seg-00000000.jsonl');
});
