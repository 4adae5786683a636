// Plan: an ordered list of statements that a person approves once, and how far one session has come with it. They pass in
// that order, each once; the first that differs or fails ends it. Pure; refuses to know sessions, gates and the store.
// audit-approval §16.6.

import { createHash } from 'node:crypto';
import type { Plan, PlanStatement, RequestStatement } from './request.ts';

/** Statements of one plan. */
export const planStatementsMax = 500;

/** The plan of these statements, in their order. */
export function planOf(statements: readonly (RequestStatement & { sql: string })[]): Plan {
  return {
    statements: statements.map((one): PlanStatement => ({ ...one, sha: sha256(Buffer.from(one.sql)) })),
    root: merkleRoot(statements.map(({ sql }) => leaf(sql))).toString('base64url'),
  };
}

/** True if the plan's digests are those of its texts: a stored plan is not believed. */
export function planFits(plan: Plan): boolean {
  const made = planOf(plan.statements);
  return (
    plan.statements.length > 0 &&
    made.root === plan.root &&
    made.statements.every(({ sha }, at) => sha === plan.statements[at]?.sha)
  );
}

/** The whole text, as it is shown and digested. */
export function planText(texts: readonly string[]): string {
  return texts.map((text) => `${text};\n`).join('');
}

/** The text of a statement as it counts: without the blanks and semicolons around it. */
export function bareText(sql: string): string {
  return sql.replace(/^[\s;]+|[\s;]+$/g, '');
}

/** What may still come of a plan that a session has taken. */
export type PlanEnd =
  | { readonly state: 'executed' }
  /** `why`: a sentence that names the statement. */
  | { readonly state: 'failed'; readonly why: string };

/** One session's way through a plan. Every statement is begun, then answered; nothing is begun before that. */
export class PlanRun {
  readonly #plan: Plan;
  /** Statements that have been begun. */
  #begun = 0;
  /** Statements whose success is certain. */
  #done = 0;
  #answered = true;
  #end: PlanEnd | undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** How it ended; undefined while it goes on. */
  get end(): PlanEnd | undefined {
    return this.#end;
  }

  /** What was begun last has been answered, or nothing was begun. */
  get answered(): boolean {
    return this.#answered;
  }

  /** The statements (from 1) that a text of these statements would be; undefined if it is not what comes next. */
  next(texts: readonly string[]): number[] | undefined {
    if (this.#end !== undefined || texts.length === 0) return undefined;
    const fits = texts.every((text, at) => this.#plan.statements[this.#begun + at]?.sql === bareText(text));
    return fits ? texts.map((_, at) => this.#begun + at + 1) : undefined;
  }

  statement(step: number): PlanStatement | undefined {
    return this.#plan.statements[step - 1];
  }

  /** The next statements go to the server. */
  begin(steps: readonly number[]): void {
    this.#begun += steps.length;
    this.#answered = false;
  }

  /** The server has answered what was begun last, without an error so far. */
  answer(): void {
    this.#answered = true;
  }

  /** The success of these statements is certain. */
  succeed(steps: readonly number[]): void {
    this.#answered = true;
    this.#done += steps.length;
    if (this.#done === this.#plan.statements.length) this.#end ??= { state: 'executed' };
  }

  /** These statements, or the next one, did not come to pass. */
  stop(why: string, steps: readonly number[] = [this.#begun + 1]): void {
    const [first = 1] = steps;
    const last = steps.at(-1) ?? first;
    const which = first === last ? `statement ${first}` : `statements ${first} to ${last}`;
    this.#end ??= {
      state: 'failed',
      why: `stopped at ${which} of ${this.#plan.statements.length}: ${why}`,
    };
  }
}

/** RFC 6962 §2.1. */
function merkleRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return createHash('sha256').digest();
  if (leaves.length === 1) return leaves[0]!;
  const split = 2 ** Math.floor(Math.log2(leaves.length - 1));
  return createHash('sha256')
    .update(Buffer.of(1))
    .update(merkleRoot(leaves.slice(0, split)))
    .update(merkleRoot(leaves.slice(split)))
    .digest();
}

function leaf(sql: string): Buffer {
  return createHash('sha256').update(Buffer.of(0)).update(sql, 'utf8').digest();
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('base64url');
}
