// Hop: the addon native/hop.c as this process has it, or not; where it is not, everything goes over Node's sockets.

import { type Addon, loadAddon } from '../addon.ts';

/** What `open` gives. A negative number is minus an errno. */
export interface Hop {
  /** What was read; written over after each call of `told`. */
  readonly input: Buffer;
  /** Three numbers an event: a descriptor; where its bytes begin in `input`, or `writable`; their number, 0 at the end. */
  readonly events: Int32Array;
  /** A duplicate of a descriptor. */
  take(fd: number): number;
  /** What to be told of: bits `reading` and `writing`. */
  watch(fd: number, before: number, after: number): number;
  /** How many of the bytes the kernel has taken. */
  write(fd: number, bytes: Buffer): number;
  /** Nothing more is written. */
  finish(fd: number): number;
  drop(fd: number): void;
  /** Whether the process goes on for the sake of what is watched. */
  hold(isHeld: boolean): void;

  // Of passages (native/passage.h).

  passOpen(source: number, sink: number, type: number, restBytes: number, lengthMax: number): boolean;
  passShut(source: number): number;

  // The rest is of lanes (native/lane.h); what the numbers are stands there.

  /** What happened in lanes, in integers; written over after each call of `told`. */
  readonly rounds: Buffer;
  /** What a client sent that is no descriptor. 0: not taken; 1: taken; 2: taken, and `lanePending` is to be asked. */
  laneFeed(lane: number, bytes: Buffer): number;
  /** `client`: -1 if it is no descriptor; `pen`: of its log; -1. */
  laneTake(client: number, server: number, pen: number): number;
  laneLearn(lane: number, place: number, form: Buffer): boolean;
  laneForget(lane: number): void;
  laneOpen(lane: number, n: number, status: number): void;
  /** Undefined if there is nothing that the server does not have. */
  laneShut(lane: number, told: Buffer): Buffer | undefined;
  laneUndo(lane: number): void;
  laneGo(rounds: Buffer, count: number): number;
  laneGrant(forms: Buffer, count: number): void;
  /** Integers of `rounds` that `told` was not told of yet; from now on they count as told. */
  lanePending(): number;
  laneMake(
    block: Buffer,
    at: number,
    from: number,
    to: number,
    seq: number,
    ts: number,
    mono: number,
  ): number;
  /** What was said of rounds that may go counts for no next one. */
  laneRevoke(): void;

  // Of pens (native/pen.h).

  penTake(): number;
  penLend(
    pen: number,
    fd: number,
    block: Buffer,
    at: number,
    blank: Buffer,
    head: Buffer,
    leaves: Buffer,
    leafCount: number,
    seq: number,
    start: number,
    mono: number,
    syncs: boolean,
  ): boolean;
  penFile(pen: number, fd: number, path: Buffer, lock: number, lockPath: Buffer): boolean;
  penAbandon(pen: number): void;
  penReturn(pen: number, told: Buffer): void;
  penDrop(pen: number): void;
}

export interface HopAddon extends Addon {
  /** `told`: of so many events, and of so many integers of `rounds`. */
  open(told: (count: number, rounds: number) => void): Hop;
}

/** In the second number of an event; `unsent` is added to where bytes begin that are to be written, and were not read. */
export const writable = -1;
export const unsent = 1 << 30;
export const reading = 1;
export const writing = 2;

/** Undefined where there is none. */
export function loadHop(): HopAddon | undefined {
  return loadAddon<HopAddon>('hop');
}
