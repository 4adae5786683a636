// Slack as evidence: a callback that carries Slack's own HMAC over its raw body, from a registered account, for exactly
// this request. Both sides hold the secret, so it attests and proves nothing to others: it never approves in
// production. Nor does it say more than its button or form did. audit-approval §16.4, §17. Pure given the secret and now.

import { createHash } from 'node:crypto';
import { HoldpointError } from '../errors.ts';
import type { Decision } from './decision.ts';
import type { EvidenceGround, Proof } from './ground.ts';
import type { Request } from './request.ts';
import {
  actionValue,
  callbackAgeMsMax,
  callbackAtMs,
  openCallback,
  type RawCallback,
} from './slack-callback.ts';

/** Verifies a callback. Throws `unauthorized`, `forbidden`, `bad-request`, `not-supported`. */
export function verifySlack(
  given: RawCallback,
  decision: Decision,
  request: Request,
  ground: EvidenceGround,
): Proof {
  const { slackSecret, approvers, nowMs, fresh } = ground;
  if (slackSecret === undefined)
    throw new HoldpointError('not-supported', 'this Holdpoint has no Slack; open its page and decide there');
  const callback = openCallback(given, slackSecret);
  const atMs = callbackAtMs(given);
  const near = (ms: number): boolean => Math.abs(ms - atMs) <= callbackAgeMsMax;
  if (!near(decision.nbf) || (fresh && !near(nowMs))) throw refused('it is too old, or its clock is wrong');
  if (callback.kind === 'other') throw refused('it is not the press of one button, and no form');
  if (callback.value !== actionValue(decision.verdict, decision))
    throw refused('its button says something else than the decision');
  // The button says so much and no more; what it does not say, nobody signed.
  if (decision.scope !== undefined || decision.rowsMax !== undefined || decision.for !== undefined)
    throw refused('a button decides on one statement, once, in one name');
  const reason = callback.kind === 'form' ? callback.reason : '';
  if (reason !== decision.reason) throw refused('the reason is not what was written in Slack');
  if (callback.kind === 'form' && decision.verdict !== 'reject')
    throw refused('there is no form that approves');
  const { team, user, flaw } = callback.who;
  if (flaw !== undefined) throw refused(`the account is ${flaw}`);
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

function refused(why: string): HoldpointError {
  return new HoldpointError('unauthorized', `the callback from Slack is not valid here: ${why}`);
}
