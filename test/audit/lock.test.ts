import * as fs from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Lock } from '../../src/audit/lock.ts';
import { temporaryFolder } from './fixture.ts';

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
