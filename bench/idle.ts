// What idle sessions cost in memory, by the thousand: V8 takes and leaves room in pieces of tens of MiB, so that some hundred
// sessions, or the difference of two nearby counts, say nothing. Run: node bench/idle.ts [sessions]

import { memoryKiBOf, treeOf } from './cost/procfs.ts';
import { ask, end, start } from './load/ask.ts';
import type { GuardAddress, GuardSetting } from './load/guard.ts';
import { logIn } from './subjects/program.ts';

const settleMs = 4000;
const steps = 4;
const together = 4;

const count = Number(process.argv[2] ?? 8000);
const server = start('stand-in.ts');
const guard = start('guard.ts');
const port = await ask<number>(server, 'port');
const setting: GuardSetting = {
  url: `postgres://postgres:none@127.0.0.1:${port}/postgres`,
  log: 'on',
  audit: { values: 'none' },
  connectionsMax: count + 10,
};
const address = await ask<GuardAddress>(guard, setting);

const sessions: { destroy(): void }[] = [];
const openUpTo = async (wanted: number): Promise<void> => {
  let begun = sessions.length;
  const open = async () => {
    while (begun < wanted) {
      begun += 1;
      sessions.push(await logIn(address, false));
    }
  };
  await Promise.all(Array.from({ length: together }, open));
};
const settledKiB = async (): Promise<number> => {
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  return memoryKiBOf(treeOf(guard.pid!));
};

try {
  const restKiB = await settledKiB();
  console.log(`at rest ${(restKiB / 1024).toFixed(0)} MiB`);
  for (let step = 1; step <= steps; step += 1) {
    await openUpTo(Math.round((count * step) / steps));
    const kib = await settledKiB();
    const each = ((kib - restKiB) / sessions.length).toFixed(1);
    console.log(`${sessions.length} idle sessions: ${(kib / 1024).toFixed(0)} MiB, ${each} KiB each`);
  }
} finally {
  for (const session of sessions) session.destroy();
  await end(guard);
  await end(server);
}
