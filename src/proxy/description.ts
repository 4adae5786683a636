// Description: what a log record and a request say of one text, worked out once and remembered as long as its facts
// are. A prepared statement runs a thousand times with one description. Refuses to know sessions and verdicts.

import { createHash } from 'node:crypto';
import type { RequestStatement } from '../approval/request.ts';
import { classOf } from '../sql/class.ts';
import { loggable, normalized } from '../sql/loggable.ts';
import type { Statement, StatementClass } from '../sql/statement.ts';

export interface Description {
  /** As it may be logged: without secrets, and with `values: 'none'` without literals. */
  readonly sql: string;
  /** The literals lifted out of `sql`, in order. */
  readonly literals: readonly Buffer[];
  readonly secret: boolean;
  /** base64url(SHA-256) of the text; undefined where a digest would let a reader guess at what is not shown. */
  readonly sha: string | undefined;
  readonly commands: readonly string[];
}

/** Commands named of one text. */
const commandsMax = 32;

const remembered = { clear: new WeakMap<object, Description>(), none: new WeakMap<object, Description>() };

/** `own`: the statements of exactly this text, the same array for the same text. `sql`: its bytes. */
export function describe(own: readonly Statement[], sql: Buffer, values: 'clear' | 'none'): Description {
  const known = remembered[values].get(own);
  if (known !== undefined) return known;
  const text = sql.toString('utf8');
  const analysis = { kind: 'statements', statements: own } as const;
  const shown = values === 'clear' ? loggable(text, analysis) : normalized(text, analysis);
  const description: Description = {
    sql: shown.sql,
    literals: shown.literals.map((literal) => Buffer.from(literal, 'utf8')),
    secret: shown.secret,
    sha: shown.secret || values === 'none' ? undefined : createHash('sha256').update(sql).digest('base64url'),
    commands: own.map((statement) => statement.command).slice(0, commandsMax),
  };
  remembered[values].set(own, description);
  return description;
}

const strictestFirst: readonly StatementClass[] = [
  'unknown',
  'system',
  'destroy',
  'define',
  'code',
  'write',
  'session',
  'transaction',
  'read',
];

/** The strictest class among the statements; `read` of none. */
export function strictestClass(statements: readonly Statement[]): StatementClass {
  if (statements.length === 1) return classOf(statements[0]!);
  const classes = statements.map(classOf);
  return strictestFirst.find((each) => classes.includes(each)) ?? 'read';
}

/** A statement as a request has it. */
export function shownStatement(statement: Statement): RequestStatement {
  const { command, effects, relations, why, identity } = statement;
  return {
    command,
    effects: [...effects],
    relations: relations.map(({ schema, name }) => (schema === undefined ? name : `${schema}.${name}`)),
    why: [...why],
    ...(identity === undefined ? {} : { identity }),
  };
}
