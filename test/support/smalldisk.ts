// A small disk of its own for a test: a real file system that can be filled and made read-only. Mounting needs root.

import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly path: string;
  /** Takes all the room that is left. */
  fill(): void;
  /** Gives back what `fill` took. */
  free(): void;
  readOnly(isReadOnly: boolean): void;
  unmount(): void;
}

/** Whether this process may mount; in CI and in containers with the right it may. */
export function mayMount(): boolean {
  const path = fs.mkdtempSync(join(tmpdir(), 'holdpoint-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path], { stdio: 'ignore' });
    execFileSync('umount', [path]);
    return true;
  } catch {
    return false;
  } finally {
    fs.rmdirSync(path);
  }
}

/** A tmpfs of so many bytes. */
export function smallDisk(bytes: number): SmallDisk {
  const path = fs.mkdtempSync(join(tmpdir(), 'holdpoint-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path]);
  const filler = join(path, 'filler');
  return {
    path,
    fill: () => {
      const fd = fs.openSync(filler, 'a');
      try {
        for (const size of [65_536, 4096, 64]) writeUntilFull(fd, Buffer.alloc(size, 1));
      } finally {
        fs.closeSync(fd);
      }
    },
    free: () => fs.rmSync(filler, { force: true }),
    readOnly: (isReadOnly) =>
      execFileSync('mount', ['-o', `remount,${isReadOnly ? 'ro' : 'rw'}`, path], { stdio: 'pipe' }),
    unmount: () => {
      execFileSync('umount', ['-l', path]);
      fs.rmdirSync(path);
    },
  };
}

function writeUntilFull(fd: number, chunk: Buffer): void {
  try {
    for (;;) fs.writeSync(fd, chunk);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
