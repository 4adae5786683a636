// Request: everything that a release is bound to, and its digest. What an approver is shown, what a decision names.
// Pure: refuses to know stores, sockets and clocks. Format: a JSON object, canonicalised by RFC 8785 for the digest.

import type { Environment } from '../policy/verdict.ts';
import type { Effect } from '../sql/statement.ts';

/** The least evidence that may release a request, weakest first. */
export type Level = 'link' | 'slack' | 'key' | 'passkey';

/** One statement of the held text. `sql` is the exact text; `sha` is base64url(SHA-256) of its bytes. */
export interface RequestStatement {
  command: string;
  effects: Effect[];
  relations: string[];
  why: string[];
}

/** One parameter as bound. `c` commits to the value (SHA-256 over salt, type and value), so R itself holds no value. */
export interface RequestParameter {
  /** Type OID as declared in Parse; 0 when the client left it to the server. */
  oid: number;
  /** 0 text, 1 binary. */
  format: number;
  /** Bytes; -1 for NULL. */
  length: number;
  /** base64url commitment. */
  c: string;
}

/**
 * R. Times are milliseconds since the epoch. Everything in it is covered by the digest that a decision signs.
 * `sql` is the exact text (valid UTF-8); `wire` is base64url(SHA-256) of the exact frontend bytes that will be sent.
 */
export interface Request {
  typ: 'holdpoint.request.v1';
  /** 128 random bits, base64url. Names the request; opens nothing. */
  rid: string;
  /** Who may decide here: the public URL of this Holdpoint. */
  aud: string;
  created: number;
  exp: number;
  node: string;
  boot: string;
  sid: string;
  /** Ordinal of the gate within its session. */
  n: number;
  agent: { id: string; auth: 'scram-sha-256' | 'scram-sha-256-plus' };
  db: { target: string; environment: Environment; name: string; addr: string; version: string };
  /** session_user upstream; current role as far as the session knows, null when it cannot know. */
  user: string;
  role: string | null;
  state: { searchPath: string | null; settings: Record<string, string> };
  tx: { status: 'I' | 'T' | 'E'; statements: number };
  proto: 'simple' | 'extended';
  sql: string;
  sha: string;
  statements: RequestStatement[];
  params: RequestParameter[];
  wire: string;
  policy: { digest: string; rule: string; reason: string };
  need: { level: Level; quorum: number };
  /** base64url(SHA-256) over agent, target, database, text and parameters: what a retry must equal. */
  match: string;
  /** The agent's own words, from `SET holdpoint.reason` or a leading comment; untrusted. */
  reason?: string;
}

/** The values behind the commitments, for the approver's eyes only. Never logged, never in R. */
export interface RequestValues {
  params: {
    oid: number;
    format: number /** base64url(16 random bytes) */;
    salt: string;
    value: Buffer | null;
  }[];
}

/** How a hold ended, as the relay needs to know it. */
export type Settlement =
  | {
      readonly state: 'approved';
      readonly rid: string;
      readonly by: readonly string[];
      readonly decisions: readonly number[];
    }
  | { readonly state: 'rejected'; readonly rid: string; readonly by: string; readonly reason: string }
  | { readonly state: 'expired' | 'canceled'; readonly rid: string };
