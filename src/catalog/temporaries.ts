// Temporaries: what a statement does to temporary tables of its own session, which nobody else sees and which end with it.
// Believes only tables that the session's own statements have made, under names that no permanent relation has: after a
// rollback, DISCARD or ON COMMIT DROP such a name is an error and nothing else. Source: the manual, "CREATE TABLE".

import type { Effect, Statement } from '../sql/statement.ts';
import type { NameContext } from './names.ts';
import type { Snapshot } from './snapshot.ts';
import { accessOf } from './words.ts';

const makesTable = /^(CREATE TABLE|SELECT INTO)/;
const confined: ReadonlySet<Effect> = new Set(['update', 'update-all', 'delete', 'truncate', 'drop']);

/**
 * Takes those effects away that concern nothing but temporary tables of the session: dropping one is `temporary`, as making
 * it was, and changing its rows is no more than the `insert` that filled it.
 */
export function confineToTemporary(
  effects: Set<Effect>,
  statement: Statement,
  context: NameContext,
  snapshot: Snapshot,
): void {
  if (context.temporary.size === 0 || context.changed || context.shadowed) return;
  // CASCADE reaches what is not named.
  if (statement.sweeping === true) return;
  for (const effect of [...effects]) {
    if (!confined.has(effect)) continue;
    const access = effect === 'drop' ? 'define' : accessOf[effect];
    const uses = statement.relations.filter((use) => use.access === access);
    const own = ({ schema, name }: (typeof uses)[number]) =>
      schema === undefined &&
      makesTable.test(context.temporary.get(name)?.command ?? '') &&
      snapshot.relationsNamed(name).length === 0;
    if (uses.length === 0 || !uses.every(own)) continue;
    effects.delete(effect);
    effects.add(effect === 'drop' ? 'temporary' : 'insert');
  }
}
