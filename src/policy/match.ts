// Match: whether one rule applies to one statement. A pass rule must cover all that the statement does and names; the
// others need to touch any of it. Pure; refuses to know which of several rules counts (weigh.ts, decide.ts).

import { effectsOfFunction, isBuiltinOperator } from '../sql/functions.ts';
import type { Effect, Statement } from '../sql/statement.ts';
import { mayMatch, mustMatch, type NamePattern, type WrittenName } from './pattern.ts';
import type { Rule } from './rules.ts';
import type { Actor } from './verdict.ts';

/** True if the rule applies. A pass rule must cover all of the statement; the others need to touch any of it. */
export function matches(rule: Rule, statement: Statement, actor: Actor): boolean {
  const cover = rule.action === 'pass';
  return (
    (rule.environments?.has(actor.environment) ?? true) &&
    anyWord(rule.agents, actor.agent) &&
    anyWord(rule.targets, actor.target) &&
    matchesEffects(rule.effects, statement.effects, cover, actor) &&
    anyWord(rule.commands, statement.command) &&
    matchesNames(rule.relations, statement.relations, cover) &&
    matchesFunctions(rule.functions, statement, cover) &&
    matchesSettings(rule.settings, statement, cover)
  );
}

function matchesEffects(
  wanted: ReadonlySet<Effect> | undefined,
  effects: readonly Effect[],
  cover: boolean,
  { access }: Actor,
): boolean {
  if (wanted === undefined) return !cover;
  if (!cover) return effects.some((effect) => wanted.has(effect));
  // Of a read-only agent, all code runs where the server refuses writes.
  const proven = (effect: Effect) => wanted.has(effect) || (effect === 'unproven' && access === 'read-only');
  return effects.length > 0 && effects.every(proven);
}

/** For a pass, a condition on names that the statement does not use at all is not met: it was meant for others. */
function matchesNames(
  patterns: readonly NamePattern[] | undefined,
  used: readonly WrittenName[],
  cover: boolean,
): boolean {
  if (patterns === undefined) return true;
  if (!cover) return used.some((name) => patterns.some((pattern) => mayMatch(pattern, name)));
  return used.length > 0 && used.every((name) => patterns.some((pattern) => mustMatch(pattern, name)));
}

/**
 * For a pass, the known builtins need no pattern: their effects are asked by `effects`. A foreign type or operator may
 * call a function that nobody named, so with one of these the condition is not met. What the catalog finds behind a
 * name (views, overloads of a builtin) it adds to `functions`, qualified, and so it is asked here.
 */
function matchesFunctions(
  patterns: readonly NamePattern[] | undefined,
  { functions, types, operators }: Statement,
  cover: boolean,
): boolean {
  if (patterns === undefined) return true;
  if (!cover) return matchesNames(patterns, functions, cover);
  const foreign = functions.filter(({ schema, name }) =>
    effectsOfFunction(schema, name).includes('function'),
  );
  const named = types.length === 0 && operators.every(({ schema, name }) => isBuiltinOperator(schema, name));
  return named && matchesNames(patterns, foreign, cover);
}

function matchesSettings(
  patterns: readonly RegExp[] | undefined,
  statement: Statement,
  cover: boolean,
): boolean {
  if (patterns === undefined) return true;
  const { settings } = statement;
  if (!cover) return settings.some((setting) => anyWord(patterns, setting.name));
  return settings.length > 0 && settings.every((setting) => anyWord(patterns, setting.name));
}

function anyWord(patterns: readonly RegExp[] | undefined, word: string): boolean {
  return patterns === undefined || patterns.some((pattern) => pattern.test(word));
}
