// Evidence: the proof that a person made a Decision, and its verification, kind by kind. audit-approval §16.4, §16.5.
// Pure given keys and now: refuses to know requests' states, stores and HTTP. What each kind is worth:
//   link                a token and a typed phrase: somebody saw the page; development targets only   link
//   slack               a button pressed in Slack, signed with a shared secret: attests only           slack
//   jws, sshsig, oidc   a key of the person, or an ID token, over exactly this decision                 key
//   webauthn            a passkey with user verification; an sshsig by a security key with it           passkey
// An approval needs the level that its request asks for. A reject needs no more than to know who it is.

import { isBase64url } from '../../verify/src/proof/base64url.ts';
import { HoldpointError } from '../errors.ts';
import { type ApproverBook, foldName } from './approvers.ts';
import { type Decision, decisionText } from './decision.ts';
import { covers, delegationText, readDelegation, type SignedDelegation } from './delegation.ts';
import type { EvidenceGround, Proof } from './ground.ts';
import { verifyOidc } from './oidc.ts';
import { levelReaches, phraseOf, type Request } from './request.ts';
import { type Review, reviewText } from './review.ts';
import { isBreakGlass } from './scope.ts';
import { verifySlack } from './slack.ts';
import { callbackBytesMax, type RawCallback } from './slack-callback.ts';
import { verifySsh } from './sshsig.ts';
import { openLink, openToken, type TokenType } from './token.ts';
import { type Assertion, verifyAssertion } from './webauthn.ts';

/** Evidence by which a person signs a text with something of their own. */
export type Signature =
  | { kind: 'jws'; jws: string }
  | { kind: 'sshsig'; signature: string }
  | ({ kind: 'webauthn' } & Assertion);

export type Evidence =
  | Signature
  | { kind: 'link'; token: string; phrase: string }
  | { kind: 'oidc'; idToken: string }
  | ({ kind: 'slack' } & RawCallback);

/** What a person signs with a key of theirs. A signature over one never stands for the other. */
type Purpose = 'decision' | 'delegation' | 'review';

const tokenTypes: Readonly<Record<Purpose, TokenType>> = {
  decision: 'holdpoint-decision+jws',
  delegation: 'holdpoint-delegation+jws',
  review: 'holdpoint-review+jws',
};

/** Characters of each text member. The longest are a signature by an RSA key, an ID token, a callback of Slack. */
const charactersMax = { plain: 8192, long: 24_576, body: callbackBytesMax };

/** Evidence from untrusted JSON: the shape only. Throws `bad-request`. */
export function readEvidence(value: unknown): Evidence {
  const given = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  const malformed = (why: string) => new HoldpointError('bad-request', `the evidence is malformed: ${why}`);
  const text = (name: string, most: number = charactersMax.plain): string => {
    const member = given[name];
    if (typeof member === 'string' && member.length <= most) return member;
    throw malformed(`${name} must be a string`);
  };
  const bytes = (name: string): string => {
    const member = text(name);
    if (isBase64url(member)) return member;
    throw malformed(`${name} must be base64url`);
  };
  switch (given.kind) {
    case 'jws':
      return { kind: 'jws', jws: text('jws') };
    case 'link':
      return { kind: 'link', token: text('token'), phrase: text('phrase') };
    case 'sshsig':
      return { kind: 'sshsig', signature: text('signature', charactersMax.long) };
    case 'webauthn':
      return {
        kind: 'webauthn',
        id: bytes('id'),
        authenticatorData: bytes('authenticatorData'),
        clientDataJSON: bytes('clientDataJSON'),
        signature: bytes('signature'),
        ...(given.userHandle != null && { userHandle: text('userHandle') }),
      };
    case 'oidc':
      return { kind: 'oidc', idToken: text('idToken', charactersMax.long) };
    case 'slack':
      return {
        kind: 'slack',
        timestamp: text('timestamp'),
        signature: text('signature'),
        body: text('body', charactersMax.body),
      };
    default:
      throw malformed('kind must be one of jws, sshsig, webauthn, oidc, slack, link');
  }
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
  const proof = await proofOf(evidence, decision, held, ground);
  if (proof.approver !== decision.approver) {
    throw new HoldpointError(
      'unauthorized',
      `the ${evidence.kind === 'jws' ? 'key' : 'credential'} is not registered to the approver ${JSON.stringify(decision.approver)}`,
    );
  }
  if (!levelReaches(proof.level, decision.level)) {
    throw new HoldpointError(
      'forbidden',
      `this ${evidence.kind} is evidence of level ${proof.level}, not ${decision.level}: request ${held.request.rid} needs ${held.request.need.level}`,
    );
  }
  refuseUncounted(proof, decision, held.request, ground.approvers);
  if (decision.for === undefined) return proof;
  return { ...proof, lent: await delegationFor(proof, decision.for, held.request, ground) };
}

/** Verifies a delegation as it is kept, by its own text alone; whether it covers a request is another question. */
export async function verifyDelegation(
  signed: Pick<SignedDelegation, 'text' | 'evidence'>,
  ground: EvidenceGround,
): Promise<{ delegation: ReturnType<typeof readDelegation>; proof: Proof }> {
  const delegation = readDelegation(JSON.parse(signed.text));
  if (delegationText(delegation) !== signed.text)
    throw new HoldpointError('bad-request', 'the delegation is not in its canonical form');
  const evidence = readEvidence(JSON.parse(signed.evidence));
  if (evidence.kind !== 'jws' && evidence.kind !== 'sshsig' && evidence.kind !== 'webauthn')
    throw new HoldpointError('forbidden', `a delegation is signed with a key, not by ${evidence.kind}`);
  const proof = await signatureProof(evidence, signed.text, 'delegation', delegation.aud, ground.approvers);
  if (proof.approver !== delegation.from)
    throw new HoldpointError(
      'unauthorized',
      `the key is not registered to the approver ${JSON.stringify(delegation.from)}`,
    );
  for (const name of [delegation.from, delegation.to]) {
    if (ground.approvers.isAgent(name) || !ground.approvers.isApprover(name))
      throw new HoldpointError(
        'forbidden',
        `${name} is no approver; only approvers delegate, and only to approvers`,
      );
  }
  if (foldName(delegation.from) === foldName(delegation.to))
    throw new HoldpointError('bad-request', 'a delegation to oneself says nothing');
  return { delegation, proof };
}

/** Verifies a review, whose shape was read. Throws `unauthorized`, or `forbidden` for what is not signed with a key. */
export async function verifyReview(
  review: Review,
  given: unknown,
  ground: EvidenceGround,
): Promise<{ text: string; proof: Proof }> {
  const text = reviewText(review);
  const evidence = readEvidence(given);
  if (evidence.kind !== 'jws' && evidence.kind !== 'sshsig' && evidence.kind !== 'webauthn')
    throw new HoldpointError('forbidden', `a review is signed with a key, not by ${evidence.kind}`);
  const proof = await signatureProof(evidence, text, 'review', review.aud, ground.approvers);
  if (proof.approver !== review.approver)
    throw new HoldpointError(
      'unauthorized',
      `the key is not registered to the approver ${JSON.stringify(review.approver)}`,
    );
  if (ground.approvers.isAgent(proof.approver) || !ground.approvers.isApprover(proof.approver))
    throw new HoldpointError('forbidden', `${proof.approver} is no approver; only approvers review`);
  return { text, proof };
}

async function proofOf(
  evidence: Evidence,
  decision: Decision,
  held: { request: Request; rd: string },
  ground: EvidenceGround,
): Promise<Proof> {
  const text = decisionText(decision);
  switch (evidence.kind) {
    case 'link':
      return verifyLink(evidence, decision, held, ground);
    case 'oidc':
      return verifyOidc(evidence.idToken, decision, text, held.request, ground);
    case 'slack':
      return verifySlack(evidence, decision, held.request, ground);
    default:
      return signatureProof(evidence, text, 'decision', decision.aud, ground.approvers);
  }
}

async function signatureProof(
  evidence: Signature,
  text: string,
  purpose: Purpose,
  publicUrl: string,
  approvers: ApproverBook,
): Promise<Proof> {
  if (evidence.kind === 'sshsig') return verifySsh(evidence.signature, text, purpose, approvers);
  if (evidence.kind === 'webauthn') return verifyAssertion(evidence, text, publicUrl, approvers);
  const { kid, payload } = await openToken(
    evidence.jws,
    tokenTypes[purpose],
    (name) => approvers.key(name)?.jwk,
  );
  const key = approvers.key(kid);
  if (key === undefined || !Buffer.from(payload).equals(Buffer.from(text, 'utf8'))) {
    throw new HoldpointError(
      'unauthorized',
      `the signature covers other bytes than this ${purpose}; sign its RFC 8785 form`,
    );
  }
  return { approver: key.approver, level: 'key', kid, log: { kind: 'jws', jws: evidence.jws } };
}

/** Throws `forbidden` for a person whose decision on this request never counts, whatever they prove. */
function refuseUncounted(proof: Proof, decision: Decision, request: Request, approvers: ApproverBook): void {
  const behind = new Set(
    [...(request.agent.obo ?? []), ...approvers.onBehalfOf(request.agent.id)].map(foldName),
  );
  for (const name of [proof.approver, ...(decision.for === undefined ? [] : [decision.for])]) {
    // The names are folded, so that an agent `Claude` has no approver `claude`.
    if (foldName(name) === foldName(request.agent.id) || approvers.isAgent(name)) {
      throw new HoldpointError(
        'forbidden',
        `${name} is an agent; agents never decide, least of all on their own requests`,
      );
    }
    if (behind.has(foldName(name))) {
      throw new HoldpointError(
        'forbidden',
        `${request.agent.id} works on behalf of ${name}; somebody else has to decide on request ${request.rid}`,
      );
    }
  }
  const counted = decision.for ?? proof.approver;
  if (isBreakGlass(decision)) {
    if (approvers.mayBreakGlass(proof.approver)) return;
    throw new HoldpointError(
      'forbidden',
      `${proof.approver} may not release alone in an emergency; that takes somebody enrolled for it`,
    );
  }
  const { of } = request.need;
  if (of !== undefined && !of.some((name) => foldName(name) === foldName(counted))) {
    throw new HoldpointError(
      'forbidden',
      `${counted} is not one of those who decide on request ${request.rid}: ${of.join(', ') || 'nobody is'}`,
    );
  }
}

/** The delegation by which `proof` is one for `from`. Throws `forbidden` if there is none that covers the request. */
async function delegationFor(
  proof: Proof,
  from: string,
  request: Request,
  ground: EvidenceGround,
): Promise<NonNullable<Proof['lent']>> {
  for (const signed of ground.delegations?.(from, proof.approver) ?? []) {
    const found = await verifyDelegation(signed, ground).catch(() => undefined);
    if (found === undefined) continue;
    const { delegation } = found;
    // Whoever could take the vote with less than the request needs could delegate it with less, too.
    const strong = levelReaches(found.proof.level, request.need.level);
    const theirs = delegation.from === from && delegation.to === proof.approver;
    if (theirs && strong && covers(delegation, request, ground.nowMs))
      return { ...signed, from, to: proof.approver, log: found.proof.log };
  }
  throw new HoldpointError(
    'forbidden',
    `${proof.approver} may not decide on request ${request.rid} for ${from}: there is no delegation in force that covers it and was signed with ${request.need.level}`,
  );
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
    decision.level !== 'link' ||
    decision.for !== undefined
  ) {
    throw new HoldpointError(
      'forbidden',
      `this link is good for viewing only: request ${request.rid} on ${request.db.target} needs evidence of level ${request.need.level}`,
    );
  }
  if (foldName(evidence.phrase) !== foldName(phraseOf(request))) {
    throw new HoldpointError(
      'forbidden',
      `type ${phraseOf(request)} to decide; what was typed is something else`,
    );
  }
  // The token is a bearer right until the request ends, so the log keeps who it was, never the token itself.
  return {
    approver: linkApprover(claims.jti),
    level: 'link',
    kid: '',
    log: { kind: 'link', jti: claims.jti, phrase: evidence.phrase },
  };
}

/** The name under which the holder of a link decides: nobody in particular. */
export function linkApprover(jti: string): string {
  return `link:${jti}`;
}
