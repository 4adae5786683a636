// Weigh: of the rules that match one statement, which pass rules let it pass and within what, and which hold rules give
// way to them. Pass rules are alternatives: each lets through what it names, within its own bounds, so the widest of
// them counts; what lifts a hold rule must be inside the bounds of a rule that names that hold. Pure.

import type { Statement } from '../sql/statement.ts';
import type { Rule } from './rules.ts';
import { type Spending, type Terms, termsOf } from './terms.ts';
import type { Action, Actor, Enclosure } from './verdict.ts';

export interface Unmet {
  readonly rule: Rule;
  /** Goes on after `rule x does not let it pass: `. */
  readonly why: string;
}

/** A rule that lets the statement pass; `terms` undefined: as it is. */
export interface Passing {
  readonly rule: Rule;
  readonly terms: Extract<Terms, { kind: 'bound' }> | undefined;
}

export interface Weighed {
  /** The rules that match and did not give way. */
  readonly counted: readonly Rule[];
  readonly overridden: readonly Rule[];
  readonly unmet: readonly Unmet[];
  /** What lets it pass if nothing counted holds or denies it. The first one names the verdict and has the enclosure. */
  readonly passing: readonly Passing[];
}

/** `matched` are the rules that match the statement, in order of name. */
export function weigh(
  matched: readonly Rule[],
  statement: Statement,
  actor: Actor,
  spending: Spending,
): Weighed {
  const free: Rule[] = [];
  const bound: Required<Passing>[] = [];
  const unmet: Unmet[] = [];
  for (const rule of matched) {
    if (rule.action !== 'pass') continue;
    const terms = termsOf(rule, statement, actor, spending);
    if (terms.kind === 'free') free.push(rule);
    else if (terms.kind === 'bound') bound.push({ rule, terms });
    else unmet.push({ rule, why: terms.why });
  }
  const holds = matched.filter((rule) => rule.action === 'hold');
  const overridden = holds.filter(
    ({ name }) =>
      free.some((rule) => rule.overrides.has(name)) || bound.some(({ rule }) => rule.overrides.has(name)),
  );
  const counted = overridden.length === 0 ? matched : matched.filter((rule) => !overridden.includes(rule));
  return { counted, overridden, unmet, passing: passingOf(free, bound, holds) };
}

function passingOf(
  free: readonly Rule[],
  bound: readonly Required<Passing>[],
  holds: readonly Rule[],
): readonly Passing[] {
  // One that binds nothing at all says more truly why than one whose bounds do not concern this statement.
  const first = mostSpecific(free.filter(bindsNothing), 'pass') ?? mostSpecific(free, 'pass');
  const unconditional = first === undefined ? [] : [{ rule: first, terms: undefined }];
  const left = holds.filter(({ name }) => !free.some((rule) => rule.overrides.has(name)));
  if (left.length === 0) return first === undefined ? widest(bound) : unconditional;
  // Each hold that is left gives way only within the bounds of a rule that names it: all of them apply at once.
  const lifting = left.flatMap(({ name }) => widest(bound.filter(({ rule }) => rule.overrides.has(name))));
  if (lifting.length === 0) return first === undefined ? widest(bound) : unconditional;
  return [...new Set(lifting)].sort((a, b) => rowsOf(a.terms?.enclosure) - rowsOf(b.terms?.enclosure));
}

function bindsNothing({ readOnly, rowsMax, budgetRows }: Rule): boolean {
  return !readOnly && rowsMax === undefined && budgetRows === undefined;
}

function widest(bound: readonly Required<Passing>[]): readonly Passing[] {
  let best: Required<Passing> | undefined;
  for (const each of bound) {
    if (best === undefined || rowsOf(each.terms?.enclosure) > rowsOf(best.terms?.enclosure)) best = each;
  }
  return best === undefined ? [] : [best];
}

/** How much an enclosure lets through: the rows that may be changed within it. */
export function rowsOf(enclosure: Enclosure | undefined): number {
  if (enclosure === undefined) return Infinity;
  return enclosure.kind === 'read-only' ? 0 : enclosure.rowsMax;
}

/** Of the rules with this action: the most specific, then the first by name. */
export function mostSpecific(rules: readonly Rule[], action: Action): Rule | undefined {
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
