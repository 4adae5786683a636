// Counting: whether the server tells how many rows a text changes, so that somebody can bound them: a pass rule by
// `rowsMax`, a person by their approval. Pure; refuses to know rules and how a text is undone. Source: wire.md §3.6.

import type { Effect, Statement } from '../sql/statement.ts';
import type { Enclosure } from './verdict.ts';

/** What `rowsMax` and `budget` count. */
export const changing: ReadonlySet<Effect> = new Set<Effect>(['insert', 'update', 'update-all', 'delete']);

/** Effects that change no row, or rows that a command tag counts. */
export const countedEffects: readonly Effect[] = [
  'read',
  'insert',
  'update',
  'update-all',
  'delete',
  'lock-rows',
  'advisory-lock',
  'sequence',
  'notify',
  'setting',
  'custom-setting',
  'temporary',
];

/** What a command tag tells of a text: `all` rows that it changes; its `own`, not those that code behind it changes. */
export type Counts = 'all' | 'own';

/**
 * What the command tag of a text of one statement tells; undefined where nothing, or where it changes no rows.
 * `statements`: with what stands behind its names.
 */
export function countsOf(statements: readonly Statement[]): Counts | undefined {
  const changers = statements.filter(({ effects }) => effects.some((effect) => changing.has(effect)));
  if (changers.length === 0 || changers.some(({ tagged }) => tagged !== true)) return undefined;
  const hidden = statements.some(
    ({ uncounted, effects }) =>
      uncounted === true || effects.some((effect) => !countedEffects.includes(effect)),
  );
  return hidden ? 'own' : 'all';
}

/** The enclosure in which the text may change so many rows. */
export function rowEnclosure(
  statements: readonly Statement[],
  rowsMax: number,
): Extract<Enclosure, { kind: 'rows' }> {
  const selects = statements.some(({ command }) => command === 'SELECT');
  return selects ? { kind: 'rows', rowsMax, selects: true } : { kind: 'rows', rowsMax };
}
