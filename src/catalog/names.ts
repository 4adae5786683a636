// Names: what a session's names are looked up in, beside the snapshot. Types only; the session keeps it.

import type { Statement } from '../sql/statement.ts';

export interface NameContext {
  /** Schemas that an unqualified name is looked for in, in order, `"$user"` resolved; undefined: not known, any may be. */
  readonly path: readonly string[] | undefined;
  /** Temporary relations that the session made, each with the statement that made it. They are found before all others. */
  readonly temporary: ReadonlyMap<string, Statement>;
  /** Code that nothing is known of has run here: a temporary object may stand in front of any unqualified name. */
  readonly shadowed: boolean;
  /** The session has changed definitions that the snapshot may not show yet: no name of a user object is known. */
  readonly changed: boolean;
}

/** What a session asks about the names in its statements. One implementation, in proxy/. */
export interface Catalog {
  /** As of now; undefined while it cannot be told: then every name is unknown. */
  readonly reach: Reacher | undefined;
  /** Set while it is read again: statements wait for it, for a moment. Never rejects. */
  readonly pending: Promise<void> | undefined;
  /**
   * Looks now, not at the next poll, whether anything has changed. Never rejects; afterwards see `reach`, which is as of
   * an earlier look, if it is at all, where this one did not succeed: then the answer is false.
   */
  refresh(): Promise<boolean>;
  /** Definitions have changed, or may have. From now on `reach` is undefined and `pending` set until they are read. */
  changed(): void;
}

/** Explains statements by one snapshot. One implementation, in reach.ts. Synchronous; remembers what it has worked out. */
export interface Reacher {
  readonly epoch: string;
  /** search_path of a fresh session: the snapshot's. */
  readonly searchPath: readonly string[];
  /**
   * The statement with the effects that its names hide. `parameterTypes`: type OIDs that a Parse declared; 0 is none.
   * The same object again for the same statement, context and types.
   */
  explain(statement: Statement, context: NameContext, parameterTypes: readonly number[]): Statement;
}
