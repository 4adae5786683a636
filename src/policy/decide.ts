// Policy + statements + actor -> Verdict. The strictest matching rule wins, and no rule means hold; the order of
// rules never matters. Pure and synchronous; refuses to know text, sessions, how an approval comes about and how a
// statement is run within bounds.
// The guarantees: a pass needs one rule that names everything the statement does; a hold or a deny needs one effect.

import type { Statement } from '../sql/statement.ts';
import { matches } from './match.ts';
import { beyondReading } from './reader.ts';
import { reasonFor } from './reason.ts';
import type { Policy, Rule } from './rules.ts';
import type { Spending } from './terms.ts';
import type { Actor, Enclosure, Need, Spend, Verdict } from './verdict.ts';
import { mostSpecific, type Passing, rowsOf, type Unmet, type Weighed, weigh } from './weigh.ts';

/** How one statement was judged: what `rules explain` shows. `matched` and `overridden` are in order of name. */
export interface Judgement {
  readonly statement: Statement;
  readonly verdict: Verdict;
  /** The same without shadow mode. */
  readonly enforced: Verdict;
  readonly matched: readonly Rule[];
  /** The hold rules that matched and gave way to a pass rule which names them. */
  readonly overridden: readonly Rule[];
  /** The pass rules that matched and whose bounds the statement does not keep, with the reason. */
  readonly unmet: readonly Unmet[];
}

/** What a verdict depends on beside the text and who sent it. */
export interface Circumstances {
  /** Absent: nothing has been spent. */
  readonly spending?: Spending;
  /**
   * True if the text is one statement, whatever stands behind its names. Absent: it is if `statements` is one; with an
   * EXECUTE, `statements` holds what it runs as well.
   */
  readonly alone?: boolean;
}

const nothingSpent: Spending = { spent: () => 0 };

/**
 * The verdict on a whole text: its statements are sent together or not at all, so the strictest counts. No statements
 * (an empty text, only comments) pass as `empty`: the server answers EmptyQueryResponse.
 */
export function decide(
  policy: Policy,
  statements: readonly Statement[],
  actor: Actor,
  { spending = nothingSpent, alone = statements.length === 1 }: Circumstances = {},
): Verdict {
  const text = new Text(spending);
  // What shadow mode cannot let pass is done whatever else the text holds.
  let firm: Verdict | undefined;
  for (const statement of statements) {
    const { verdict, enforced } = judge(policy, statement, actor, text);
    if (policy.observe && verdict.action !== 'pass') firm ??= verdict;
    text.add(enforced);
  }
  if (firm !== undefined) return firm;
  if (text.strictest === undefined) return nothingToDo;
  const verdict = conflictOf(text, statements, alone) ?? text.verdict;
  return policy.observe ? shadowed(verdict) : verdict;
}

/** One text while its statements are judged, each after what the ones before it will spend. */
class Text implements Spending {
  strictest: Verdict | undefined;
  /** The passing verdict with the narrowest enclosure. */
  enclosing: (Verdict & { enclosure: Enclosure }) | undefined;
  /** More than one kind of enclosure is asked for. */
  mixed = false;
  #need: Need | undefined;
  #selects = false;
  readonly #before: Spending;
  readonly #spends = new Map<string, Spend>();

  constructor(before: Spending) {
    this.#before = before;
  }

  spent(rule: string, actor: Actor): number {
    return this.#before.spent(rule, actor) + (this.#spends.get(rule)?.rows ?? 0);
  }

  add(verdict: Verdict): void {
    this.#need = strongest(this.#need, verdict.need);
    if (this.strictest === undefined || rank(verdict) > rank(this.strictest)) this.strictest = verdict;
    for (const spend of verdict.budget ?? []) {
      const rows = spend.rows + (this.#spends.get(spend.rule)?.rows ?? 0);
      this.#spends.set(spend.rule, { ...spend, rows });
    }
    const { enclosure } = verdict;
    if (enclosure === undefined) return;
    if (this.enclosing !== undefined && this.enclosing.enclosure.kind !== enclosure.kind) this.mixed = true;
    if (enclosure.kind === 'rows' && enclosure.selects === true) this.#selects = true;
    if (this.enclosing === undefined || rowsOf(enclosure) < rowsOf(this.enclosing.enclosure))
      this.enclosing = { ...verdict, enclosure };
  }

  /** The release covers the whole text, so it needs what the most demanding of its statements needs. */
  get verdict(): Verdict {
    const strictest = this.strictest!;
    const need = this.#need === undefined ? {} : { need: this.#need };
    if (strictest.action === 'hold') return { ...strictest, ...need };
    if (strictest.action === 'deny') return strictest;
    const budget = this.#spends.size === 0 ? {} : { budget: [...this.#spends.values()] };
    if (this.enclosing === undefined) return { ...strictest, ...budget };
    const { enclosure } = this.enclosing;
    const whole =
      enclosure.kind === 'rows' && this.#selects ? { ...enclosure, selects: true as const } : enclosure;
    return { ...this.enclosing, enclosure: whole, ...need, ...budget };
  }
}

/** The hold of a text of which every statement passes, and one within an enclosure that cannot be put around the text. */
function conflictOf(text: Text, statements: readonly Statement[], alone: boolean): Verdict | undefined {
  const { enclosing, strictest } = text;
  if (enclosing === undefined || strictest?.action !== 'pass') return undefined;
  let why: string;
  if (statements.some(({ effects }) => effects.includes('transaction') || effects.includes('two-phase')))
    why = 'the text controls the transaction itself';
  else if (text.mixed) why = 'the text holds statements that need different ones';
  // `RELEASE …; INSERT …` must not get out of a savepoint, so nothing but one statement is put into a read-only one.
  else if (enclosing.enclosure.kind === 'read-only' && !alone) why = 'the text holds other statements';
  else return undefined;
  const { rule, need } = enclosing;
  return {
    action: 'hold',
    rule,
    reason: `rule ${rule} lets a statement pass within a transaction of its own, and ${why}; send it by itself`,
    ...(need !== undefined && { need }),
  };
}

/** The verdict on one statement and the rules that led to it. */
export function judge(
  policy: Policy,
  statement: Statement,
  actor: Actor,
  spending: Spending = nothingSpent,
): Judgement {
  const matched = policy.rules.filter((rule) => matches(rule, statement, actor));
  const weighed = weigh(matched, statement, actor, spending);
  const barred = beyondReading(statement, actor, weighed.passing.length > 0);
  const enforced: Verdict =
    barred === undefined
      ? strictestOf(weighed, statement)
      : { action: 'deny', rule: 'read-only-agent', reason: barred };
  const firm = barred !== undefined || (enforced.action === 'deny' && blinds(statement));
  const verdict = policy.observe && !firm ? shadowed(enforced) : enforced;
  return { statement, verdict, enforced, matched, overridden: weighed.overridden, unmet: weighed.unmet };
}

const nothingToDo: Verdict = { action: 'pass', rule: 'empty', reason: 'the text holds no statement' };

/** Behind it no later statement could be judged, so even the shadow mode keeps it out. */
function blinds({ effects }: Statement): boolean {
  return effects.includes('parser-setting');
}

/** What shadow mode makes of a verdict. Who only watches undoes nothing either. */
function shadowed({ action, rule, reason }: Verdict): Verdict {
  return action === 'pass' ? { action, rule, reason } : { action: 'pass', rule, reason, shadow: action };
}

function strictestOf(weighed: Weighed, statement: Statement): Verdict {
  const { counted: rules } = weighed;
  const denying = mostSpecific(rules, 'deny');
  if (denying !== undefined) return verdictOf(denying, rules, statement);
  if (blinds(statement)) {
    return { action: 'deny', rule: 'built-in', reason: reasonFor(statement, ['parser-setting'], undefined) };
  }
  const holding = mostSpecific(rules, 'hold');
  if (holding !== undefined) {
    const verdict = withUnmet(verdictOf(holding, rules, statement), weighed);
    const need = needOf(rules);
    return need === undefined ? verdict : { ...verdict, need };
  }
  if (weighed.passing.length > 0 && understood(statement)) return passOf(weighed);
  const reason = reasonFor(statement, statement.effects, undefined);
  return withUnmet({ action: 'hold', rule: 'no-rule', reason }, weighed);
}

/** The approver is told that a rule would have let it pass, had it kept the bounds. */
function withUnmet(verdict: Verdict, { unmet: [first] }: Weighed): Verdict {
  if (first === undefined) return verdict;
  return {
    ...verdict,
    reason: `${verdict.reason}; rule ${first.rule.name} does not let it pass: ${first.why}`,
  };
}

/** A rule file cannot make the unknown pass; this is the second lock, should a statement claim no effect at all. */
function understood(statement: Statement): boolean {
  return statement.effects.length > 0 && !statement.effects.includes('unknown');
}

/** No sentence is composed: this is the path that most statements take, and nobody reads why. */
function passOf({ passing, overridden }: Weighed): Verdict {
  const [{ rule, terms }] = passing as [Passing];
  const verdict = { action: 'pass', rule: rule.name, reason: rule.reason ?? 'a rule lets it pass' } as const;
  if (terms === undefined) return verdict;
  const spends = passing.flatMap((each) => each.terms?.spend ?? []);
  const need = needOf(overridden);
  return {
    ...verdict,
    ...(terms.enclosure !== undefined && { enclosure: terms.enclosure }),
    ...(spends.length > 0 && { budget: spends }),
    ...(terms.enclosure !== undefined && need !== undefined && { need }),
  };
}

function needOf(rules: readonly Rule[]): Need | undefined {
  return rules.reduce<Need | undefined>((sum, rule) => strongest(sum, rule.need), undefined);
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

/** Both needs at once: the stronger evidence, the larger quorum, and the people whom both count. */
export function strongest(a: Need | undefined, b: Need | undefined): Need | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const level = levels[Math.max(levels.indexOf(a.level ?? 'link'), levels.indexOf(b.level ?? 'link'))]!;
  const quorum = Math.max(a.quorum ?? 1, b.quorum ?? 1);
  const of =
    a.of === undefined ? b.of : b.of === undefined ? a.of : a.of.filter((name) => b.of?.includes(name));
  return {
    ...((a.level ?? b.level) !== undefined && { level }),
    ...((a.quorum ?? b.quorum) !== undefined && { quorum }),
    ...(of !== undefined && { of }),
  };
}

const strictness = { pass: 0, hold: 1, deny: 2 } as const;

function rank({ action }: Verdict): number {
  return strictness[action];
}
