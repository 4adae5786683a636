// The thread in which a log's tiles are kept: reading, hashing and writing them delays no statement.
// Gets sizes that are on disk, answers with the size that the tiles then have, or with what is wrong.

import { parentPort, workerData } from 'node:worker_threads';
import { standBack } from '../background.ts';
import { Tiler } from './tiler.ts';

/** What the thread answers to a size. */
export type TilingAnswer = { readonly size: number } | { readonly error: string };

const port = parentPort;
if (port === null) throw new Error('src/audit/tiling-worker.ts runs as a worker thread only');

standBack();

const tiler = new Tiler(workerData as string);

port.on('message', async (limit: number) => {
  let answer: TilingAnswer;
  try {
    answer = { size: await tiler.catchUp(limit) };
  } catch (error) {
    answer = { error: (error as Error).message };
  }
  port.postMessage(answer);
});
