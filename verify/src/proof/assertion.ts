// Assertion: whether a WebAuthn authenticator signed one text for one relying party, with its holder verified. W3C Web
// Authentication Level 3 §7.2, without state: no counter. For those who verify the log without the proxy, and for the
// proxy beside another implementation: what could not be verified later releases nothing. Pure given the key: refuses to know whose credential it is.

import { createHash, createPublicKey, verify } from 'node:crypto';
import type { JWK } from 'jose';
import { isBase64url } from './base64url.ts';

export interface SignedAssertion {
  /** All base64url. */
  readonly authenticatorData: string;
  readonly clientDataJSON: string;
  readonly signature: string;
}

const userPresent = 0x01;
const userVerified = 0x04;
/** RP ID hash, flags, counter; extensions may follow. */
const dataBytesMin = 37;

/** Throws Error with a reason unless the assertion says that it is over `text`, for `publicUrl`. Verifies no signature. */
export function checkClaims(given: SignedAssertion, text: string, publicUrl: string): void {
  const { hostname, origin } = new URL(publicUrl);
  if (![given.authenticatorData, given.clientDataJSON, given.signature].every(isBase64url))
    throw new Error('a member of it is not base64url');
  const client = JSON.parse(bytes(given.clientDataJSON).toString('utf8')) as Record<string, unknown>;
  const challenge = createHash('sha256').update(text, 'utf8').digest('base64url');
  if (client.type !== 'webauthn.get') throw new Error(`it was made to ${JSON.stringify(client.type)}`);
  if (client.challenge !== challenge) throw new Error('its challenge is not the digest of this text');
  if (client.origin !== origin)
    throw new Error(`it was made at ${JSON.stringify(client.origin)}, not at ${origin}`);
  if ((client.crossOrigin ?? false) !== false || client.topOrigin !== undefined)
    throw new Error('it was made inside a page of another origin');
  const data = bytes(given.authenticatorData);
  const flags = data[32] ?? 0;
  if (data.length < dataBytesMin) throw new Error('its authenticator data is too short');
  if (!data.subarray(0, 32).equals(createHash('sha256').update(hostname).digest()))
    throw new Error(`it was made for another relying party than ${hostname}`);
  if ((flags & userPresent) === 0 || (flags & userVerified) === 0)
    throw new Error('its holder was not verified');
}

/** As `checkClaims`, and that it is a signature by the key. */
export function verifyAssertion(given: SignedAssertion, text: string, publicUrl: string, jwk: JWK): void {
  checkClaims(given, text, publicUrl);
  const client = createHash('sha256').update(bytes(given.clientDataJSON)).digest();
  const signed = Buffer.concat([bytes(given.authenticatorData), client]);
  const key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
  const hash = jwk.kty === 'OKP' ? null : jwk.crv === 'P-384' ? 'sha384' : 'sha256';
  if (!verify(hash, signed, key, bytes(given.signature)))
    throw new Error('it is not a signature over this text by its key');
}

function bytes(text: string): Buffer {
  return Buffer.from(text, 'base64url');
}
