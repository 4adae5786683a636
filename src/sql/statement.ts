// Statement: what one SQL statement does, as facts. The vocabulary that classification fills, the rules match
// and the approval page shows. Knows no syntax tree, no session and no rule.

import type { GrammarError } from './grammar-errors.ts';

/**
 * One thing a statement can do to the database or the session. A statement is the set of its effects; a rule that
 * lets statements pass must cover all of them, a rule that holds or denies needs only one.
 */
export type Effect =
  | 'read' // reads relations or computes values from functions known to be harmless
  | 'insert' // INSERT, COPY FROM STDIN, MERGE … INSERT
  | 'update' // UPDATE with a WHERE that can exclude rows, ON CONFLICT DO UPDATE, MERGE … UPDATE
  | 'update-all' // UPDATE without WHERE, or with one that is constantly true
  | 'delete' // DELETE, MERGE … DELETE, lo_unlink
  | 'truncate'
  | 'create' // any CREATE of a permanent object, also CREATE TABLE AS and SELECT INTO
  | 'alter' // any ALTER, RENAME, COMMENT, SECURITY LABEL, OWNER
  | 'drop' // any DROP, DROP OWNED, REASSIGN OWNED
  | 'grant' // GRANT, REVOKE, default privileges, CREATE/ALTER/DROP ROLE, memberships
  | 'temporary' // creates or drops only temporary objects
  | 'code' // runs code of which the text shows nothing: DO, CALL, LOAD-free procedures
  | 'function' // calls a function that is not a known builtin; what it does is not known
  | 'unproven' // may run code that would write, and then nothing that READ ONLY lets through
  | 'sequence' // nextval
  | 'sequence-set' // setval
  | 'lock-rows' // SELECT … FOR UPDATE/SHARE
  | 'lock-table' // LOCK TABLE
  | 'advisory-lock'
  | 'maintain' // VACUUM, ANALYZE, CLUSTER, REINDEX, REFRESH MATERIALIZED VIEW, CHECKPOINT
  | 'rewrite' // VACUUM FULL, CLUSTER: rewrites a table under an exclusive lock
  | 'large-object' // creates or writes large objects
  | 'notify' // LISTEN, NOTIFY, UNLISTEN
  | 'transaction' // BEGIN, COMMIT, ROLLBACK, SAVEPOINT, SET TRANSACTION
  | 'two-phase' // PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED
  | 'setting' // SET, RESET, set_config of a session setting without influence on safety
  | 'custom-setting' // a setting with a dot in its name
  | 'guard-setting' // a setting that weakens a guard: session_replication_role, a read-only mode lifted, …
  | 'parser-setting' // a setting that changes how later text is read: standard_conforming_strings, client_encoding, …
  | 'role' // SET ROLE, SET SESSION AUTHORIZATION and their RESET
  | 'sessions' // acts on other sessions: pg_terminate_backend, pg_cancel_backend
  | 'administer' // acts on the server: ALTER SYSTEM, pg_reload_conf, statistics resets, WAL functions
  | 'os' // files, programs, libraries: COPY PROGRAM, COPY file, LOAD, pg_read_file, lo_export
  | 'remote' // reaches another server: dblink, foreign servers, subscriptions
  | 'replication' // slots, origins, replication commands
  | 'unknown'; // not understood

export type Access = 'read' | 'insert' | 'update' | 'delete' | 'truncate' | 'define' | 'lock';

/** A relation as the text names it; names are folded and truncated as the server does. */
export interface RelationUse {
  readonly schema: string | undefined;
  readonly name: string;
  readonly access: Access;
}

export interface FunctionUse {
  readonly schema: string | undefined;
  readonly name: string;
  /** Arguments of the call as written; undefined where the text does not tell: VARIADIC, a trigger's function. */
  readonly args?: number | undefined;
}

/** A type or an operator as the text names it. */
export interface NameInSchema {
  readonly schema: string | undefined;
  readonly name: string;
}

/** One of several parts of a statement that change rows: its target, and what `pinned` is of a whole statement. */
export interface PinnedPart extends RelationUse {
  readonly pinned: readonly string[];
}

/** A setting the statement changes. `value` is undefined for RESET, DEFAULT and values that are not constants. */
export interface SettingUse {
  readonly name: string;
  readonly value: string | undefined;
  readonly local: boolean;
}

/**
 * Use of a name in the namespace that SQL PREPARE/EXECUTE/DECLARE share with the protocol's Parse and Bind.
 * `name` undefined means ALL. `inner` are the facts of the statement being prepared or declared.
 */
export interface NameUse {
  readonly kind: 'prepare' | 'execute' | 'deallocate' | 'declare' | 'fetch' | 'close' | 'discard';
  readonly name: string | undefined;
  readonly inner: Statement | undefined;
}

/** The facts of one statement of a text. Immutable; may be cached and shared. */
export interface Statement {
  /** The command in the manual's words, upper case: `SELECT`, `DROP TABLE`, `ALTER ROLE`. */
  readonly command: string;
  /** Sorted, without repeats, never empty. An `EXECUTE` or `FETCH` is `unknown` until the session resolves its name. */
  readonly effects: readonly Effect[];
  /** Set where `unknown` stands for `names` alone: once they are explained, the other effects are the whole truth. */
  readonly unresolved?: true;
  readonly relations: readonly RelationUse[];
  readonly functions: readonly FunctionUse[];
  /** Types that are not known builtins: a cast to one may run its input function or its CHECK constraint. */
  readonly types: readonly NameInSchema[];
  /** Operator symbols used, builtin or not: a user operator of the same symbol may match better. */
  readonly operators: readonly NameInSchema[];
  /** Last names of `t.f` and `(x).f`: a column, or a function of one row argument called without parentheses. */
  readonly fields: readonly string[];
  readonly settings: readonly SettingUse[];
  readonly names: readonly NameUse[];
  /** A sentence for each effect that is not evident from the command: `calls purge(), which is not a known builtin`. */
  readonly why: readonly string[];
  /** Columns that UPDATE, ON CONFLICT DO UPDATE or MERGE assign; undefined where nothing is updated. */
  readonly assigns?: readonly string[] | undefined;
  /** Columns of the target that WHERE, by AND alone, compares by `=` with constants or parameters. */
  readonly pinned?: readonly string[] | undefined;
  /** Where WITH queries change rows too, and each part pins columns or makes a known number of rows: those that pin. */
  readonly parts?: { readonly pinned: readonly PinnedPart[]; readonly otherRows: number } | undefined;
  /** Rows that it can change at most, where that is certain: by VALUES, and once the catalog is known by a unique key. */
  readonly rowsAtMost?: number | undefined;
  /** Least major version of a server that reads the text as it is read here; undefined: any from 13 on. */
  readonly since?: number | undefined;
  /** It reaches objects that it does not name, or that are no relations: DROP … CASCADE, DROP SCHEMA, DROP FUNCTION. */
  readonly sweeping?: true | undefined;
  /** Set by the catalog: names the definitions it was explained by, so that a later look can tell if they are the same. */
  readonly identity?: string | undefined;
  /** Set by the catalog: it does not know a name in it, which may be newer than its last look. */
  readonly missing?: true | undefined;
  /** Set by the catalog: code behind it may change or remove more rows than one for each that its command tag counts. */
  readonly uncounted?: true | undefined;
  /** Set where its command tag counts every row that its own words change; not so under EXPLAIN ANALYZE, say. */
  readonly tagged?: true | undefined;
  /** Set by the catalog: its mere parsing may run code, that of a type whose literals hold values of other types. */
  readonly parsing?: true | undefined;
  /** The setting that a SHOW shows, in lower case: their names have no case. */
  readonly shows?: string | undefined;
  /** True if the text carries a password or another secret, which must not reach any log. */
  readonly secret: boolean;
  /** Byte offsets of this statement in the text it came in. */
  readonly start: number;
  readonly end: number;
}

/** What is known of a whole text (one Query, one Parse). */
export type Analysis =
  | { readonly kind: 'statements'; readonly statements: readonly Statement[] }
  /** PostgreSQL's own parser refuses it. `position` is 1-based, in characters. */
  | ({
      readonly kind: 'syntax';
      readonly message: string;
      readonly position: number | undefined;
    } & GrammarError)
  /** It never reached the parser, or the parser could not cope; `code` is the wire answer. */
  | {
      readonly kind: 'refused';
      readonly code: 'protocol-violation' | 'bad-encoding' | 'too-large' | 'too-complex';
      readonly message: string;
    };

/** The coarse class of a statement, for metrics and log: a small, fixed set. */
export type StatementClass =
  | 'read'
  | 'write'
  | 'destroy'
  | 'define'
  | 'session'
  | 'transaction'
  | 'code'
  | 'system'
  | 'unknown';
