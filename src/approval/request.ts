// Request: everything that a release is bound to, and its digest. What an approver is shown, what a decision names.
// Pure: refuses to know stores, sockets and clocks. Format: a JSON object, canonicalised by RFC 8785 for the digest.

import { createHash } from 'node:crypto';
import type { Environment } from '../policy/verdict.ts';
import type { Effect } from '../sql/statement.ts';
import { canonical } from './canonical.ts';
import type { MeasuredEffect } from './effect.ts';
import { openingOf, unveiled, type Veil, type VeilOpening, veiled } from './veil.ts';

/** The least evidence that may release a request, weakest first. */
export type Level = 'link' | 'slack' | 'key' | 'passkey';

/** What releases a request: evidence of that level from `quorum` different people, of those named in `of` if it is set. */
export interface RequestNeed {
  level: Level;
  quorum: number;
  of?: string[];
}

/** One statement of the held text. `sql` is the exact text; `sha` is base64url(SHA-256) of its bytes. */
export interface RequestStatement {
  command: string;
  effects: Effect[];
  relations: string[];
  why: string[];
  /** Names the definitions that it was judged by: those of what it touches and of all code behind that. */
  identity?: string;
}

/** One statement of a plan. `sql`: its exact text, without what surrounds it; `sha`: base64url(SHA-256) of its bytes. */
export interface PlanStatement extends RequestStatement {
  sql: string;
  sha: string;
}

/**
 * An ordered list of statements that is approved as one. `root`: base64url Merkle tree hash (RFC 6962 §2.1) over the
 * texts, so that one statement can be shown to be of the plan without the others.
 */
export interface Plan {
  statements: PlanStatement[];
  root: string;
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
 * R. Times are milliseconds since the epoch. Everything in it but `match` is covered by the digest that a decision
 * signs. `sql` is the exact text (valid UTF-8), or the redacted one where it carries a secret; `sha` is its textDigest,
 * `wire` the wireDigest of the exact frontend bytes that will be sent.
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
  agent: {
    id: string;
    auth: 'scram-sha-256' | 'scram-sha-256-plus';
    /** The people on whose behalf the agent works: approvers by these names never count for its requests. */
    obo?: string[];
  };
  db: {
    target: string;
    environment: Environment;
    name: string;
    addr: string;
    version: string;
    /** The server's own system identifier, in digits; null where it does not tell it. */
    systemId: string | null;
  };
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
  /**
   * Set for a plan: `sql` is then all of it, `statements` are its statements, and `state` and `tx` are what a session
   * must find itself in when it sends the first of them; `wire` is the plan's root, since no bytes have been sent.
   */
  plan?: Plan;
  /** What it would touch, measured in the database before it was asked for; absent where nothing could be measured. */
  effect?: MeasuredEffect;
  policy: { digest: string; rule: string; reason: string };
  need: RequestNeed;
  /**
   * Set where the server tells how many rows it changes, so that an approval may bound them: `all` that it changes, or
   * its `own`, without what cascades, triggers and functions change behind it.
   */
  counts?: 'all' | 'own';
  /** Set where an approval may cover further statements: what they must share with its syntax (sql/fingerprint.ts). */
  shape?: string;
  /**
   * base64url(SHA-256) over agent, target, database, text and parameters: what a retry must equal. With `once` it
   * says only that a person would be shown the same again. The one member that is not in the canonical text nor under
   * the digest: it would let a reader of the log guess at parameters.
   */
  match: string;
  /**
   * The approval serves the session that waits and no other: what the statement means there rests on something that
   * another cannot be compared by (a role or search_path that is not known, a temporary table, a prepared secret).
   */
  once?: true;
  /** The agent's own words, from `SET holdpoint.reason` or a leading comment; untrusted. */
  reason?: string;
  /**
   * Set where the log is not to have values: the canonical text is then the veiled form of this request. Not in that text
   * itself, no more than `match`.
   */
  veil?: Veil;
  /** The commitment of a veiled form whose values are gone; a request that is whole has none. */
  open?: string;
}

/** The values behind the commitments, for the approver's eyes only. Never logged, never in R. */
export interface RequestValues {
  /**
   * Set for a text that carries a secret, such as a new password: base64url(SHA-256) of the exact text, and base64url(16
   * random bytes). R then holds the redacted text, and only salted digests of the exact one, because a bare digest can be
   * guessed at. The text itself is with the session that sent it, and nowhere else.
   */
  text?: { salt: string; digest: string };
  params: {
    oid: number;
    format: number /** base64url(16 random bytes) */;
    salt: string;
    value: Buffer | null;
  }[];
  /** base64url(16 random bytes), set where the digest of the frames must not tell the values in them. */
  wire?: string;
}

/** How a hold ended, as the relay needs to know it. */
export type Settlement =
  | {
      readonly state: 'approved';
      readonly rid: string;
      readonly by: readonly string[];
      readonly decisions: readonly number[];
    }
  | Rejection
  /** `elsewhere`: the one use of its approval went to another session that waited for it. */
  | { readonly state: 'expired' | 'canceled' | 'elsewhere'; readonly rid: string };

/** A person said no. Until then the identical statement is refused in their words. Times: milliseconds since the epoch. */
export interface Rejection {
  readonly state: 'rejected';
  readonly rid: string;
  readonly by: string;
  readonly reason: string;
  readonly until: number;
  /** When the request would have ended by itself. */
  readonly expiresAt: number;
}

/** What the holder of a gate knows; `buildRequest` adds what follows from it. */
export type RequestDraft = Omit<Request, 'typ' | 'sha' | 'params' | 'match'>;

/** Weakest first: a level satisfies every level before it. */
export const levels: readonly Level[] = ['link', 'slack', 'key', 'passkey'];

/** True if evidence of level `given` is enough where `needed` is asked for. */
export function levelReaches(given: Level, needed: Level): boolean {
  return levels.indexOf(given) >= levels.indexOf(needed);
}

/** A request name from 16 random bytes. */
export function ridFrom(random16: Buffer): string {
  return random16.toString('base64url');
}

/** True for the only shape a request name has: 22 characters of base64url. */
export function isRid(text: string): boolean {
  return /^[A-Za-z0-9_-]{22}$/.test(text);
}

/** The complete Request of a gate. `values` must be in the order of the Bind. */
export function buildRequest(draft: RequestDraft, values: RequestValues): Request {
  const params = values.params.map((param) => ({
    oid: param.oid,
    format: param.format,
    length: param.value === null ? -1 : param.value.length,
    c: commitment(param),
  }));
  return {
    ...draft,
    typ: 'holdpoint.request.v1',
    sha: textDigest(draft.sql, values),
    params,
    match: matchDigest(draft, values),
  };
}

/** The canonical text of R: what is digested, stored and logged. It leaves out `match`, and has the veil on. */
export function requestText(request: Request): string {
  const { match: _, veil, ...signed } = request;
  return canonical(veil === undefined ? signed : veiled(signed, veil));
}

/** What opens the commitment of a veiled request; undefined where there is none to open. */
export function requestOpening(request: Request): VeilOpening | undefined {
  return request.veil === undefined ? undefined : openingOf(request, request.veil);
}

/**
 * The request of a canonical text, whole if `opening` is the one that it commits to. Its digest is to be compared: nothing of
 * the text is believed. A `match` or `veil` in the text itself, which no digest covers, counts for nothing.
 */
export function readRequestText(text: string, match: string, opening: VeilOpening | undefined): Request {
  const { veil: _, ...read } = JSON.parse(text) as Request;
  const whole = opening === undefined ? undefined : unveiled(read as never, opening);
  return { ...((whole as Request | undefined) ?? read), match };
}

/** rd: base64url(SHA-256("holdpoint-request-v1" NUL text of R)). What a decision names and a signature covers. */
export function requestDigest(request: Request): string {
  return sha256(Buffer.from(`holdpoint-request-v1\0${requestText(request)}`, 'utf8'));
}

/** base64url(SHA-256) of the text; salted, and over the digest of the exact text instead, where that carries a secret. */
export function textDigest(sql: string, values: RequestValues): string {
  if (values.text === undefined) return sha256(Buffer.from(sql, 'utf8'));
  return sha256(
    Buffer.from('holdpoint-text-v1\0'),
    Buffer.from(values.text.salt, 'base64url'),
    Buffer.from(values.text.digest, 'base64url'),
  );
}

/** True if the text carries a secret, so that `sql` is the text without it. */
export function carriesSecret(request: Request): boolean {
  return request.open === undefined && textDigest(request.sql, { params: [] }) !== request.sha;
}

/** What `values.text` says of an exact text that carries a secret. `salt`: base64url(16 random bytes). */
export function secretText(salt: string, sql: Buffer): NonNullable<RequestValues['text']> {
  return { salt, digest: sha256(sql) };
}

/** base64url(SHA-256) of frontend bytes, in their order; salted where the text carries a secret or values are hidden. */
export function wireDigest(frames: readonly Buffer[], values: RequestValues): string {
  const salt = values.text?.salt ?? values.wire;
  if (salt === undefined) return sha256(...frames);
  return sha256(Buffer.from('holdpoint-wire-v1\0'), Buffer.from(salt, 'base64url'), ...frames);
}

/** base64url(SHA-256("holdpoint-parameter-v1" NUL salt oid:u32 format:u16 presence:u8 value)); presence 0 is NULL. */
export function commitment(param: RequestValues['params'][number]): string {
  const head = Buffer.alloc(7);
  head.writeUInt32BE(param.oid >>> 0, 0);
  head.writeUInt16BE(param.format & 0xffff, 4);
  head.writeUInt8(param.value === null ? 0 : 1, 6);
  const salt = Buffer.from(param.salt, 'base64url');
  return sha256(Buffer.from('holdpoint-parameter-v1\0'), salt, head, param.value ?? Buffer.alloc(0));
}

/** True if `values` are the ones the request commits to. A page must not show values that are not. */
export function valuesFit(request: Request, values: RequestValues): boolean {
  return (
    textDigest(request.sql, values) === request.sha &&
    request.params.length === values.params.length &&
    values.params.every((param, index) => commitment(param) === request.params[index]?.c)
  );
}

/**
 * What a retry must equal to use an approval: the same agent, target, database, text and parameters, under the same
 * user, role, search_path and settings as far as the session knows them, with the same found behind the names in it (the
 * prepared statements, and the definitions in the catalog), and
 * the same rules: what was approved under others may ask for more now. Names of prepared statements and portals and
 * the transaction do not count: a client makes new ones for its retry. Two requests that rest on their sessions (`once`)
 * may have the same: no approval of the one serves the other, but a person who was asked need not be asked again.
 */
export function matchDigest(
  what: Pick<
    RequestDraft,
    'agent' | 'db' | 'user' | 'role' | 'state' | 'sql' | 'statements' | 'policy' | 'once'
  >,
  values: RequestValues,
): string {
  const params = values.params.map((param) => [
    param.oid,
    param.format,
    param.value === null ? null : param.value.toString('base64url'),
  ]);
  const { agent, db, user, role, state, policy } = what;
  const sql = values.text === undefined ? what.sql : values.text.digest;
  const secret = values.text !== undefined;
  const context = [
    agent.id,
    db.target,
    db.name,
    db.systemId,
    user,
    role,
    state.searchPath,
    state.settings,
    secret,
    sql,
    params,
    policy.digest,
    // What an EXECUTE runs is not in the text; the facts quote it.
    what.statements.map(({ command, effects, relations, why, identity }) => [
      command,
      effects,
      relations,
      why,
      identity ?? null,
    ]),
    what.once === true,
  ];
  return sha256(Buffer.from(`holdpoint-match-v1\0${canonical(context)}`, 'utf8'));
}

/**
 * What a person types at level `link`: the first relation touched, if a keyboard can type its name; else the command.
 */
export function phraseOf(request: Request): string {
  const relations = request.statements.flatMap((statement) => statement.relations);
  const typed = relations.find((name) => /^[\x21-\x7e]+$/.test(name));
  return typed ?? request.statements[0]?.command ?? 'approve';
}

function sha256(...parts: Buffer[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('base64url');
}
