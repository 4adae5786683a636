// Temporaries: what a statement does to temporary tables of its own session, which nobody else sees and which end with it.
// Believes only tables that the session's own statements have made, under names that no permanent relation has: after a
// rollback, DISCARD or ON COMMIT DROP such a name is an error and nothing else. Source: the manual, "CREATE TABLE".

import type { Access, Effect, RelationUse, Statement } from '../sql/statement.ts';
import type { NameContext } from './names.ts';
import type { Snapshot } from './snapshot.ts';
import { accessOf } from './words.ts';

const makesTable = /^(CREATE TABLE|SELECT INTO)/;
const makesView = /^CREATE VIEW/;

/** By effect: how the statement names what it concerns, and what the effect comes to. */
const confined: ReadonlyMap<Effect, readonly [Access | undefined, Effect]> = new Map([
  ['update', [accessOf.update, 'insert']],
  ['update-all', [accessOf['update-all'], 'insert']],
  ['delete', [accessOf.delete, 'insert']],
  ['truncate', [accessOf.truncate, 'insert']],
  ['drop', ['define', 'temporary']],
]);

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
  const own = ({ schema, name }: RelationUse, makes: RegExp) =>
    schema === undefined &&
    makes.test(context.temporary.get(name)?.command ?? '') &&
    snapshot.relationsNamed(name).length === 0;
  const all = (access: Access | undefined, makes: RegExp) => {
    const uses = statement.relations.filter((use) => use.access === access);
    return uses.length > 0 && uses.every((use) => own(use, makes));
  };
  for (const [effect, [access, instead]] of confined) {
    if (!effects.has(effect)) continue;
    if (!all(access, statement.command === 'DROP VIEW' ? makesView : makesTable)) continue;
    effects.delete(effect);
    effects.add(instead);
  }
  // Nobody else waits for it, and it says nothing about other tables.
  if (statement.command === 'ANALYZE' && all('read', makesTable)) {
    effects.delete('maintain');
    effects.add('read');
  }
}
