// Class: the coarse class of a statement, a small fixed set for metrics and log labels. No rule may rest on it.

import type { Effect, Statement, StatementClass } from './statement.ts';

/** Strictest first: a statement is of the first class that one of its effects belongs to. */
const classes: readonly (readonly [StatementClass, readonly Effect[]])[] = [
  ['unknown', ['unknown']],
  ['system', ['os', 'replication', 'administer', 'remote', 'sessions', 'two-phase']],
  ['destroy', ['delete', 'truncate', 'drop', 'update-all', 'rewrite']],
  ['define', ['create', 'alter', 'grant']],
  ['code', ['code', 'function', 'unproven']],
  ['write', ['insert', 'update', 'large-object', 'sequence-set', 'sequence', 'temporary', 'maintain']],
  ['session', ['setting', 'custom-setting', 'guard-setting', 'parser-setting', 'role', 'notify']],
  ['session', ['advisory-lock', 'lock-table']],
  ['transaction', ['transaction']],
  ['read', ['read', 'lock-rows']],
];

/** The place of each effect in that list: most statements have one effect, and are asked about twice. */
const places: ReadonlyMap<Effect, number> = new Map(
  classes.flatMap(([, effects], place) => effects.map((effect): [Effect, number] => [effect, place])),
);

export function classOf(statement: Statement): StatementClass {
  let strictest = classes.length;
  for (const effect of statement.effects)
    strictest = Math.min(strictest, places.get(effect) ?? classes.length);
  return classes[strictest]?.[0] ?? 'unknown';
}
