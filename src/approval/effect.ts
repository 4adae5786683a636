// Measured effect: the blast radius of a held statement as it was found in the database when the request was opened: how
// many rows, what goes with them, who waits behind the locks. Part of R, so that a decision covers the figures that were
// shown. Figures of one moment: rows that are written later are not in them. Types only; refuses to know how anything is
// measured (blast/, proxy/blast.ts) or drawn. audit-approval §16.1.

/**
 * How a number of rows came about. `count`: counted by the server. `estimate`: the planner's. `at-least`: there may be
 * more, which the role that counted may not see or which come with later rounds. `at-most`: not all of them need be meant.
 */
export interface RowCount {
  rows: number;
  how: 'count' | 'estimate' | 'at-least' | 'at-most';
}

/** A relation that the statement takes rows from, changes or drops. */
export interface TouchedRelation {
  /** Which statement of the text, from 0; left out where there is only one. */
  statement?: number;
  /** What it does there: `DELETE`, `UPDATE`, `INSERT`, `MERGE`, `TRUNCATE`, `DROP`, `ALTER`, `CREATE INDEX`, … */
  does: string;
  /** Qualified name. */
  name: string;
  /** In words of the manual: table, partitioned table, view, materialized view, index, sequence, foreign table. */
  kind: string;
  /** Rows that the statement touches there. */
  touched?: RowCount;
  /** All rows of it. */
  total?: RowCount;
  /** Bytes on disk, with indexes, TOAST and partitions. */
  bytes?: number;
  /** Partitions and inheriting tables that are included. */
  parts?: number;
  /** What an ALTER or its like means for the rows that are there: `is rewritten`, `may be rewritten`, … */
  work?: string;
  /** Triggers that fire and rules that apply, such as `trigger audit_orders (AFTER, each row) → public.log_change()`. */
  fires: string[];
}

/** Rows of another table that a foreign key takes along, or that stop the statement. */
export interface Cascade {
  statement?: number;
  /** The referencing table. */
  relation: string;
  constraint: string;
  /** ON DELETE (or ON UPDATE) action, in the manual's words; TRUNCATE: all its rows, by TRUNCATE … CASCADE. */
  action: 'CASCADE' | 'SET NULL' | 'SET DEFAULT' | 'RESTRICT' | 'NO ACTION' | 'TRUNCATE';
  /** The table whose rows are referenced: the way by which the closure reached this one. */
  via: string;
  touched?: RowCount;
  /** The statement fails because of it, as things are. */
  stops?: true;
  /** Triggers that fire there, as in TouchedRelation. */
  fires?: string[];
}

/** A lock that the statement takes, and who would wait. */
export interface LockNeed {
  relation: string;
  /** In the manual's words: ACCESS EXCLUSIVE, ROW EXCLUSIVE, … */
  mode: string;
  /** Sessions that hold a conflicting lock now: the statement would wait behind them. */
  behind: number;
  /** Sessions that wait for a lock on the relation already. */
  waiting: number;
  /** Milliseconds since the oldest of `behind` began its transaction, of those that may be seen. */
  oldestMs?: number;
}

/** The transaction that the held session is inside of. */
export interface OpenTransaction {
  /** Milliseconds since it began. */
  openMs: number;
  /** Locks that it holds on relations, as `ROW EXCLUSIVE on public.orders`. */
  locks: string[];
  /** Sessions that wait for it. */
  blocks: number;
}

/** Lists are cut at `effectItemsMax`; `more` then says how many were left out of which. */
export interface MeasuredEffect {
  /** Milliseconds since the epoch, by this node's clock. */
  at: number;
  /** Milliseconds that measuring took. */
  tookMs: number;
  relations: TouchedRelation[];
  cascades: Cascade[];
  /**
   * What a DROP pulls down beside what it names, as `view public.report`: with CASCADE it goes too, without it the DROP is
   * refused because of it (`refused`).
   */
  dependents: string[];
  refused?: true;
  locks: LockNeed[];
  transaction?: OpenTransaction;
  /** Event triggers that fire for the statement. */
  fires?: string[];
  /** What could not be measured, and why: a sentence each. */
  unmeasured: string[];
  more?: Record<string, number>;
}

export const effectItemsMax = 100;
