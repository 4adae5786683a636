// Worker: the thread that parses large texts, one at a time, so that no session waits for another's 5,000-row INSERT.
// Knows nothing of the queue before it; the texts it gets have passed `refusal`. It says when it should be replaced:
// memory of WebAssembly never shrinks, and only the end of the thread gives it back at once.

import { parentPort } from 'node:worker_threads';
import { analyzeWith } from './analyze.ts';
import { Engine } from './engine.ts';
import type { Analysis } from './statement.ts';

export interface Answer {
  readonly analysis: Analysis;
  /** The thread must not be used again. */
  readonly spent: boolean;
}

/** A text beyond this leaves so much memory behind that a fresh thread is cheaper. */
const textBytesMax = 1024 * 1024;

const port = parentPort;
if (port === null) throw new Error('src/sql/worker.ts runs as a worker thread only');

const engine = Engine.load();

port.on('message', async (sql: Uint8Array) => {
  const loaded = await engine;
  const analysis = analyzeWith(loaded, sql);
  const answer: Answer = { analysis, spent: loaded.broken || sql.length > textBytesMax };
  port.postMessage(answer);
});
