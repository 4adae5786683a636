// People: what the pages ask of whoever keeps the approvers (the registry) beside what decisions need: all that one person
// is known by, and passkeys put there and taken away. Public halves only; refuses to know files. The registry fits it.

import type { ApproverBook, Credentials, Passkey } from '../approval/approvers.ts';

/** One approver. What belongs to a retired one is still told here, and counts nowhere. */
export interface Person extends Credentials {
  readonly name: string;
  readonly retiredAt: number | undefined;
  readonly source: 'config' | 'file';
}

export interface People extends ApproverBook {
  approver(name: string): Person | undefined;
  /** Adds a passkey of an approver, who may be new. Throws `conflict`, `bad-parameter`. */
  addPasskey(name: string, passkey: Passkey): Promise<unknown>;
  /** From now on this passkey counts for nothing. Throws `not-found`, `conflict`. */
  retirePasskey(name: string, id: string): Promise<void>;
}

/** The approver whose credential `by` names (`key:KID`, `ssh:FINGERPRINT`, `passkey:ID`, `oidc:ISSUER SUBJECT`), while it is in force. */
export function credentialOwner(people: People, by: string): string | undefined {
  const colon = by.indexOf(':');
  const [kind, id] = [by.slice(0, colon), by.slice(colon + 1)];
  if (kind === 'key') return people.key(id)?.approver;
  if (kind === 'ssh') return people.sshKey(id)?.approver;
  if (kind === 'passkey') return people.passkey(id)?.approver;
  // An issuer is a URL, which has no blank; a subject may.
  const blank = id.indexOf(' ');
  return kind === 'oidc' ? people.oidcSubject(id.slice(0, blank), id.slice(blank + 1))?.approver : undefined;
}
