// Ground: what a verification of evidence rests on, and what it yields. Types only: keys and secrets come from whoever
// composes, `nowMs` from a clock. Refuses to know how any kind of evidence is verified.

import type { JSONWebKeySet, JWK } from 'jose';
import type { ApproverBook } from './approvers.ts';
import type { SignedDelegation } from './delegation.ts';
import type { Level } from './request.ts';

/** The OpenID provider whose ID tokens count. */
export interface OidcPort {
  readonly issuer: string;
  readonly clientId: string;
  /** Authentication contexts that are strong enough; any if empty. */
  readonly acr: readonly string[];
  /** How long before the decision the person may have signed in. */
  readonly maxAgeSeconds: number;
  /** The provider's public keys; asked for again if `kid` is not among those that are known. Rejects if it is silent. */
  keys(kid: string | undefined): Promise<JSONWebKeySet>;
}

export interface EvidenceGround {
  readonly approvers: ApproverBook;
  /** This Holdpoint's own link key, by its thumbprint. */
  readonly linkKey: (kid: string) => JWK | undefined;
  readonly nowMs: number;
  /**
   * True where evidence arrives, false where what was accepted is looked at again before a release: what is good for
   * minutes only (an ID token, a callback of Slack) must be in time when it arrives, not later.
   */
  readonly fresh: boolean;
  readonly oidc?: OidcPort | undefined;
  /** Slack's signing secret. */
  readonly slackSecret?: string | undefined;
  /** Delegations from one approver to another that were recorded. Verified again with each use. */
  readonly delegations?: ((from: string, to: string) => readonly SignedDelegation[]) | undefined;
}

/** Verified: this person made this, with proof of this level. */
export interface Proof {
  readonly approver: string;
  readonly level: Level;
  /** Names the credential; empty for a link. */
  readonly kid: string;
  /** What the log keeps of the proof. */
  readonly log: Readonly<Record<string, unknown>>;
  /** What is kept beside the log, under its SHA-256 in hex: it tells more of a person than the chain should. */
  readonly aside?: { readonly sha256: string; readonly text: string };
  /** Where it was made for somebody else: the delegation that lets it, as it is kept, and what the log keeps of that. */
  readonly lent?: SignedDelegation & {
    readonly from: string;
    readonly to: string;
    readonly log: Readonly<Record<string, unknown>>;
  };
  /** Of a passkey: what its authenticator counted. The caller sees to it that it goes forward. */
  readonly counter?: { readonly id: string; readonly counter: number };
}
