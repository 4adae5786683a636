// Worker: a thread that reads a log for pages, so that whoever looks does not slow down those who write it.

import { parentPort, workerData } from 'node:worker_threads';
import type { Question } from './question.ts';
import { Reading } from './reading.ts';

/** The message of the thread: the answer, or in one sentence why there is none. */
export type Reply = { readonly answer: unknown } | { readonly error: string };

const reading = new Reading(workerData as string);

parentPort!.on('message', (question: Question) => {
  reading
    .answer(question)
    .then(
      (answer): Reply => ({ answer }),
      (error: Error): Reply => ({ error: error.message }),
    )
    .then((reply) => parentPort!.postMessage(reply));
});
