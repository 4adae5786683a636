// Passkeys as evidence: an assertion whose challenge is the digest of the exact text, made on this Holdpoint's own page
// with the person verified by their device. W3C Web Authentication Level 3 §7.2; audit-approval §16.4. Pure given keys.

import { createHash } from 'node:crypto';
import { verifyAuthenticationResponse } from '@simplewebauthn/server';
import type { JWK } from 'jose';
import { verifyAssertion as verifyAgain } from '../../verify/src/proof/assertion.ts';
import { HoldpointError } from '../errors.ts';
import type { ApproverBook } from './approvers.ts';
import { coseFromJwk } from './cose.ts';
import type { Proof } from './ground.ts';

/** An assertion as a browser gives it, every member base64url. */
export interface Assertion {
  readonly id: string;
  readonly authenticatorData: string;
  readonly clientDataJSON: string;
  readonly signature: string;
  readonly userHandle?: string | undefined;
}

/** What a page asks an authenticator to sign: SHA-256 of the text, base64url. */
export function challengeOf(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('base64url');
}

/** The relying party that a public URL is: its host name as the RP ID, and its origin. */
export function relyingParty(publicUrl: string): { rpId: string; origin: string } {
  const { hostname, origin } = new URL(publicUrl);
  return { rpId: hostname, origin };
}

/** Verifies an assertion over `text`. Its counter is read, not judged. Throws `unauthorized`. */
export async function verifyAssertion(
  given: Assertion,
  text: string,
  publicUrl: string,
  approvers: ApproverBook,
): Promise<Proof> {
  const passkey = approvers.passkey(given.id);
  if (passkey === undefined) throw refused('it is not registered to an approver');
  const { rpId, origin } = relyingParty(publicUrl);
  const { id, authenticatorData, clientDataJSON, signature } = given;
  refuseFramed(clientDataJSON);
  const { counter } = await verifyAuthenticationResponse({
    response: {
      id,
      rawId: id,
      type: 'public-key',
      response: { authenticatorData, clientDataJSON, signature },
      clientExtensionResults: {},
    },
    expectedChallenge: challengeOf(text),
    expectedOrigin: origin,
    expectedRPID: rpId,
    requireUserVerification: true,
    credential: {
      id,
      publicKey: coseFromJwk(passkey.jwk, passkey.algorithm),
      // Judged by whoever takes the decision: the same signature is looked at again before its release.
      counter: 0,
    },
  })
    .catch((cause: Error) => {
      throw refused(cause.message, cause);
    })
    .then(({ verified, authenticationInfo }) => {
      if (!verified) throw refused('its signature is not over this text');
      return { counter: authenticationInfo.newCounter };
    });
  provable(given, text, publicUrl, passkey.jwk);
  return {
    approver: passkey.approver,
    level: 'passkey',
    kid: id,
    log: { kind: 'webauthn', id, authenticatorData, clientDataJSON, signature },
    counter: { id, counter },
  };
}

/** A page that frames ours could have put the person's finger where it wanted it. */
function refuseFramed(clientDataJSON: string): void {
  let data: { crossOrigin?: unknown; topOrigin?: unknown } | null;
  try {
    data = JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString('utf8'));
  } catch (cause) {
    throw refused('its client data is not JSON', cause);
  }
  if ((data?.crossOrigin ?? false) !== false || data?.topOrigin !== undefined)
    throw refused('it was made inside a page of another origin');
}

/**
 * Those who verify the log look with other code, which takes a signature in its one encoding only. What they would not
 * take must release nothing.
 */
function provable(given: Assertion, text: string, publicUrl: string, jwk: JWK): void {
  try {
    verifyAgain(given, text, publicUrl, jwk);
  } catch (cause) {
    throw refused((cause as Error).message, cause);
  }
}

function refused(why: string, cause?: unknown): HoldpointError {
  return new HoldpointError('unauthorized', `the passkey's signature is not valid here: ${why}`, { cause });
}
