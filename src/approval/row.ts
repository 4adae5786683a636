// Row: a request as the store keeps it, and the errors that its absence or its state give. Pure; refuses to know who
// reads it and what its votes prove (release.ts).

import { HoldpointError } from '../errors.ts';
import type { StoredRequest } from '../store/store.ts';
import { valuesText } from './release.ts';
import {
  type Rejection,
  type Request,
  type RequestValues,
  requestDigest,
  requestText,
  type Settlement,
} from './request.ts';

/** The pending row of a new request. `nonce` has not been used for any other. */
export function newRow(request: Request, values: RequestValues, nonce: string): StoredRequest {
  return {
    rid: request.rid,
    rd: requestDigest(request),
    request: requestText(request),
    values: valuesText(values, request),
    nonce,
    agent: request.agent.id,
    target: request.db.target,
    match: request.match,
    quorum: Math.max(1, request.need.quorum),
    created: request.created,
    exp: request.exp,
    state: 'pending',
    holder: holderOf(request),
    votes: [],
    ending: null,
    grant: null,
  };
}

/** Names the gate that waits: one session of one start of one node, and its ordinal there. */
export function holderOf(request: Pick<Request, 'node' | 'boot' | 'sid' | 'n'>): string {
  return `${request.node}/${request.boot}/${request.sid}/${request.n}`;
}

/** True while the request can still be decided or used. */
export function isOpen(row: StoredRequest): boolean {
  return row.state === 'pending' || row.state === 'approved';
}

/** True if nothing can be done with an open request but end it: its time is over, or nobody may use it any more. */
export function isOver(row: StoredRequest, now: number): boolean {
  return isOpen(row) && (row.exp <= now || (row.stale === true && row.holder === ''));
}

export function noSuchRequest(rid: string): HoldpointError {
  return new HoldpointError('not-found', `there is no request ${rid}; it may be older than what is kept`);
}

export function votedAlready(rid: string, approver: string): HoldpointError {
  return new HoldpointError(
    'conflict',
    `${approver} has already decided on request ${rid}; one vote a person`,
  );
}

/** How long the identical statement of the same agent is refused after a rejection, without anybody being asked. */
export const rejectionMs = 10 * 60_000;

/** How a row that can no longer be decided looks to a session that waits for it and has not used it. */
export function endedSettlement(row: StoredRequest): Exclude<Settlement, { state: 'approved' }> {
  const { rid, state } = row;
  if (state === 'rejected') return rejection(row);
  if (state === 'expired' || state === 'canceled') return { state, rid };
  return { state: 'elsewhere', rid };
}

/** What a rejected row says, and until when it speaks for the identical statement too. */
export function rejection(row: StoredRequest): Rejection {
  const { by, reason, at } = row.ending ?? { by: 'unknown', reason: '', at: row.created };
  return { state: 'rejected', rid: row.rid, by, reason, until: at + rejectionMs, expiresAt: row.exp };
}
