// Reading: what the parser's opinion of a text rests on, and what becomes of it where that is not certain. Two settings
// change how the server reads text; they are pinned at login, but code can change them, and the server reports that
// only with ReadyForQuery, behind later texts of the same batch. Pure. Source: wire.md §0.2, §3.1, §3.2; DESIGN §5.

import { HoldpointError } from '../errors.ts';
import type { Actor } from '../policy/verdict.ts';
import type { Effect, Statement } from '../sql/statement.ts';

const pinnedSettings: ReadonlyMap<string, string> = new Map([
  ['standard_conforming_strings', 'on'],
  ['client_encoding', 'UTF8'],
]);

/**
 * Why the session must end, if the server reports that it reads text in another way from now on, or (14 and later) that
 * a session which may only read has left that mode.
 */
export function pinnedError(
  name: string,
  value: string,
  access: Actor['access'],
): HoldpointError | undefined {
  if (access === 'read-only' && name === 'default_transaction_read_only' && value !== 'on') {
    return new HoldpointError('protocol-violation', 'the session of a read-only agent was made writable', {
      hint: 'Connect again.',
    });
  }
  const pinned = pinnedSettings.get(name);
  if (pinned === undefined || pinned === value) return undefined;
  return new HoldpointError(
    'protocol-violation',
    `the server changed ${name} to ${JSON.stringify(value)}, which changes how statements are read`,
    { hint: 'Connect again.' },
  );
}

const backslash = 0x5c;
const asciiMax = 0x7f;

/** True if those settings make a difference to the text: it has a backslash, or bytes beyond ASCII. */
export function ambiguous(sql: Buffer): boolean {
  return sql.some((byte) => byte === backslash || byte > asciiMax);
}

/** The facts of a text that could not be read with certainty. */
export function misread(statement: Statement): Statement {
  const effects: Effect[] = [...new Set<Effect>([...statement.effects, 'unknown'])].sort();
  const { unresolved: _, ...rest } = statement;
  const why = 'follows code in the same batch that may have changed how text is read';
  return { ...rest, effects, why: [...statement.why, why] };
}

/** The facts of a Bind whose statement name cannot be explained. */
export function unknownName(name: string): Statement {
  return {
    command: 'BIND',
    effects: ['unknown'],
    relations: [],
    functions: [],
    settings: [],
    types: [],
    operators: [],
    fields: [],
    names: [],
    why: [
      `binds the prepared statement ${JSON.stringify(name.slice(0, 63))}, which this session has not defined`,
    ],
    secret: false,
    start: 0,
    end: 0,
  };
}
