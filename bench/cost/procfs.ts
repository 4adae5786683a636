// What Linux says about processes in /proc: CPU time and memory of a process and everything below it. Refuses to know
// whose processes they are. Format: proc(5).

import { readdirSync, readFileSync } from 'node:fs';

export interface Stat {
  readonly pid: number;
  readonly parent: number;
  /** User and system time of all its threads, and of the children that have ended and were waited for. */
  readonly cpuUs: number;
}

/** USER_HZ: a hundredth of a second on everything that Node runs on. */
const tickUs = 10_000;

/** Of /proc/PID/stat. The name in parentheses may hold spaces and parentheses itself. */
export function parseStat(text: string): Stat {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  const fields = text.slice(close + 2).split(' ');
  // Fields 4 and 14 to 17 of the manual, which counts from 1 and the pid and the name with them.
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  const stat = { pid: Number(text.slice(0, open)), parent: Number(fields[1]), cpuUs: ticks * tickUs };
  if (open < 0 || close < open || fields.length < 15 || !Object.values(stat).every(Number.isInteger))
    throw new Error(`not a line of /proc/PID/stat: ${text.slice(0, 80)}`);
  return stat;
}

/** The KiB of `Pss:` in /proc/PID/smaps_rollup, or undefined if the text has none. */
export function parsePssKiB(text: string): number | undefined {
  const found = /^Pss:\s+(\d+) kB$/m.exec(text);
  return found === null ? undefined : Number(found[1]);
}

/** The process and all below it, those that exist. */
export function treeOf(root: number): number[] {
  const pids: number[] = [];
  const below = [root];
  for (let pid = below.pop(); pid !== undefined; pid = below.pop()) {
    const tasks = listed(`/proc/${pid}/task`);
    if (tasks.length > 0) pids.push(pid);
    for (const task of tasks) {
      const children = read(`/proc/${pid}/task/${task}/children`) ?? '';
      below.push(...children.split(' ').filter(Boolean).map(Number));
    }
  }
  return pids;
}

export function cpuUsOf(pids: readonly number[]): number {
  return sum(pids, (pid) => {
    const text = read(`/proc/${pid}/stat`);
    return text === undefined ? 0 : parseStat(text).cpuUs;
  });
}

/** Proportional set size, in which a page of several processes counts once; resident size where there is none. */
export function memoryKiBOf(pids: readonly number[]): number {
  return sum(pids, (pid) => {
    const pss = parsePssKiB(read(`/proc/${pid}/smaps_rollup`) ?? '');
    if (pss !== undefined) return pss;
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? 0);
  });
}

function sum(pids: readonly number[], of: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + of(pid), 0);
}

/** Undefined of a process that has ended meanwhile. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function listed(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
