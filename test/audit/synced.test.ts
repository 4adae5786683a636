// Records that somebody wants on disk and need no seal: what is acknowledged was in the file before the sync began that
// covers it, one sync is in flight, seals come all the same, and a disk that fails acknowledges nothing.

import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { verifyLog } from '../../verify/src/verify.ts';
import { FaultFs } from './faultfs.ts';
import { openTestLog, snapshot, statement, temporaryFolder } from './fixture.ts';

const seldom = 60_000;

/** All that the log's files say, in order. */
function text(path: string): string {
  const { files } = snapshot(path);
  const names = [...files.keys()].filter((name) => name.startsWith('seg-')).sort();
  return names.map((name) => String(files.get(name))).join('');
}

const seals = (path: string): number =>
  text(path)
    .split('\n')
    .filter((line) => line.startsWith('ey')).length;

test('a record is synced when the disk has it, without a seal', async () => {
  const path = temporaryFolder();
  const disk = new FaultFs();
  const { log } = await openTestLog(path, { fs: disk.fs, sealMs: seldom });
  const before = seals(path);
  disk.hangs = true;
  const seq = log.append(statement(1));
  let isSettled = false;
  const synced = log.synced(seq).then(() => {
    isSettled = true;
  });
  while (disk.kept.length === 0) await turn();
  expect(text(path)).toContain(`"seq":${seq},`);
  for (let turns = 0; turns < 20; turns += 1) await turn();
  expect(isSettled).toBe(false);
  expect(log.onDisk).toBeLessThanOrEqual(seq);
  disk.answer();
  await synced;
  expect(log.onDisk).toBe(seq + 1);
  expect(log.sealed).toBeLessThanOrEqual(seq);
  expect(seals(path)).toBe(before);
  // It is there already.
  await log.synced(seq);
  await log.close();
  expect(log.sealed).toBeGreaterThan(seq);
  expect(seals(path)).toBeGreaterThan(before);
});

test('what comes while the disk is at it waits for the next time, all of it for the same', async () => {
  const disk = new FaultFs();
  const { log } = await openTestLog(temporaryFolder(), { fs: disk.fs, sealMs: seldom });
  disk.hangs = true;
  const done: number[] = [];
  const add = (n: number) => {
    const seq = log.append(statement(n));
    return log.synced(seq).then(() => void done.push(n));
  };
  const first = add(1);
  while (disk.kept.length === 0) await turn();
  const rest = [2, 3, 4, 5].map(add);
  for (let turns = 0; turns < 20; turns += 1) await turn();
  expect(disk.kept).toHaveLength(1);
  disk.kept.shift()!();
  await first;
  while (disk.kept.length === 0) await turn();
  expect(done).toEqual([1]);
  expect(disk.kept).toHaveLength(1);
  disk.answer();
  await Promise.all(rest);
  expect(done).toEqual([1, 2, 3, 4, 5]);
});

test('seals come as they would, however many wait for the disk alone', async () => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { sealMs: 1 });
  const before = log.sealed;
  const sealed = () => log.sealed > before + 20;
  for (let n = 0; !sealed(); n += 1) await log.synced(log.append(statement(n)));
  // Nobody waited for one.
  expect(log.size).toBeGreaterThanOrEqual(log.sealed);
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true });
});

test('a sync that fails acknowledges nothing; what it was to cover is written again, and then it is', async () => {
  const path = temporaryFolder();
  const disk = new FaultFs();
  const { log } = await openTestLog(path, { fs: disk.fs, sealMs: seldom, retryMs: 10 });
  let failures = 1;
  disk.fault = (name) => (name === 'fdatasync' && failures-- > 0 ? 'EIO' : undefined);
  const seqs = [1, 2, 3].map((n) => log.append(statement(n)));
  await Promise.all(seqs.map((seq) => log.synced(seq)));
  expect(failures).toBeLessThan(0);
  expect(disk.reused).toEqual([]);
  expect(text(path)).toContain('"kind":"gap"');
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true });
});

test('a disk that goes on failing acknowledges nothing, and those who wait hear of it', async () => {
  const disk = new FaultFs();
  const { log } = await openTestLog(temporaryFolder(), { fs: disk.fs, sealMs: seldom, retryMs: 10 });
  disk.fail('EIO', 'fdatasync');
  await expect(log.synced(log.append(statement(1)))).rejects.toMatchObject({ code: 'log-unwritable' });
  expect(() => log.append(statement(2))).toThrow(/log/);
  disk.heal();
  await expect.poll(() => log.failed).toBe(undefined);
  await log.synced(log.append(statement(3)));
});

test('whatever waits for the file, the disk and seals at once: nothing is acknowledged that a power cut could take', async () => {
  const path = temporaryFolder();
  const disk = new FaultFs();
  const { log } = await openTestLog(path, { fs: disk.fs, sealMs: 1, segmentBytesMax: 40_000 });
  // What the disk was asked to keep when it was asked, and says that it has when it answers.
  let asked = '';
  let kept = text(path);
  disk.fault = (name) => {
    if (name === 'fdatasync') asked = text(path);
    return undefined;
  };
  const fdatasync = disk.fs.fdatasync;
  Object.assign(disk.fs, {
    fdatasync: (fd: number, done: (error: NodeJS.ErrnoException | null) => void) =>
      fdatasync(fd, (error) => {
        kept = asked;
        done(error);
      }),
  });
  const waits: Promise<void>[] = [];
  for (let n = 0; n < 300; n += 1) {
    const seq = log.append(statement(n));
    const line = `"seq":${seq},`;
    if (n % 3 === 0) waits.push(log.synced(seq).then(() => expect(kept.includes(line)).toBe(true)));
    if (n % 7 === 0)
      waits.push(
        log.durable(seq).then(() => {
          expect(kept.includes(line)).toBe(true);
          expect(log.sealed).toBeGreaterThan(seq);
        }),
      );
    if (n % 5 === 0) await turn();
    if (n % 40 === 0) await Promise.all(waits);
  }
  await Promise.all(waits);
  await log.close();
  expect(await verifyLog(snapshot(path))).toMatchObject({ ok: true });
  expect([...snapshot(path).files.keys()].filter((name) => name.startsWith('seg-')).length).toBeGreaterThan(
    1,
  );
});
