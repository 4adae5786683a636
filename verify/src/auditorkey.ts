// Auditor key: the X25519 key that values are encrypted to, and its private half that opens them. RFC 8037, RFC 7638.
// Pure; refuses to know where a key is kept.

import { hash } from 'node:crypto';
import type { JWK } from 'jose';
import type { Recipient } from './sidefile.ts';

/** An auditor's public key. Throws Error that says what is wrong with it, also for a private key, which is nobody else's. */
export function readAuditorKey(value: unknown): Recipient {
  const given = members(value);
  if (given.d !== undefined)
    throw new Error('it is a private key, which stays with the auditor: give the public one (without d)');
  return recipient(given);
}

/** An auditor's private key. Throws Error that says what is wrong with it. */
export function readAuditorSecret(value: unknown): Recipient & { readonly secret: JWK } {
  const given = members(value);
  if (typeof given.d !== 'string') throw new Error('it is not a private key: it has no d');
  const { kid, jwk } = recipient(given);
  return { kid, jwk, secret: { ...jwk, d: given.d } };
}

function members(value: unknown): Readonly<Record<string, unknown>> {
  return (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
}

function recipient(given: Readonly<Record<string, unknown>>): Recipient {
  if (given.kty !== 'OKP' || given.crv !== 'X25519' || typeof given.x !== 'string')
    throw new Error('it is not an X25519 key (JWK with kty OKP, crv X25519 and x)');
  const bytes = Buffer.from(given.x, 'base64url');
  if (bytes.length !== 32 || bytes.toString('base64url') !== given.x)
    throw new Error('its x is not 32 bytes of base64url');
  const { x } = given;
  const kid = hash('sha256', JSON.stringify({ crv: 'X25519', kty: 'OKP', x }), 'base64url');
  return { kid, jwk: { crv: 'X25519', kty: 'OKP', x } };
}
