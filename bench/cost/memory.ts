// The memory of a process tree at rest and per idle session.

import { logIn } from '../subjects/program.ts';
import type { Subject } from '../subjects/subject.ts';
import { memoryKiBOf, treeOf } from './procfs.ts';

export interface Memory {
  readonly restMiB: number;
  readonly perSessionKiB: number;
}

const settleMs = 1000;

/**
 * The first half of the sessions makes a process warm: code that has been compiled, buffers that stay. The second half
 * is what sessions cost.
 */
export async function memoryOf(
  { pid, address }: Subject,
  idle: number,
  encrypted: boolean,
): Promise<Memory | undefined> {
  if (pid === undefined) return undefined;
  const settled = async () => {
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    return memoryKiBOf(treeOf(pid));
  };
  const restKiB = await settled();
  const half = Math.ceil(idle / 2);
  const sessions: { destroy(): void }[] = [];
  const open = async () => {
    for (let n = 0; n < half; n += 1) sessions.push(await logIn(address, encrypted));
    return settled();
  };
  try {
    const warm = await open();
    const full = await open();
    return { restMiB: restKiB / 1024, perSessionKiB: (full - warm) / half };
  } finally {
    for (const session of sessions) session.destroy();
  }
}
