// Enclosable: which texts cannot be put between commands of ours, whatever the rules say, and the verdict that they get
// instead. Pure. Source: wire.md §3.6; the manual, DECLARE ("WITH HOLD"), COPY.

import { type Counts, countsOf } from '../policy/counting.ts';
import type { Enclosure, Verdict } from '../policy/verdict.ts';
import type { Statement } from '../sql/statement.ts';
import type { Gate } from './gate.ts';
import { ofTransaction, type Position } from './segment.ts';

/** The hold that takes the place of a passing verdict; its evidence is what that verdict asks for. */
export function heldInstead({ rule, need }: Verdict, reason: string): Verdict {
  return { action: 'hold', rule, reason, ...(need !== undefined && { need }) };
}

/** Why a text cannot be enclosed, in a clause for people; undefined if it can. */
export function unenclosable(statements: readonly Statement[], { kind }: Enclosure): string | undefined {
  if (statements.some(ofTransaction)) return 'controls the transaction that it would have to run within';
  // Its data are sent once, and an attempt that is undone must be repeated.
  if (statements.some(({ command, effects }) => command === 'COPY' && effects.includes('insert')))
    return 'takes data from the client, so that it cannot be undone and run again';
  if (kind === 'rows' && statements.some(declares)) return 'declares a cursor, whose rows are not counted';
  return undefined;
}

/** What the server tells of the rows that a held text changes; undefined where an approval cannot bound them. */
export function boundsOf({ own, statements }: Gate): Counts | undefined {
  if (own.length !== 1 || unenclosable(statements, { kind: 'rows', rowsMax: 0 }) !== undefined)
    return undefined;
  return countsOf(statements);
}

/** Where what the statement would run within cannot be told apart from what the client does. */
export const unclearPosition =
  'comes in one batch with commands that change the transaction; sent by itself it would have passed';

/**
 * Why a DECLARE cannot be enclosed where it stands. A holdable cursor runs its query at COMMIT, so that COMMIT must be
 * ours; any other lives no longer than the transaction, so that the transaction must be the client's.
 */
export function cursorConflict({ statements, sql, proto }: Gate, position: Position): string | undefined {
  if (!statements.some(declares)) return undefined;
  const holdable = /hold/i.test(sql.toString('latin1'));
  const confined = proto === 'simple' && position === 'idle';
  if (holdable && !confined)
    return 'declares a cursor that outlives the transaction in which it could be confined';
  return !holdable && position !== 'block' ? 'declares a cursor outside a transaction block' : undefined;
}

function declares({ names }: Statement): boolean {
  return names.some(({ kind }) => kind === 'declare');
}
