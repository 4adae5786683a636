// Classify: the syntax trees of one text to the facts of its statements. Knows the order of the statements and their
// place in the text; what a statement does is found by walking all of it (walk.ts).

import { commandOf } from './command-names.ts';
import { Draft } from './draft.ts';
import type { RawStatement } from './engine.ts';
import type { Statement } from './statement.ts';
import { unwrap } from './tree.ts';
import { walk } from './walk.ts';

/**
 * `length` is the length of the text in bytes; `since` is the least major version that reads its words as they are read
 * here. An empty text has no statements.
 */
export function classify(raw: readonly RawStatement[], length: number, since?: number): readonly Statement[] {
  return raw.map((statement) => {
    const start = statement.stmt_location ?? 0;
    // The parser leaves the length out when the statement reaches to the end of the text.
    const bytes = statement.stmt_len ?? 0;
    const draft = new Draft(start, bytes === 0 ? length : start + bytes);
    if (since !== undefined) draft.needs(since);
    const child = statement.stmt === undefined ? undefined : unwrap(statement.stmt);
    if (child === undefined) {
      draft.does('unknown', 'is a statement that is not understood');
      return draft.finish('UNKNOWN');
    }
    walk(draft, child.type, child.node);
    return draft.finish(commandOf(child.type, child.node));
  });
}
