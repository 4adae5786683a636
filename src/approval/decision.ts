// Decision: what a person signs, and the life of a request. Pure: refuses to know signatures, stores and clocks.
// A decision is bound to one request digest, one Holdpoint, one approver and one nonce; the bytes that are signed are
// its RFC 8785 form, nothing else. States: audit-approval §16.7.

import { HoldpointError } from '../errors.ts';
import type { RequestState } from '../store/store.ts';
import { foldName } from './approvers.ts';
import { canonical } from './canonical.ts';
import { checkReach } from './reach.ts';
import { type Level, levelReaches, levels, type Request } from './request.ts';
import { isBreakGlass, readScope, type Scope } from './scope.ts';

/** Times are milliseconds since the epoch. */
export interface Decision {
  typ: 'holdpoint.decision.v1';
  /** The public URL of the Holdpoint that may act on it. */
  aud: string;
  rid: string;
  rd: string;
  verdict: 'approve' | 'reject';
  /** The approver's registered name; `link:<jti>` where only a link was shown. */
  approver: string;
  level: Level;
  /** The person's own words; empty is allowed for an approval. */
  reason: string;
  /** Drawn when the request was opened; ties the decision to that opening. */
  nonce: string;
  nbf: number;
  exp: number;
  /** What the approval covers; this statement (or this plan) once where it says nothing. */
  scope?: Scope;
  /** The statement runs only if the server counts at most so many rows that it changes; more are undone and held again. */
  rowsMax?: number;
  /** The approver in whose name a delegate decides. */
  for?: string;
}

// A pending request waits, an approved one may be used once, a consumed one is on its way; the rest are ends.
const transitions: Readonly<Record<RequestState, readonly RequestState[]>> = {
  pending: ['approved', 'rejected', 'expired', 'canceled'],
  approved: ['consumed', 'expired', 'canceled'],
  consumed: ['executed', 'failed', 'unknown'],
  executed: [],
  failed: [],
  unknown: [],
  rejected: [],
  expired: [],
  canceled: [],
};

/** True if a request may go from one state to the other. A transition that is not listed does not exist. */
export function mayBecome(from: RequestState, to: RequestState): boolean {
  return transitions[from].includes(to);
}

/** True if nothing more can come of a request in this state. */
export function isEnd(state: RequestState): boolean {
  return transitions[state].length === 0;
}

/** Characters (UTF-16 units) of a reason; longer ones are refused, not cut: the person signs what is kept. */
export const reasonCharactersMax = 500;

/** How far ahead of ours an approver's clock may be. */
export const skewMs = 30_000;

const members = [
  'approver',
  'aud',
  'exp',
  'for',
  'level',
  'nbf',
  'nonce',
  'rd',
  'reason',
  'rid',
  'rowsMax',
  'scope',
  'typ',
  'verdict',
];

/** The exact bytes (as text) of a decision: what is signed and what the log keeps. */
export function decisionText(decision: Decision): string {
  return canonical(decision);
}

/** A decision from untrusted JSON. Checks the shape only: nothing in it is verified. Throws `bad-request`. */
export function readDecision(value: unknown): Decision {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw shape('it is not a JSON object');
  }
  const given = value as Record<string, unknown>;
  const unknown = Object.keys(given).find((key) => !members.includes(key));
  if (unknown !== undefined)
    throw shape(`it has a member ${JSON.stringify(unknown.slice(0, 40))} that decisions do not have`);
  const text = (key: string, charactersMax: number): string => {
    const member = given[key];
    if (typeof member !== 'string' || member.length > charactersMax || !member.isWellFormed()) {
      throw shape(`${key} must be a string of at most ${charactersMax} characters`);
    }
    return member;
  };
  const time = (key: string): number => {
    const member = given[key];
    if (typeof member !== 'number' || !Number.isSafeInteger(member) || member < 0) {
      throw shape(`${key} must be milliseconds since 1970`);
    }
    return member;
  };
  if (given.typ !== 'holdpoint.decision.v1') throw shape('typ must be "holdpoint.decision.v1"');
  const verdict = given.verdict;
  if (verdict !== 'approve' && verdict !== 'reject') throw shape('verdict must be "approve" or "reject"');
  const level = levels.find((one) => one === given.level);
  if (level === undefined) throw shape(`level must be one of ${levels.join(', ')}`);
  return {
    typ: 'holdpoint.decision.v1',
    aud: text('aud', 400),
    rid: text('rid', 22),
    rd: text('rd', 43),
    verdict,
    approver: text('approver', 200),
    level,
    reason: text('reason', reasonCharactersMax),
    nonce: text('nonce', 43),
    nbf: time('nbf'),
    exp: time('exp'),
    ...(given.scope !== undefined && { scope: readScope(given.scope) }),
    ...(given.rowsMax !== undefined && { rowsMax: time('rowsMax') }),
    ...(given.for !== undefined && { for: text('for', 200) }),
  };
}

/**
 * Throws unless the decision names exactly this request and is in force at `now`. `rd` is the digest the caller
 * computed itself, `nonce` the one drawn at the opening. Says nothing about who signed.
 */
export function checkBinding(
  decision: Decision,
  held: { request: Request; rd: string; nonce: string },
  now: number,
): void {
  const { request } = held;
  if (decision.rid !== request.rid) throw other(`names request ${JSON.stringify(decision.rid)}`);
  if (decision.rd !== held.rd)
    throw other('names another digest: the statement or its context is not the one signed');
  if (decision.aud !== request.aud)
    throw other(`is addressed to ${JSON.stringify(decision.aud)}, this is ${request.aud}`);
  if (decision.nonce !== held.nonce)
    throw other('carries another nonce: load the request again and sign that');
  const needed = levelNeeded(decision, request);
  if (!levelReaches(decision.level, needed)) {
    throw new HoldpointError(
      'forbidden',
      `request ${request.rid} needs evidence of level ${needed}; this decision is of level ${decision.level}`,
    );
  }
  if (decision.exp > request.exp) throw other('outlives the request');
  checkReach(decision, request);
  if (now < decision.nbf - skewMs) throw other('is not in force yet: compare the clocks');
  if (now >= decision.exp)
    throw new HoldpointError('expired', `the decision on request ${request.rid} is past its time`);
}

/**
 * The level a decision must claim: what the request needs; for a reject no more than that somebody is known; in an
 * emergency a key of theirs.
 */
export function levelNeeded(decision: Pick<Decision, 'verdict' | 'scope'>, request: Request): Level {
  const { verdict } = decision;
  if (isBreakGlass(decision)) return 'key';
  const { level } = request.need;
  return verdict === 'reject' && levelReaches(level, 'slack') ? 'slack' : level;
}

/** The folded names of everybody whose vote a decision is: they count once, together. */
export function peopleOf(decision: Pick<Decision, 'approver' | 'for'>): string[] {
  return [decision.approver, ...(decision.for === undefined ? [] : [decision.for])].map(foldName);
}

/** Why a person cannot decide any more, as the error they get. */
export function settledError(rid: string, state: RequestState): HoldpointError {
  if (state === 'expired')
    return new HoldpointError('expired', `request ${rid} has expired; nothing was released`);
  const already = state === 'consumed' ? 'approved and already used' : state;
  return new HoldpointError(
    'conflict',
    `request ${rid} is ${already}; that is final, and this decision changes nothing`,
  );
}

function shape(why: string): HoldpointError {
  return new HoldpointError('bad-request', `the decision is malformed: ${why}`);
}

function other(why: string): HoldpointError {
  return new HoldpointError('conflict', `the decision does not fit this request: it ${why}`);
}
