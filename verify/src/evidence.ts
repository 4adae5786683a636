// Evidence: what the evidence in a log proves to somebody who has its files and public keys and nothing else.
// audit-approval §19. Signatures of keys, SSH keys and passkeys are verified; ID tokens where they are still kept beside the
// log; a Slack callback and a link prove nobody to an outsider. Part of the offline verifier: pure, nothing of the proxy.

import { hash } from 'node:crypto';
import { compactVerify, importJWK, type JWK } from 'jose';
import { type Credential, type Credentials, subjectKid } from './credentials.ts';
import { checkClaims, type SignedAssertion, verifyAssertion } from './proof/assertion.ts';
import { isCompactJws } from './proof/base64url.ts';
import { verifyIdToken } from './proof/idtoken.ts';
import { verifySshSignature } from './proof/sshsig.ts';

/** Weakest first. */
export const levels = ['link', 'slack', 'key', 'passkey'] as const;
export type Level = (typeof levels)[number];

/**
 * `proved`: verified with a public key of the person. `unproved`: of a kind that could be, but the key is not known here
 * or the token is gone. `slack`, `link`: of a kind that proves nobody to an outsider.
 */
export interface Proof {
  readonly proof: 'proved' | 'unproved' | 'slack' | 'link';
  /** The most that evidence of its kind can be worth. */
  readonly level: Level;
  /** Names the credential; empty where there is none. */
  readonly kid: string;
  /** Set where it is proved. */
  readonly credential: Credential | undefined;
}

/** The text that was kept beside the log under that SHA-256; undefined if it is gone. */
export type Aside = (sha256: string) => Promise<string | undefined>;

type Members = Readonly<Record<string, unknown>>;
export type Purpose = 'decision' | 'delegation' | 'review';

/**
 * Looks at the evidence `ev` over `text`, addressed to the Holdpoint at `publicUrl`. Throws Error with a reason if it is
 * not over this text, or not by the key it names.
 */
export async function lookAt(
  ev: Members,
  text: string,
  purpose: Purpose,
  publicUrl: string,
  known: Credentials,
  aside: Aside,
): Promise<Proof> {
  switch (ev.kind) {
    case 'link':
      return { proof: 'link', level: 'link', kid: '', credential: undefined };
    case 'slack':
      return { proof: 'slack', level: 'slack', kid: '', credential: undefined };
    case 'jws':
      return jws(String(ev.jws), text, purpose, known);
    case 'sshsig':
      return sshsig(String(ev.signature), text, purpose, known);
    case 'webauthn':
      return webauthn(ev, text, publicUrl, known);
    case 'oidc':
      return oidc(ev, text, known, aside);
    default:
      return { proof: 'unproved', level: 'link', kid: '', credential: undefined };
  }
}

async function jws(token: string, text: string, purpose: Purpose, known: Credentials): Promise<Proof> {
  if (!isCompactJws(token)) throw new Error('the signature is not a compact JWS in its one spelling');
  const [head, payload] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString('utf8'));
  if (payload !== text) throw new Error(`the signature is over another ${purpose} than the record shows`);
  const { kid, typ } = JSON.parse(head ?? '') as Members;
  if (typ !== `holdpoint-${purpose}+jws`) throw new Error(`a token of type ${typ} stands as a ${purpose}`);
  const credential = known.find(String(kid), 'key');
  if (credential?.jwk === undefined) return unproved('key', String(kid));
  const key = await importJWK(credential.jwk, 'Ed25519');
  await compactVerify(token, key, { algorithms: ['Ed25519'] }).catch(() => {
    throw new Error(`the approver's signature by key ${kid} is not valid`);
  });
  return { proof: 'proved', level: 'key', kid: String(kid), credential };
}

/** The signature holds its key, so that it is verified in any case; whose key it is takes an enrolment. */
function sshsig(armored: string, text: string, purpose: Purpose, known: Credentials): Proof {
  const { key, presence } = verifySshSignature(armored, text, `holdpoint-${purpose}@v1`);
  const level = presence?.verified === true ? 'passkey' : 'key';
  const credential = known.find(key.fingerprint, 'ssh');
  if (credential === undefined) return unproved(level, key.fingerprint);
  return { proof: 'proved', level, kid: key.fingerprint, credential };
}

function webauthn(ev: Members, text: string, publicUrl: string, known: Credentials): Proof {
  const given: SignedAssertion = {
    authenticatorData: String(ev.authenticatorData),
    clientDataJSON: String(ev.clientDataJSON),
    signature: String(ev.signature),
  };
  const kid = String(ev.id);
  const credential = known.find(kid, 'passkey');
  if (credential?.jwk === undefined) {
    checkClaims(given, text, publicUrl);
    return unproved('passkey', kid);
  }
  verifyAssertion(given, text, publicUrl, credential.jwk);
  return { proof: 'proved', level: 'passkey', kid, credential };
}

async function oidc(ev: Members, text: string, known: Credentials, aside: Aside): Promise<Proof> {
  const sha256 = String(ev.sha256);
  const token = await aside(sha256);
  if (token === undefined) return unproved('key', '');
  if (hash('sha256', token, 'hex') !== sha256)
    throw new Error(`the ID token in evidence/${sha256}.jwt was changed`);
  const issuer = String(ev.issuer);
  const { subject } = await verifyIdToken(
    token,
    { keys: [ev.jwk as JWK] },
    { issuer, clientId: String(ev.clientId), text, acr: [], signedInSince: 0, nowMs: undefined },
  );
  const kid = subjectKid(issuer, subject);
  const credential = known.find(kid, 'oidc');
  if (credential === undefined) return unproved('key', kid);
  return { proof: 'proved', level: 'key', kid, credential };
}

function unproved(level: Level, kid: string): Proof {
  return { proof: 'unproved', level, kid, credential: undefined };
}
