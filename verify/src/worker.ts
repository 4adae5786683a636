// Worker: a thread that reads segments of a log ahead of their turn. Knows a folder; refuses to know what for.

import { parentPort } from 'node:worker_threads';
import { type AheadJob, readAhead } from './ahead.ts';
import { FolderSource } from './source.ts';

/** What a worker is asked. */
export interface Question {
  readonly path: string;
  readonly job: AheadJob;
}

parentPort?.on('message', async ({ path, job }: Question) => {
  // Whatever cannot be read ahead is read in its turn, and what is wrong is found and said there.
  const answer = await readAhead(new FolderSource(path), job).catch(() => undefined);
  parentPort?.postMessage(answer);
});
