import * as fs from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Lock } from '../../src/audit/lock.ts';
import { signToken } from '../../src/audit/seal.ts';
import { logFolder, openTestLog, statement, temporaryFolder } from './fixture.ts';

function take(path: string, boot: string): Lock {
  const lock = new Lock(path, boot);
  onTestFinished(() => lock.release());
  return lock;
}

function leave(path: string, owner: object, silentMs: number): void {
  fs.writeFileSync(path, `${JSON.stringify(owner)}\n`);
  const then = new Date(Date.now() - silentMs);
  fs.utimesSync(path, then, then);
}

test('a lock is held until it is released', () => {
  const path = join(temporaryFolder(), 'LOCK');
  const lock = take(path, 'a');
  expect(() => new Lock(path, 'b')).toThrow(new RegExp(`held by process ${process.pid} on`));
  lock.release();
  expect(fs.existsSync(path)).toBe(false);
  take(path, 'b');
});

test('a lock whose process is gone is taken over at once', () => {
  const path = join(temporaryFolder(), 'LOCK');
  leave(path, { pid: 2 ** 30, started: '1@x', host: hostname(), boot: 'old' }, 0);
  take(path, 'new');
  expect(fs.readFileSync(path, 'utf8')).toContain('"boot":"new"');
  expect(fs.readdirSync(join(path, '..'))).toEqual(['LOCK']);
});

test('a lock by an earlier process of the same number is taken over: in a container every process is number 1', () => {
  const path = join(temporaryFolder(), 'LOCK');
  leave(path, { pid: process.pid, started: '1@another-start', host: hostname(), boot: 'old' }, 0);
  take(path, 'new');
});

test('a lock from another host holds while that host gives signs of life', () => {
  const path = join(temporaryFolder(), 'LOCK');
  const owner = { pid: 1, started: '1@x', host: 'elsewhere', boot: 'old' };
  leave(path, owner, 5_000);
  expect(() => new Lock(path, 'new')).toThrow(/on elsewhere, last sign of life 5 s ago/);
  leave(path, owner, 60_000);
  take(path, 'new');
});

test('a lock that says nothing is waited for, then taken over', () => {
  const path = join(temporaryFolder(), 'LOCK');
  fs.writeFileSync(path, '');
  expect(() => new Lock(path, 'new')).toThrow(/is held by/);
  leave(path, {}, 60_000);
  take(path, 'new');
});

test('release does not delete the lock of a successor', () => {
  const path = join(temporaryFolder(), 'LOCK');
  const lock = take(path, 'a');
  leave(path, { pid: 1, host: 'elsewhere', boot: 'b' }, 0);
  lock.release();
  expect(fs.existsSync(path)).toBe(true);
});

test.each([
  [
    'taken by another process',
    (path: string) => {
      fs.writeFileSync(`${path}.theirs`, '{"pid":1,"host":"elsewhere","boot":"b"}\n');
      fs.renameSync(`${path}.theirs`, path);
    },
  ],
  ['removed', (path: string) => fs.rmSync(path)],
])('a log whose lock was %s while it ran adds nothing to the file, now or later', async (_, lose) => {
  const path = temporaryFolder();
  const { log } = await openTestLog(path, { retryMs: 5 });
  await log.durable(log.append(statement(1)));
  const file = join(logFolder(path), 'seg-00000000.jsonl');
  lose(join(logFolder(path), 'LOCK'));
  const before = fs.readFileSync(file);
  // What was read before anybody looked may be in it: a record, never a seal.
  await expect(log.durable(log.append(statement(2)))).rejects.toThrow(/another process may be writing it/);
  const after = fs.readFileSync(file, 'utf8');
  expect(after.slice(before.length)).not.toContain('eyJ');
  expect(() => log.append(statement(3))).toThrow(/for good/);
  log.append({ kind: 'outcome', ref: 2, st: 'unknown', dur_us: 0 });
  await new Promise((resolve) => log.written(resolve));
  await log.close();
  expect(fs.readFileSync(file, 'utf8')).toBe(after);
});

test('a lock that is taken while the signer is asked: the seal is not written', async () => {
  const path = temporaryFolder();
  let lose: (() => void) | undefined;
  const { log } = await openTestLog(path, {
    retryMs: 5,
    sign: async (...given) => {
      lose?.();
      lose = undefined;
      return signToken(...given);
    },
  });
  const file = join(logFolder(path), 'seg-00000000.jsonl');
  await log.durable(log.append(statement(1)));
  const before = fs.readFileSync(file).length;
  lose = () => fs.rmSync(join(logFolder(path), 'LOCK'));
  await expect(log.durable(log.append(statement(2)))).rejects.toThrow(/another process may be writing it/);
  expect(fs.readFileSync(file, 'utf8').slice(before)).not.toContain('eyJ');
});
