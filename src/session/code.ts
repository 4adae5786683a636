// Code: when code of which nothing is known may run in a session, or may have run. It can give a prepared statement's
// name to another text (EXECUTE 'prepare …'), open cursors, change settings, and nothing in the protocol shows it. So
// from then on the session believes nothing that it knew before. Not all of it runs when its statement is sent: a cursor
// runs at FETCH, a portal at Execute, a deferred trigger at the end of the transaction. Pure. Source: wire.md §0.15, §2.3.

import type { Effect, Statement } from '../sql/statement.ts';
import type { Gate } from './gate.ts';

const opaque: ReadonlySet<Effect> = new Set<Effect>(['code', 'function', 'unknown', 'os']);

/** True if the statement may run code that nothing in its text shows. */
export function mayRunCode({ effects }: Statement): boolean {
  return effects.some((effect) => opaque.has(effect));
}

/** True if it may run code of an earlier statement: it fetches from a cursor, or ends a transaction. */
function mayRunEarlier({ effects, names }: Statement): boolean {
  return effects.includes('transaction') || names.some(({ kind }) => kind === 'fetch' || kind === 'close');
}

export class HiddenCode {
  readonly #ran: () => void;
  /** Such code was sent in a transaction that may be open, so more of it may run. */
  #open = false;
  #unreported = false;

  /** `ran` is called whenever such code may have run, before anything is judged that the server takes later. */
  constructor(ran: () => void) {
    this.#ran = ran;
  }

  /** Such code was sent in a transaction that may be open. */
  get open(): boolean {
    return this.#open;
  }

  /** It may have changed settings that the server has not reported yet. */
  get unreported(): boolean {
    return this.#unreported;
  }

  /** The gate's Query or Bind goes to the server. */
  dispatched({ statements }: Gate): void {
    const itself = statements.some(mayRunCode);
    this.#open ||= itself;
    if (itself || (this.#open && statements.some(mayRunEarlier))) this.#mayHaveRun();
  }

  /** An Execute goes to the server; `gate` undefined for a cursor that SQL declared. */
  executed(gate: Gate | undefined): void {
    if (!this.#open) return;
    if (gate === undefined || gate.statements.some((each) => mayRunCode(each) || mayRunEarlier(each)))
      this.#mayHaveRun();
  }

  /** A Sync goes to the server. Outside a transaction block (`status` is not T) it commits. */
  synced(status: string): void {
    if (this.#open && status !== 'T') this.#mayHaveRun();
  }

  /** The server has answered everything and reported its settings. */
  ready(status: string): void {
    this.#unreported = false;
    if (status === 'I') this.#open = false;
  }

  #mayHaveRun(): void {
    this.#unreported = true;
    this.#ran();
  }
}
