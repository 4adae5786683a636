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

export function classOf(statement: Statement): StatementClass {
  for (const [name, effects] of classes) {
    if (effects.some((effect) => statement.effects.includes(effect))) return name;
  }
  return 'unknown';
}
