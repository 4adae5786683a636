// Plans API: where an agent hands in a list of statements to be approved as one, and asks what became of it. The agent's own
// credential opens it; what it hands in is untrusted and runs nowhere. Refuses to split, explain or judge statements.
// CONTRACT "What an approver sees" (API); audit-approval §16.6.

import { type Context, Hono } from 'hono';
import { isRid, type Request as Submitted } from '../approval/request.ts';
import { HoldpointError } from '../errors.ts';
import type { AccessPorts, Doorkeeper } from './access.ts';
import { jsonBody } from './body.ts';
import { agentView } from './view.ts';

/** Bytes of a plan as JSON. */
const planBytesMax = 1 << 20;
const textsMax = 500;
/** Characters of the agent's own words. */
const reasonCharactersMax = 500;

/** What an agent hands in. */
export interface PlanTexts {
  readonly agent: string;
  readonly target: string;
  /** In order; each may hold several statements. */
  readonly texts: readonly string[];
  readonly reason: string | undefined;
}

export interface PlanPorts {
  /** The request that was opened for it. Throws HoldpointError with what is wrong with which statement. */
  readonly submitPlan: (plan: PlanTexts) => Promise<Submitted>;
}

/** The routes under /api/plans. */
export function plansApi(ports: AccessPorts & PlanPorts, doorkeeper: Doorkeeper): Hono {
  const api = new Hono();
  const agentOf = async (c: Context): Promise<string> => {
    const reader = await doorkeeper.reader(c);
    if (reader.kind === 'agent') return reader.id;
    throw new HoldpointError('forbidden', "a plan is its agent's: send the agent's name and password");
  };

  api.post('/', async (c) => {
    const agent = await agentOf(c);
    const request = await ports.submitPlan({ agent, ...planTexts(await jsonBody(c, planBytesMax)) });
    const { row, intact } = await ports.desk.get(request.rid);
    return c.json(agentView(row, intact), 201);
  });

  api.get('/:rid', async (c) => {
    const rid = c.req.param('rid');
    const agent = await agentOf(c);
    const found = isRid(rid) ? await ports.desk.get(rid).catch(notThere) : undefined;
    // The same answer for another agent's plan, for what is no plan, and for none.
    if (found?.row.agent !== agent || found.intact.request.plan === undefined)
      throw new HoldpointError('not-found', `there is no plan ${rid.slice(0, 40)} of yours`);
    return c.json(agentView(found.row, found.intact));
  });

  return api;
}

function notThere(error: unknown): undefined {
  if (error instanceof HoldpointError && error.code === 'not-found') return undefined;
  throw error;
}

/** The shape of what was sent; nothing in it is read as SQL yet. */
function planTexts(body: Record<string, unknown>): Omit<PlanTexts, 'agent'> {
  const { target, sql, statements, reason, ...more } = body;
  const [unknown] = Object.keys(more);
  if (unknown !== undefined)
    throw malformed(`it has a member ${JSON.stringify(unknown.slice(0, 40))} that plans do not have`);
  if (typeof target !== 'string') throw malformed('target must be the name of a target');
  if (reason !== undefined && (typeof reason !== 'string' || reason.length > reasonCharactersMax))
    throw malformed(`reason must be a string of at most ${reasonCharactersMax} characters`);
  if ((sql === undefined) === (statements === undefined))
    throw malformed('give either sql, one text, or statements, a list of texts');
  const texts = sql === undefined ? statements : [sql];
  if (!Array.isArray(texts) || texts.length > textsMax || !texts.every(isText))
    throw malformed(`its SQL must be text, in at most ${textsMax} pieces`);
  return { target, texts, reason: reason || undefined };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed();
}

function malformed(why: string): HoldpointError {
  return new HoldpointError('bad-request', `the plan is malformed: ${why}`);
}
