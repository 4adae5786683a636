// Step: what the session is given and what it says of one frame, for the relay to do. Types and the answers that need no
// object of their own. Refuses to know how the session came to it. Source: DESIGN §4 (7a–7c), §5.

import type { Catalog } from '../catalog/names.ts';
import type { HoldpointError } from '../errors.ts';
import type { Ledger } from '../policy/budget.ts';
import type { Policy } from '../policy/rules.ts';
import type { Actor } from '../policy/verdict.ts';
import type { Analyzer } from '../sql/parse.ts';
import type { Analysis } from '../sql/statement.ts';
import type { Reads } from './durability.ts';
import type { Gate } from './gate.ts';
import type { OwnRequest } from './listing.ts';
import type { Position } from './segment.ts';

/**
 * Lets statements pass that a person approved as a list, before any of them was sent. Asked of every gate that is not
 * refused, while it is not idle, and told of what else is sent; it may be asked again about the same frame.
 */
export interface Escort {
  /** There is no such list, and nothing to be told. */
  readonly idle: boolean;
  /**
   * `other`: the rules alone decide. `next`: it is what comes next; it waits for its release like what a person is asked
   * about. `wait`: the server must answer first. `ready`: the frame is to be offered again then.
   */
  meets(gate: Gate, stand: Stand): 'other' | 'next' | 'wait' | { readonly ready: Promise<void> };
  /** A portal is executed. `gate`: what bound it, if that is known. */
  executes(gate: Gate | undefined): void;
  /** A frame is refused. */
  refuses(error: HoldpointError): void;
}

/** Where a session stands when a frame comes. */
export interface Stand {
  /** Where a statement would run. */
  readonly position: Position;
  /** The server owes answers, and will give them. */
  readonly mayWait: boolean;
}

/** What a session knows of its login, and what it asks. */
export interface SessionOptions {
  readonly analyzer: Pick<Analyzer, 'analyze'>;
  /** What the names in a statement stand for in this database. */
  readonly catalog: Catalog;
  /** The rules in force; read at every gate, so that a reload holds from the next statement on. */
  readonly policy: () => Policy;
  readonly actor: Actor;
  /** What agents have changed on the budgets of rules. */
  readonly spending: Pick<Ledger, 'spent' | 'reserve'>;
  readonly escort?: Escort;
  /** What is asked of the records of statements that write nothing; `kill-safe` if left out. */
  readonly reads?: Reads;
  /** Why nothing may be changed on this target now, in a sentence; undefined while it may. */
  readonly locked?: () => string | undefined;
  /** Upstream role of the login and the ParameterStatus values that the server reported, for the request. */
  readonly user: string;
  readonly parameters: ReadonlyMap<string, string>;
  /** search_path as the client set it at login, if it did. */
  readonly searchPath?: string | undefined;
  /** Process numbers: the server's of this connection, and the one that the client was given in its place. */
  readonly pids?: { readonly server: number; readonly client: number };
  /** 32 hex digits, never repeated, not guessable. */
  readonly newId: () => string;
  /** The agent's own requests, newest first, for SHOW holdpoint.requests. Left out: the server is asked for it. */
  readonly requests?: () => Promise<readonly OwnRequest[]>;
  /** A gate whose outcome is certain, or was lost with the connection. */
  readonly finished: (gate: Gate) => void;
}

/**
 * What becomes of a frontend frame.
 * - `pass`: it joins the run. With a gate: the gate is recorded first.
 * - `defer`: a gated Parse, or a frame behind one; kept until its Bind or until the client asks for an answer. With a
 *   gate: it passes, but in its turn; it is recorded now.
 * - `hold`: deferred frames and this one wait for a person; then `released` or `refused` is called with the gate.
 * - `replace`: `bytes` go in its place. With a gate: the gate is recorded as refused first.
 * - `analyze`: the text is large; await the analysis and offer the frame again with it.
 * - `later`: something is being read elsewhere; await it and offer the frame again.
 * - `barrier`: the answer depends on frames the server has not acknowledged; offer it again when they are.
 * - `enclose`: it is kept for the enclosure (session.enclosures); with `run` the enclosure goes to the server now.
 * - `run`: the enclosure goes to the server, and the frame is offered again when it has ended.
 * `flush`: deferred frames go to the server before this one. `barrier`: everything recorded so far is on disk, or sealed there, before it
 * goes. `before`, `after`: frames of ours around it. `instead`: a
 * frame of ours in its place, which the server answers to the client.
 */
export type FrontendStep =
  | {
      readonly kind: 'pass';
      readonly gate: Gate | undefined;
      readonly flush: boolean;
      readonly barrier?: 'disk' | 'seal';
      readonly before?: Buffer | undefined;
      readonly after?: Buffer | undefined;
      readonly instead?: Buffer | undefined;
    }
  | {
      readonly kind: 'defer';
      readonly gate: Gate | undefined;
      readonly barrier?: 'disk' | 'seal';
      readonly instead?: Buffer | undefined;
    }
  | { readonly kind: 'hold'; readonly gate: Gate }
  | {
      readonly kind: 'replace';
      readonly gate: Gate | undefined;
      readonly bytes: Buffer;
      readonly error: HoldpointError;
      readonly flush: boolean;
    }
  | { readonly kind: 'analyze'; readonly analysis: Promise<Analysis> }
  | { readonly kind: 'later'; readonly ready: Promise<void> }
  | { readonly kind: 'enclose'; readonly flush: boolean; readonly run: boolean }
  | { readonly kind: 'run' }
  | { readonly kind: 'barrier' };

/**
 * What becomes of a backend frame. `close`: the session cannot be guarded any more and ends with that error. `drop`: it
 * is not the client's. `withhold`: the client gets it if the enclosure is kept, in place of it `bytes` if they are set.
 */
export type BackendStep =
  | { readonly kind: 'pass' }
  | { readonly kind: 'replace'; readonly bytes: Buffer }
  | { readonly kind: 'drop' }
  | WithholdStep
  | { readonly kind: 'close'; readonly error: HoldpointError };

export interface WithholdStep {
  readonly kind: 'withhold';
  readonly bytes: Buffer | undefined;
  readonly place: Place;
}

/**
 * Where a withheld frame goes. Of a Query, PostgreSQL sends the last CommandComplete only when its transaction has
 * ended: it is the `tail`, and what ends the transaction may add notices before it, or put an error in its stead.
 */
export type Place = 'next' | 'tail' | 'before-tail' | 'instead-of-tail';

export const passed: FrontendStep & { kind: 'pass' } = { kind: 'pass', gate: undefined, flush: false };
export const passedFlushing: FrontendStep = { kind: 'pass', gate: undefined, flush: true };
export const deferred: FrontendStep & { kind: 'defer' } = { kind: 'defer', gate: undefined };
export const barrier: FrontendStep = { kind: 'barrier' };
export const forwarded: BackendStep = { kind: 'pass' };
export const dropped: BackendStep = { kind: 'drop' };
export const enclosed: FrontendStep = { kind: 'enclose', flush: false, run: false };
export const enclosedLast: FrontendStep = { kind: 'enclose', flush: false, run: true };
export const runFirst: FrontendStep = { kind: 'run' };
