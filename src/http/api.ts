// API: requests as JSON, and the one way in for decisions. GET changes nothing; POST changes something only if the body
// carries a person's evidence, whoever sends it. Refuses to verify decisions (the desk does) or to draw pages.
// CONTRACT "What an approver sees".

import { type Context, Hono } from 'hono';
import { reasonCharactersMax } from '../approval/decision.ts';
import { isRid } from '../approval/request.ts';
import { HoldpointError } from '../errors.ts';
import type { RequestState, StoredRequest } from '../store/store.ts';
import type { AccessPorts, Doorkeeper, Reader } from './access.ts';
import { jsonBody } from './body.ts';
import { agentView, fullView, type Summary, summary } from './view.ts';

const listRowsMax = 200;

/** A decision with its evidence: two signatures' worth of text and a reason. */
const decisionBytesMax = 32_768;

const states: readonly RequestState[] = [
  'pending',
  'approved',
  'consumed',
  'executed',
  'failed',
  'unknown',
  'rejected',
  'expired',
  'canceled',
];

/** The routes under /api/requests. */
export function requestsApi(ports: AccessPorts, doorkeeper: Doorkeeper): Hono {
  const { desk, now } = ports;
  const api = new Hono();

  api.get('/', async (c) => {
    const reader = await doorkeeper.reader(c);
    if (reader.kind === 'link')
      throw new HoldpointError('unauthorized', 'a link shows one request, not the list');
    const asked = c.req.query('state');
    const state = states.find((one) => one === asked);
    if (asked !== undefined && state === undefined) {
      throw new HoldpointError('bad-request', `state must be one of ${states.join(', ')}`);
    }
    const rows = await desk.list({
      ...(state && { states: [state] }),
      ...(reader.kind === 'agent' && { agent: reader.id }),
      rowsMax: listRowsMax,
    });
    return c.json({ requests: await Promise.all(rows.map((row) => listed(row, reader))) });
  });

  const listed = async (row: StoredRequest, reader: Reader): Promise<Summary & { link?: string }> => {
    const { intact } = await desk.get(row.rid);
    const short = summary(row, intact);
    if (reader.kind !== 'approver') return short;
    return { ...short, link: await desk.link(intact.request, intact.rd, reader.name) };
  };

  api.get('/:rid', async (c) => {
    const rid = ridOf(c);
    const reader = await doorkeeper.reader(c, rid);
    const { row, intact } = await desk.get(rid);
    if (reader.kind === 'agent') {
      // The same answer for another agent's request as for none.
      if (row.agent !== reader.id)
        throw new HoldpointError('not-found', `there is no request ${rid} of yours`);
      return c.json(agentView(row, intact));
    }
    desk.viewed(rid, reader.kind === 'approver' ? reader.name : `link:${reader.jti}`);
    return c.json(fullView(row, intact, reader, now()));
  });

  /** The exact text, for an editor; where it carries a secret, the text without it. */
  api.get('/:rid/statement', async (c) => {
    const rid = ridOf(c);
    const reader = await doorkeeper.reader(c, rid);
    if (reader.kind === 'agent') throw new HoldpointError('forbidden', 'an agent knows its own statement');
    const { intact } = await desk.get(rid);
    return c.body(intact.request.sql, 200, {
      'Content-Type': 'text/plain; charset=utf-8',
      'Content-Disposition': `attachment; filename="${rid}.sql"`,
    });
  });

  api.post('/:rid/decisions', async (c) => {
    const rid = ridOf(c);
    const { decision, evidence } = await jsonBody(c, decisionBytesMax);
    const row = await desk.decide(rid, decision, evidence);
    const approvals = row.votes.filter((vote) => vote.verdict === 'approve').length;
    return c.json({ id: rid, state: row.state, approvals, quorum: row.quorum }, 201);
  });

  api.get('/:rid/reviews', async (c) => {
    const rid = ridOf(c);
    const reader = await doorkeeper.reader(c);
    const owed = desk.emergencies.owed().find((one) => one.rid === rid);
    if (reader.kind !== 'approver' || owed === undefined)
      throw new HoldpointError('not-found', `request ${rid} owes no review here, or has been reviewed`);
    return c.json({ ...owed, due: new Date(owed.due).toISOString() });
  });

  api.post('/:rid/reviews', async (c) => {
    const rid = ridOf(c);
    const { review, evidence } = await jsonBody(c, decisionBytesMax);
    const { by } = await desk.emergencies.review(rid, review, evidence);
    return c.json({ id: rid, reviewed: true, by }, 201);
  });

  api.post('/:rid/revocations', async (c) => {
    const rid = ridOf(c);
    const reader = await doorkeeper.reader(c);
    if (reader.kind !== 'approver')
      throw new HoldpointError('forbidden', 'a grant is ended by an approver, with their own credential');
    const { reason = '' } = await jsonBody(c, decisionBytesMax);
    if (typeof reason !== 'string' || reason.length > reasonCharactersMax || !reason.isWellFormed())
      throw new HoldpointError(
        'bad-request',
        `reason must be text of at most ${reasonCharactersMax} characters`,
      );
    await desk.grants.revoke(rid, reader.name, reason);
    return c.json({ id: rid, revoked: true }, 201);
  });

  return api;
}

function ridOf(c: Context): string {
  const rid = c.req.param('rid') ?? '';
  if (!isRid(rid)) throw new HoldpointError('not-found', 'a request ID has 22 characters of A-Z a-z 0-9 _ -');
  return rid;
}
