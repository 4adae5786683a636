// One plain sentence for a verdict: what the statement does, to which objects, and why the rule minds.
// Knows words for effects; refuses to know rules. Read by agents and approvers, so names from the text are shown with
// invisible and control characters escaped, and cut.

import { phrase } from '../catalog/words.ts';
import type { Access, Effect, Statement } from '../sql/statement.ts';

/** Each effect as a verb phrase, and the access of the relations that belong to it. */
const phrases: Readonly<Record<Effect, readonly [phrase: string, ...access: Access[]]>> = {
  read: ['reads', 'read'],
  insert: ['adds rows', 'insert'],
  update: ['changes rows', 'update'],
  'update-all': ['changes every row', 'update'],
  delete: ['deletes rows', 'delete'],
  truncate: ['empties tables', 'truncate'],
  create: ['creates objects', 'define'],
  alter: ['changes definitions', 'define'],
  drop: ['drops objects', 'define'],
  grant: ['changes privileges or roles', 'define'],
  temporary: ['uses temporary objects'],
  code: ['runs code that the text does not show'],
  function: ['calls a function that is not a known builtin'],
  unproven: ['may run code that is not proven harmless'],
  sequence: ['takes sequence values'],
  'sequence-set': ['sets a sequence'],
  'lock-rows': ['locks rows', 'read', 'lock'],
  'lock-table': ['locks tables', 'lock'],
  'advisory-lock': ['takes advisory locks'],
  maintain: ['maintains tables', 'define', 'lock'],
  rewrite: ['rewrites tables under an exclusive lock', 'define', 'lock'],
  'large-object': ['writes large objects'],
  notify: ['sends or receives notifications'],
  transaction: ['controls the transaction'],
  'two-phase': ['detaches a transaction from its session'],
  setting: ['changes a session setting'],
  'custom-setting': ['changes a custom setting'],
  'guard-setting': ['changes a setting that weakens a safeguard'],
  'parser-setting': ['changes how later statements are read'],
  role: ['changes the role it runs as'],
  sessions: ['acts on other sessions'],
  administer: ['acts on the server itself'],
  os: ['reaches files, programs or libraries of the server'],
  remote: ['reaches another server'],
  replication: ['acts on replication'],
  unknown: ['does something that is not understood'],
};

const relationsShownMax = 3;
const nameCharsMax = 70;
const whyCharsMax = 300;

/** The verb phrase of an effect: `deletes rows`. */
export function effectPhrase(effect: Effect): string {
  return phrases[effect][0];
}

/**
 * `DELETE deletes rows (orders): rows that are gone do not come back`. `minded` are the effects to speak of; `reason`
 * is the rule's own text. What code behind a name does is told with the way to it: `SELECT deletes rows of
 * public.orders via function public.purge(): …`.
 */
export function reasonFor(
  statement: Statement,
  minded: readonly Effect[],
  reason: string | undefined,
): string {
  const hidden = hiddenWays(statement, minded);
  const shown = minded.filter((effect) => !hidden.has(effect) || isOwn(statement.command, effect));
  // What the classifier found out says more than the effect's name: `calls purge(), which is not a known builtin`.
  const found =
    shown.length > 0 && shown.every(needsWhy)
      ? statement.why.find((why) => ![...hidden.values()].includes(why))
      : undefined;
  const phrases = found === undefined ? shown.map(effectPhrase).join(', ') : visible(found, whyCharsMax);
  const touched = relationsOf(statement, shown);
  const doing = [
    phrases === '' ? [] : [touched === '' ? phrases : `${phrases} (${touched})`],
    [...new Set(hidden.values())].map((why) => visible(why, whyCharsMax)),
  ].flat();
  return [
    visible(statement.command),
    doing.length === 0 ? '' : ` ${doing.join(', ')}`,
    reason === undefined ? '' : `: ${reason}`,
  ].join('');
}

/** Of the minded effects that code behind a name has: the catalog's sentence, which names the way. */
function hiddenWays({ why }: Statement, minded: readonly Effect[]): Map<Effect, string> {
  const ways = new Map<Effect, string>();
  if (why.length === 0) return ways;
  for (const effect of minded) {
    const verb = phrase(effect);
    const way = why.find(
      (each) =>
        (each.startsWith(verb) && each.includes(' via ')) ||
        // Which writer it is that it may reach says more than that it may reach one.
        (each.startsWith('may ') && (effect === 'unproven' || each.includes(`, which ${verb}`))),
    );
    if (way !== undefined) ways.set(effect, way);
  }
  return ways;
}

const ownEffects: Readonly<Record<string, readonly Effect[]>> = {
  INSERT: ['insert'],
  UPDATE: ['update', 'update-all'],
  DELETE: ['delete'],
  MERGE: ['insert', 'update', 'update-all', 'delete'],
  TRUNCATE: ['truncate'],
};

/** True if the statement has the effect by its own words, whatever code behind it does. */
function isOwn(command: string, effect: Effect): boolean {
  return ownEffects[command]?.includes(effect) ?? false;
}

function needsWhy(effect: Effect): boolean {
  return effect === 'function' || effect === 'unknown' || effect === 'code' || effect === 'os';
}

function relationsOf(statement: Statement, minded: readonly Effect[]): string {
  const accesses = new Set(minded.flatMap((effect) => phrases[effect].slice(1)));
  const names = statement.relations
    .filter((relation) => accesses.has(relation.access))
    .map(({ schema, name }) => visible(schema === undefined ? name : `${schema}.${name}`));
  const distinct = [...new Set(names)];
  const rest = distinct.length - relationsShownMax;
  return distinct.slice(0, relationsShownMax).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

/** Control, bidirectional and zero-width characters as \u{…}; cut to `charsMax`. */
export function visible(text: string, charsMax = nameCharsMax): string {
  const shown = text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
  return shown.length > charsMax ? `${shown.slice(0, charsMax)}…` : shown;
}
