import { readFileSync } from 'node:fs';
import { platform } from 'node:os';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';

/** Of this process: by thread, as Linux has it (proc_pid_stat(5), field 19). */
const ask = `
  import { readFileSync } from 'node:fs';
  import { parentPort } from 'node:worker_threads';
  import { standBack } from '${new URL('../src/background.ts', import.meta.url)}';
  const nice = () => Number(readFileSync('/proc/thread-self/stat', 'latin1').split(') ')[1].split(' ')[16]);
  const before = nice();
  standBack();
  parentPort.postMessage([before, nice()]);
`;

test.runIf(platform() === 'linux')('a thread stands back, and the others stay as they are', async () => {
  const nice = () => readFileSync('/proc/self/stat', 'latin1').split(') ')[1]!.split(' ')[16];
  const own = nice();
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(ask)}`));
  const [before, after] = await new Promise<[number, number]>((resolve, reject) => {
    worker.on('message', resolve);
    worker.on('error', reject);
  });
  expect(after).toBeGreaterThan(before);
  expect(nice()).toBe(own);
});
