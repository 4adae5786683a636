// Book: what the relay tells of its gates, and asks for, in the order in which it must be known: a record before its
// bytes, an intent before a release. Types only; one implementation a session, in bookkeeping.ts.

import type { StatementBody } from '../audit/record.ts';
import type { HoldpointError } from '../errors.ts';
import type { Gate } from '../session/gate.ts';
import type { Interruption, ParkingEnd } from './parking.ts';

/** A gate between its `stmt` record and its end. */
export interface Parked {
  /** Resolves once, with what becomes of it. */
  run(): Promise<ParkingEnd>;
  /** The statement must not run any more. Without effect once it is released. */
  interrupt(cause: Interruption): void;
}

/** What records of gates have in common, and the values that each of them has besides its parameters. */
export interface Alike {
  readonly body: StatementBody;
  readonly literals: readonly Buffer[];
  /** Values are put aside. */
  readonly keepsValues: boolean;
}

/** What is told of repetitions, whose records are made elsewhere. */
export interface RepeatBook {
  /** A gate like this one passes. */
  passed(gate: Gate): void;
  /** What the records of gates like this one say alike; undefined where they are to be made one by one. */
  alike(gate: Gate): Alike | undefined;
  /** As in RelayBook. */
  overhead(seconds: number, count: number): void;
}

export interface RelayBook {
  /** Appends the gate's `stmt` record. Throws `log-unwritable`. */
  passing(gate: Gate): void;
  /** Appends `stmt` and outcome of a refused frame; `gate` is undefined where the text never became statements. */
  refused(gate: Gate | undefined, bytes: Buffer, error: HoldpointError): void;
  /** Appends the `stmt` record and builds the request for a hold of exactly `frames`. */
  park(gate: Gate, frames: readonly Buffer[], notify: (notice: Buffer) => void): Parked;
  /** Why a parked gate is not any more what was shown, looked up now; undefined if it is. Never rejects. */
  change(gate: Gate): Promise<string | undefined>;
  /**
   * Appends the intent; resolves once it is sealed and on disk. Rejects with `log-unwritable`. With an error, it did
   * not get outside as its target asks, and the gate must not go on.
   */
  intent(gate: Gate, end: Extract<ParkingEnd, { kind: 'release' }>): Promise<HoldpointError | undefined>;
  /** The outcome of a parked gate that did not run. `rid`: the request that it waited for, or was refused by. */
  unreleased(gate: Gate, error: HoldpointError | undefined, rid?: string): void;
  /** The outcome of a released gate that must not go on: its approval no longer fits, or its log is not outside. */
  superseded(gate: Gate, end: Extract<ParkingEnd, { kind: 'release' }>, error: HoldpointError): void;
  /** Seconds from a whole frame's arrival to its bytes being written, for `count` passed gates. */
  overhead(seconds: number, count: number): void;
}
