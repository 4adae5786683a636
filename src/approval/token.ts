// Tokens: the compact JWS of the approval side and the one way to open them. RFC 7515, RFC 8037, RFC 9864.
//   holdpoint-decision+jws  a person's signature over a Decision; the payload is its exact RFC 8785 text
//   holdpoint-delegation+jws  a person's signature over a Delegation, in the same way
//   holdpoint-review+jws    a person's signature over a Review, in the same way
//   holdpoint-access+jws    a person's right to read one method and path for at most a minute, once
//   holdpoint-link+jws      the right to view one request, made by this Holdpoint, carried in a URL fragment
//   holdpoint-visit+jws     a browser's session for reading, in a cookie; http/visit.ts
//   holdpoint-enrol+jws     the right to register one passkey under one name, once; http/enrolment.ts
//   holdpoint-ceremony+jws  a challenge that a passkey is to answer, good for some minutes; http/ceremony.ts
// Each has its own `typ`, and a key signs only one of them for us; what opens as one never opens as another.
// Pure given keys and now. Refuses to know registries, requests and HTTP.

import {
  CompactSign,
  type CryptoKey,
  calculateJwkThumbprint,
  compactVerify,
  importJWK,
  type JWK,
} from 'jose';
import { isCompactJws } from '../../verify/src/proof/base64url.ts';
import { HoldpointError } from '../errors.ts';

export type TokenType =
  | 'holdpoint-decision+jws'
  | 'holdpoint-delegation+jws'
  | 'holdpoint-review+jws'
  | 'holdpoint-access+jws'
  | 'holdpoint-link+jws'
  | 'holdpoint-visit+jws'
  | 'holdpoint-enrol+jws'
  | 'holdpoint-ceremony+jws';

/** The only algorithm. `EdDSA` names the same curve but is another word: one word is accepted, not two. */
const algorithm = 'Ed25519';

const tokenBytesMax = 8192;

/** Longest life of an access token. */
export const accessSecondsMax = 60;

/** How far two clocks may differ where a token's times are compared. */
const skewSeconds = 5;

export interface SigningKey {
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string;
  readonly privateKey: CryptoKey;
  /** Public part only. */
  readonly jwk: JWK;
}

/** A token whose signature, algorithm and type are verified. Nothing in `payload` has been looked at. */
export interface OpenedToken {
  readonly kid: string;
  readonly payload: Uint8Array;
}

/** An Ed25519 private JWK as a key to sign with. Throws `bad-request` on anything else. */
export async function signingKey(jwk: JWK): Promise<SigningKey> {
  if (jwk.kty !== 'OKP' || jwk.crv !== 'Ed25519' || typeof jwk.x !== 'string' || typeof jwk.d !== 'string') {
    throw new HoldpointError(
      'bad-request',
      'the key is not a private Ed25519 JWK (kty OKP, crv Ed25519, with d)',
    );
  }
  const open: JWK = { kty: 'OKP', crv: 'Ed25519', x: jwk.x };
  const privateKey = (await importJWK({ ...open, d: jwk.d }, algorithm)) as CryptoKey;
  return { kid: await calculateJwkThumbprint(open), privateKey, jwk: open };
}

export async function signToken(typ: TokenType, payload: string, key: SigningKey): Promise<string> {
  return new CompactSign(Buffer.from(payload, 'utf8'))
    .setProtectedHeader({ alg: algorithm, typ, kid: key.kid })
    .sign(key.privateKey);
}

/** The `typ` a token claims, to choose how to open it. Nothing is verified. */
export function claimedType(token: string): string | undefined {
  const header = claimedHeader(token);
  return typeof header?.typ === 'string' ? header.typ : undefined;
}

/** The key a token claims to be signed with, to look for it. Nothing is verified. */
export function claimedKey(token: string): string | undefined {
  const header = claimedHeader(token);
  return typeof header?.kid === 'string' ? header.kid : undefined;
}

/**
 * Verifies a token of type `typ` by the key that `keyOf` knows under its `kid`. Keys inside the token are ignored.
 * Throws `unauthorized`, with the same words for a bad signature, an unknown key and a wrong type.
 */
export async function openToken(
  token: string,
  typ: TokenType,
  keyOf: (kid: string) => JWK | undefined,
): Promise<OpenedToken> {
  const header = token.length <= tokenBytesMax && isCompactJws(token) ? claimedHeader(token) : undefined;
  // Checked before the signature: compactVerify never compares typ, and a header with more members than we
  // write (crit, b64, jwk, jku, x5u) is not one of ours.
  const ours =
    header !== undefined && Object.keys(header).every((name) => ['alg', 'typ', 'kid'].includes(name));
  const jwk = ours && typeof header.kid === 'string' ? keyOf(header.kid) : undefined;
  if (!ours || header.alg !== algorithm || header.typ !== typ || jwk === undefined) throw refused(typ);
  try {
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: jwk.x as string }, algorithm);
    const { payload } = await compactVerify(token, key, { algorithms: [algorithm] });
    return { kid: header.kid as string, payload };
  } catch (cause) {
    throw refused(typ, cause);
  }
}

export interface AccessClaims {
  aud: string;
  /** HTTP method, upper case, and path with query, exactly as requested. */
  htm: string;
  htu: string;
  /** Whom the caller takes the key's owner for. Where it is given, it has to be right. */
  sub?: string;
  iat: number;
  exp: number;
  jti: string;
}

/** What is signed of an access token. */
export function accessText(claims: AccessClaims): string {
  return JSON.stringify(claims);
}

export async function signAccess(claims: AccessClaims, key: SigningKey): Promise<string> {
  return signToken('holdpoint-access+jws', accessText(claims), key);
}

/** What access has to be for: this audience, method and path. */
export interface AccessWant {
  readonly aud: string;
  readonly method: string;
  readonly path: string;
  readonly nowMs: number;
}

/** Opens an access token for this audience, method and path. The caller must still refuse a repeated `jti`. */
export async function openAccess(
  token: string,
  want: AccessWant & { keyOf: (kid: string) => JWK | undefined },
): Promise<{ kid: string; claims: AccessClaims }> {
  const typ = 'holdpoint-access+jws';
  const { kid, payload } = await openToken(token, typ, want.keyOf);
  return { kid, claims: checkAccess(tokenClaims(payload, typ), want) };
}

/** The claims, if their signature is verified and they are for this. Throws `unauthorized`. */
export function checkAccess(given: unknown, want: AccessWant): AccessClaims {
  const claims = (typeof given === 'object' && given !== null ? given : {}) as AccessClaims;
  const now = want.nowMs / 1000;
  const fits =
    claims.aud === want.aud &&
    claims.htm === want.method &&
    claims.htu === want.path &&
    typeof claims.jti === 'string' &&
    /^[A-Za-z0-9_-]{16,64}$/.test(claims.jti) &&
    Number.isFinite(claims.iat) &&
    Number.isFinite(claims.exp) &&
    claims.exp - claims.iat <= accessSecondsMax &&
    claims.iat <= now + skewSeconds &&
    now < claims.exp + skewSeconds;
  if (!fits) throw refused('holdpoint-access+jws');
  return claims;
}

export interface LinkClaims {
  iss: string;
  aud: string;
  /** The request it shows. */
  sub: string;
  rd: string;
  jti: string;
  iat: number;
  exp: number;
}

/** Audience of links: never that of access tokens or decisions. */
export function linkAudience(publicUrl: string): string {
  return `${publicUrl}/r`;
}

export async function signLink(claims: LinkClaims, key: SigningKey): Promise<string> {
  return signToken('holdpoint-link+jws', JSON.stringify(claims), key);
}

/** Opens a link token for one request. */
export async function openLink(
  token: string,
  want: {
    publicUrl: string;
    rid: string;
    rd: string;
    nowMs: number;
    keyOf: (kid: string) => JWK | undefined;
  },
): Promise<LinkClaims> {
  const typ = 'holdpoint-link+jws';
  const { payload } = await openToken(token, typ, want.keyOf);
  const claims = tokenClaims(payload, typ) as unknown as LinkClaims;
  const fits =
    claims.iss === want.publicUrl &&
    claims.aud === linkAudience(want.publicUrl) &&
    claims.sub === want.rid &&
    claims.rd === want.rd &&
    typeof claims.jti === 'string' &&
    Number.isFinite(claims.exp) &&
    want.nowMs / 1000 < claims.exp;
  if (!fits) throw refused(typ);
  return claims;
}

function claimedHeader(token: string): Record<string, unknown> | undefined {
  const [head] = token.split('.', 1);
  try {
    const header: unknown = JSON.parse(Buffer.from(head ?? '', 'base64url').toString('utf8'));
    return typeof header === 'object' && header !== null ? (header as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The claims of an opened token. Throws `unauthorized` where they are not a JSON object. */
export function tokenClaims(payload: Uint8Array, typ: TokenType): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through to the one refusal.
  }
  throw refused(typ);
}

/** The one answer for a token that does not open here, whatever is wrong with it. */
export function refused(typ: TokenType, cause?: unknown): HoldpointError {
  const name = typ.slice('holdpoint-'.length, -'+jws'.length);
  return new HoldpointError(
    'unauthorized',
    `the ${name} token is not valid here; make a new one and try again`,
    {
      cause,
    },
  );
}
