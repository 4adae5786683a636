// Slack interactions: the one place where Slack calls us. A callback is verified over its raw bytes, taken once, and
// traced to an approver before anything is done; then Slack gets its answer, and the work comes after it. The decision
// goes the way of every other: the desk verifies the same callback again as its evidence. GET, HEAD and OPTIONS change
// nothing. audit-approval "Slack/Teams/mail specifics", §19 B11.

import { Hono } from 'hono';
import type { Decision } from '../approval/decision.ts';
import { reasonCharactersMax } from '../approval/decision.ts';
import type { Desk } from '../approval/desk.ts';
import type { IntactRequest } from '../approval/release.ts';
import {
  callbackAgeMsMax,
  callbackAtMs,
  callbackBytesMax,
  openCallback,
  type RawCallback,
  readActionValue,
  type SlackCallback,
  type SlackWho,
} from '../approval/slack-callback.ts';
import { HoldpointError } from '../errors.ts';
import type { Store, StoredRequest } from '../store/store.ts';
import { boundedText } from './body.ts';

/** Slack waits three seconds for an answer; what our store has not said by then, it need not say any more. */
const answerMs = 2_000;

type Asked = { row: StoredRequest; intact: IntactRequest };

/** What the interactions need besides the desk. */
export interface SlackPorts {
  readonly desk: Pick<Desk, 'get' | 'decide'>;
  readonly store: Pick<Store, 'once'>;
  readonly signingSecret: string;
  /** The approver who is this user of this team. */
  readonly approver: (team: string, user: string) => string | undefined;
  /** Why Slack says this account may not decide; `unreachable` if it did not answer. */
  readonly account: (
    team: string,
    user: string,
  ) => Promise<'unreachable' | { refused: string } | 'member' | 'unknown'>;
  /** Why this request cannot be approved from Slack. */
  readonly obstacle: (asked: Asked) => string | undefined;
  /** Opens the form for a reason; false if it could not. */
  readonly askReason: (triggerId: string, asked: Asked) => Promise<boolean>;
  readonly tell: (person: { user: string; responseUrl: string | undefined }, words: string) => Promise<void>;
  readonly now: () => number;
  /** Counts a callback by what came of it. */
  readonly outcome: (outcome: string) => void;
  readonly onError: (error: unknown) => void;
}

/** A callback on its way: verified, taken once, of a known approver. */
interface Taken {
  readonly raw: RawCallback;
  readonly who: SlackWho;
  readonly approver: string;
  readonly responseUrl: string | undefined;
}

/** The route under /api/slack. */
export function slackApi(ports: SlackPorts): Hono {
  const api = new Hono();
  api.post('/interactions', async (c) => {
    const raw = {
      timestamp: c.req.header('X-Slack-Request-Timestamp') ?? '',
      signature: c.req.header('X-Slack-Signature') ?? '',
      body: await boundedText(c.req.raw, callbackBytesMax),
    };
    const callback = opened(raw, ports);
    if (!decides(callback)) {
      // Open is a button too, and Slack tells of it.
      ports.outcome('nothing');
      return c.body(null, 200);
    }
    const taken = known(ports, raw, callback);
    if (!(await first(ports, raw))) {
      // Slack sends again what it believes unanswered: that is no attack, and was done the first time.
      const retry = c.req.header('X-Slack-Retry-Num') !== undefined;
      ports.outcome(retry ? 'retry' : 'replay');
      if (retry) return c.body(null, 200);
      throw new HoldpointError('conflict', 'this callback was taken before; nothing was done again');
    }
    if (callback.kind === 'form' && callback.reason.length > reasonCharactersMax) {
      ports.outcome('too-long');
      return c.json({ response_action: 'errors', errors: { reason: tooLong(callback.reason) } });
    }
    ports.outcome('taken');
    afterwards(ports, work(ports, callback, taken));
    return c.body(null, 200);
  });
  return api;
}

type Deciding = Exclude<SlackCallback, { kind: 'other' }>;

function decides(callback: SlackCallback): callback is Deciding {
  if (callback.kind === 'other') return false;
  return callback.kind === 'form' || readActionValue(callback.value) !== undefined;
}

function tooLong(reason: string): string {
  return `At most ${reasonCharactersMax} characters, please; these are ${reason.length}.`;
}

/** The callback, if Slack signed it in these minutes. */
function opened(raw: RawCallback, { signingSecret, now, outcome }: SlackPorts): SlackCallback {
  try {
    const callback = openCallback(raw, signingSecret);
    if (Math.abs(now() - callbackAtMs(raw)) <= callbackAgeMsMax) return callback;
    throw new HoldpointError('unauthorized', 'the callback is refused: it is old, or a clock is wrong');
  } catch (error) {
    outcome('refused');
    throw error;
  }
}

/** The approver behind a callback. Throws `forbidden` for everybody else, and tells them. */
function known(ports: SlackPorts, raw: RawCallback, callback: Deciding): Taken {
  const { who } = callback;
  const responseUrl = callback.kind === 'button' ? callback.responseUrl : undefined;
  const approver = who.flaw === undefined ? ports.approver(who.team, who.user) : undefined;
  if (approver !== undefined) return { raw, who, approver, responseUrl };
  ports.outcome('stranger');
  afterwards(ports, ports.tell({ user: who.user, responseUrl }, strangerWords(who)));
  throw new HoldpointError('forbidden', 'this Slack user is no approver here; nothing was decided');
}

/** Goes on after the answer. */
function afterwards({ onError }: SlackPorts, step: Promise<void>): void {
  step.catch(onError);
}

/** True for the first arrival of this signature, among all nodes. */
async function first({ store, now }: SlackPorts, { signature }: RawCallback): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(
      () => fail(new HoldpointError('store-unreachable', 'the store did not answer in time; press again')),
      answerMs,
    );
  });
  try {
    // Kept for twice as long as a callback can be accepted, by whichever clock.
    return await Promise.race([store.once(`slack:${signature}`, now() + 2 * callbackAgeMsMax, now()), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function work(ports: SlackPorts, callback: Deciding, taken: Taken): Promise<void> {
  const said = await outcomeOf(ports, callback, taken).catch((error: unknown) => {
    if (error instanceof HoldpointError) return `Nothing was decided: ${error.message}.`;
    ports.onError(error);
    return 'Nothing was decided: something failed here; the log of the process says what.';
  });
  if (said !== undefined) await ports.tell({ user: taken.who.user, responseUrl: taken.responseUrl }, said);
}

/** Does what was asked, and says what came of it; nothing where a form now asks on. */
async function outcomeOf(ports: SlackPorts, callback: Deciding, taken: Taken): Promise<string | undefined> {
  const asked = readActionValue(callback.value);
  if (asked === undefined || (callback.kind === 'form' && asked.verdict !== 'reject')) {
    throw new HoldpointError('bad-request', 'the form is none of ours');
  }
  const { verdict, rid, rd } = asked;
  const found = await ports.desk.get(rid);
  if (found.intact.rd !== rd) {
    throw new HoldpointError(
      'conflict',
      `the button belongs to another state of request ${rid}; open the page`,
    );
  }
  if (verdict === 'approve') await refuseApproval(ports, found, taken);
  if (callback.kind === 'button' && verdict === 'reject' && found.row.state === 'pending') {
    if (await ports.askReason(callback.triggerId, found)) return undefined;
    // To refuse without a reason is the safe side of asking for one in vain.
  }
  return decide(ports, found, { verdict, reason: callback.kind === 'form' ? callback.reason : '' }, taken);
}

/** Throws `forbidden` where Slack's word does not reach, or the account is not what the registry took it for. */
async function refuseApproval(ports: SlackPorts, found: Asked, { who }: Taken): Promise<void> {
  const why = ports.obstacle(found);
  if (why !== undefined) {
    throw new HoldpointError('forbidden', `request ${found.row.rid} cannot be approved from Slack: ${why}`);
  }
  const account = await ports.account(who.team, who.user);
  if (account === 'unreachable') {
    throw new HoldpointError('forbidden', 'Slack did not confirm who you are; press again, or open the page');
  }
  if (typeof account === 'object') throw new HoldpointError('forbidden', account.refused);
}

async function decide(
  { desk, now }: SlackPorts,
  { row, intact }: Asked,
  given: Pick<Decision, 'verdict' | 'reason'>,
  { raw, approver }: Taken,
): Promise<string> {
  const { request, rd, nonce } = intact;
  const { rid } = request;
  // Slack may send one press twice under two signatures.
  if (row.votes.some((vote) => vote.approver === approver && vote.verdict === given.verdict)) {
    return `Your decision on request ${rid} was taken before.`;
  }
  const decision: Decision = {
    typ: 'holdpoint.decision.v1',
    aud: request.aud,
    rid,
    rd,
    ...given,
    approver,
    level: 'slack',
    nonce,
    nbf: now(),
    exp: request.exp,
  };
  const after = await desk.decide(rid, decision, { kind: 'slack', ...raw });
  if (given.verdict === 'reject') return `You rejected request ${rid}; the agent is told your reason.`;
  return after.state === 'pending'
    ? `You approved request ${rid}; ${after.quorum - after.votes.length} more needed.`
    : `You approved request ${rid}.`;
}

function strangerWords({ team, user, flaw }: SlackWho): string {
  if (flaw !== undefined)
    return `Nothing was decided: this account is ${flaw}, and such accounts do not decide.`;
  return `Nothing was decided: you are no approver here. Whoever runs Holdpoint adds you as slack: [{ team: ${team}, user: ${user} }].`;
}
