// What `rules explain` says of a text: per statement its class, effects, the findings behind them, the rules that
// matched and the verdict. Judgements -> text for a person and a plain object for --json. Refuses to know a terminal:
// no colour, no width. The JSON keys are relied on by scripts; add, do not rename.

import type { Analysis, RelationUse, Statement, StatementClass } from '../sql/statement.ts';
import { decide, type Judgement, judge } from './decide.ts';
import { effectPhrase, visible } from './reason.ts';
import type { Policy, Rule } from './rules.ts';
import { counted } from './terms.ts';
import type { Actor, Enclosure, Need, Spend, Verdict } from './verdict.ts';

/** The explanation of one statement of a text. */
export interface ExplainedStatement {
  readonly sql: string;
  readonly command: string;
  readonly class: StatementClass;
  readonly effects: readonly string[];
  readonly relations: readonly { readonly name: string; readonly access: string }[];
  readonly functions: readonly string[];
  readonly settings: readonly string[];
  readonly why: readonly string[];
  readonly verdict: Verdict;
  /** Every rule that matched, with its place; the one that decided is `verdict.rule`. */
  readonly matched: readonly {
    name: string;
    action: string;
    at: string;
    overridden: boolean;
    /** Why a pass rule that matches does not let it pass: its bounds are not kept. */
    unmet?: string;
  }[];
  /** For a hold without a rule: the effects that no pass rule of this policy could cover together. */
  readonly uncovered: readonly string[];
}

/** The explanation of a whole text. `refused` texts never reach the rules. */
export interface Explanation {
  readonly rules: { readonly name: string; readonly digest: string; readonly observe: boolean };
  readonly actor: Actor;
  readonly verdict: Verdict | undefined;
  readonly refused: { readonly message: string; readonly position: number | undefined } | undefined;
  readonly statements: readonly ExplainedStatement[];
}

/** `sql` are the bytes that were analysed; `classOf` is sql's coarse class. */
export function explain(
  policy: Policy,
  sql: Buffer,
  analysis: Analysis,
  actor: Actor,
  classOf: (statement: Statement) => StatementClass,
): Explanation {
  const rules = { name: policy.name, digest: policy.digest, observe: policy.observe };
  if (analysis.kind !== 'statements') {
    const position = analysis.kind === 'syntax' ? analysis.position : undefined;
    return {
      rules,
      actor,
      verdict: undefined,
      refused: { message: analysis.message, position },
      statements: [],
    };
  }
  return {
    rules,
    actor,
    verdict: decide(policy, analysis.statements, actor),
    refused: undefined,
    statements: analysis.statements.map((statement) =>
      explainStatement(policy, judge(policy, statement, actor), sql, classOf(statement)),
    ),
  };
}

function explainStatement(
  policy: Policy,
  judgement: Judgement,
  sql: Buffer,
  statementClass: StatementClass,
): ExplainedStatement {
  const { statement, verdict, matched, overridden, unmet } = judgement;
  return {
    sql: statement.secret
      ? '(hidden: it carries a secret)'
      : sql.toString('utf8', statement.start, statement.end).trim(),
    command: statement.command,
    class: statementClass,
    effects: statement.effects,
    relations: distinctRelations(statement.relations),
    functions: [...new Set(statement.functions.map(qualified))],
    settings: statement.settings.map(({ name, value }) =>
      value === undefined ? name : `${name} = ${value}`,
    ),
    why: statement.why,
    verdict,
    matched: matched.map((rule) => {
      const why = unmet.find((each) => each.rule === rule)?.why;
      return {
        name: rule.name,
        action: rule.action,
        at: `${rule.file}:${rule.line}`,
        overridden: overridden.includes(rule),
        ...(why !== undefined && { unmet: why }),
      };
    }),
    uncovered: verdict.rule === 'no-rule' ? uncovered(policy.rules, statement) : [],
  };
}

/** The effects that stand between the statement and the pass rule that comes nearest to covering it. */
function uncovered(rules: readonly Rule[], statement: Statement): string[] {
  let fewest: string[] = [...statement.effects];
  for (const rule of rules) {
    if (rule.action !== 'pass') continue;
    const missing = statement.effects.filter((effect) => !rule.effects?.has(effect));
    if (missing.length < fewest.length) fewest = missing;
  }
  return fewest;
}

function qualified({ schema, name }: { schema: string | undefined; name: string }): string {
  return schema === undefined ? name : `${schema}.${name}`;
}

function distinctRelations(relations: readonly RelationUse[]): { name: string; access: string }[] {
  const accesses = new Map<string, Set<string>>();
  for (const relation of relations) {
    const name = qualified(relation);
    accesses.set(name, (accesses.get(name) ?? new Set()).add(relation.access));
  }
  return [...accesses].map(([name, access]) => ({ name, access: [...access].join(', ') }));
}

const labels = { pass: 'PASS', hold: 'HOLD', deny: 'DENY' } as const;
const sqlCharsShown = 300;

/** The explanation for a person; ends with a line feed. */
export function explanationText(explanation: Explanation): string {
  const { rules, actor, statements, refused, verdict } = explanation;
  const reader = actor.access === undefined ? '' : `, ${actor.access}`;
  const asked = `as ${actor.agent} on ${actor.target} (${actor.environment}${reader}), rules ${rules.name}${rules.observe ? ', observing' : ''}`;
  if (refused !== undefined) {
    const where = refused.position === undefined ? '' : ` at character ${refused.position}`;
    return `REFUSE   it never reaches the rules: ${visible(refused.message, sqlCharsShown)}${where}\n         ${asked}\n`;
  }
  if (statements.length === 0) return `PASS     the text holds no statement\n         ${asked}\n`;
  const blocks = statements.map((statement, index) =>
    statementText(statement, statements.length > 1 ? `${index + 1} of ${statements.length}: ` : ''),
  );
  const whole =
    statements.length > 1
      ? [
          `${headline(verdict!)}   the whole text, by ${verdict!.rule}: ${wholeReason(statements, verdict!)}\n`,
        ]
      : [];
  return `${[...blocks, ...whole].join('\n')}\n${asked}\n`;
}

/** A text can be held though each of its statements would pass by itself. */
function wholeReason(statements: readonly ExplainedStatement[], { action, reason }: Verdict): string {
  const alike = statements.some(({ verdict }) => verdict.action === action);
  return alike ? 'it is sent together or not at all' : reason;
}

function statementText(statement: ExplainedStatement, ordinal: string): string {
  const { verdict } = statement;
  const rows: [string, readonly string[]][] = [
    ['verdict', [verdictLine(verdict)]],
    ['because', [verdict.reason]],
    ['rule', ruleLines(statement)],
    ['command', [`${statement.command}, class ${statement.class}`]],
    ['effects', statement.effects.map((effect) => `${effect}: ${effectPhrase(effect as never)}`)],
    ['relations', statement.relations.map(({ name, access }) => `${visible(name)} (${access})`)],
    [
      'functions',
      statement.functions.length === 0 ? [] : [statement.functions.map((name) => visible(name)).join(', ')],
    ],
    ['settings', statement.settings.map((setting) => visible(setting))],
    ['why', statement.why.map((why) => visible(why, sqlCharsShown))],
  ];
  const shown = rows.flatMap(([label, lines]) =>
    lines.map((line, index) => `  ${(index === 0 ? label : '').padEnd(10)} ${line}`),
  );
  return `${headline(verdict)}   ${ordinal}${visible(statement.sql.replaceAll(/\s+/g, ' '), sqlCharsShown)}\n${shown.join('\n')}\n`;
}

function headline(verdict: Verdict): string {
  return labels[verdict.action];
}

function verdictLine({ action, shadow, need, enclosure, budget }: Verdict): string {
  if (shadow !== undefined) return `pass (shadow mode; otherwise ${shadow})`;
  const words = {
    pass: `pass: it is sent at once${enclosureText(enclosure)}${budgetText(budget)}`,
    hold: `hold: it waits for a person${needText(need)}`,
    deny: 'deny: it is refused, and nobody can release it',
  };
  return words[action];
}

function enclosureText(enclosure: Enclosure | undefined): string {
  if (enclosure === undefined) return '';
  if (enclosure.kind === 'read-only') return ', within READ ONLY; if it writes, it is undone and held';
  return `; if it changes more than ${counted(enclosure.rowsMax)}, it is undone and held`;
}

function budgetText(budget: readonly Spend[] | undefined): string {
  const rules = (budget ?? []).map(({ rule, rowsPerHour }) => `${rule} (${counted(rowsPerHour)} an hour)`);
  return rules.length === 0 ? '' : `; its rows count against the budget of ${rules.join(', ')}`;
}

function needText(need: Need | undefined): string {
  if (need === undefined) return '';
  const level = need.level === undefined ? '' : `, evidence at least ${need.level}`;
  const quorum = need.quorum === undefined ? '' : `, ${need.quorum} different approvers`;
  return `${level}${quorum}${need.of === undefined ? '' : `, of ${need.of.join(', ') || 'nobody'}`}`;
}

function ruleLines({ verdict, matched, uncovered: missing }: ExplainedStatement): string[] {
  const deciding = matched.filter((rule) => rule.name === verdict.rule);
  const others = matched.filter((rule) => rule.name !== verdict.rule);
  const lines = deciding.map((rule) => `${rule.name} at ${rule.at}`);
  if (verdict.rule === 'no-rule')
    lines.push(
      missing.length === 0
        ? 'none, so it is held'
        : `none, so it is held; no pass rule covers: ${missing.join(', ')}`,
    );
  if (verdict.rule === 'built-in') lines.push('built in: no rule can allow this');
  if (verdict.rule === 'read-only-agent') lines.push('the agent is read-only: no rule can allow this');
  const also = others.map((rule) => {
    const notes = `${rule.overridden ? ', overridden' : ''}${rule.unmet === undefined ? '' : `, but ${rule.unmet}`}`;
    return `also ${rule.name} (${rule.action}${notes}) at ${rule.at}`;
  });
  return [...lines, ...also];
}
