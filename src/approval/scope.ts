// Scope: how far one approval reaches. The statement that was shown, once, unless the approver signed for more: further
// statements of the same shape within limits. Never everything of an agent. Pure; refuses to know how a use is counted.
// audit-approval §16.6.

import { HoldpointError } from '../errors.ts';

/**
 * `statement`: what was shown, once. `fingerprint`: after it, statements of the same shape from the same agent, in the
 * same context, until `until` (milliseconds since the epoch), at most `usesMax` in all and `rowsMax` rows in sum.
 * `break-glass`: what was shown, once, by one pre-enrolled person in an emergency; has to be reviewed afterwards.
 */
export type Scope =
  | { kind: 'statement' }
  | { kind: 'fingerprint'; until: number; usesMax: number; rowsMax: number }
  | { kind: 'break-glass' };

/** Longest life of a fingerprint grant. */
export const grantMsMax = 15 * 60_000;

/** Until how long after its opening a request can be released by one person alone. */
export const emergencyMsMax = 15 * 60_000;

/** True for an approval by one person alone, in an emergency. */
export function isBreakGlass({
  verdict,
  scope,
}: {
  readonly verdict: 'approve' | 'reject';
  readonly scope?: Scope;
}): boolean {
  return verdict === 'approve' && scope?.kind === 'break-glass';
}

/** A scope from untrusted JSON: the shape only. Throws `bad-request`. */
export function readScope(value: unknown): Scope {
  const given = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const only = (...keys: string[]) => Object.keys(given).every((key) => keys.includes(key));
  if ((given.kind === 'statement' || given.kind === 'break-glass') && only('kind'))
    return { kind: given.kind };
  const whole = (key: string): number => {
    const member = given[key];
    if (typeof member === 'number' && Number.isSafeInteger(member) && member > 0) return member;
    throw malformed(`${key} must be a whole number above 0`);
  };
  if (given.kind === 'fingerprint' && only('kind', 'until', 'usesMax', 'rowsMax')) {
    return {
      kind: 'fingerprint',
      until: whole('until'),
      usesMax: whole('usesMax'),
      rowsMax: whole('rowsMax'),
    };
  }
  throw malformed('kind must be statement, fingerprint or break-glass, with the members of that kind only');
}

function malformed(why: string): HoldpointError {
  return new HoldpointError('bad-request', `the scope of the decision is malformed: ${why}`);
}
