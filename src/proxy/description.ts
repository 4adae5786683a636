// Description: what a log record and a request say of one text, worked out once and remembered as long as its facts
// are. A prepared statement runs a thousand times with one description. Refuses to know sessions and verdicts.

import { createHash } from 'node:crypto';
import type { RequestStatement } from '../approval/request.ts';
import { classOf } from '../sql/class.ts';
import { type Comments, loggable, normalized } from '../sql/loggable.ts';
import type { Statement, StatementClass } from '../sql/statement.ts';

export interface Description {
  /** Without secrets, and where values are lifted without literals. */
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

/** How a text is described: `clear` or with its values lifted, with its comments or without. */
export interface Manner {
  readonly values: 'clear' | 'lifted';
  readonly comments: Comments;
}

/** As people are shown it. */
export const forPeople: Manner = { values: 'clear', comments: 'keep' };

const remembered = new Map<string, WeakMap<object, Description>>();

/** `own`: the statements of exactly this text, the same array for the same text. `sql`: its bytes. */
export function describe(own: readonly Statement[], sql: Buffer, manner: Manner): Description {
  const { values, comments } = manner;
  const kept = memoryOf(manner);
  const known = kept.get(own);
  if (known !== undefined) return known;
  const analysis = { kind: 'statements', statements: own } as const;
  const shown = (values === 'clear' ? loggable : normalized)(sql, analysis, comments);
  const description: Description = {
    sql: shown.sql,
    literals: shown.literals.map((literal) => Buffer.from(literal, 'utf8')),
    secret: shown.secret,
    sha:
      shown.secret || values === 'lifted' ? undefined : createHash('sha256').update(sql).digest('base64url'),
    commands: own.map((statement) => statement.command).slice(0, commandsMax),
  };
  kept.set(own, description);
  return description;
}

function memoryOf({ values, comments }: Manner): WeakMap<object, Description> {
  const name = values === 'lifted' ? (comments === 'keep' ? 'lk' : 'ls') : comments === 'keep' ? 'ck' : 'cs';
  let kept = remembered.get(name);
  if (kept === undefined) {
    kept = new WeakMap();
    remembered.set(name, kept);
  }
  return kept;
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
