// People: what the pages ask of whoever keeps the approvers (the registry): by which credentials somebody is known, and
// a new passkey put there. Public halves only; refuses to know files. The registry fits it.

import type { JWK } from 'jose';
import type { ApproverBook } from '../approval/evidence.ts';

/** A WebAuthn credential. Times are milliseconds since the epoch. */
export interface Passkey {
  /** The authenticator's own name for it, base64url. */
  readonly id: string;
  readonly jwk: JWK;
  /** COSE number of the algorithm: -7, -8, -257. */
  readonly algorithm: number;
  /** Signatures so far, as its authenticator last said; 0 for those that do not count. */
  readonly counter: number;
  readonly transports: readonly string[];
  /** Whether it is synchronised to other devices of its owner. */
  readonly backedUp: boolean;
  readonly createdAt: number;
}

/** One approver's credentials, in force. */
export interface Person {
  readonly name: string;
  readonly keys: readonly { readonly kid: string }[];
  readonly passkeys: readonly Passkey[];
  readonly oidc: readonly { readonly issuer: string; readonly subject: string }[];
  readonly retiredAt: number | undefined;
  readonly source: 'config' | 'file';
}

export interface People extends ApproverBook {
  approver(name: string): Person | undefined;
  passkey(id: string): (Passkey & { readonly approver: string }) | undefined;
  /** False if the counter of a passkey that has just signed does not go forward: it was copied, or answers again. */
  passkeyCounter(id: string, counter: number): Promise<boolean>;
  oidcSubject(issuer: string, subject: string): { readonly approver: string } | undefined;
  /** Adds a passkey of an approver, who may be new. Throws `conflict`, `bad-parameter`. */
  addPasskey(name: string, passkey: Passkey): Promise<unknown>;
  /** From now on this passkey counts for nothing. Throws `not-found`, `conflict`. */
  retirePasskey(name: string, id: string, nowMs: number): Promise<void>;
}

/** The approver whose credential `by` names (`key:KID`, `passkey:ID`, `oidc:ISSUER SUBJECT`), while it is in force. */
export function credentialOwner(people: People, by: string): string | undefined {
  const colon = by.indexOf(':');
  const [kind, id] = [by.slice(0, colon), by.slice(colon + 1)];
  if (kind === 'key') return people.key(id)?.approver;
  if (kind === 'passkey') return people.passkey(id)?.approver;
  const [issuer = '', subject = ''] = id.split(' ', 2);
  return kind === 'oidc' ? people.oidcSubject(issuer, subject)?.approver : undefined;
}
