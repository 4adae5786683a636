// Registration: a new passkey, asked of a browser's authenticator and verified when it comes. By @simplewebauthn/server;
// refuses to know who may register one, and where it is kept. W3C WebAuthn Level 3 §7.1.

import { createHash } from 'node:crypto';
import {
  type AuthenticatorTransport,
  generateRegistrationOptions,
  type RegistrationResponseJSON,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import type { Passkey } from '../approval/approvers.ts';
import { jwkFromCose } from '../approval/cose.ts';
import { challengeOf, relyingParty } from '../approval/webauthn.ts';
import { HoldpointError } from '../errors.ts';
import { beginCeremony, type CeremonyPorts, ceremonyMs, type Purpose } from './ceremony.ts';
import type { Person } from './people.ts';

/** COSE: EdDSA, ES256, RS256, in the order in which we like them. */
const algorithms = [-8, -7, -257];

/** What an authenticator is asked, and the token that goes back with its answer. */
export interface Asked {
  readonly options: unknown;
  readonly ceremony: string;
}

/** Asks for a new passkey of `name`, on none of the devices that have one of theirs. */
export async function askNew(
  ports: CeremonyPorts,
  purpose: Purpose,
  name: string,
  person: Person | undefined,
): Promise<Asked> {
  const { token, challenge } = await beginCeremony(ports, purpose);
  const options = await generateRegistrationOptions({
    rpName: 'Holdpoint',
    rpID: relyingParty(ports.publicUrl).rpId,
    userName: name,
    // Tells nothing of the name to whoever reads the device, and is the same for all passkeys of one person.
    userID: new Uint8Array(createHash('sha256').update(`${ports.publicUrl}\0${name}`).digest()),
    challenge: new Uint8Array(Buffer.from(challenge, 'base64url')),
    attestationType: 'none',
    timeout: ceremonyMs,
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
    excludeCredentials: (person?.passkeys ?? []).map(({ id, transports }) => ({
      id,
      transports: [...transports] as AuthenticatorTransport[],
    })),
    supportedAlgorithmIDs: algorithms,
  });
  return { options, ceremony: token };
}

/** The passkey that an authenticator made for `text`. Throws `unauthorized`. */
export async function registered(
  ports: Pick<CeremonyPorts, 'publicUrl' | 'now'>,
  response: unknown,
  text: string,
): Promise<Passkey> {
  const { rpId, origin } = relyingParty(ports.publicUrl);
  const { verified, registrationInfo } = await verifyRegistrationResponse({
    response: response as RegistrationResponseJSON,
    expectedChallenge: challengeOf(text),
    expectedOrigin: origin,
    expectedRPID: rpId,
    requireUserVerification: true,
    supportedAlgorithmIDs: algorithms,
  }).catch((cause: Error) => {
    throw new HoldpointError('unauthorized', `the new passkey is not valid here: ${cause.message}`, {
      cause,
    });
  });
  if (!verified) throw new HoldpointError('unauthorized', 'the new passkey is not valid here');
  const { credential, credentialBackedUp } = registrationInfo;
  return {
    id: credential.id,
    ...jwkFromCose(credential.publicKey),
    counter: credential.counter,
    transports: (credential.transports ?? []).filter((one) => /^[a-z-]{1,20}$/.test(one)),
    backedUp: credentialBackedUp,
    createdAt: ports.now(),
  };
}
