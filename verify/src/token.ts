// Tokens: the compact JWS of a log, what each type of them says, and how one is verified. audit-approval §3.5 and §7.
// Types: a seal over the log so far (a line of the log; each names the hash of the one before, `psh`), a certificate of
// an epoch's key, the manifest line of a closed segment. Everything parsed here is hostile until the function that
// verifies it returns. Pure given keys.

import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';
import type { JWK } from 'jose';
import { canonical } from './jcs.ts';

/** What a signature is for. A token of one type is never accepted as another. */
export type TokenType =
  | 'holdpoint-seal+jws'
  | 'holdpoint-epoch+jws'
  | 'holdpoint-segment+jws'
  | 'holdpoint-checkpoint+jws'
  | 'holdpoint-revocation+jws';

/** Members of a seal. `root` and `head` are of the first `size` records; base64url. */
export interface Seal {
  readonly v: 1;
  readonly origin: string;
  readonly size: number;
  readonly root: string;
  /** Leaf hash of record `size` − 1. */
  readonly head: string;
  readonly psh: string;
  /** µs since 1970. */
  readonly ts: number;
  /** ns since the boot. */
  readonly mono: number;
  readonly boot: string;
  readonly epoch: number;
}

/** What the key before says of an epoch key. */
export interface EpochCertificate {
  readonly v: 1;
  readonly origin: string;
  readonly epoch: number;
  readonly kid: string;
}

/** What the root, or the present epoch's key, says of the key that signs the log's checkpoint notes. */
export interface CheckpointCertificate {
  readonly v: 1;
  readonly origin: string;
  readonly kid: string;
}

/** What the root says of a key that others may have: its seals over more than `from_size` records prove nothing. */
export interface Revocation {
  readonly v: 1;
  readonly origin: string;
  readonly kid: string;
  readonly from_size: number;
  /** µs since 1970. */
  readonly at: number;
}

/** A release in an emergency that nobody has reviewed yet. `due`: ms since 1970. */
export interface OwedReview {
  readonly rid: string;
  readonly rd: string;
  readonly target: string;
  readonly agent: string;
  readonly by: string;
  readonly reason: string;
  readonly due: number;
}

/** A closed segment, as its line in manifest.jsonl says. It ends sealed: its last seal covers its last record. */
export interface SegmentSeal {
  readonly v: 1;
  readonly origin: string;
  readonly n: number;
  /** Seq of the first record in it, and the number of records up to its end. */
  readonly first: number;
  readonly size: number;
  readonly bytes: number;
  /** Hex, of the file. */
  readonly sha256: string;
  readonly start_head: string;
  readonly end_head: string;
  /** Peaks of the tree before its first record and behind its last, so that segments can be checked side by side. */
  readonly start_range: readonly string[];
  readonly end_range: readonly string[];
  /** Hash of its last seal line. */
  readonly psh: string;
  /** Of the key that signs this line and what comes behind it. */
  readonly epoch: number;
  /** Hash of the manifest line before. */
  readonly pmh: string;
  /** Seqs of the statements that had no outcome when it closed: those that were released after being held, and below. */
  readonly intents: readonly number[];
  /** Those that were held and not released; left out if there were none. */
  readonly waits?: readonly number[];
  /** Those that passed, in runs of one seq behind another: the first and how many; left out if there were none. */
  readonly passes?: readonly number[];
  /** Requests that were open. */
  readonly holds: readonly string[];
  /** Releases in an emergency that nobody had reviewed; left out if there were none. */
  readonly reviews?: readonly OwedReview[];
}

/** The claims of a token. Nothing is verified yet, except that it is in its one possible spelling. */
export interface Token {
  readonly kid: string;
  readonly type: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * Splits a compact JWS and reads its claims. Throws Error with a reason on any other than its canonical spelling: a
 * foreign header member, base64url with loose bits, JSON that is not canonical. Verifies no signature.
 */
export function readToken(token: string): Token {
  const parts = token.split('.');
  if (parts.length !== 3) throw new Error('it is not a compact JWS of three parts');
  const [header, payload] = parts.map((part, i) => {
    const bytes = Buffer.from(part, 'base64url');
    // Loose trailing bits would let two spellings carry one signature.
    if (bytes.toString('base64url') !== part) throw new Error(`part ${i + 1} is not canonical base64url`);
    return bytes.toString('utf8');
  });
  const head = readCanonical(header!, 'header');
  if (Object.keys(head).join() !== 'alg,kid,typ' || head.alg !== 'Ed25519')
    throw new Error('its header is not exactly {"alg":"Ed25519","kid":…,"typ":…}');
  if (typeof head.kid !== 'string' || typeof head.typ !== 'string')
    throw new Error('its kid or typ is not a string');
  return { kid: head.kid, type: head.typ, claims: readCanonical(payload!, 'payload') };
}

/**
 * Verifies a token: its type, the key and the signature. Throws Error with a reason. Returns the claims, which are then
 * known to be the key holder's words; whether they are true of the log is the caller's to check. By node:crypto rather
 * than jose, which takes half as long again: a log has a seal for every few records.
 */
export function checkToken(
  token: string,
  type: TokenType,
  key: { kid: string; jwk: JWK },
): Readonly<Record<string, unknown>> {
  const read = readToken(token);
  if (read.type !== type) throw new Error(`its type is ${JSON.stringify(read.type)}, not ${type}`);
  if (read.kid !== key.kid) throw new Error(`it is signed by key ${read.kid}, not by ${key.kid}`);
  let verifier = imported.get(key.jwk);
  if (verifier === undefined) {
    const { x } = publicKeyOf(key.jwk).jwk;
    verifier = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: x! }, format: 'jwk' });
    imported.set(key.jwk, verifier);
  }
  const end = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(end + 1), 'base64url');
  // Ed25519 signatures are 64 bytes; another spelling of the same 64 would be another line with another hash.
  const isOne = signature.length === 64 && signature.toString('base64url') === token.slice(end + 1);
  if (!isOne || !verify(null, Buffer.from(token.slice(0, end)), verifier, signature))
    throw new Error(`its signature by key ${key.kid} is not valid`);
  return read.claims;
}

/** As `checkToken`, for those who wait. */
export async function verifyToken(
  token: string,
  type: TokenType,
  key: { kid: string; jwk: JWK },
): Promise<Readonly<Record<string, unknown>>> {
  return checkToken(token, type, key);
}

const imported = new WeakMap<JWK, KeyObject>();

/**
 * A public key as the log publishes it: exactly crv, kty and x. Throws Error unless it is an Ed25519 key in that form.
 * Returns it with its RFC 7638 thumbprint.
 */
export function publicKeyOf(value: unknown): { kid: string; jwk: JWK } {
  const given = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (given.kty !== 'OKP' || given.crv !== 'Ed25519' || typeof given.x !== 'string')
    throw new Error('it is not an Ed25519 public key (JWK with kty OKP, crv Ed25519 and x)');
  const bytes = Buffer.from(given.x, 'base64url');
  if (bytes.length !== 32 || bytes.toString('base64url') !== given.x)
    throw new Error('its x is not 32 bytes of base64url');
  const jwk: JWK = { crv: 'Ed25519', kty: 'OKP', x: given.x };
  return { kid: digest(canonical(jwk)), jwk };
}

/** As `publicKeyOf`, for those who wait. */
export async function readPublicKey(value: unknown): Promise<{ kid: string; jwk: JWK }> {
  return publicKeyOf(value);
}

/** What the first seal names as the one before. */
export function firstSealHash(origin: string): string {
  return digest(`holdpoint-seals-v1\n${origin}`);
}

/** Hash of a seal line or a manifest line, as its successor names it. */
export function digest(line: string): string {
  return hash('sha256', line, 'base64url');
}

function readCanonical(text: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  let again: string;
  try {
    value = JSON.parse(text);
    again = canonical(value);
  } catch {
    throw new Error(`its ${what} is not canonical JSON`);
  }
  if (again !== text || typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`its ${what} is not a canonical JSON object`);
  return value as Readonly<Record<string, unknown>>;
}
