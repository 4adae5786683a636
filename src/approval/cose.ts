// COSE keys: the form in which an authenticator hands over its public key, and the JWK in which it is kept and logged.
// RFC 9052 §7, RFC 9053, RFC 8230. Pure; knows three kinds of keys and refuses the rest.

import { isoCBOR } from '@simplewebauthn/server/helpers';
import type { JWK } from 'jose';
import { HoldpointError } from '../errors.ts';

type CoseMap = Map<number, number | Uint8Array<ArrayBuffer>>;

const curves: Readonly<Record<number, { crv: string; kty: number }>> = {
  1: { crv: 'P-256', kty: 2 },
  2: { crv: 'P-384', kty: 2 },
  6: { crv: 'Ed25519', kty: 1 },
};

/** The key and the COSE number of its algorithm. Throws `bad-parameter` for a kind of key that is not accepted. */
export function jwkFromCose(bytes: Uint8Array): { jwk: JWK; algorithm: number } {
  const map = isoCBOR.decodeFirst<CoseMap>(new Uint8Array(bytes));
  const [kty, algorithm, first, second] = [1, 3, -1, -2].map((label) => map.get(label));
  if (kty === 3 && first instanceof Uint8Array && second instanceof Uint8Array && algorithm === -257)
    return { jwk: { kty: 'RSA', n: text(first), e: text(second) }, algorithm };
  const curve = typeof first === 'number' ? curves[first] : undefined;
  const y = map.get(-3);
  if (
    curve !== undefined &&
    curve.kty === kty &&
    second instanceof Uint8Array &&
    typeof algorithm === 'number'
  ) {
    if (curve.crv === 'Ed25519') return { jwk: { kty: 'OKP', crv: curve.crv, x: text(second) }, algorithm };
    if (y instanceof Uint8Array)
      return { jwk: { kty: 'EC', crv: curve.crv, x: text(second), y: text(y) }, algorithm };
  }
  throw new HoldpointError(
    'bad-parameter',
    `passkeys of algorithm ${String(algorithm)} are not accepted; use ES256, ES384, EdDSA or RS256`,
  );
}

/** The COSE form of a key that `jwkFromCose` gave. */
export function coseFromJwk(jwk: JWK, algorithm: number): Uint8Array<ArrayBuffer> {
  const map: CoseMap = new Map();
  const curve = Object.entries(curves).find(([, { crv }]) => crv === jwk.crv);
  map.set(1, jwk.kty === 'RSA' ? 3 : (curve?.[1].kty ?? 0)).set(3, algorithm);
  if (jwk.kty === 'RSA') map.set(-1, bytes(jwk.n)).set(-2, bytes(jwk.e));
  else map.set(-1, Number(curve?.[0])).set(-2, bytes(jwk.x));
  if (jwk.kty === 'EC') map.set(-3, bytes(jwk.y));
  return isoCBOR.encode(map);
}

function bytes(member: string | undefined): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(member ?? '', 'base64url'));
}

function text(member: Uint8Array): string {
  return Buffer.from(member).toString('base64url');
}
