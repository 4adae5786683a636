// Analyze: one text through one engine: tree, facts, or why not. Shared by the thread of the sessions and the worker.
// Knows no cache and no thread.

import { classify } from './classify.ts';
import type { Engine } from './engine.ts';
import { grammarError } from './grammar-errors.ts';
import { hasNewNumerals, numeralsSince } from './numerals.ts';
import type { Analysis } from './statement.ts';

export const tooComplex: Analysis = {
  kind: 'refused',
  code: 'too-complex',
  message: 'statement is too complex to be understood; split it into smaller statements',
};

/** The server quotes the whole rest of the text where a string or a comment does not end. */
const messageCharactersMax = 4096;

/** The text must have passed `refusal`. Never throws; look at `engine.broken` afterwards. */
export function analyzeWith(engine: Engine, sql: Uint8Array): Analysis {
  try {
    const parsed = engine.parse(sql);
    if (parsed.kind === 'tree') {
      const since = hasNewNumerals(engine, sql) ? numeralsSince : undefined;
      return { kind: 'statements', statements: classify(parsed.statements, sql.length, since) };
    }
    // The grammar's stack is full: PostgreSQL's parser says this of more than some 5,000 open parentheses.
    if (parsed.message.startsWith('memory exhausted')) return tooComplex;
    const message = parsed.message.slice(0, messageCharactersMax);
    return {
      kind: 'syntax',
      message,
      position: parsed.position,
      ...grammarError(message, sql, parsed.position),
    };
  } catch {
    // Stack overflow inside WebAssembly, a trap, a tree over the size of a string: nothing of it can be believed.
    return tooComplex;
  }
}
