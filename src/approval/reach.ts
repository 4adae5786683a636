// Reach: how much an approval covers: how many rows its statement may change, which further statements, and for how
// long. What was asked for has to be something that can be enforced, and of several approvals the narrowest counts.
// Pure; refuses to know who signed and how a bound is enforced. audit-approval §16.6.

import { HoldpointError } from '../errors.ts';
import type { Request } from './request.ts';
import { emergencyMsMax, grantMsMax, type Scope } from './scope.ts';

/** What a decision says of it. Times are milliseconds since the epoch. */
export interface Asked {
  readonly verdict: 'approve' | 'reject';
  readonly nbf: number;
  readonly exp: number;
  readonly scope?: Scope;
  readonly rowsMax?: number;
  readonly reason?: string;
  readonly for?: string;
}

/** Further statements of the same shape: until when, how many with the first one, and how many rows they may change. */
export interface GrantReach {
  readonly until: number;
  readonly usesMax: number;
  readonly rowsMax: number;
}

/** What the approvals of one request cover together. */
export interface Reach {
  /** The statement may change at most so many rows, where one of them says so. */
  readonly rowsMax?: number;
  /** Set if all of them cover further statements. */
  readonly grant?: GrantReach;
}

/** Throws `conflict` unless what the decision allows can be held to for this request. */
export function checkReach(decision: Asked, request: Request): void {
  const { verdict, scope, rowsMax } = decision;
  if (verdict === 'reject') return;
  if (rowsMax !== undefined && request.counts === undefined)
    throw new HoldpointError(
      'conflict',
      `rowsMax cannot be enforced on request ${request.rid}: ${uncounted(request)}; approve it without, or reject it`,
    );
  if (scope?.kind === 'fingerprint') checkGrant(decision, scope, request);
  if (scope?.kind === 'break-glass') checkEmergency(decision, request);
}

/** The narrowest of approvals that all count. */
export function reachOf(decisions: readonly Asked[]): Reach {
  const grants = decisions.flatMap(({ scope }) => (scope?.kind === 'fingerprint' ? [scope] : []));
  const grant = grants.length === decisions.length ? narrowest(grants) : undefined;
  const bounds = decisions.flatMap(({ rowsMax }) => rowsMax ?? []);
  // One that covers more statements bounds this one as well, whatever the others say.
  bounds.push(...grants.map(({ rowsMax }) => rowsMax));
  return {
    ...(bounds.length > 0 && { rowsMax: Math.min(...bounds) }),
    ...(grant !== undefined && { grant }),
  };
}

function narrowest(grants: readonly GrantReach[]): GrantReach | undefined {
  if (grants.length === 0) return undefined;
  return {
    until: Math.min(...grants.map(({ until }) => until)),
    usesMax: Math.min(...grants.map(({ usesMax }) => usesMax)),
    rowsMax: Math.min(...grants.map(({ rowsMax }) => rowsMax)),
  };
}

function checkGrant(decision: Asked, { until }: GrantReach, request: Request): void {
  const refused = (why: string): HoldpointError =>
    new HoldpointError('conflict', `an approval of request ${request.rid} covers no other statement: ${why}`);
  if (request.plan !== undefined) throw refused('it is a plan, whose statements pass once');
  if (request.shape === undefined)
    throw refused(
      `only one INSERT, UPDATE, DELETE or MERGE can be, all of whose rows the server counts; this is ${commandsOf(request)}`,
    );
  if (request.once) throw refused('what it means rests on its session');
  if (until > decision.nbf + grantMsMax)
    throw refused(`it may last ${grantMsMax / 60_000} minutes at most; sign for an earlier end`);
  if (until > decision.exp || until <= decision.nbf)
    throw refused('its end must be within that of the decision');
}

/** What one person alone may release, if they may. */
function checkEmergency(decision: Asked, { rid, created }: Request): void {
  const refused = (why: string): HoldpointError =>
    new HoldpointError('conflict', `request ${rid} cannot be released in an emergency: ${why}`);
  if ((decision.reason ?? '').trim() === '') throw refused('whoever does it says why; give a reason');
  if (decision.for !== undefined) throw refused('nobody does it in the name of another');
  if (decision.exp > created + emergencyMsMax)
    throw refused(
      `that ends ${emergencyMsMax / 60_000} minutes after it was asked for; sign for an earlier end, or ask again`,
    );
}

/** Why nobody knows how many rows it changes. */
function uncounted(request: Request): string {
  if (request.statements.length > 1) return 'its text holds several statements, which run or fail together';
  return `${commandsOf(request)} changes no rows that the server counts, or cannot be undone`;
}

function commandsOf({ statements }: Request): string {
  return statements.map(({ command }) => command).join('; ') || 'nothing that was understood';
}
