// Delegation: what an approver signs to let another decide in their name for a while. One step deep: who decides for
// somebody cannot pass it on. Both count as one person. Pure; refuses to know signatures, files and clocks.
// audit-approval §17.8.

import { createHash } from 'node:crypto';
import { HoldpointError } from '../errors.ts';
import { canonical } from './canonical.ts';
import type { Request } from './request.ts';

/** Times are milliseconds since the epoch. */
export interface Delegation {
  typ: 'holdpoint.delegation.v1';
  /** The public URL of the Holdpoint where it counts. */
  aud: string;
  /** Whose vote it is, and who may cast it: names of approvers. */
  from: string;
  to: string;
  /** Where and for what it counts; everywhere and everything if left out. */
  targets?: string[];
  rules?: string[];
  nbf: number;
  exp: number;
  /** Drawn by whoever signs: tells two alike apart. */
  nonce: string;
}

/** As it is kept: the exact canonical text, and the JSON text of the evidence over it. Untrusted until verified. */
export interface SignedDelegation {
  readonly id: string;
  readonly text: string;
  readonly evidence: string;
}

export const delegationMsMax = 14 * 86_400_000;

const members = ['aud', 'exp', 'from', 'nbf', 'nonce', 'rules', 'targets', 'to', 'typ'];
const namesMax = 100;

/** The exact bytes (as text) that are signed and logged. */
export function delegationText(delegation: Delegation): string {
  return canonical(delegation);
}

/** Names a delegation: base64url(SHA-256) of its text. */
export function delegationId(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('base64url');
}

/** A delegation from untrusted JSON. Checks the shape and the span of time only. Throws `bad-request`. */
export function readDelegation(value: unknown): Delegation {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed('it is not a JSON object');
  const given = value as Record<string, unknown>;
  const unknown = Object.keys(given).find((key) => !members.includes(key));
  if (unknown !== undefined) throw malformed(`it has a member ${JSON.stringify(unknown.slice(0, 40))}`);
  const text = (key: string, charactersMax: number): string => {
    const member = given[key];
    if (typeof member === 'string' && member !== '' && member.length <= charactersMax) return member;
    throw malformed(`${key} must be a string of 1 to ${charactersMax} characters`);
  };
  const names = (key: string): string[] | undefined => {
    const member = given[key];
    if (member === undefined) return undefined;
    const fine = (one: unknown) => typeof one === 'string' && one !== '' && one.length <= 63;
    if (Array.isArray(member) && member.length > 0 && member.length <= namesMax && member.every(fine))
      return member as string[];
    throw malformed(`${key} must be a list of 1 to ${namesMax} names`);
  };
  const time = (key: string): number => {
    const member = given[key];
    if (typeof member === 'number' && Number.isSafeInteger(member) && member >= 0) return member;
    throw malformed(`${key} must be milliseconds since 1970`);
  };
  if (given.typ !== 'holdpoint.delegation.v1') throw malformed('typ must be "holdpoint.delegation.v1"');
  const [targets, rules] = [names('targets'), names('rules')];
  const delegation: Delegation = {
    typ: 'holdpoint.delegation.v1',
    aud: text('aud', 400),
    from: text('from', 63),
    to: text('to', 63),
    ...(targets !== undefined && { targets }),
    ...(rules !== undefined && { rules }),
    nbf: time('nbf'),
    exp: time('exp'),
    nonce: text('nonce', 43),
  };
  const spanMs = delegation.exp - delegation.nbf;
  if (spanMs <= 0 || spanMs > delegationMsMax)
    throw malformed(`it must last more than nothing and at most ${delegationMsMax / 86_400_000} days`);
  return delegation;
}

/** True if the delegation, once it is verified, covers this request at `nowMs`. */
export function covers(delegation: Delegation, request: Request, nowMs: number): boolean {
  const { aud, targets, rules, nbf, exp } = delegation;
  return (
    aud === request.aud &&
    (targets?.includes(request.db.target) ?? true) &&
    (rules?.includes(request.policy.rule) ?? true) &&
    nowMs >= nbf &&
    nowMs < exp
  );
}

function malformed(why: string): HoldpointError {
  return new HoldpointError('bad-request', `the delegation is malformed: ${why}`);
}
