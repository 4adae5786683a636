// Worker: the thread that parses large texts, one at a time, so that no session waits for another's 5,000-row INSERT.
// Loads a fresh engine when one broke. Knows nothing of the queue before it; the texts it gets have passed `refusal`.

import { parentPort } from 'node:worker_threads';
import { analyzeWith } from './analyze.ts';
import { Engine } from './engine.ts';

const port = parentPort;
if (port === null) throw new Error('src/sql/worker.ts runs as a worker thread only');

let engine = Engine.load();

port.on('message', async (sql: Uint8Array) => {
  const loaded = await engine;
  const analysis = analyzeWith(loaded, sql);
  if (loaded.broken) engine = Engine.load();
  port.postMessage(analysis);
});
