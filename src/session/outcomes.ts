// Outcomes: the gates that went to the server and how each of them ends. A statement's result is provisional until
// ReadyForQuery, because a later error undoes the whole implicit transaction and the commit itself may fail.
// Every gate that is opened here ends exactly once. Pure. Source: wire.md §2.2, "a statement's outcome is provisional".

import { type Gate, noteTag } from './gate.ts';

/** Gates that may be open in one transaction: portals bound and never executed. Beyond it they end as skipped. */
const waitingGatesMax = 10_000;

/** Statements of one pipeline without a Sync whose outcomes are awaited; of earlier ones nobody will say. */
export const openGatesMax = 100_000;

const queryCanceled = '57014';

export class Outcomes {
  readonly #ended: (gate: Gate) => void;
  readonly #open = new Set<Gate>();
  /** Monotonic milliseconds of the frame that is being read. */
  now = 0;
  /** Transaction status of the last ReadyForQuery: I, T or E. */
  status = 'I';
  /** SQLSTATE of the last ErrorResponse. */
  #sqlstate = '';
  /** SQLSTATE of an error since the server was last ready, outside a transaction block. */
  #rolledBack: string | undefined;

  /** `ended` is called once a gate, when its state is final. */
  constructor(ended: (gate: Gate) => void) {
    this.#ended = ended;
  }

  get size(): number {
    return this.#open.size;
  }

  has(gate: Gate): boolean {
    return this.#open.has(gate);
  }

  /** True if one of them may change something. */
  get writing(): boolean {
    for (const { statements } of this.#open) {
      if (statements.some(({ effects }) => effects.some((effect) => effect !== 'read'))) return true;
    }
    return false;
  }

  /** The gate's frame is the server's. */
  open(gate: Gate): void {
    this.#open.add(gate);
    if (this.#open.size > openGatesMax) this.#forgo();
  }

  /** The gate has its `stmt` record. */
  recorded(gate: Gate): void {
    if (gate.state === 'skipped') this.#end(gate);
  }

  /** CommandComplete or EmptyQueryResponse. */
  completed(gate: Gate, tag: string | undefined): void {
    gate.answeredAt = this.now;
    gate.state = 'ok';
    if (tag === undefined) return;
    noteTag(gate, tag);
    // What came before a COMMIT inside the same pipeline is final, whatever fails behind it.
    if (tag === 'COMMIT') for (const each of this.#open) if (each.state === 'ok') each.final = true;
  }

  /** PortalSuspended. */
  suspended(gate: Gate): void {
    gate.state = 'suspended';
  }

  /** An ErrorResponse came, of this gate or of any other frame. */
  error(sqlstate: string): void {
    this.#sqlstate = sqlstate;
    if (this.status === 'I') this.#rolledBack = sqlstate;
  }

  /** An ErrorResponse came that undoes nothing but the gate's own enclosure. */
  names(sqlstate: string): void {
    this.#sqlstate = sqlstate;
  }

  /** The gate was undone by us: what it did counts for nothing, and its outcome is certain. */
  undone(gate: Gate, why: string): void {
    gate.undone = why;
    if (gate.state !== 'error') {
      gate.state = 'canceled';
      if (gate.answeredAt >= 0) noteTag(gate, 'ROLLBACK');
    }
    this.#end(gate);
  }

  /** The connection ended before the gate's transaction could. */
  canceled(gate: Gate): void {
    if (gate.state !== 'error') gate.state = 'canceled';
  }

  /** The ErrorResponse was this gate's. */
  failed(gate: Gate): void {
    gate.answeredAt = this.now;
    gate.sqlstate = this.#sqlstate;
    gate.state = this.#sqlstate === queryCanceled ? 'canceled' : 'error';
  }

  /** It will never run. Once recorded it is done with, so that a client without Sync cannot pile them up. */
  skipped(gate: Gate): void {
    if (gate.state !== 'waiting') return;
    gate.state = 'skipped';
    if (gate.ref >= 0 && gate.owed === 0) this.#end(gate);
  }

  /** It cannot be known whether the server ran it. */
  doubtful(gate: Gate): void {
    if (gate.state === 'waiting') gate.state = 'unknown';
  }

  /** ReadyForQuery: what has been answered is certain now. */
  ready(status: string): void {
    for (const gate of [...this.#open]) {
      if (gate.owed > 0) continue;
      const unfinished = gate.state === 'waiting' || gate.state === 'suspended';
      // In a transaction block a portal outlives Sync and may be executed later.
      if (unfinished && status !== 'I' && this.#open.size <= waitingGatesMax) continue;
      if (gate.state === 'waiting') gate.state = 'skipped';
      if (gate.state === 'suspended') gate.state = 'ok';
      if (this.#rolledBack !== undefined && status !== 'T' && gate.state === 'ok' && !gate.final) {
        gate.state = 'error';
        gate.sqlstate = this.#rolledBack;
      }
      this.#end(gate);
    }
    this.#rolledBack = undefined;
    this.status = status;
  }

  /** The connection to the server is gone: what it still owed is unknown for ever. */
  lost(): void {
    for (const gate of [...this.#open]) {
      // Bound, acknowledged, and never executed.
      if (gate.state === 'waiting' && gate.proto === 'extended' && gate.owed === 0) gate.state = 'skipped';
      const provisional = gate.state === 'ok' && !gate.final;
      if (provisional || gate.state === 'waiting' || gate.state === 'suspended') gate.state = 'unknown';
      this.#end(gate);
    }
  }

  /** Ends the oldest gate, if it was answered, without waiting for the Sync that would make its answer certain. */
  #forgo(): void {
    for (const oldest of this.#open) {
      if (oldest.owed > 0 || oldest.ref < 0) return;
      if (oldest.state === 'ok' && !oldest.final) oldest.state = 'unknown';
      this.#end(oldest);
      return;
    }
  }

  #end(gate: Gate): void {
    if (this.#open.delete(gate)) this.#ended(gate);
  }
}
