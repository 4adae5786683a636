// What somebody may put into a log's folder to hang, crash or fool whoever verifies it.

import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { Crew } from '../../verify/src/crew.ts';
import { segmentName } from '../../verify/src/names.ts';
import { FolderSource, readLines } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { type MemorySource, smallLog, temporaryFolder } from '../audit/fixture.ts';

const first = segmentName(0);

/** The files of a log in a folder of their own. */
function folderOf(source: MemorySource): string {
  const folder = temporaryFolder();
  for (const [name, content] of source.files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

async function packed(): Promise<{ folder: string; names: string[]; source: MemorySource }> {
  const source = await smallLog({ segmentBytesMax: 2500 }, 12);
  const folder = folderOf(source);
  const names = (await source.segments()).slice(0, -1);
  for (const name of names) {
    writeFileSync(join(folder, `${name}.zst`), zstdCompressSync(source.files.get(name)!));
    rmSync(join(folder, name));
  }
  return { folder, names, source };
}

test('a compressed segment is the same as the plain one, also read ahead, also where both are there', async () => {
  const { folder, names, source } = await packed();
  const whole = await verifyLog(source);
  expect(await verifyLog(new FolderSource(folder))).toEqual(whole);
  const crew = new Crew(folder, 2);
  expect(await verifyLog(new FolderSource(folder), { readers: crew })).toEqual(whole);
  await crew.close();
  let records = 0;
  for await (const read of readLines(new FolderSource(folder))) if ('kind' in read) records += 1;
  expect(records).toBe(whole.records);
  writeFileSync(join(folder, names[0]!), source.files.get(names[0]!)!);
  writeFileSync(join(folder, `${names[0]!}.zst`), 'not compressed, and not looked at');
  expect(await verifyLog(new FolderSource(folder))).toEqual(whole);
});

test('a compressed segment that was changed is found', async () => {
  const { folder, names, source } = await packed();
  const path = join(folder, `${names[1]!}.zst`);
  const content = source.files.get(names[1]!)!;
  writeFileSync(
    path,
    zstdCompressSync(Buffer.concat([content, content.subarray(0, 0), Buffer.from('{}\n')])),
  );
  await expect(verifyLog(new FolderSource(folder))).rejects.toThrow(/unpacks to more than/);
  writeFileSync(path, zstdCompressSync(content.subarray(0, -200)));
  expect(await verifyLog(new FolderSource(folder))).toMatchObject({ ok: false });
  writeFileSync(path, zstdCompressSync(content).subarray(0, 300));
  await expect(verifyLog(new FolderSource(folder))).rejects.toThrow(/cannot be unpacked/);
  writeFileSync(path, 'no zstd');
  await expect(verifyLog(new FolderSource(folder))).rejects.toThrow(/cannot be unpacked/);
});

test('a compressed file that unpacks to gigabytes is refused before it does', async () => {
  const { folder, names } = await packed();
  const bomb = zstdCompressSync(Buffer.alloc(1 << 28, '{'));
  expect(bomb.length).toBeLessThan(1 << 16);
  // One line without end, whatever the manifest allows.
  writeFileSync(join(folder, `${names[0]!}.zst`), bomb);
  const before = process.memoryUsage().rss;
  const outcome = await verifyLog(new FolderSource(folder)).catch((error: Error) => error);
  expect(outcome instanceof Error || !outcome.ok).toBe(true);
  expect(process.memoryUsage().rss - before).toBeLessThan(100 << 20);
});

test('a link, a pipe or a folder under a name of the log is refused, and nothing is waited for', async () => {
  const source = await smallLog({ segmentBytesMax: 2500 }, 8);
  for (const name of [first, 'manifest.jsonl'])
    for (const make of [
      (path: string) => symlinkSync('/dev/zero', path),
      (path: string) => symlinkSync(join(folderOf(source), name), path),
      (path: string) => symlinkSync(path, path),
      (path: string) => mkdirSync(path),
      (path: string) => spawnSync('mkfifo', [path]),
    ]) {
      const folder = folderOf(source);
      rmSync(join(folder, name), { force: true });
      make(join(folder, name));
      await expect(verifyLog(new FolderSource(folder))).rejects.toThrow(/a link, a pipe or a folder/);
    }
});

test('a line of a gigabyte, a file of zeros and a line that never ends are refused without being held', async () => {
  const source = await smallLog();
  const content = source.files.get(first)!;
  const before = process.memoryUsage().rss;
  for (const begin of [Buffer.alloc(0), Buffer.from('{'), content]) {
    const folder = folderOf(source);
    writeFileSync(join(folder, first), begin);
    // Sparse: a gigabyte of zeros that takes no room on disk.
    truncateSync(join(folder, first), 1 << 30);
    expect(await verifyLog(new FolderSource(folder))).toMatchObject({ ok: false, code: 18 });
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(200 << 20);
});

test('names that are none of the log, numbers with gaps and doubled numbers fool nobody', async () => {
  const source = await smallLog({ segmentBytesMax: 2500 }, 12);
  const folder = folderOf(source);
  for (const name of [
    'seg-1.jsonl',
    'seg-00000000.jsonl.bak',
    'seg-00000099.jsonl.zst.zst',
    'seg-0000000x.jsonl',
  ])
    writeFileSync(join(folder, name), 'x');
  expect(await verifyLog(new FolderSource(folder))).toMatchObject({ ok: true });
  writeFileSync(join(folder, 'seg-00000099.jsonl'), source.files.get(first)!);
  expect(await verifyLog(new FolderSource(folder))).toMatchObject({ code: 10 });
});

test('a manifest of a million lines is read once and refused', async () => {
  const source = await smallLog({ segmentBytesMax: 2500 }, 12);
  const lines = source.files.get('manifest.jsonl')!;
  const last = `${source.lines('manifest.jsonl').at(-1)!}\n`;
  const huge = Buffer.concat([lines, Buffer.from(last.repeat(20_000))]);
  const folder = folderOf(source.with('manifest.jsonl', huge));
  expect(await verifyLog(new FolderSource(folder))).toMatchObject({ code: 10 });
  const endless = Buffer.alloc(1 << 24, '{');
  expect(await verifyLog(source.with('manifest.jsonl', endless))).toMatchObject({ ok: false });
});
