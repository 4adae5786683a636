// LogState: where a log stands and what it is written with; the contract between opening a log and writing it.
// Types, and the clock that logs go by.

import type { CompactTree } from '../../verify/src/merkle.ts';
import type { HoldpointError } from '../errors.ts';
import type { Ballast } from './ballast.ts';
import type { Folder } from './folder.ts';
import type { Keyring } from './keyring.ts';
import type { Lock } from './lock.ts';
import type { Manifest } from './manifest.ts';
import type { OpenWork } from './openwork.ts';
import type { Sign, SigningKey } from './seal.ts';
import type { Segment } from './segment.ts';
import type { SideFile } from './sidefile.ts';
import type { ValuesMode } from './values.ts';

/** Time for the log. */
export interface LogClock {
  /** Milliseconds since 1970; may have a fraction; may step. */
  readonly now: () => number;
  /** Milliseconds since any point in the past; never goes back. */
  readonly mono: () => number;
}

export const systemClock: LogClock = { now: () => Date.now(), mono: () => performance.now() };

/** What the log tells the metrics. Called on the hot path: must be cheap and must not throw. */
export interface LogMeter {
  records?(count: number): void;
  /** Seconds between the oldest record of a group and its seal being on disk. */
  sealLag?(seconds: number): void;
  /** A write or sync failed, the signer did, or one of them does not answer. Not yet: that statements are refused. */
  failure?(error: HoldpointError): void;
  /** Statements are refused from now on, for this reason; or are taken again. */
  stopped?(error: HoldpointError | undefined): void;
}

/**
 * Who follows the log as it is written. Called on the event loop right after the fact, in the order of the facts; must
 * be cheap and must not throw: work belongs on the listener's own turn.
 */
export interface LogListener {
  /**
   * The first `size` records are sealed, under this root (base64url), and on disk. Sizes only grow; some are skipped, as
   * groups are.
   */
  sealed?(size: number, root: string): void;
  /** Segment `n` is closed and its manifest line is on disk: its file will not change any more. */
  segmentClosed?(n: number): void;
}

/** Where the log stands; everything `AuditLog` needs to go on. Made by opening.ts. */
export interface LogState {
  readonly folder: Folder;
  readonly keyring: Keyring;
  readonly lock: Lock;
  readonly origin: string;
  readonly boot: string;
  readonly clock: LogClock;
  readonly meter: LogMeter;
  readonly sign: Sign;
  readonly values: ValuesMode;
  /** Where values go that are put aside; undefined where none are. */
  readonly side?: SideFile | undefined;
  /** Least time between two groups that somebody waits for; ten times that when nobody waits. */
  readonly sealMs: number;
  /** After so long without an answer of disk or signer, statements are refused until it comes. */
  readonly stallMs: number;
  /** How often a log that has stopped tries whether it can go on. */
  readonly retryMs: number;
  /** Bytes that the disk has not confirmed, beyond which clients wait; at four times that, statements are refused. */
  readonly unconfirmedBytesMax: number;
  readonly ballast: Ballast;
  readonly segmentBytesMax: number;
  readonly epochMs: number;
  readonly heartbeatMs: number;
  /** The tree over everything in the files. */
  readonly tree: CompactTree;
  readonly head: string;
  readonly sealed: number;
  readonly psh: string;
  readonly manifest: Manifest;
  readonly segment: Segment;
  readonly open: OpenWork;
  readonly epoch: number;
  readonly key: SigningKey;
}

/** How the log is, for /readyz. */
export interface LogHealth {
  /** False while stopped, closed, or waiting for disk or signer for too long. */
  readonly writable: boolean;
  readonly reason: string | undefined;
  /** What is not as it should be, though records are taken. */
  readonly warnings: readonly string[];
  readonly records: number;
  readonly sealed: number;
  /** How long the oldest record has been waiting for its seal; 0 if none waits. */
  readonly unsealedMs: number;
}
