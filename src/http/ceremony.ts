// Ceremony: one challenge to one passkey, from the moment we put it until it is answered. What is to happen afterwards
// stands in a token of ours, and the challenge is the digest of that token: so nothing is kept meanwhile, the answer fits
// no other purpose, and never a decision, whose text is no token. Each is good once. W3C WebAuthn Level 3 §13.4.3. The way
// to an OpenID provider and back is one too.

import { openToken, refused, type SigningKey, signToken, tokenClaims } from '../approval/token.ts';
import { challengeOf } from '../approval/webauthn.ts';

/** What the answer is for. `name` is the approver's; `id` a passkey of theirs; `link` the enrolment it belongs to. */
export type Purpose =
  | { readonly act: 'sign-in' }
  | { readonly act: 'enrol'; readonly name: string; readonly link: string }
  | { readonly act: 'add'; readonly name: string }
  | { readonly act: 'register'; readonly name: string }
  | { readonly act: 'retire'; readonly name: string; readonly id: string }
  | {
      readonly act: 'oidc';
      readonly state: string;
      /** PKCE's; it is the browser's own, in a cookie that no script reads. */
      readonly verifier: string;
      readonly nonce: string;
      /** Where the person goes afterwards. */
      readonly back: string;
      /** The request that is decided; absent for a sign-in. */
      readonly rid?: string;
    };

export interface CeremonyPorts {
  readonly publicUrl: string;
  /** Signs ceremonies, and nothing else. */
  readonly ceremonyKey: SigningKey;
  readonly now: () => number;
  readonly random: (bytes: number) => Buffer;
  /** True for exactly one caller by that name, until then; the store's. */
  readonly once: (name: string, until: number, now: number) => Promise<boolean>;
}

/** How long a person may take, in milliseconds. */
export const ceremonyMs = 300_000;

const typ = 'holdpoint-ceremony+jws';

/** A challenge for this purpose. `token` comes back with the answer. */
export async function beginCeremony(
  ports: CeremonyPorts,
  purpose: Purpose,
  lifeMs: number = ceremonyMs,
): Promise<{ token: string; challenge: string }> {
  const exp = ports.now() + lifeMs;
  const jti = ports.random(16).toString('base64url');
  const claims = { aud: `${ports.publicUrl}/ceremony`, exp, jti, purpose };
  const token = await signToken(typ, JSON.stringify(claims), ports.ceremonyKey);
  return { token, challenge: challengeOf(token) };
}

/** The purpose of a token of ours for this act, in its time and not used before. Throws `unauthorized`. */
export async function endCeremony<A extends Purpose['act']>(
  ports: CeremonyPorts,
  token: unknown,
  act: A,
): Promise<{ purpose: Extract<Purpose, { act: A }>; text: string }> {
  const { ceremonyKey, publicUrl, now, once } = ports;
  if (typeof token !== 'string') throw refused(typ);
  const { payload } = await openToken(token, typ, (kid) =>
    kid === ceremonyKey.kid ? ceremonyKey.jwk : undefined,
  );
  const { aud, exp, jti, purpose } = tokenClaims(payload, typ);
  const fits =
    aud === `${publicUrl}/ceremony` &&
    typeof exp === 'number' &&
    now() < exp &&
    (purpose as Purpose).act === act;
  if (!fits || !(await once(`ceremony:${jti}`, exp, now()))) throw refused(typ);
  return { purpose: purpose as Extract<Purpose, { act: A }>, text: token };
}
