// Approvers: the credentials by which people are known, and what the approval side asks of whoever keeps them (the
// registry). Public halves and names only. Types and one rule about names; pure, and refuses to know files and formats.

import type { JWK } from 'jose';
import type { Level } from './request.ts';

/** A registered public key of an approver, in force now. */
export interface ApproverKey {
  readonly approver: string;
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  /** Ed25519. */
  readonly jwk: JWK;
}

/** A public key as OpenSSH writes it: `fingerprint` as `ssh-keygen -l` prints it, `line` is `TYPE BASE64`. */
export interface SshCredential {
  readonly fingerprint: string;
  readonly line: string;
}

/** A WebAuthn credential. */
export interface Passkey {
  /** The authenticator's own name for it, base64url. */
  readonly id: string;
  readonly jwk: JWK;
  /** COSE number of the algorithm that goes with the key: -7, -8, -257. */
  readonly algorithm: number;
  /** Signatures made so far, as its authenticator last said; 0 for those that do not count. */
  readonly counter: number;
  readonly transports: readonly string[];
  /** Whether it is (or was at enrolment) synchronised to other devices of its owner. */
  readonly backedUp: boolean;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** Somebody at an OpenID provider; never an address or a display name. */
export interface OidcSubject {
  readonly issuer: string;
  readonly subject: string;
}

export interface SlackUser {
  readonly team: string;
  readonly user: string;
  readonly enterprise?: string | undefined;
}

/** Everything that one person is known by. */
export interface Credentials {
  readonly keys: readonly { readonly kid: string; readonly jwk: JWK }[];
  readonly ssh: readonly SshCredential[];
  readonly passkeys: readonly Passkey[];
  readonly oidc: readonly OidcSubject[];
  readonly slack: readonly SlackUser[];
}

/** Who may decide, as the registry knows it. What belongs to a retired approver is unknown. */
export interface ApproverBook {
  /** The key of that RFC 7638 thumbprint. */
  key(kid: string): ApproverKey | undefined;
  sshKey(fingerprint: string): (SshCredential & { readonly approver: string }) | undefined;
  passkey(id: string): (Passkey & { readonly approver: string }) | undefined;
  /**
   * Takes note of the counter of a passkey that has just signed. False if it does not go forward (and is not 0 for
   * ever): then the credential was copied, or an old signature is presented again.
   */
  passkeyCounter(id: string, counter: number): Promise<boolean>;
  oidcSubject(issuer: string, subject: string): { readonly approver: string } | undefined;
  slackUser(team: string, user: string): { readonly approver: string } | undefined;
  /** True if an agent goes by this name. */
  isAgent(name: string): boolean;
  /** True while an approver of this name may decide. */
  isApprover(name: string): boolean;
  /** True while an approver of this name may release alone in an emergency. */
  mayBreakGlass(name: string): boolean;
  /** The people on whose behalf the agent of this name works now. */
  onBehalfOf(agent: string): readonly string[];
}

/** One name for all its spellings: compatibility forms, case and surrounding space do not tell people apart. */
export function foldName(name: string): string {
  return name.normalize('NFKC').trim().toLowerCase();
}

/** The strongest evidence that somebody with these can give; undefined without any. */
export function strongestLevel({ keys, ssh, passkeys, oidc, slack }: Credentials): Level | undefined {
  // A security key shows with each signature whether its holder was verified; it can be, so it may reach that far.
  if (passkeys.length > 0 || ssh.some(({ line }) => line.startsWith('sk-'))) return 'passkey';
  if (keys.length + ssh.length + oidc.length > 0) return 'key';
  return slack.length > 0 ? 'slack' : undefined;
}
