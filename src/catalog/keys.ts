// Keys: whether a statement can change one row at most because its WHERE pins a unique key of its target. Knows columns
// and indexes; what the values are, and what triggers do beside it, is not its matter.

import type { Statement } from '../sql/statement.ts';
import type { Scope } from './agenda.ts';
import { operatorsMeant, relationsMeant } from './lookup.ts';
import type { RelationObject, Snapshot } from './snapshot.ts';
import { firstUserOid } from './snapshot.ts';

/** Of the one relation that it updates or deletes from. Says no where that cannot be told. */
export function pinsOneRow(
  snapshot: Snapshot,
  statement: Pick<Statement, 'relations' | 'pinned'>,
  scope: Scope,
): boolean {
  const { pinned, relations } = statement;
  if (pinned === undefined || scope.changed) return false;
  const [target, ...others] = relations.filter(({ access }) => access === 'update' || access === 'delete');
  if (target === undefined || others.length > 0) return false;
  if (scope.temporary.has(target.name) || scope.own.has(target.name)) return false;
  const [relation, ...more] = relationsMeant(snapshot, target, scope.path);
  if (relation === undefined || more.length > 0 || !/^[rp]$/.test(relation.kind)) return false;
  // What merely inherits has its own indexes; a rule puts another statement in the place of this one.
  if (relation.children.length > 0 && !relation.partitioned) return false;
  if (relation.rules.some((rule) => rule.event === target.access)) return false;
  if (mayCompareOtherwise(snapshot, relation, scope)) return false;
  return relation.uniques.some((key) => key.every((column) => pinned.includes(column)));
}

/** Rows of a statement that changes some in several parts: one for each that pins a key; undefined unless all do. */
export function rowsOfParts(snapshot: Snapshot, { parts }: Statement, scope: Scope): number | undefined {
  if (parts === undefined) return undefined;
  const one = parts.pinned.every((part) =>
    pinsOneRow(snapshot, { relations: [part], pinned: part.pinned }, scope),
  );
  return one ? parts.pinned.length + parts.otherRows : undefined;
}

/** True if `=` may mean an operator of a user, by which more than one row may be equal to a value. */
function mayCompareOtherwise(snapshot: Snapshot, relation: RelationObject, scope: Scope): boolean {
  const types = new Set(relation.types);
  const meant = operatorsMeant(snapshot, { schema: undefined, name: '=' }, scope.path);
  return meant.some(({ left, right }) =>
    [left, right].some((operand) => operand < firstUserOid || types.has(operand)),
  );
}
