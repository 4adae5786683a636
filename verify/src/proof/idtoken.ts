// ID token: whether an OpenID provider signed that one person was there, and agreed to one text. OpenID Connect Core 1.0
// §3.1.3.7; the text is bound by `nonce`, the digest of its bytes, as OpenPubkey does. Pure given keys and now: refuses
// to know where keys come from and who the subject is to us.

import { createHash } from 'node:crypto';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, type JWK, jwtVerify } from 'jose';
import { isCompactJws } from './base64url.ts';

export interface IdTokenWant {
  readonly issuer: string;
  readonly clientId: string;
  /** The exact text whose digest the nonce has to be. */
  readonly text: string;
  /** Authentication contexts that are strong enough; any if empty. */
  readonly acr: readonly string[];
  /** The person must have signed in at or after this, in milliseconds since the epoch. */
  readonly signedInSince: number;
  /** Milliseconds since the epoch; undefined: the moment it was issued, for a token that was accepted then. */
  readonly nowMs: number | undefined;
}

export interface IdTokenProof {
  readonly subject: string;
  /** The public key that it was verified by, as the provider published it. */
  readonly jwk: JWK;
  readonly acr: string | undefined;
}

/** Only signatures that the proxy could not make itself: with a shared secret it could. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const skewSeconds = 30;

/** The nonce that binds a text: base64url(SHA-256). */
export function nonceOf(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('base64url');
}

/** The `kid` a token claims, to look for its key. Nothing is verified. */
export function claimedKid(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).kid;
  } catch {
    return undefined;
  }
}

/** Verifies a token against the provider's keys. Throws Error with a reason. */
export async function verifyIdToken(
  token: string,
  keys: JSONWebKeySet,
  want: IdTokenWant,
): Promise<IdTokenProof> {
  if (!isCompactJws(token)) throw new Error('it is not a compact JWS in its one spelling');
  const asymmetric = { keys: keys.keys.filter(({ kty }) => kty === 'RSA' || kty === 'EC' || kty === 'OKP') };
  const find = createLocalJWKSet(asymmetric);
  const { payload, protectedHeader } = await jwtVerify(token, find, {
    algorithms,
    issuer: want.issuer,
    audience: want.clientId,
    clockTolerance: skewSeconds,
    requiredClaims: ['sub', 'iat', 'exp', 'nonce', 'auth_time'],
    currentDate: new Date(want.nowMs ?? issuedAt(token) * 1000),
  });
  const { aud, azp, nonce, auth_time: signedIn, acr, sub } = payload;
  // An access or logout token of the same provider is no ID token.
  if (protectedHeader.typ !== undefined && protectedHeader.typ.toUpperCase() !== 'JWT')
    throw new Error(`it is a token of type ${protectedHeader.typ}, not an ID token`);
  const several = Array.isArray(aud) && aud.length > 1;
  if (azp === undefined ? several : azp !== want.clientId)
    throw new Error('it was issued to another client than this one');
  if (nonce !== nonceOf(want.text)) throw new Error('its nonce is not the digest of this text');
  if (typeof signedIn !== 'number' || (signedIn + skewSeconds) * 1000 < want.signedInSince)
    throw new Error('the person signed in too long before; sign in again');
  if (want.acr.length > 0 && (typeof acr !== 'string' || !want.acr.includes(acr)))
    throw new Error(
      `the sign-in was of context ${JSON.stringify(acr ?? 'none')}; ${want.acr.join(' or ')} is needed`,
    );
  if (typeof sub !== 'string' || sub === '') throw new Error('it names no subject');
  return {
    subject: sub,
    jwk: keyNamed(asymmetric.keys, protectedHeader.kid),
    acr: typeof acr === 'string' ? acr : undefined,
  };
}

function issuedAt(token: string): number {
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as {
    iat?: unknown;
  };
  if (typeof claims.iat !== 'number') throw new Error('it does not say when it was issued');
  return claims.iat;
}

function keyNamed(keys: readonly JWK[], kid: string | undefined): JWK {
  const [only, other] = kid === undefined ? keys : keys.filter((key) => key.kid === kid);
  if (only === undefined || other !== undefined) throw new Error('its key cannot be told from others');
  return only;
}
