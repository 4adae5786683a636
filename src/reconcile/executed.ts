// Executed: which statement an entry of the server's log says was run. Knows the words PostgreSQL uses for it in English;
// where a client's own names stand among them, every way to read them is given. Pure. Source: PostgreSQL manual,
// log_statement and log_min_duration_statement; postgres.c (exec_simple_query, exec_execute_message, fastpath.c).

import type { ServerEntry } from './server-log.ts';

export interface Executed {
  /** The text; where the client's name of the statement could be part of it, every reading, longest first. */
  readonly texts: readonly string[];
  /** The name by which it was prepared, and of its portal, as the log has them; undefined for a simple query. */
  readonly name: string | undefined;
  /** It fetches further rows of what was executed before. */
  readonly again: boolean;
}

/** Readings of one message: names with a colon and a blank in them are nobody's habit. */
const readingsMax = 8;

const timed = /^duration: \d+\.\d+ ms {2}/;

/** The statement; undefined where the entry says of none that it was run. */
export function executedBy({ severity, message, context }: ServerEntry): Executed | undefined {
  // What a function or a DO block says by RAISE LOG has a context.
  if (severity !== 'LOG' || context !== '') return undefined;
  const rest = message.replace(timed, '');
  if (rest.startsWith('statement: ')) return simple(rest.slice('statement: '.length));
  if (rest.startsWith('fastpath function call: ')) return simple(rest);
  if (!rest.startsWith('execute ')) return undefined;
  const again = rest.startsWith('execute fetch from ');
  const named = rest.slice(again ? 'execute fetch from '.length : 'execute '.length);
  const texts: string[] = [];
  for (
    let at = named.indexOf(': ');
    at !== -1 && texts.length < readingsMax;
    at = named.indexOf(': ', at + 2)
  )
    texts.push(named.slice(at + 2));
  if (texts.length === 0) return undefined;
  return { texts, name: named.slice(0, named.indexOf(': ')), again };
}

function simple(text: string): Executed {
  return { texts: [text], name: undefined, again: false };
}

/** True if the entry is one of a statement by its duration alone: what is quicker than some time is not in such a log. */
export function isTimed({ message }: ServerEntry): boolean {
  return timed.test(message);
}
