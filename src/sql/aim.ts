// Aim: what a statement would take, change, drop or lock, as far as it can be measured in a database before it runs: the
// questions that its text gives rise to, not their answers. Types only.

import type { LockUse } from './lock-modes.ts';
import type { Selection } from './selection.ts';
import type { NameInSchema } from './statement.ts';

/** A relation as the text names it. `only`: without what inherits from it. */
export interface Named extends NameInSchema {
  readonly only: boolean;
}

export type RowEvent = 'insert' | 'update' | 'delete';

/** Rows of a relation that are changed. */
export interface RowsAim {
  readonly kind: 'rows';
  readonly relation: Named;
  readonly events: readonly RowEvent[];
  /** Columns that an UPDATE assigns. */
  readonly assigns: readonly string[];
  /**
   * The rows: those of a selection, `cursor`: the one that a cursor is at; `new`: rows that are inserted, which nobody can
   * count; undefined: the text could not be taken apart.
   */
  readonly rows: Selection | 'cursor' | 'new' | undefined;
  /** The selection may hold more rows than are changed: a MERGE with conditions of its own. */
  readonly atMost: boolean;
}

export interface TruncateAim {
  readonly kind: 'truncate';
  readonly relations: readonly Named[];
  readonly cascade: boolean;
}

/** Objects that are dropped: whole ones, or columns and constraints of the relation `of`. */
export interface DropAim {
  readonly kind: 'drop';
  /** As in the manual, lower case: `table`, `materialized view`, `schema`, `column`, … */
  readonly what: string;
  /** Each by its words, the last one its own name. */
  readonly names: readonly (readonly string[])[];
  readonly of: Named | undefined;
  readonly cascade: boolean;
}

export type Work = 'is rewritten' | 'may be rewritten' | 'is read whole' | 'gets an index built';

/** A relation that is altered, or worked through. */
export interface AlterAim {
  readonly kind: 'alter';
  /** `ALTER`, `CREATE INDEX`, `REINDEX`, `CLUSTER`, `REFRESH`, `VACUUM FULL`. */
  readonly does: string;
  readonly relation: Named;
  readonly work: Work | undefined;
}

/** What a name that SQL PREPARE or Parse defined stands for is run. */
export interface ExecuteAim {
  readonly kind: 'execute';
}

export type Aim = RowsAim | TruncateAim | DropAim | AlterAim | ExecuteAim;

/** One statement of a text. */
export interface Aims {
  readonly aims: readonly Aim[];
  /** Locks on relations that it names. */
  readonly locks: readonly LockUse[];
}
