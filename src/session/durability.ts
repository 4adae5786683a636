// Durability: how certain a statement's record must be before the statement may go to the server, by what it can do and
// where it would run. A read needs its record in the file, which no kill of ours loses; a write needs it on disk, because
// what it does outlives a power cut; what destroys needs it sealed there as well. Within a transaction block of the client's plain changes of rows are nothing until
// the COMMIT, so it is the COMMIT that waits. Pure; refuses to know the log and how long a disk takes. Source:
// audit-approval §4.

import type { Effect, Statement } from '../sql/statement.ts';
import type { Durability, Gate } from './gate.ts';
import type { Position } from './segment.ts';

/** What is asked of statements that write nothing: `audit.reads` of the configuration. */
export type Reads = 'kill-safe' | 'output-commit' | 'write-ahead';

/** Effects on nothing that outlives the session: locks go with it, and so do its settings and its role. */
const passing: ReadonlySet<Effect> = new Set<Effect>([
  'read',
  'lock-rows',
  'lock-table',
  'advisory-lock',
  'setting',
  'custom-setting',
  'role',
  'transaction',
]);

/**
 * Effects that are undone with the transaction: changes of rows, and temporary objects. What takes a number from a
 * sequence does so for ever; but where that is a column's default, the row that would show it is undone.
 */
const undoable: ReadonlySet<Effect> = new Set<Effect>([
  'insert',
  'update',
  'update-all',
  'delete',
  'truncate',
  'temporary',
  'sequence',
]);

/** Effects on rows that leave what there was, or one row at a time: of these no seal is waited for. */
const sparing: ReadonlySet<Effect> = new Set<Effect>(['insert', 'update', 'temporary', 'sequence']);

/** Commands of effect `transaction` behind which the same transaction goes on. */
const within: ReadonlySet<string> = new Set([
  'BEGIN',
  'START TRANSACTION',
  'SAVEPOINT',
  'RELEASE SAVEPOINT',
  'ROLLBACK TO SAVEPOINT',
  'SET TRANSACTION',
  'SET SESSION CHARACTERISTICS',
  'SET CONSTRAINTS',
]);

function ends({ effects, command }: Statement): boolean {
  return effects.includes('transaction') && !within.has(command);
}

/** COMMIT, and whatever ends a transaction and is not known to be a ROLLBACK. */
function commits(statement: Statement): boolean {
  return ends(statement) && statement.command !== 'ROLLBACK';
}

/** True if what it does may outlive the session. READ ONLY stops the rest of what is unproven. */
function writes({ effects }: Statement, readOnly: boolean): boolean {
  return effects.some((effect) => !passing.has(effect) && !(readOnly && effect === 'unproven'));
}

function destroys({ effects }: Statement): boolean {
  return effects.some((effect) => !passing.has(effect) && !sparing.has(effect));
}

/** Follows one session: whether its transaction has written, so that its COMMIT has to wait. */
export class Barrier {
  readonly #reads: Reads;
  /** Something that may write went to the server since it was last known to be between transactions. */
  #wrote = false;
  /** So did something that destroys. */
  #destroyed = false;
  /** A portal of which nothing is known was executed since the server last said where it stands. */
  #blind = false;

  constructor(reads: Reads = 'kill-safe') {
    this.#reads = reads;
  }

  /**
   * What the gate's record needs before the gate goes. `position`: where it would run; asked only of what writes. An
   * implicit transaction ends within the message that begins it, or at a Sync of which nobody knows when it comes: so
   * outside a block of the client's each write waits itself.
   */
  judge({ statements, resolved, verdict }: Gate, position: () => Position): Durability {
    const readOnly = verdict.enclosure?.kind === 'read-only';
    const wrote = this.#wrote;
    const writing = statements.filter((statement) => writes(statement, readOnly));
    this.#wrote ||= writing.length > 0;
    const ending = statements.some(commits);
    const disk = writing.some(destroys) || (this.#destroyed && ending) ? 'seal' : 'disk';
    this.#destroyed ||= disk === 'seal';
    if (this.#reads === 'write-ahead') return disk;
    const early = this.#reads === 'output-commit' ? 'output' : 'kill';
    if (writing.length === 0) return wrote && ending ? disk : early;
    const plain = writing.every(({ effects }) =>
      effects.every((effect) => passing.has(effect) || undoable.has(effect)),
    );
    const numbers = resolved.some(({ effects }) => effects.includes('sequence'));
    if (!plain || numbers || statements.some(ends) || this.#blind) return disk;
    return position() === 'block' ? early : disk;
  }

  /**
   * An Execute goes to the server: what everything recorded so far must be before. The record of a COMMIT was written with
   * its Bind, and there may be others since. `gate` undefined: of a portal that is not known.
   */
  executes(gate: Gate | undefined): 'disk' | 'seal' | undefined {
    if (gate === undefined) this.#blind = this.#destroyed = true;
    if (!this.#wrote || (gate !== undefined && !gate.statements.some(commits))) return undefined;
    return this.#destroyed ? 'seal' : 'disk';
  }

  /** The transaction that may be open has written. */
  get wrote(): boolean {
    return this.#wrote;
  }

  /** So did what destroys. */
  get destroyed(): boolean {
    return this.#destroyed;
  }

  /** What `judge` did not see of it. */
  note(wrote: boolean, destroyed: boolean): void {
    this.#wrote = wrote;
    this.#destroyed = destroyed;
  }

  /** The server has answered everything; `status` as in ReadyForQuery. */
  ready(status: string): void {
    this.#blind = false;
    if (status === 'I') this.note(false, false);
  }
}
