// Asked: what is known of a held text when its effect is to be measured: the texts, their values, and the context that gives
// their names a meaning. Types only; a session (proxy/bookkeeping) or a plan fills it in.

import type { Judge, Values } from './counter.ts';

export interface AskedText extends Values {
  readonly sql: Buffer;
  /** It stands behind an EXECUTE: also what a PREPARE in it names is run. */
  readonly prepared?: true;
}

export interface Asked {
  readonly texts: readonly AskedText[];
  /** It runs code, or calls functions, of which the catalog does not tell what they change. */
  readonly hidden: boolean;
  /** Role of the login, and the session's own where it is another; null: not known. */
  readonly login: string;
  readonly role: string | null;
  /** Schemas of unqualified names; undefined: not known. */
  readonly path: readonly string[] | undefined;
  /** Names of temporary relations that the session made. */
  readonly temporary: ReadonlySet<string>;
  /** Code of the session may have made more of them. */
  readonly shadowed: boolean;
  /** Settings that give a text its meaning, to be taken over: DateStyle, IntervalStyle, TimeZone. */
  readonly settings: Readonly<Record<string, string>>;
  /** The session has set settings of its own (with a dot in their names), which are not known. */
  readonly custom: boolean;
  /** Backend of the session, if there is one, and whether it is inside a transaction. */
  readonly pid: number | undefined;
  readonly inTransaction: boolean;
  readonly judge: Judge;
}
