// Analyze: one text through one engine: tree, facts, or why not. Shared by the thread of the sessions and the worker.
// Knows no cache and no thread.

import { classify } from './classify.ts';
import type { Engine, RawStatement } from './engine.ts';
import { grammarError } from './grammar-errors.ts';
import { hasNewNumerals, numeralsSince } from './numerals.ts';
import type { Analysis, Statement } from './statement.ts';

export const tooComplex: Analysis = {
  kind: 'refused',
  code: 'too-complex',
  message: 'statement is too complex to be understood; split it into smaller statements',
};

/** The server quotes the whole rest of the text where a string or a comment does not end. */
const messageCharactersMax = 4096;

/** Has the trees of a text classified; whoever does it may look at the trees before, and at what comes of it. */
export type Classifying = (
  trees: readonly RawStatement[],
  classify: () => readonly Statement[],
) => readonly Statement[];

/** The text must have passed `refusal`. Never throws; look at `engine.broken` afterwards. */
export function analyzeWith(
  engine: Engine,
  sql: Uint8Array,
  classifying: Classifying = (_trees, classify) => classify(),
): Analysis {
  try {
    const parsed = engine.parse(sql);
    if (parsed.kind === 'tree') {
      const since = hasNewNumerals(engine, sql) ? numeralsSince : undefined;
      const { statements } = parsed;
      return {
        kind: 'statements',
        statements: classifying(statements, () => classify(statements, sql.length, since)),
      };
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
