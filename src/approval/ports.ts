// Ports: what the desk needs of the rest of the house. Types only; the log, the registry and the clocks fit them.

import type { JWK } from 'jose';
import type { Store } from '../store/store.ts';
import type { ApproverBook } from './approvers.ts';
import type { SignedDelegation } from './delegation.ts';
import type { OidcPort } from './ground.ts';
import type { Request } from './request.ts';
import type { SigningKey } from './token.ts';

/** The records the desk writes. `R` and `D` are exact canonical texts; `ev` is the evidence as verified. */
export type DeskRecord =
  | {
      readonly kind: 'hold';
      readonly rid: string;
      readonly rd: string;
      readonly R: string;
      readonly ref?: number;
    }
  | {
      readonly kind: 'decision';
      readonly rid: string;
      readonly D: string;
      readonly ev: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: 'grant_use';
      readonly rid: string;
      readonly ref: number;
      readonly by: readonly string[];
      readonly decisions: readonly number[];
      readonly rowsMax?: number | undefined;
      readonly steps?: readonly number[] | undefined;
      readonly use?: number | undefined;
    }
  | {
      readonly kind: 'grant';
      readonly rid: string;
      readonly fp: string;
      readonly until: number;
      readonly uses: number;
      readonly rows: number;
      readonly decisions: readonly number[];
    }
  | {
      readonly kind: 'breakglass';
      readonly rid: string;
      readonly rd: string;
      readonly target: string;
      readonly agent: string;
      readonly by: string;
      readonly reason: string;
      readonly due: number;
    }
  | {
      readonly kind: 'review';
      readonly rid: string;
      readonly by: string;
      readonly D: string;
      readonly ev: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'view'; readonly rid: string; readonly by: string }
  /** Channel `link`: `message` is the jti of the link that `to` was given. */
  | {
      readonly kind: 'notify';
      readonly rid: string;
      readonly channel: string;
      readonly message: string;
      readonly to: readonly string[];
    }
  | {
      readonly kind: 'delegation';
      readonly id: string;
      readonly from: string;
      readonly to: string;
      readonly D: string;
      readonly ev: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: 'expire' | 'cancel' | 'reject' | 'revoke';
      readonly rid: string;
      readonly by: string;
      readonly reason: string;
    };

/** A value that a record commits to, put aside for auditors where the log does that. `value`: undefined for NULL. */
export interface KeptValue {
  /** Which of the record's values: 0 is what a request shows, from 1 on its parameters; -1 is an ID token. */
  readonly index: number;
  readonly oid: number;
  readonly salt: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** A record, and what is put aside of it. */
export interface KeptRecord {
  readonly record: DeskRecord;
  readonly kept?: readonly KeptValue[];
}

/** What the desk needs of the log: `append` throws `log-unwritable`, `durable` resolves once it is sealed and on disk. */
export interface DeskLog {
  append(record: DeskRecord, kept?: readonly KeptValue[]): number;
  durable(seq: number): Promise<void>;
}

/** Where signed delegations are kept. What it gives is verified again with each use. */
export interface DelegationShelf {
  /** Those from one approver to another, by their names as they stand in them. */
  of(from: string, to: string): readonly SignedDelegation[];
  /** All that are kept. `exp`: milliseconds since the epoch. */
  all(): readonly (SignedDelegation & { readonly exp: number })[];
  /** Durable when it resolves. */
  keep(signed: { text: string; evidence: string }): Promise<void>;
}

/** A release that nobody has reviewed yet. Times are milliseconds since the epoch. */
export interface OwedReview {
  readonly rid: string;
  readonly rd: string;
  readonly target: string;
  readonly agent: string;
  /** Who released it. */
  readonly by: string;
  readonly reason: string;
  readonly due: number;
}

/** Told what happens, for metrics and operational logs. Must not throw; never learns values. */
export interface DeskEvents {
  opened?(request: Request): void;
  decided?(request: Request, verdict: 'approve' | 'reject', level: string): void;
  /** A request that this process opened is pending no more. `waitMs` is from the opening, by the monotonic clock. */
  settled?(target: string, state: string, waitMs: number): void;
  /** One person released it alone in an emergency; that is on record, and has to be reviewed. */
  brokeGlass?(request: Request, by: string, reason: string): void;
  /** The store had lost a request that a session waits for; it is there again, undecided. */
  restored?(rid: string): void;
  /** Something in the store claims more than its evidence proves. */
  suspicious?(rid: string, what: string): void;
}

/** What the desk needs to know of the nodes that share the store; nodes.ts fits it. */
export interface DeskNodes {
  /** A public link key by its thumbprint: good for viewing only. */
  linkKey(kid: string): Promise<JWK | undefined>;
  met(name: string): void;
  isGone(name: string): boolean;
  readonly someGone: boolean;
  clearedOfGone(): void;
}

/** Whoever tells people. Neither call may throw or be waited for: nothing on a request's way depends on them. */
export interface DeskNotify {
  /** A new request, once its hold is durable. */
  opened(request: Request): void;
  /** Something about a request changed, here or on another node; what, the store says. */
  changed(rid: string): void;
}

export interface DeskOptions {
  readonly store: Store;
  readonly log: DeskLog;
  readonly registry: ApproverBook;
  readonly oidc?: OidcPort | undefined;
  /** Slack's signing secret. */
  readonly slackSecret?: string | undefined;
  readonly delegations?: DelegationShelf | undefined;
  /** Releases in an emergency that nobody had reviewed when the log was opened. */
  readonly owedReviews?: readonly OwedReview[];
  /** Signs links, and nothing else. */
  readonly linkKey: SigningKey;
  /** The public URL: audience of decisions and beginning of links. */
  readonly publicUrl: string;
  /** This node's name in the log. */
  readonly node: string;
  /** The other nodes, where there may be some. */
  readonly nodes?: DeskNodes;
  /** Requests one agent may have pending; may depend on the target. */
  readonly pendingMax: (target: string) => number;
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number;
  /** Monotonic clock, milliseconds since any moment: a wall clock set back does not lengthen a request's life. */
  readonly mono: () => number;
  readonly random: (bytes: number) => Buffer;
  /** Runs `then` once after `ms`; returns the way to stop it. */
  readonly after: (ms: number, then: () => void) => () => void;
  readonly notify?: DeskNotify;
  readonly events?: DeskEvents;
  /** An approved plan waits for a session of its agent from now on. */
  readonly planWaits?: () => void;
}
