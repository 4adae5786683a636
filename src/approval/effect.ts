// Measured effect: the blast radius of a held statement as it was found in the database when the request was opened: how
// many rows, what goes with them, who waits behind the locks. Part of R, so that a decision covers the figures that were
// shown. Types only; refuses to know how anything is measured (proxy/blast.ts) or drawn. audit-approval §16.1.

/** How a number of rows came about. `count`: counted by the server; `estimate`: the planner's; `atLeast`: counting was cut off there. */
export interface RowCount {
  rows: number;
  how: 'count' | 'estimate' | 'at-least';
}

/** A relation that the statement takes rows from, changes or drops. */
export interface TouchedRelation {
  /** Qualified name. */
  name: string;
  /** In words of the manual: table, partitioned table, view, materialized view, index, sequence, foreign table. */
  kind: string;
  /** Rows that the statement touches there. */
  touched?: RowCount;
  /** All rows of it. */
  total?: RowCount;
  /** Bytes on disk, with indexes and TOAST. */
  bytes?: number;
  /** Triggers that fire and rules that apply, in words such as `trigger audit_orders → function log_change()`. */
  fires: string[];
}

/** Rows of another table that a foreign key takes along, or that stop the statement. */
export interface Cascade {
  /** The referencing table. */
  relation: string;
  constraint: string;
  /** ON DELETE (or ON UPDATE) action, in the manual's words. */
  action: 'CASCADE' | 'SET NULL' | 'SET DEFAULT' | 'RESTRICT' | 'NO ACTION';
  /** The table whose rows are referenced: the way by which the closure reached this one. */
  via: string;
  touched?: RowCount;
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
  /** Milliseconds since the oldest of `behind` began its transaction. */
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
  /** What DROP … CASCADE, or DROP of a thing with dependents, takes along, as `view public.report`. */
  dependents: string[];
  locks: LockNeed[];
  transaction?: OpenTransaction;
  /** What could not be measured, and why: a sentence each. */
  unmeasured: string[];
  more?: Record<string, number>;
}

export const effectItemsMax = 100;
