// Descriptors of a process of this machine: how many it has, and a limit under which it gets no more.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';

export const canLimit = process.platform === 'linux';

/** Below any that is free: the first three are always taken. */
const none = 3;

export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Of them the sockets: files come and go by themselves. */
export function socketsOf(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  const leadsTo = (fd: string): string => {
    try {
      return readlinkSync(`${folder}/${fd}`);
    } catch {
      // It was closed meanwhile.
      return '';
    }
  };
  return readdirSync(folder).filter((fd) => leadsTo(fd).startsWith('socket:')).length;
}

/** The soft limit of another process; it may be raised again as far as the hard one. */
export function limitDescriptors(pid: number, limit: number): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${limit}:`]);
}

/** The process gets no descriptor from now on. */
export function exhaust(pid: number): void {
  limitDescriptors(pid, none);
}

/** Runs `work` while this process gets no descriptor. A program that runs before gives them back: none can be started. */
export async function withoutDescriptors<T>(work: () => Promise<T>): Promise<T> {
  const limit = Number(/^Max open files\s+(\d+)/m.exec(limitsText())?.[1]);
  const set = (to: number) => `prlimit --pid ${process.pid} --nofile=${to}:`;
  const helper = spawn('sh', ['-c', `${set(none)}; echo set; read -r _; ${set(limit)}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const gone = once(helper, 'close');
  await once(helper.stdout, 'data');
  try {
    return await work();
  } finally {
    helper.stdin.end('\n');
    await gone;
  }
}

function limitsText(): string {
  return execFileSync('cat', [`/proc/${process.pid}/limits`], { encoding: 'utf8' });
}
