// Record: what the log keeps of each thing that happened. audit-approval §3. Types only: what they are as bytes is in
// line.ts. Texts arrive here already redacted.

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
