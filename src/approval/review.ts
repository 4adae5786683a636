// Review: what an approver signs who has looked at a release that one person made alone in an emergency. It undoes
// nothing: it says that somebody else has seen it, and what they think of it. Pure; refuses to know signatures and
// clocks. audit-approval §17.9.

import { HoldpointError } from '../errors.ts';
import { canonical } from './canonical.ts';
import { reasonCharactersMax } from './decision.ts';

/** Times are milliseconds since the epoch. */
export interface Review {
  typ: 'holdpoint.review.v1';
  /** The public URL of the Holdpoint where it was released. */
  aud: string;
  /** The request that was released, and its digest. */
  rid: string;
  rd: string;
  approver: string;
  finding: 'justified' | 'unjustified';
  /** The reviewer's own words; empty is allowed. */
  reason: string;
  at: number;
}

const members = ['approver', 'at', 'aud', 'finding', 'rd', 'reason', 'rid', 'typ'];

/** The exact bytes (as text) that are signed and logged. */
export function reviewText(review: Review): string {
  return canonical(review);
}

/** A review from untrusted JSON: the shape only. Throws `bad-request`. */
export function readReview(value: unknown): Review {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed('it is not a JSON object');
  const given = value as Record<string, unknown>;
  const unknown = Object.keys(given).find((key) => !members.includes(key));
  if (unknown !== undefined) throw malformed(`it has a member ${JSON.stringify(unknown.slice(0, 40))}`);
  const text = (key: string, charactersMax: number): string => {
    const member = given[key];
    if (typeof member === 'string' && member.length <= charactersMax && member.isWellFormed()) return member;
    throw malformed(`${key} must be a string of at most ${charactersMax} characters`);
  };
  const { typ, finding, at } = given;
  if (typ !== 'holdpoint.review.v1') throw malformed('typ must be "holdpoint.review.v1"');
  if (finding !== 'justified' && finding !== 'unjustified')
    throw malformed('finding must be "justified" or "unjustified"');
  if (typeof at !== 'number' || !Number.isSafeInteger(at) || at < 0)
    throw malformed('at must be milliseconds since 1970');
  return {
    typ,
    aud: text('aud', 400),
    rid: text('rid', 22),
    rd: text('rd', 43),
    approver: text('approver', 200),
    finding,
    reason: text('reason', reasonCharactersMax),
    at,
  };
}

function malformed(why: string): HoldpointError {
  return new HoldpointError('bad-request', `the review is malformed: ${why}`);
}
