// Terms: what a pass rule with `readOnly`, `rowsMax` or `budget` asks of one statement beyond its conditions, and what
// the statement is then to run within. Pure; refuses to know the other rules (decide.ts weighs them) and how a
// statement is undone. The effects that such rules may list are checked in rules.ts. Source: wire.md §3.6.

import type { Statement } from '../sql/statement.ts';
import { changing, rowEnclosure } from './counting.ts';
import type { Rule } from './rules.ts';
import type { Actor, Enclosure, Spend } from './verdict.ts';

/** What the rules ask about budgets. Rows changed or reserved within the last hour on the budget of a rule. */
export interface Spending {
  spent(rule: string, actor: Actor): number;
}

export type Terms =
  /** The rule lets it pass as it is. */
  | { readonly kind: 'free' }
  /** It passes within the enclosure, if there is one, and on the budget, if there is one. */
  | {
      readonly kind: 'bound';
      readonly enclosure: Enclosure | undefined;
      readonly spend: Spend | undefined;
    }
  /** The rule does not let it pass; `why` goes on after `rule x does not let it pass: `. */
  | { readonly kind: 'unmet'; readonly why: string };

const free: Terms = { kind: 'free' };
const readOnly: Terms = { kind: 'bound', enclosure: { kind: 'read-only' }, spend: undefined };

/**
 * Commands that a READ ONLY transaction can be put around. Of a cursor that was declared in one, the session takes each
 * FETCH for unproven too.
 */
const enclosable: ReadonlySet<string> = new Set([
  'SELECT',
  'VALUES',
  'TABLE',
  'EXPLAIN',
  'COPY',
  'EXECUTE',
  'DECLARE',
  'FETCH',
  'MOVE',
]);

/** `rule` is a pass rule that matches the statement. */
export function termsOf(rule: Rule, statement: Statement, actor: Actor, spending: Spending): Terms {
  if (rule.readOnly) return readOnlyTerms(statement, actor);
  if (rule.rowsMax === undefined && rule.budgetRows === undefined) return free;
  if (!statement.effects.some((effect) => changing.has(effect))) return free;
  return rowTerms(rule, statement, actor, spending);
}

function readOnlyTerms({ command }: Statement, actor: Actor): Terms {
  if (actor.access === 'read-only') return free;
  if (enclosable.has(command)) return readOnly;
  return { kind: 'unmet', why: `${command} cannot run in a READ ONLY transaction of its own` };
}

function rowTerms(rule: Rule, statement: Statement, actor: Actor, spending: Spending): Terms {
  if (statement.uncounted === true) {
    return { kind: 'unmet', why: 'code behind it may change rows that the server does not count' };
  }
  const { budgetRows } = rule;
  const left = budgetRows === undefined ? Infinity : budgetRows - spending.spent(rule.name, actor);
  if (budgetRows !== undefined && left <= 0) {
    return { kind: 'unmet', why: `the budget of ${counted(budgetRows)} an hour is spent` };
  }
  const rowsMax = Math.min(rule.rowsMax ?? Infinity, left);
  const certain = statement.rowsAtMost !== undefined && statement.rowsAtMost <= rowsMax;
  if (!certain && statement.tagged !== true) {
    return { kind: 'unmet', why: 'it changes rows in a part of it that the server does not count' };
  }
  const rows = certain ? statement.rowsAtMost! : rowsMax;
  return {
    kind: 'bound',
    enclosure: certain ? undefined : rowEnclosure([statement], rowsMax),
    spend: budgetRows === undefined ? undefined : { rule: rule.name, rows, rowsPerHour: budgetRows },
  };
}

/** `10,000 rows`. */
export function counted(rows: number): string {
  return `${String(rows).replace(/\B(?=(?:\d{3})+$)/g, ',')} row${rows === 1 ? '' : 's'}`;
}
