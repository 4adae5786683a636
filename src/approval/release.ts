// Release: what a stored row really proves. The store is not trusted, so the row's request is digested again, its
// values are checked against their commitments, and each vote's evidence is verified as if it had just arrived.
// Pure given keys and now; refuses to know how rows are stored or races are settled. audit-approval §15 P11, §17.4.

import { HoldpointError } from '../errors.ts';
import type { StoredRequest, Vote } from '../store/store.ts';
import { checkBinding, type Decision, decisionText, peopleOf, readDecision } from './decision.ts';
import { delegationId } from './delegation.ts';
import { type Evidence, readEvidence, verifyEvidence } from './evidence.ts';
import type { EvidenceGround, Proof } from './ground.ts';
import {
  matchDigest,
  type Request,
  type RequestValues,
  readRequestText,
  requestDigest,
  requestOpening,
  valuesFit,
} from './request.ts';
import { isBreakGlass } from './scope.ts';
import type { VeilOpening } from './veil.ts';

/** A row whose request has the digest it says. `values` is undefined when they are gone or are not the committed ones. */
export interface IntactRequest {
  readonly request: Request;
  readonly rd: string;
  readonly nonce: string;
  readonly values: RequestValues | undefined;
}

/** What the approvals of a row prove together. */
export interface Release {
  /** Distinct people, in the order of their votes. */
  readonly by: readonly string[];
  readonly votes: readonly { readonly vote: Vote; readonly proof: Proof }[];
}

/** A release whose decisions are in this node's log, by their sequence numbers there. */
export interface Proven extends Release {
  readonly decisions: readonly number[];
}

/** Reads a row back; throws `conflict` if its request is not the one that its digest names. */
export function intactRequest(row: StoredRequest): IntactRequest {
  const kept = row.values === '' ? undefined : readValues(row.values);
  let request: Request;
  let rd: string;
  try {
    request = readRequestText(row.request, row.match, kept?.open);
    rd = requestDigest(request);
  } catch (cause) {
    throw tampered(row.rid, cause);
  }
  if (rd !== row.rd || request.rid !== row.rid || request.agent?.id !== row.agent) throw tampered(row.rid);
  const fit = kept !== undefined && valuesFit(request, kept.values);
  return { request, rd, nonce: row.nonce, values: fit ? kept.values : undefined };
}

/**
 * True if the row's own request and values, digested again, are what `match` and `agent` ask for, so that its approval
 * may serve another gate than the one that asked. Never so where it rests on its session.
 */
export function fitsGate(intact: IntactRequest, match: string, agent: string, aud: string): boolean {
  const { request, values } = intact;
  // A plan is taken by its statements, one after the other, never by one text.
  if (request.once || request.plan !== undefined || values === undefined) return false;
  if (request.agent.id !== agent || request.aud !== aud) return false;
  return matchDigest(request, values) === match;
}

/**
 * The release that the votes prove for this request, or undefined when they do not: too few valid approvals of distinct
 * people, or any reject, valid or not. `held` must be the caller's own or `intactRequest`'s, never fields of the row.
 */
export async function provenRelease(
  held: { request: Request; rd: string; nonce: string },
  votes: readonly Vote[],
  ground: EvidenceGround,
): Promise<Release | undefined> {
  if (ground.nowMs >= held.request.exp || votes.some((vote) => vote.verdict !== 'approve')) return undefined;
  const taken = new Set<string>();
  const proven: { vote: Vote; proof: Proof }[] = [];
  // Somebody who may released it alone.
  let alone = false;
  for (const vote of votes) {
    const found = await provenVote(held, vote, ground);
    // A delegate and who delegates are one vote, however many decisions they sign.
    if (found === undefined || found.people.some((name) => taken.has(name))) continue;
    for (const name of found.people) taken.add(name);
    proven.push({ vote, proof: found.proof });
    alone ||= found.alone;
  }
  if (!alone && proven.length < Math.max(1, held.request.need.quorum)) return undefined;
  return { by: proven.map(({ proof }) => proof.approver), votes: proven };
}

async function provenVote(
  held: { request: Request; rd: string; nonce: string },
  vote: Vote,
  ground: EvidenceGround,
): Promise<{ people: readonly string[]; proof: Proof; alone: boolean } | undefined> {
  try {
    const decision = readDecision(JSON.parse(vote.decision));
    if (decision.verdict !== 'approve' || decisionText(decision) !== vote.decision) return undefined;
    checkBinding(decision, held, ground.nowMs);
    const { delegation, ...evidence } = JSON.parse(vote.evidence) as { delegation?: unknown };
    const proof = await verifyEvidence(readEvidence(evidence), decision, held, withLent(ground, delegation));
    return { people: peopleOf(decision), proof, alone: isBreakGlass(decision) };
  } catch {
    // A vote that does not verify is a vote that was not cast.
    return undefined;
  }
}

/** Evidence as a vote keeps it: with the delegation that it rests on, for nodes that do not have it. */
export function keptEvidence(evidence: Evidence, { lent }: Proof): string {
  if (lent === undefined) return JSON.stringify(evidence);
  return JSON.stringify({ ...evidence, delegation: { text: lent.text, evidence: lent.evidence } });
}

/** The ground, with a delegation that came along. It is no more believed than any other: it is verified with each use. */
function withLent(ground: EvidenceGround, given: unknown): EvidenceGround {
  const { text, evidence } = (given ?? {}) as { text?: unknown; evidence?: unknown };
  if (typeof text !== 'string' || typeof evidence !== 'string') return ground;
  const own = ground.delegations;
  const lent = { id: delegationId(text), text, evidence };
  return { ...ground, delegations: (from, to) => [...(own?.(from, to) ?? []), lent] };
}

/** True if a vote among these is already that of somebody whose vote `decision` would be. */
export function voted(votes: readonly Vote[], decision: Decision): boolean {
  const people = peopleOf(decision);
  return votes.some((vote) => {
    let cast: Pick<Decision, 'approver' | 'for'> = { approver: vote.approver };
    try {
      cast = readDecision(JSON.parse(vote.decision));
    } catch {
      // It will not count at the release either; its name stays taken.
    }
    return peopleOf(cast).some((name) => people.includes(name));
  });
}

/** Values as JSON text for the store, with what opens the request's veil. */
export function valuesText(values: RequestValues, request: Request): string {
  const params = values.params.map((param) => ({
    ...param,
    value: param.value === null ? null : param.value.toString('base64url'),
  }));
  return JSON.stringify({ params, text: values.text, wire: values.wire, open: requestOpening(request) });
}

function readValues(text: string): { values: RequestValues; open: VeilOpening | undefined } | undefined {
  try {
    const {
      params,
      text: secret,
      wire,
      open,
    } = JSON.parse(text) as {
      params: { oid: number; format: number; salt: string; value: string | null }[];
      text?: { salt: string; digest: string };
      wire?: string;
      open?: VeilOpening;
    };
    const values: RequestValues = {
      ...(wire !== undefined && { wire }),
      ...(secret && { text: { salt: secret.salt, digest: secret.digest } }),
      params: params.map((param) => ({
        oid: param.oid,
        format: param.format,
        salt: param.salt,
        value: param.value === null ? null : Buffer.from(param.value, 'base64url'),
      })),
    };
    return { values, open };
  } catch {
    return undefined;
  }
}

function tampered(rid: string, cause?: unknown): HoldpointError {
  return new HoldpointError(
    'conflict',
    `request ${rid} in the store is not the one that was recorded; nothing is released: look at who writes to the store`,
    { cause },
  );
}
