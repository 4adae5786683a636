// The tests beside a rules file: statements and what is to happen to them. Text -> cases, and verdict -> difference.
// Refuses to know how a statement is analysed (the caller passes that in) and where files lie.
// Format: rules/README.md, "Tests beside the rules".

import { z } from 'zod';

import { HoldpointError } from '../errors.ts';
import type { Analysis, Effect, Statement } from '../sql/statement.ts';
import { changing } from './counting.ts';
import { decide } from './decide.ts';
import { effectNames } from './format.ts';
import type { Policy } from './rules.ts';
import { readShape } from './source.ts';
import type { Actor, Verdict } from './verdict.ts';

const actorSchema = z.strictObject({
  agent: z.string().min(1).optional(),
  target: z.string().min(1).optional(),
  environment: z.enum(['production', 'staging', 'development']).optional(),
  access: z.literal('read-only').optional(),
});

const caseSchema = z.strictObject({
  sql: z.string(),
  action: z.enum(['pass', 'hold', 'deny', 'refuse']),
  rule: z.string().optional(),
  shadow: z.enum(['hold', 'deny']).optional(),
  level: z.enum(['link', 'slack', 'key', 'passkey']).optional(),
  quorum: z.int().optional(),
  approvers: z.array(z.string()).optional(),
  readOnly: z.literal(true).optional(),
  rowsMax: z.int().optional(),
  /** Effects that the catalog would find behind the names; from the text alone nobody can know them. */
  hidden: z.array(z.enum(effectNames)).min(1).optional(),
  ...actorSchema.shape,
});

/** A whole test file. The actor at the top is the default of every test. */
const casesSchema = z.strictObject({
  version: z.literal(1),
  actor: actorSchema.optional(),
  tests: z.array(caseSchema).min(1).max(10_000),
});

/** One statement and what is expected of it. `refuse` means that it never reaches the rules. */
export interface Case extends Actor {
  readonly sql: string;
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  readonly expected: {
    readonly action: Verdict['action'] | 'refuse';
    readonly rule?: string | undefined;
    readonly shadow?: 'hold' | 'deny' | undefined;
    readonly level?: string | undefined;
    readonly quorum?: number | undefined;
    readonly approvers?: readonly string[] | undefined;
    readonly readOnly?: true | undefined;
    readonly rowsMax?: number | undefined;
  };
  readonly hidden: readonly Effect[];
}

/** Who asks when nobody is named: in the strictest environment. */
export const someActor: Actor = { agent: 'agent', target: 'main', environment: 'production' };

/** Reads a test file. Throws HoldpointError('bad-config') with file and line. */
export function parseCases(text: string, file: string): Case[] {
  const read = readShape(text, file, casesSchema);
  const [first, ...others] = read.problems.map(
    (problem) => `${problem.file}:${problem.line}: ${problem.text}`,
  );
  if (first !== undefined) {
    throw new HoldpointError('bad-config', first, others.length === 0 ? {} : { detail: others.join('\n') });
  }
  const { actor, tests } = read.value!;
  return tests.map((test, index) => {
    const { sql, action, rule, shadow, level, quorum, approvers, readOnly, rowsMax, hidden = [] } = test;
    const access = test.access ?? actor?.access;
    return {
      sql,
      hidden,
      file,
      line: read.lineOf(['tests', index]),
      agent: test.agent ?? actor?.agent ?? someActor.agent,
      target: test.target ?? actor?.target ?? someActor.target,
      environment: test.environment ?? actor?.environment ?? someActor.environment,
      ...(access !== undefined && { access }),
      expected: { action, rule, shadow, level, quorum, approvers, readOnly, rowsMax },
    };
  });
}

/** What differs from what was expected, as one sentence; undefined if nothing does. */
export function difference(policy: Policy, test: Case, analysis: Analysis): string | undefined {
  const { expected } = test;
  if (analysis.kind !== 'statements') {
    return expected.action === 'refuse'
      ? undefined
      : `expected ${expected.action}, got refuse: ${analysis.message}`;
  }
  const statements = analysis.statements.map((statement) => withHidden(statement, test.hidden));
  const verdict = decide(policy, statements, test);
  const { enclosure } = verdict;
  const pairs: [string, unknown, unknown][] = [
    ['action', expected.action, verdict.action],
    ['rule', expected.rule, verdict.rule],
    ['shadow', expected.shadow, verdict.shadow],
    ['level', expected.level, verdict.need?.level],
    ['quorum', expected.quorum, verdict.need?.quorum],
    ['approvers', listed(expected.approvers), listed(verdict.need?.of)],
    ['readOnly', expected.readOnly, enclosure?.kind === 'read-only' || undefined],
    ['rowsMax', expected.rowsMax, enclosure?.kind === 'rows' ? enclosure.rowsMax : undefined],
  ];
  // What a case does not mention is not asked, except a shadow: a pass in shadow mode is not the same as a pass.
  const wrong = pairs.filter(([key, want, got]) => (want !== undefined || key === 'shadow') && want !== got);
  if (wrong.length === 0) return undefined;
  const words = wrong.map(([key, want, got]) => `${key} ${want ?? 'none'}, got ${got ?? 'none'}`);
  return `expected ${words.join('; ')} (${verdict.action} by ${verdict.rule}: ${verdict.reason})`;
}

function listed(names: readonly string[] | undefined): string | undefined {
  return names && [...names].sort().join(', ');
}

function withHidden(statement: Statement, hidden: readonly Effect[]): Statement {
  if (hidden.length === 0) return statement;
  const effects = [...new Set([...statement.effects, ...hidden])].sort();
  return { ...statement, effects, ...(hidden.some((effect) => changing.has(effect)) && { uncounted: true }) };
}
