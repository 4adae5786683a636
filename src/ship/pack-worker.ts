// Pack worker: the thread that compresses one segment, so that no statement waits for it. Ends when that is done.

import { parentPort, workerData } from 'node:worker_threads';
import { standBack } from '../background.ts';
import { type PackJob, pack } from './packing.ts';

standBack();
// A rejection ends the thread with its error, which is the answer.
parentPort?.postMessage(await pack(workerData as PackJob));
