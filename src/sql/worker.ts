// Worker: the thread that parses and scans large texts, one at a time, so that no session waits for another's 5,000-row
// INSERT.
// Knows nothing of the queue before it; the texts it gets have passed `refusal`. It says when it should be replaced:
// memory of WebAssembly never shrinks, and only the end of the thread gives it back at once.

import { parentPort } from 'node:worker_threads';
import { standBack } from '../background.ts';
import { analyzeWith } from './analyze.ts';
import { Engine } from './engine.ts';
import type { Analysis } from './statement.ts';
import { packed, readable } from './tokens.ts';

/** What is wanted of a text: its facts, or its tokens for showing it. */
export interface Question {
  readonly sql: Uint8Array;
  readonly want: 'analysis' | 'tokens';
}

export interface Answer {
  /** The facts, or the packed tokens; null where the text does not scan. */
  readonly result: Analysis | Uint32Array | null;
  /** The thread must not be used again. */
  readonly spent: boolean;
}

/** A text beyond this leaves so much memory behind that a fresh thread is cheaper. */
const textBytesMax = 1024 * 1024;

const port = parentPort;
if (port === null) throw new Error('src/sql/worker.ts runs as a worker thread only');

standBack();

const engine = Engine.load();

port.on('message', async ({ sql, want }: Question) => {
  const loaded = await engine;
  const result = want === 'analysis' ? analyzeWith(loaded, sql) : tokensOf(loaded, sql);
  const answer: Answer = { result, spent: loaded.broken || sql.length > textBytesMax };
  port.postMessage(answer);
});

function tokensOf(loaded: Engine, sql: Uint8Array): Uint32Array | null {
  try {
    return packed(readable(sql, loaded.scan(sql)));
  } catch {
    return null;
  }
}
