// Native: the addon native/hop.c as this process has it, or not. Prebuilt for Linux on x64 and arm64; where there is none,
// or it cannot be loaded, everything goes over Node's sockets as it would without it. HOLDPOINT_HOP=off leaves it out.

import { createRequire } from 'node:module';

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
}

export interface HopAddon {
  open(told: (count: number) => void): Hop;
  /** SHA-256 of the source that it was built from, in hex. */
  readonly source: string;
}

/** In the second number of an event. */
export const writable = -1;
export const reading = 1;
export const writing = 2;

/** Undefined where there is none for this platform. */
export function loadHop(): HopAddon | undefined {
  if (process.env.HOLDPOINT_HOP === 'off') return undefined;
  try {
    return createRequire(import.meta.url)(`./prebuilt/${process.platform}-${process.arch}.node`) as HopAddon;
  } catch {
    return undefined;
  }
}
