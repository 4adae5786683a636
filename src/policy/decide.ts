// Policy + statements + actor -> Verdict. The strictest matching rule wins, and no rule means hold; the order of
// rules never matters. Pure and synchronous; refuses to know text, sessions and how an approval comes about.
// The guarantees: a pass needs one rule that names everything the statement does; a hold or a deny needs one effect.

import { effectsOfFunction, isBuiltinOperator } from '../sql/functions.ts';
import type { Effect, Statement } from '../sql/statement.ts';
import { mayMatch, mustMatch, type NamePattern, type WrittenName } from './pattern.ts';
import { reasonFor } from './reason.ts';
import type { Policy, Rule } from './rules.ts';
import type { Action, Actor, Need, Verdict } from './verdict.ts';

/** How one statement was judged: what `rules explain` shows. `matched` and `overridden` are in order of name. */
export interface Judgement {
  readonly statement: Statement;
  readonly verdict: Verdict;
  readonly matched: readonly Rule[];
  /** The hold rules that matched and gave way to a pass rule which names them. */
  readonly overridden: readonly Rule[];
}

/**
 * The verdict on a whole text: its statements are sent together or not at all, so the strictest counts. No statements
 * (an empty text, only comments) pass as `empty`: the server answers EmptyQueryResponse.
 */
export function decide(policy: Policy, statements: readonly Statement[], actor: Actor): Verdict {
  let strictest: Verdict | undefined;
  let need: Need | undefined;
  for (const statement of statements) {
    const { verdict } = judge(policy, statement, actor);
    need = strongest(need, verdict.need);
    if (strictest === undefined || rank(verdict) > rank(strictest)) strictest = verdict;
  }
  if (strictest === undefined) return nothingToDo;
  // The release covers the whole text, so it needs what the most demanding of its statements needs.
  return strictest.action === 'hold' && need !== undefined ? { ...strictest, need } : strictest;
}

/** The verdict on one statement and the rules that led to it. */
export function judge(policy: Policy, statement: Statement, actor: Actor): Judgement {
  const matched = policy.rules.filter((rule) => matches(rule, statement, actor));
  const passing = matched.filter((rule) => rule.action === 'pass');
  const overridden = matched.filter(
    (rule) => rule.action === 'hold' && passing.some((pass) => pass.overrides.has(rule.name)),
  );
  const counted = overridden.length === 0 ? matched : matched.filter((rule) => !overridden.includes(rule));
  const verdict = observed(policy, statement, strictestOf(counted, statement));
  return { statement, verdict, matched, overridden };
}

const nothingToDo: Verdict = { action: 'pass', rule: 'empty', reason: 'the text holds no statement' };

/** Behind these no later statement could be judged, so even the shadow mode keeps them out. */
const neverObserved: readonly Effect[] = ['parser-setting'];

/** `rules` are those that match and were not overridden. */
function strictestOf(rules: readonly Rule[], statement: Statement): Verdict {
  const denying = mostSpecific(rules, 'deny');
  if (denying !== undefined) return verdictOf(denying, rules, statement);
  if (statement.effects.includes('parser-setting')) {
    return { action: 'deny', rule: 'built-in', reason: reasonFor(statement, ['parser-setting'], undefined) };
  }
  const holding = mostSpecific(rules, 'hold');
  if (holding !== undefined) {
    const need = rules.reduce<Need | undefined>((sum, rule) => strongest(sum, rule.need), undefined);
    const verdict = verdictOf(holding, rules, statement);
    return need === undefined ? verdict : { ...verdict, need };
  }
  const passing = mostSpecific(rules, 'pass');
  if (passing !== undefined && understood(statement)) return passOf(passing);
  return { action: 'hold', rule: 'no-rule', reason: reasonFor(statement, statement.effects, undefined) };
}

function observed(policy: Policy, statement: Statement, verdict: Verdict): Verdict {
  if (!policy.observe || verdict.action === 'pass') return verdict;
  if (verdict.action === 'deny' && neverObserved.some((effect) => statement.effects.includes(effect)))
    return verdict;
  return { action: 'pass', rule: verdict.rule, reason: verdict.reason, shadow: verdict.action };
}

/** A rule file cannot make the unknown pass; this is the second lock, should a statement claim no effect at all. */
function understood(statement: Statement): boolean {
  return statement.effects.length > 0 && !statement.effects.includes('unknown');
}

/** True if the rule applies. A pass rule must cover all of the statement; the others need to touch any of it. */
export function matches(rule: Rule, statement: Statement, actor: Actor): boolean {
  const cover = rule.action === 'pass';
  return (
    (rule.environments?.has(actor.environment) ?? true) &&
    anyWord(rule.agents, actor.agent) &&
    anyWord(rule.targets, actor.target) &&
    matchesEffects(rule.effects, statement.effects, cover) &&
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
): boolean {
  if (wanted === undefined) return !cover;
  if (!cover) return effects.some((effect) => wanted.has(effect));
  return effects.length > 0 && effects.every((effect) => wanted.has(effect));
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

/** Of the matching rules with this action: the most specific, then the first by name. */
function mostSpecific(rules: readonly Rule[], action: Action): Rule | undefined {
  let best: Rule | undefined;
  for (const rule of rules) {
    if (rule.action !== action) continue;
    if (best === undefined || specificity(rule) > specificity(best)) best = rule;
  }
  return best;
}

/** Conditions count; one on names or people says more than one on effects, which nearly every rule has. */
function specificity(rule: Rule): number {
  const { effects, commands, relations, functions, settings, agents, targets, environments } = rule;
  const narrow = [commands, relations, functions, settings, agents, targets, environments].filter(Boolean);
  return 2 * narrow.length + (effects === undefined ? 0 : 1);
}

/** No sentence is composed: this is the path that most statements take, and nobody reads why. */
function passOf({ name, reason }: Rule): Verdict {
  return { action: 'pass', rule: name, reason: reason ?? 'a rule lets it pass' };
}

/** The deciding rule gives name and reason; what the other rules of the same action mind is told as well. */
function verdictOf(rule: Rule, rules: readonly Rule[], statement: Statement): Verdict {
  const minding = rules.filter((other) => other.action === rule.action);
  const minded = statement.effects.filter((effect) =>
    minding.some((other) => other.effects?.has(effect) ?? true),
  );
  return { action: rule.action, rule: rule.name, reason: reasonFor(statement, minded, rule.reason) };
}

const levels = ['link', 'slack', 'key', 'passkey'] as const;

/** Both needs at once: the stronger evidence and the larger quorum. */
export function strongest(a: Need | undefined, b: Need | undefined): Need | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const level = levels[Math.max(levels.indexOf(a.level ?? 'link'), levels.indexOf(b.level ?? 'link'))]!;
  const quorum = Math.max(a.quorum ?? 1, b.quorum ?? 1);
  return {
    ...((a.level ?? b.level) !== undefined && { level }),
    ...((a.quorum ?? b.quorum) !== undefined && { quorum }),
  };
}

function rank(verdict: Verdict): number {
  if (verdict.action === 'deny') return 4;
  if (verdict.action === 'hold') return 3;
  if (verdict.shadow === 'deny') return 2;
  return verdict.shadow === 'hold' ? 1 : 0;
}
