// The errors that a session answers by itself, in the words the client reads. Pure. The DETAIL is one line of JSON in
// CONTRACT's shape, so that an agent can tell the cases apart without reading prose.

import { HoldpointError } from '../errors.ts';
import type { Verdict } from '../policy/verdict.ts';
import type { Analysis } from '../sql/statement.ts';

/** DETAIL of every refusal and of the hold's NOTICE. `request` null: no request was opened. */
export function stateDetail(
  request: string | null,
  state: 'pending' | 'rejected' | 'denied' | 'expired' | 'canceled',
  more: Record<string, string> = {},
): string {
  return JSON.stringify({ request, state, ...more });
}

export function deniedError(verdict: Verdict): HoldpointError {
  return new HoldpointError('denied', `statement denied by rule "${verdict.rule}": ${verdict.reason}`, {
    detail: stateDetail(null, 'denied', { rule: verdict.rule }),
    hint: 'No approval can release this statement. Reach the goal another way, or ask a person who is responsible for this database.',
  });
}

/** PostgreSQL's own words for a statement in a failed transaction block. */
export function abortedError(): HoldpointError {
  return new HoldpointError(
    'aborted-transaction',
    'current transaction is aborted, commands ignored until end of transaction block',
  );
}

/** An EXECUTE was bound, and the name in it has been given to another statement since. */
export function changedError(): HoldpointError {
  return new HoldpointError(
    'conflict',
    'the prepared statement that this portal executes has changed since it was bound',
    { hint: 'Bind it again.' },
  );
}

/** A portal was bound, and what its statement reaches has been given another definition since. */
export function staleError(change: string): HoldpointError {
  return new HoldpointError('conflict', `the portal was bound before ${change}`, { hint: 'Bind it again.' });
}

/** Code that ran in the session may have opened a portal by that name, over anything. */
export function unseenPortalError(): HoldpointError {
  return new HoldpointError(
    'conflict',
    'no statement that was seen here has opened this portal since code ran that may have',
    { hint: 'FETCH from it by its name, which a person can approve.' },
  );
}

/** A Parse is forwarded before its Bind can be judged, and this one would run code of the database by itself. */
export function parsingError(): HoldpointError {
  return new HoldpointError(
    'not-supported',
    'reading the literals of this statement may run code of the database, so it cannot be prepared before it is judged',
    { hint: 'Send it as a simple query, with its values written in it.' },
  );
}

export function longNameError(): HoldpointError {
  return new HoldpointError(
    'not-supported',
    'names of prepared statements and portals that are not ASCII cannot be told apart here',
    { hint: 'Use a name of ASCII letters and digits.' },
  );
}

export function functionCallError(): HoldpointError {
  return new HoldpointError(
    'not-supported',
    'function calls by number are not available through this connection',
    { hint: 'Call the function by SQL: SELECT name(…).' },
  );
}

/** Ends the session: replication and logins do not happen in the middle of one. */
export function strayError(): HoldpointError {
  return new HoldpointError('upstream-refused', 'the server sent a message that no statement can cause');
}

/** For the log: the server discards the stand-in, so that no client reads this. */
export function skippedError(): HoldpointError {
  return new HoldpointError('canceled', 'an earlier statement of the batch failed');
}

/** The answer to a text that did not become statements. A syntax error is told in PostgreSQL's words. */
export function analysisError(analysis: Exclude<Analysis, { kind: 'statements' }>): HoldpointError {
  if (analysis.kind === 'refused') return new HoldpointError(analysis.code, analysis.message);
  const { kind: _, message, position, ...more } = analysis;
  return new HoldpointError('syntax', message, position === undefined ? more : { ...more, position });
}

/** A reader of src/wire throws nothing else; anything else is a defect and ends the session. */
export function asHoldpointError(error: unknown): HoldpointError {
  if (error instanceof HoldpointError) return error;
  throw error;
}

/** A client that sends and never lets the server answer. Ends the session. */
export function floodError(): HoldpointError {
  return new HoldpointError('too-large', 'too many frames were sent without reading their answers');
}

/** A frame of the login, or of no protocol, in the middle of a session. Ends the session. */
export function unexpectedError(type: number): HoldpointError {
  const letter = JSON.stringify(String.fromCharCode(type));
  return new HoldpointError('protocol-violation', `message type ${letter} is not expected after login`);
}

/** What was approved is not what would run now; it is held again. For the log: the client hears of the new request. */
export function changedSinceError(change: string): HoldpointError {
  return new HoldpointError('canceled', `not released: ${change}`);
}

/** Ends the session: a command of ours around a statement was not carried out, so that nothing is certain any more. */
export function brokenEnclosureError(): HoldpointError {
  return new HoldpointError(
    'upstream-refused',
    'a statement could not be undone; its transaction was ended',
    {
      hint: 'Connect again.',
    },
  );
}

/** It tried what its rule does not let it do when the client had part of its output, so that it could not be held. */
export function writesError({ rule, reason }: Verdict): HoldpointError {
  return new HoldpointError('pending', `the statement ${reason}; it needs approval and did not run`, {
    detail: stateDetail(null, 'pending', { rule }),
    hint: 'Send it again: it will then wait for approval.',
  });
}
