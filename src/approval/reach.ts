// Reach: how much an approval covers: how many rows its statement may change, which further statements, and for how
// long. What was asked for has to be something that can be enforced, and of several approvals the narrowest counts.
// Pure; refuses to know who signed and how a bound is enforced. audit-approval §16.6.

import { HoldpointError } from '../errors.ts';
import type { Request } from './request.ts';

/** What a decision says of it. */
export interface Asked {
  readonly verdict: 'approve' | 'reject';
  readonly rowsMax?: number;
}

/** What the approvals of one request cover together. */
export interface Reach {
  /** The statement may change at most so many rows, where one of them says so. */
  readonly rowsMax?: number;
}

/** Throws `conflict` unless what the decision allows can be held to for this request. */
export function checkReach(decision: Asked, request: Request): void {
  if (decision.verdict === 'reject') return;
  if (decision.rowsMax !== undefined && request.counts === undefined)
    throw new HoldpointError(
      'conflict',
      `rowsMax cannot be enforced on request ${request.rid}: ${uncounted(request)}; approve it without, or reject it`,
    );
}

/** The narrowest of approvals that all count. */
export function reachOf(decisions: readonly Asked[]): Reach {
  const bounds = decisions.flatMap(({ rowsMax }) => rowsMax ?? []);
  return bounds.length === 0 ? {} : { rowsMax: Math.min(...bounds) };
}

/** Why nobody knows how many rows it changes. */
function uncounted({ statements }: Request): string {
  if (statements.length > 1) return 'its text holds several statements, which run or fail together';
  const [one] = statements;
  return `${one?.command ?? 'it'} changes no rows that the server counts, or cannot be undone`;
}
