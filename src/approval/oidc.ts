// ID tokens as evidence: the OpenID provider signed that a registered account was signed in just now, and its nonce is
// the digest of the exact decision. It proves that the provider says so. audit-approval §16.4; the token itself is
// proof/idtoken.ts. Pure given keys and now.

import { createHash } from 'node:crypto';
import { claimedKid, verifyIdToken } from '../../verify/src/proof/idtoken.ts';
import { HoldpointError } from '../errors.ts';
import type { Decision } from './decision.ts';
import type { EvidenceGround, Proof } from './ground.ts';
import type { Request } from './request.ts';

/** How long a person may take to sign in after the decision was drawn up. */
const danceMsMax = 10 * 60_000;

/** Verifies that `idToken` is over `text`, the canonical text of `decision`. Throws `unauthorized`, `not-supported`. */
export async function verifyOidc(
  idToken: string,
  decision: Decision,
  text: string,
  request: Request,
  ground: EvidenceGround,
): Promise<Proof> {
  const { oidc, fresh, nowMs } = ground;
  if (oidc === undefined) {
    throw new HoldpointError(
      'not-supported',
      'this Holdpoint has no OpenID provider; add oidc: to its configuration, or decide with a key or a passkey',
    );
  }
  const { issuer, clientId, acr, maxAgeSeconds } = oidc;
  if (fresh && nowMs - decision.nbf > danceMsMax)
    throw refused('the sign-in took too long; begin again from the request');
  const keys = await oidc.keys(claimedKid(idToken));
  const proof = await verifyIdToken(idToken, keys, {
    issuer,
    clientId,
    text,
    acr,
    // Nobody could have drawn the decision up before there was a request.
    signedInSince: Math.max(decision.nbf, request.created) - maxAgeSeconds * 1000,
    nowMs: fresh ? nowMs : undefined,
  }).catch((cause: Error) => {
    throw refused(cause.message, cause);
  });
  const known = ground.approvers.oidcSubject(issuer, proof.subject);
  if (known === undefined) throw refused('the account is no approver’s');
  const sha256 = createHash('sha256').update(idToken).digest('hex');
  return {
    approver: known.approver,
    level: 'key',
    kid: `oidc:${createHash('sha256').update(`${issuer}\0${proof.subject}`).digest('base64url')}`,
    log: { kind: 'oidc', sha256, issuer, clientId, jwk: proof.jwk },
    aside: { sha256, text: idToken },
  };
}

function refused(why: string, cause?: unknown): HoldpointError {
  return new HoldpointError('unauthorized', `the ID token is not valid here: ${why}`, { cause });
}
