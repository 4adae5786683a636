// Shape: whether an approval of a gate may cover further statements, and what those must share with its syntax. Only one
// statement that inserts, updates or deletes rows, does nothing else, and changes no row that the server does not count.
// Pure given a parser; refuses to know who approves what. audit-approval §16.6, invariant B20.

import { boundsOf } from '../session/enclosable.ts';
import type { Gate } from '../session/gate.ts';
import type { RawStatement } from '../sql/engine.ts';
import { fingerprint } from '../sql/fingerprint.ts';
import type { Effect } from '../sql/statement.ts';

const commands: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);
const effects: ReadonlySet<Effect> = new Set<Effect>(['read', 'insert', 'update', 'delete']);

/** base64url digest; undefined where an approval covers this one statement alone. */
export function shapeOf(
  gate: Gate,
  syntax: (sql: Buffer) => readonly RawStatement[] | undefined,
): string | undefined {
  const [statement, ...more] = gate.statements;
  if (statement === undefined || more.length > 0 || boundsOf(gate) !== 'all') return undefined;
  if (!commands.has(statement.command) || statement.secret || statement.names.length > 0) return undefined;
  if (!statement.effects.every((effect) => effects.has(effect))) return undefined;
  return fingerprint(syntax(gate.sql) ?? []);
}
