// Asking: a held gate and its session, or the texts of a plan, as whoever measures effects wants them: texts, values, and the
// context that gives names a meaning. Refuses to know what is measured and how.

import type { Asked, AskedText } from '../blast/asked.ts';
import type { Reacher } from '../catalog/names.ts';
import { decide } from '../policy/decide.ts';
import type { Policy } from '../policy/rules.ts';
import type { Actor } from '../policy/verdict.ts';
import type { ServerIdentity } from '../server-pins.ts';
import type { Gate } from '../session/gate.ts';
import { explained } from '../session/meaning.ts';
import type { Session } from '../session/session.ts';
import { Settings } from '../session/settings.ts';
import { barsReading } from '../session/unasked.ts';
import type { Effect } from '../sql/statement.ts';

/** The server's side of a session. */
export interface Backend {
  readonly pid: number;
  readonly database: ServerIdentity;
  /** Role of the login. */
  readonly user: string;
}

/** With the database that it must be asked in. */
export interface AskedThere extends Asked {
  readonly database: ServerIdentity;
}

/** Code of which the catalog tells nothing. */
const hiding: ReadonlySet<Effect> = new Set<Effect>(['code', 'function', 'unknown']);

export function askedOf(gate: Gate, session: Session, { pid, database, user }: Backend): AskedThere {
  const { settings, names, transactionStatus } = session;
  return {
    texts: textsOf(gate),
    hidden: gate.statements.some(({ effects }) => effects.some((effect) => hiding.has(effect))),
    database,
    login: user,
    role: settings.role,
    path: names?.path,
    temporary: new Set(names?.temporary.keys()),
    shadowed: names?.shadowed ?? false,
    settings: meaningOf(settings.meaning),
    custom: settings.customised,
    pid,
    inTransaction: transactionStatus !== 'I' || session.segmentOpen,
    judge: (analysis, types, quotes) =>
      analysis.kind === 'statements' && analysis.statements.length === 1
        ? session.barsReading(analysis.statements, types, quotes)
        : notUnderstood,
  };
}

const notUnderstood = 'the SELECT that would count them was not understood';

/** What a list of texts is measured by that no session has sent: as a fresh session of the agent's would. */
export interface PlanGround {
  readonly actor: Actor;
  /** Role of the login. */
  readonly user: string;
  readonly database: ServerIdentity;
  /** Undefined while the catalog cannot be read: then little can be counted. */
  readonly reach: Reacher | undefined;
  readonly policy: Policy;
}

/** All of them as they are now: what an earlier one makes is not there for a later one. `texts` are of the agent's. */
export function askedOfPlan(
  texts: readonly Buffer[],
  { actor, user, database, reach, policy }: PlanGround,
): AskedThere {
  const settings = new Settings(user, new Map());
  return {
    texts: texts.map((sql) => ({ sql, types: [], parameters: [] })),
    hidden: false,
    database,
    login: user,
    role: user,
    path: reach?.searchPath,
    temporary: new Set(),
    shadowed: false,
    settings: {},
    custom: false,
    pid: undefined,
    inTransaction: false,
    judge: (analysis, types, quotes) => {
      if (analysis.kind !== 'statements' || analysis.statements.length !== 1) return notUnderstood;
      const statements = explained(analysis.statements, types, reach, settings);
      const passes = (): boolean => {
        const { action, enclosure } = decide(policy, statements, actor);
        return action === 'pass' && enclosure === undefined;
      };
      return barsReading(statements, quotes ? passes : undefined);
    },
  };
}

/** The text of the gate, and what stands behind its EXECUTEs, whose arguments are in the text. */
function textsOf({ sql, parameterTypes, parameters, behind }: Gate): AskedText[] {
  const known = new Map(behind.map((each) => [each.sql.toString('latin1'), each]));
  return [
    { sql, types: parameterTypes, parameters },
    ...[...known.values()]
      .filter((each) => each.sql.length > 0)
      .map((each) => ({
        sql: each.sql,
        types: each.parameterOids,
        parameters: undefined,
        prepared: true as const,
      })),
  ];
}

const meaningful = ['DateStyle', 'IntervalStyle', 'TimeZone'];

function meaningOf(reported: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(reported).filter(([name]) => meaningful.includes(name)));
}
