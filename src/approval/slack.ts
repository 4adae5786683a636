// Slack buttons as evidence: a callback that carries Slack's own HMAC over its raw body, from a registered account, for
// exactly this request. Both sides hold the secret, so it attests and proves nothing to others: it never approves in
// production. audit-approval §16.4, §17. Pure given the secret and now.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { HoldpointError } from '../errors.ts';
import type { Decision } from './decision.ts';
import type { EvidenceGround, Proof } from './ground.ts';
import type { Request } from './request.ts';

/** A callback as it came: two headers and the raw body. */
export interface SlackCallback {
  readonly timestamp: string;
  readonly signature: string;
  readonly body: string;
}

/** How far a callback may be from the moment of its decision. */
const slackSkewMs = 300_000;

/** The value of the button that says `verdict` on a request. */
export function buttonValue(verdict: Decision['verdict'], rid: string, rd: string): string {
  return `${verdict}.${rid}.${rd}`;
}

/** Verifies a callback. Throws `unauthorized`, `forbidden`, `not-supported`. */
export function verifySlack(
  given: SlackCallback,
  decision: Decision,
  request: Request,
  ground: EvidenceGround,
): Proof {
  const { slackSecret, approvers, nowMs, fresh } = ground;
  if (slackSecret === undefined)
    throw new HoldpointError('not-supported', 'this Holdpoint has no Slack; open its page and decide there');
  const { team, user, value } = openCallback(given, slackSecret);
  const atMs = Number(given.timestamp) * 1000;
  if (Math.abs(atMs - decision.nbf) > slackSkewMs || (fresh && Math.abs(nowMs - atMs) > slackSkewMs))
    throw refused('it is too old, or its clock is wrong');
  if (value !== buttonValue(decision.verdict, decision.rid, decision.rd))
    throw refused('its button says something else than the decision');
  // The button says so much and no more; what it does not say, nobody signed.
  if (decision.scope !== undefined || decision.rowsMax !== undefined || decision.for !== undefined)
    throw refused('a button decides on one statement, once, in one name');
  const known = approvers.slackUser(team, user);
  if (known === undefined) throw refused('the account is no approver’s');
  if (request.db.environment === 'production' && decision.verdict === 'approve') {
    throw new HoldpointError(
      'forbidden',
      `a Slack button does not approve in production: open request ${request.rid} and decide with ${request.need.level}`,
    );
  }
  return {
    approver: known.approver,
    level: 'slack',
    kid: `slack:${team}/${user}`,
    log: {
      kind: 'slack',
      timestamp: given.timestamp,
      signature: given.signature,
      body: createHash('sha256').update(given.body).digest('hex'),
    },
  };
}

/** Who pressed which button, of a callback that Slack signed. Says nothing about its age. Throws `unauthorized`. */
export function openCallback(
  { timestamp, signature, body }: SlackCallback,
  secret: string,
): { team: string; user: string; value: string } {
  if (!/^\d{1,12}$/.test(timestamp)) throw refused('its timestamp is no number');
  const wanted = Buffer.from(
    `v0=${createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')}`,
  );
  const got = Buffer.from(signature);
  if (got.length !== wanted.length || !timingSafeEqual(got, wanted)) throw refused('Slack did not sign it');
  const fields = new URLSearchParams(body).getAll('payload');
  const payload = fields.length === 1 ? readPayload(fields[0]!) : undefined;
  const [action, other] = payload?.actions ?? [];
  const { team, user } = { team: payload?.team?.id, user: payload?.user?.id };
  if (payload?.type !== 'block_actions' || action == null || other !== undefined)
    throw refused('it is not the press of one button');
  if (typeof team !== 'string' || typeof user !== 'string' || typeof action.value !== 'string')
    throw refused('it does not say who pressed which button');
  return { team, user, value: action.value };
}

interface Payload {
  type?: unknown;
  team?: { id?: unknown } | null;
  user?: { id?: unknown } | null;
  actions?: { value?: unknown }[];
}

function readPayload(text: string): Payload | undefined {
  try {
    const value = JSON.parse(text) as Payload | null;
    return typeof value === 'object' && value !== null && Array.isArray(value.actions) ? value : undefined;
  } catch {
    return undefined;
  }
}

function refused(why: string): HoldpointError {
  return new HoldpointError('unauthorized', `the callback from Slack is not valid here: ${why}`);
}
