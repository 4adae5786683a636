// Seal: the signatures that the writer of a log makes, by the key of the present epoch. audit-approval §3.5 and §7.
// Pure given keys: refuses to know files, clocks, and what the tokens say; that is in the verifier's token.ts.

import { CompactSign, type CryptoKey, type JWK } from 'jose';
import type { TokenType } from '../../verify/src/token.ts';

/** A key that signs. `jwk` is the public half, `kid` its RFC 7638 thumbprint. */
export interface SigningKey {
  readonly kid: string;
  readonly jwk: JWK;
  readonly key: CryptoKey;
}

/** Makes a compact JWS. The default is `signToken`; a slow or failing one can be injected. */
export type Sign = (key: SigningKey, type: TokenType, payload: string) => Promise<string>;

/** Compact JWS, alg Ed25519, header exactly {alg, kid, typ}. `payload` is canonical JSON. */
export const signToken: Sign = (key, typ, payload) =>
  new CompactSign(Buffer.from(payload, 'utf8'))
    .setProtectedHeader({ alg: 'Ed25519', kid: key.kid, typ })
    .sign(key.key);
