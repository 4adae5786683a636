// Evidence: the proof that a person made a Decision, and its verification. audit-approval §16.4.
// Pure given keys and now: refuses to know requests' states, stores and HTTP. `jws` is an approver's Ed25519 signature;
// `link` is a link token with a typed phrase, which says only that somebody saw the page, for development targets.

import type { JWK } from 'jose';
import { HoldpointError } from '../errors.ts';
import { type ApproverBook, foldName } from './approvers.ts';
import { type Decision, decisionText } from './decision.ts';
import { type Level, phraseOf, type Request } from './request.ts';
import { openLink, openToken } from './token.ts';

export type Evidence = { kind: 'jws'; jws: string } | { kind: 'link'; token: string; phrase: string };

/** What a verification rests on. */
export interface EvidenceGround {
  readonly approvers: ApproverBook;
  /** This Holdpoint's own link key, by its thumbprint. */
  readonly linkKey: (kid: string) => JWK | undefined;
  readonly nowMs: number;
}

/** Verified: this person made this decision, with proof of this level. `log` is what the log keeps of the proof. */
export interface Proof {
  readonly approver: string;
  readonly level: Level;
  readonly kid: string;
  readonly log: Readonly<Record<string, string>>;
}

/** Evidence from untrusted JSON: the shape only. Throws `bad-request`, or `not-supported` for kinds still to come. */
export function readEvidence(value: unknown): Evidence {
  const given = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  const text = (name: string): string => {
    const member = given[name];
    if (typeof member === 'string' && member.length <= 8192) return member;
    throw new HoldpointError('bad-request', `the evidence is malformed: ${name} must be a string`);
  };
  if (given.kind === 'jws') return { kind: 'jws', jws: text('jws') };
  if (given.kind === 'link') return { kind: 'link', token: text('token'), phrase: text('phrase') };
  if (['sshsig', 'oidc', 'webauthn', 'slack'].includes(String(given.kind))) {
    throw new HoldpointError(
      'not-supported',
      `evidence of kind ${String(given.kind)} is not available yet; use an approver's key`,
    );
  }
  throw new HoldpointError('bad-request', 'the evidence is malformed: kind must be "jws" or "link"');
}

/**
 * Verifies that `evidence` proves `decision`, and that who made it may. `decision` must already be bound to `request`
 * and `rd`. Throws `unauthorized` for a bad proof, `forbidden` for a good one of somebody who may not.
 */
export async function verifyEvidence(
  evidence: Evidence,
  decision: Decision,
  held: { request: Request; rd: string },
  ground: EvidenceGround,
): Promise<Proof> {
  const proof =
    evidence.kind === 'jws'
      ? await verifySignature(evidence.jws, decision, ground)
      : await verifyLink(evidence, decision, held, ground);
  // The names are folded, so that an agent `Claude` has no approver `claude`.
  const who = foldName(proof.approver);
  if (who === foldName(held.request.agent.id) || ground.approvers.isAgent(proof.approver)) {
    throw new HoldpointError(
      'forbidden',
      `${proof.approver} is an agent; agents never decide, least of all on their own requests`,
    );
  }
  return proof;
}

async function verifySignature(jws: string, decision: Decision, ground: EvidenceGround): Promise<Proof> {
  const { kid, payload } = await openToken(
    jws,
    'holdpoint-decision+jws',
    (name) => ground.approvers.key(name)?.jwk,
  );
  const signed = Buffer.from(payload);
  if (!signed.equals(Buffer.from(decisionText(decision), 'utf8'))) {
    throw new HoldpointError(
      'unauthorized',
      'the signature covers other bytes than this decision; sign its RFC 8785 form',
    );
  }
  const key = ground.approvers.key(kid);
  if (key === undefined || key.approver !== decision.approver) {
    throw new HoldpointError(
      'unauthorized',
      `the key is not registered to the approver ${JSON.stringify(decision.approver)}`,
    );
  }
  if (decision.level !== 'key') {
    throw new HoldpointError(
      'forbidden',
      `a signature by a software key is evidence of level key, not ${decision.level}`,
    );
  }
  return { approver: key.approver, level: 'key', kid, log: { kind: 'jws', jws } };
}

async function verifyLink(
  evidence: { token: string; phrase: string },
  decision: Decision,
  held: { request: Request; rd: string },
  ground: EvidenceGround,
): Promise<Proof> {
  const { request, rd } = held;
  const claims = await openLink(evidence.token, {
    publicUrl: request.aud,
    rid: request.rid,
    rd,
    nowMs: ground.nowMs,
    keyOf: ground.linkKey,
  });
  if (
    request.db.environment !== 'development' ||
    request.need.level !== 'link' ||
    decision.level !== 'link'
  ) {
    throw new HoldpointError(
      'forbidden',
      `this link is good for viewing only: request ${request.rid} on ${request.db.target} needs evidence of level ${request.need.level}`,
    );
  }
  if (decision.approver !== linkApprover(claims.jti)) {
    throw new HoldpointError('unauthorized', 'the decision names another approver than its link');
  }
  if (foldName(evidence.phrase) !== foldName(phraseOf(request))) {
    throw new HoldpointError(
      'forbidden',
      `type ${phraseOf(request)} to decide; what was typed is something else`,
    );
  }
  // The token is a bearer right until the request ends, so the log keeps who it was, never the token itself.
  return {
    approver: decision.approver,
    level: 'link',
    kid: '',
    log: { kind: 'link', jti: claims.jti, phrase: evidence.phrase },
  };
}

/** The name under which the holder of a link decides: nobody in particular. */
export function linkApprover(jti: string): string {
  return `link:${jti}`;
}
