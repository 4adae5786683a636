// Segment: what the client has executed since its last Sync, as far as it decides what an enclosure must begin with:
// nothing, statements of an implicit transaction, a transaction block of the client's, or one of ours. Rests on the
// order of what was sent: if one of it fails, the server discards what is built on it. Pure. Source: wire.md §2.2, §3.6.

import type { Statement } from '../sql/statement.ts';
import type { Gate } from './gate.ts';

/**
 * Where a statement would run. `idle`: in a transaction of its own. `block`: in the client's transaction block.
 * `segment`: behind others in an implicit transaction, or in our block around one. `failed`: in a failed block, where
 * the server refuses it. `wait`: the server has not said yet. `unclear`: that cannot be told.
 */
export type Position = 'idle' | 'block' | 'segment' | 'failed' | 'wait' | 'unclear';

export class Segment {
  /** The implicit transaction is in a block that we began; its COMMIT is ours as well. */
  ours = false;
  #executed = false;
  #begun: 'no' | 'begun' | 'unclear' = 'no';

  /** The client began a transaction block, and has not sent its Sync. */
  get begun(): boolean {
    return this.#begun !== 'no';
  }

  /** An Execute goes to the server. `gate` undefined: of a portal that SQL made. */
  executes(gate: Gate | undefined): void {
    this.#executed = true;
    if (gate === undefined) return;
    for (const statement of gate.statements) {
      if (!ofTransaction(statement)) continue;
      this.#begun = begins(gate) && this.#begun === 'no' ? 'begun' : 'unclear';
      // A BEGIN makes our block the client's, as it would have made the implicit transaction one.
      if (begins(gate)) this.ours = false;
    }
  }

  /** A Sync of the client's. */
  ends(): void {
    this.ours = false;
    this.#executed = false;
    this.#begun = 'no';
  }

  /** `status`: transaction status of the last ReadyForQuery, of which none is outstanding. */
  position(status: string): Position {
    if (this.ours) return this.#begun === 'no' ? 'segment' : 'unclear';
    if (this.#begun === 'unclear') return 'unclear';
    if (status === 'E') return this.#begun === 'no' ? 'failed' : 'unclear';
    if (status === 'T' || this.#begun === 'begun') return 'block';
    return this.#executed ? 'segment' : 'idle';
  }
}

/** True if the text is one BEGIN. */
export function begins({ statements }: Gate): boolean {
  return statements.length === 1 && beginning.has(statements[0]!.command);
}

const beginning: ReadonlySet<string> = new Set(['BEGIN', 'START TRANSACTION']);

export function ofTransaction({ effects }: Statement): boolean {
  return effects.includes('transaction') || effects.includes('two-phase');
}
