// Looks at a process tree while it works: CPU time at known moments, and the most memory. Refuses to know what it does.

import { cpuUsOf, memoryKiBOf, treeOf } from './procfs.ts';

export interface Sample {
  /** Since the epoch. */
  readonly ms: number;
  readonly cpuUs: number;
}

export interface Watched {
  readonly samples: readonly Sample[];
  readonly memoryKiB: number;
}

const looksPerRun = 12;
const leastMs = 100;

/** Looks until the work is done. Memory is asked once, in the middle: the kernel takes milliseconds to add it up. */
export async function watch<T>(root: number, seconds: number, work: () => Promise<T>): Promise<[T, Watched]> {
  const samples: Sample[] = [];
  let memoryKiB = 0;
  const look = () => {
    const pids = treeOf(root);
    samples.push({ ms: Date.now(), cpuUs: cpuUsOf(pids) });
    if (samples.length === Math.ceil(looksPerRun / 2)) memoryKiB = memoryKiBOf(pids);
  };
  look();
  const timer = setInterval(look, Math.max(leastMs, (seconds * 1000) / looksPerRun));
  try {
    const result = await work();
    look();
    return [result, { samples, memoryKiB: memoryKiB || memoryKiBOf(treeOf(root)) }];
  } finally {
    clearInterval(timer);
  }
}

/**
 * CPU time per unit of work between the first and the last sample that lie within the work, so that neither the logins
 * before it nor what follows count. `endedMs`: when each unit was done. Undefined if there are no two such samples.
 */
export function cpuUsPerUnit(samples: readonly Sample[], endedMs: readonly number[]): number | undefined {
  const first = endedMs.reduce((least, ms) => Math.min(least, ms), Number.POSITIVE_INFINITY);
  const last = endedMs.reduce((most, ms) => Math.max(most, ms), Number.NEGATIVE_INFINITY);
  const within = samples.filter(({ ms }) => ms >= first && ms <= last);
  const [from, to] = [within[0], within.at(-1)];
  if (from === undefined || to === undefined || from === to) return undefined;
  const units = endedMs.filter((ms) => ms > from.ms && ms <= to.ms).length;
  return units === 0 ? undefined : (to.cpuUs - from.cpuUs) / units;
}
