// Record: what the log keeps of each thing that happened, and the bytes of it. audit-approval §3.
// A record is one line of canonical JSON; its RFC 6962 leaf hash is both its place in the Merkle tree and the `prev` of
// the line after it, so chain and tree cannot disagree. Pure: refuses to know files, clocks, keys and where a value
// came from. Texts arrive here already redacted.

import { hash } from 'node:crypto';
import { canonical, canonicalString } from '../../verify/src/jcs.ts';
import type { Moved } from '../../verify/src/leaf.ts';

/** What the rules, or the proxy itself (`refuse`), made of a statement. */
export type Decided = 'pass' | 'hold' | 'deny' | 'refuse';

/** What came of a statement. `refused`: the proxy answered in the server's place. `unknown`: nobody can say. */
export type OutcomeState = 'ok' | 'error' | 'canceled' | 'skipped' | 'unknown' | 'refused';

/** A JSON object of integers, strings, booleans, null, arrays and objects. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * One record, without the members every record has. `seq` members name other records of this log. Digests and
 * commitments are base64url; `ts`-like members are milliseconds unless the name says otherwise; integers are exact.
 */
export type RecordBody =
  /**
   * First record of a log. `root`: RFC 7638 thumbprint of `jwk`, the key whose certificate begins the key chain.
   * `checkpoint`: the key of its notes, as {cert, jwk}, the certificate being the root's.
   */
  | {
      kind: 'genesis';
      origin: string;
      root: string;
      jwk: JsonObject;
      checkpoint?: JsonObject | undefined;
      config?: string | undefined;
    }
  /** Another key of its notes; `cert` is a JWS by the present epoch's key. */
  | { kind: 'checkpoint_key'; kid: string; jwk: JsonObject; cert: string }
  | {
      kind: 'boot';
      version: string;
      pid: number;
      host: string;
      config?: string | undefined;
      policy?: string | undefined;
    }
  /** Clean end of a boot. */
  | { kind: 'bye'; reason: string }
  /**
   * A login, successful or not. `client` is address and port; `server`: the session's name in the server's own log, its
   * start and process in hexadecimal. Never a password, never SASL bytes.
   */
  | {
      kind: 'auth';
      sid: string;
      client: string;
      agent: string;
      target: string;
      ok: boolean;
      method: string;
      server?: string | undefined;
      reason?: string | undefined;
    }
  /** A connection of Holdpoint's own to a target, which no agent's statement goes over. `server` as for `auth`. */
  | { kind: 'own'; target: string; server: string }
  | StatementBody
  /**
   * `ref`: seq of the `stmt`. `rid`: the request that it waited for and did not run by, or by whose rejection it was
   * refused. `tags`: command tags in order. `dur_us` is rounded to whole microseconds.
   */
  | {
      kind: 'outcome';
      ref: number;
      rid?: string | undefined;
      st: OutcomeState;
      tags?: readonly string[] | undefined;
      rows?: number | undefined;
      sqlstate?: string | undefined;
      dur_us: number;
    }
  /** A request opened. `R`: its exact canonical text; `rd`: its digest; `ref`: seq of the `stmt`, which a plan has not. */
  | { kind: 'hold'; rid: string; rd: string; R: string; ref?: number | undefined }
  | { kind: 'view'; rid: string; by: string }
  /** `D`: the exact canonical text that was signed. `ev`: the evidence as verified. */
  | { kind: 'decision'; rid: string; D: string; ev: JsonObject }
  /**
   * A use of an approval. `decisions`: their seqs. `ref`: seq of the `stmt` it releases. `rowsMax`: the rows that the
   * statement may change, where the approval bounds them. `steps`: which statements of the plan it is, from 1.
   * `use`: the how manieth use of a grant it is, the approved statement being the first.
   */
  | {
      kind: 'grant_use';
      rid: string;
      ref: number;
      by: readonly string[];
      decisions: readonly number[];
      rowsMax?: number | undefined;
      steps?: readonly number[] | undefined;
      use?: number | undefined;
    }
  /**
   * Written and on disk before the held bytes go on. `wire`: SHA-256 of exactly those bytes. `ref`: seq of the `stmt`.
   * `rowsMax`: they run within a transaction or savepoint of ours that is undone if they change more rows.
   */
  | { kind: 'intent'; rid: string; ref: number; wire: string; rowsMax?: number | undefined }
  | { kind: 'reject'; rid: string; by: string; reason: string }
  /**
   * People were told of a request: through which channel, under which of its message ids, who. Channel `link`: who was
   * given the link whose jti is `message`.
   */
  | { kind: 'notify'; rid: string; channel: string; message: string; to: readonly string[] }
  /** An approval covers further statements of the shape `fp` until `until`. `decisions`: the seqs it rests on. */
  | {
      kind: 'grant';
      rid: string;
      fp: string;
      until: number;
      uses: number;
      rows: number;
      decisions: readonly number[];
    }
  /** A grant, or a plan that was begun, ended before its time. */
  | { kind: 'revoke'; rid: string; by: string; reason: string }
  /** A request was released in an emergency, and has to be reviewed until `due`. */
  | {
      kind: 'breakglass';
      rid: string;
      rd: string;
      target: string;
      agent: string;
      by: string;
      reason: string;
      due: number;
    }
  /** Somebody else has reviewed it. `D`: the exact canonical text that was signed. */
  | { kind: 'review'; rid: string; by: string; D: string; ev: JsonObject }
  /** One approver lets another decide in their name. `D`: the exact canonical text that was signed. */
  | { kind: 'delegation'; id: string; from: string; to: string; D: string; ev: JsonObject }
  | { kind: 'expire'; rid: string; by: string; reason: string }
  | { kind: 'cancel'; rid: string; by: string; reason: string }
  /** Rules in force from here on. */
  | { kind: 'policy'; target: string; digest: string; source?: string | undefined }
  /**
   * A credential of an approver, enrolled or retired, so that an auditor finds it in the chain. `kid`: thumbprint of a
   * `key`, fingerprint of an `ssh` key, id of a `passkey`, `oidc:` and the subject's digest, `slack:TEAM/USER`. `form`
   * says which; without it, a `key`. `line`: the public key as OpenSSH writes it. `breakglass`: its owner may release
   * alone in an emergency.
   */
  | {
      kind: 'approver';
      id: string;
      act: 'enrol' | 'retire';
      kid: string;
      form?: CredentialForm | undefined;
      jwk?: JsonObject | undefined;
      line?: string | undefined;
      breakglass?: boolean | undefined;
    }
  /**
   * Closed segments `first` to `last` are no longer kept, which is up to record `size`; their manifest lines are. Said
   * before any of them goes.
   */
  | { kind: 'prune'; first: number; last: number; size: number; reason: string }
  /** Heartbeat: nothing else happened. */
  | { kind: 'hb' }
  /** The next epoch's key; `cert` is a JWS by the key before it (by the root for epoch 0). */
  | { kind: 'key'; epoch: number; kid: string; jwk: JsonObject; cert: string }
  /** After a crash: records `from` ≤ seq < `to` were unsealed and are sealed anew; a torn last line was set aside. */
  | { kind: 'recover'; from: number; to: number; torn_len: number; torn_sha?: string | undefined }
  | { kind: 'gap'; reason: string; from: number; to: number; count: number }
  /**
   * Values that were put aside for auditors are erased: of these records, those of `indexes`, or all of them. `basis`: why
   * they must go; `by`: who says so.
   */
  | {
      kind: 'redact';
      seqs: readonly number[];
      indexes?: readonly number[] | undefined;
      basis: string;
      by: string;
    };

/**
 * A gate and what was decided. Written before its bytes go on. `sql` is redacted, and in `values: 'none'` normalised;
 * `sha` and `len` (bytes) are of the text as it came, left out where even a digest would tell a secret. `pc`:
 * commitments to the lifted literals, then the bound parameters; `params`: bound values as text, in `values: 'clear'`.
 */
export interface StatementBody {
  kind: 'stmt';
  sid: string;
  /** Ordinal of the gate in its session. */
  n: number;
  agent: string;
  target: string;
  db: string;
  role: string | null;
  /** Transaction status byte before it. */
  tx: string;
  /** Simple query, or extended (one Bind). `F`: a function call. */
  proto: 'Q' | 'X' | 'F';
  cls: string;
  /** Commands of the text, as in `DROP TABLE`. */
  cmd?: readonly string[] | undefined;
  effects: readonly string[];
  dec: Decided;
  /**
   * What this record was before the statement went to the server, if it did: `kill`, in the file; `output`, so, and on
   * disk before the client saw an answer; `disk`, sealed and on disk.
   */
  dc?: 'kill' | 'output' | 'disk' | undefined;
  rule: string;
  reason?: string | undefined;
  shadow?: 'hold' | 'deny' | undefined;
  sql?: string | undefined;
  sha?: string | undefined;
  len: number;
  lits?: readonly string[] | undefined;
  pc?: readonly string[] | undefined;
  params?: readonly (string | null)[] | undefined;
  /** HMAC under a secret of the node, of a text that was not understood. */
  mac?: string | undefined;
  /** The request whose earlier approval lets it pass, for a retry. */
  rid?: string | undefined;
}

export type CredentialForm = 'key' | 'ssh' | 'passkey' | 'oidc' | 'slack';

export type RecordKind = RecordBody['kind'];

/** What every record carries besides its body. `ts` µs since 1970 (may step); `mono` ns since the boot (may not). */
export interface Stamp {
  readonly seq: number;
  /** Leaf hash of the record before, base64url; for seq 0 the hash of the origin. */
  readonly prev: string;
  readonly ts: number;
  readonly mono: number;
  readonly node: string;
  readonly boot: string;
}

type Form = 'text' | 'integer' | 'rounded' | 'boolean' | 'texts' | 'integers' | 'json';
type MembersOf<K extends RecordKind> = Exclude<keyof Extract<RecordBody, { kind: K }>, 'kind'>;

// The compiler holds this table and the union above together: a member in one and not in the other is an error.
const forms: { readonly [K in RecordKind]: { readonly [M in MembersOf<K>]-?: Form } } = {
  genesis: { origin: 'text', root: 'text', jwk: 'json', checkpoint: 'json', config: 'text' },
  checkpoint_key: { kid: 'text', jwk: 'json', cert: 'text' },
  boot: { version: 'text', pid: 'integer', host: 'text', config: 'text', policy: 'text' },
  bye: { reason: 'text' },
  auth: {
    sid: 'text',
    client: 'text',
    agent: 'text',
    target: 'text',
    ok: 'boolean',
    method: 'text',
    server: 'text',
    reason: 'text',
  },
  own: { target: 'text', server: 'text' },
  stmt: {
    sid: 'text',
    n: 'integer',
    agent: 'text',
    target: 'text',
    db: 'text',
    role: 'text',
    tx: 'text',
    proto: 'text',
    cls: 'text',
    cmd: 'texts',
    effects: 'texts',
    dec: 'text',
    dc: 'text',
    rule: 'text',
    reason: 'text',
    shadow: 'text',
    sql: 'text',
    sha: 'text',
    len: 'integer',
    lits: 'texts',
    pc: 'texts',
    params: 'texts',
    mac: 'text',
    rid: 'text',
  },
  outcome: {
    ref: 'integer',
    rid: 'text',
    st: 'text',
    tags: 'texts',
    rows: 'integer',
    sqlstate: 'text',
    dur_us: 'rounded',
  },
  hold: { rid: 'text', rd: 'text', R: 'text', ref: 'integer' },
  view: { rid: 'text', by: 'text' },
  decision: { rid: 'text', D: 'text', ev: 'json' },
  grant_use: {
    rid: 'text',
    ref: 'integer',
    by: 'texts',
    decisions: 'integers',
    rowsMax: 'integer',
    steps: 'integers',
    use: 'integer',
  },
  intent: { rid: 'text', ref: 'integer', wire: 'text', rowsMax: 'integer' },
  reject: { rid: 'text', by: 'text', reason: 'text' },
  notify: { rid: 'text', channel: 'text', message: 'text', to: 'texts' },
  grant: {
    rid: 'text',
    fp: 'text',
    until: 'integer',
    uses: 'integer',
    rows: 'integer',
    decisions: 'integers',
  },
  revoke: { rid: 'text', by: 'text', reason: 'text' },
  breakglass: {
    rid: 'text',
    rd: 'text',
    target: 'text',
    agent: 'text',
    by: 'text',
    reason: 'text',
    due: 'integer',
  },
  review: { rid: 'text', by: 'text', D: 'text', ev: 'json' },
  delegation: { id: 'text', from: 'text', to: 'text', D: 'text', ev: 'json' },
  expire: { rid: 'text', by: 'text', reason: 'text' },
  cancel: { rid: 'text', by: 'text', reason: 'text' },
  policy: { target: 'text', digest: 'text', source: 'text' },
  approver: {
    id: 'text',
    act: 'text',
    kid: 'text',
    form: 'text',
    jwk: 'json',
    line: 'text',
    breakglass: 'boolean',
  },
  prune: { first: 'integer', last: 'integer', size: 'integer', reason: 'text' },
  hb: {},
  key: { epoch: 'integer', kid: 'text', jwk: 'json', cert: 'text' },
  recover: { from: 'integer', to: 'integer', torn_len: 'integer', torn_sha: 'text' },
  gap: { reason: 'text', from: 'integer', to: 'integer', count: 'integer' },
  redact: { seqs: 'integers', indexes: 'integers', basis: 'text', by: 'text' },
};

type Member = (body: Readonly<Record<string, unknown>>, stamp: Stamp) => string;

/** The line of a record, without LF: canonical JSON. Throws TypeError on a value that is not of its member's form. */
export function encodeRecord(body: RecordBody, stamp: Stamp): string {
  let line = '';
  const given = body as unknown as Readonly<Record<string, unknown>>;
  for (const member of templates.get(body.kind)!) line += member(given, stamp);
  return `{${line.slice(1)}}`;
}

/** What has to be kept beside the log for a record too long for a line. `sha` is its SHA-256 in hex. */
export interface Blob {
  readonly sha: string;
  readonly bytes: Buffer;
}

/**
 * A body whose members longer than `charactersMax` are replaced by their beginning and a digest, and the blobs that
 * hold them whole. Used when the line would exceed `lineBytesMax`. The record's `blobs` maps name to length and digest.
 */
export function moveLongMembers(
  body: RecordBody,
  charactersMax: number,
): { body: RecordBody; blobs: Blob[] } {
  const blobs: Blob[] = [];
  const moved: Record<string, Moved> = {};
  const copy: Record<string, unknown> = { ...body };
  for (const [name, form] of Object.entries(forms[body.kind] as Readonly<Record<string, Form>>)) {
    const value = copy[name];
    if (
      value === undefined ||
      value === null ||
      form === 'integer' ||
      form === 'rounded' ||
      form === 'boolean'
    )
      continue;
    const text = form === 'text' ? (value as string) : canonical(value);
    if (text.length <= charactersMax) continue;
    const bytes = Buffer.from(text, 'utf8');
    const sha = hash('sha256', bytes, 'hex');
    blobs.push({ sha, bytes });
    moved[name] = { len: bytes.length, sha };
    // A cut between the halves of a surrogate pair would leave half a character.
    copy[name] = form === 'text' ? text.slice(0, charactersMax).toWellFormed() : undefined;
  }
  copy.blobs = moved;
  return { body: copy as unknown as RecordBody, blobs };
}

function template(kind: string, members: Readonly<Record<string, Form>>): Member[] {
  const all: Record<string, Member> = {
    boot: common('boot'),
    kind: () => `,"kind":"${kind}"`,
    mono: (_, stamp) => `,"mono":${integer(stamp.mono)}`,
    node: common('node'),
    prev: (_, stamp) => `,"prev":"${stamp.prev}"`,
    seq: (_, stamp) => `,"seq":${integer(stamp.seq)}`,
    ts: (_, stamp) => `,"ts":${integer(stamp.ts)}`,
    v: () => ',"v":1',
    blobs: (body) => (body.blobs === undefined ? '' : `,"blobs":${canonical(body.blobs)}`),
  };
  for (const [name, form] of Object.entries(members)) all[name] = member(name, form);
  // Plain sort compares UTF-16 code units, which is JCS order.
  return Object.keys(all)
    .sort()
    .map((name) => all[name]!);
}

function member(name: string, form: Form): Member {
  const prefix = `,"${name}":`;
  const write = writers[form] as (value: unknown) => string;
  const said = remembering((text) => prefix + canonicalString(text));
  const saidAlone = remembering((text) => `${prefix}[${canonicalString(text)}]`);
  return (body) => {
    const value = body[name];
    if (value === undefined) return '';
    if (value === null) return `${prefix}null`;
    if (form === 'text') return said(value as string);
    const [only] = form === 'texts' ? (value as readonly unknown[]) : [];
    if (typeof only === 'string' && (value as readonly unknown[]).length === 1) return saidAlone(only);
    return prefix + write(value);
  };
}

function common(name: 'boot' | 'node'): Member {
  const said = remembering((text) => `,"${name}":${canonicalString(text)}`);
  return (_, stamp) => said(stamp[name]);
}

/**
 * Most members of most records say what the record of their kind before said: those words are found, not made. To
 * compare a string with itself is to look at its address.
 */
function remembering(make: (text: string) => string): (text: string) => string {
  let last: string | undefined;
  let words = '';
  return (text) => {
    if (text === last) return words;
    words = make(text);
    last = text;
    return words;
  };
}

const writers: Readonly<Record<Form, (value: never) => string>> = {
  text: canonicalString,
  integer,
  rounded: (value: number) => integer(Math.round(value)),
  boolean: (value: boolean) => (value ? 'true' : 'false'),
  texts: (value: readonly (string | null)[]) =>
    `[${value.map((item) => (item === null ? 'null' : canonicalString(item))).join(',')}]`,
  integers: (value: readonly number[]) => `[${value.map(integer).join(',')}]`,
  json: canonical,
};

function integer(value: number): string {
  if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not an integer below 2^53`);
  return `${value}`;
}

const templates = new Map<string, readonly Member[]>(
  Object.entries(forms).map(([kind, members]) => [kind, template(kind, members)]),
);
