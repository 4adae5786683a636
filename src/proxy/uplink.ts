// Uplink: one relay's direction from the client to the server. What was read is gathered into runs, and a run goes once
// the records of its gates are written, in the order it came. Frames behind a gated Parse wait in front of it. Refuses
// to know what a frame means. Source: DESIGN §1.4, §1.9, §6.

import type { Duplex } from 'node:stream';
import type { HoldpointError } from '../errors.ts';
import type { Framer } from '../wire/framer.ts';
import type { Intake } from './intake.ts';
import { Run, writeAll } from './run.ts';

/** What the uplink needs of the log. */
export interface RelayLog {
  /** Calls back once everything appended so far has been written to the file, or cannot be. */
  written(done: (error?: HoldpointError) => void): void;
}

export interface UplinkOptions {
  readonly server: Duplex;
  /** Of the client, which is not read while the server or the log is behind. */
  readonly intake: Intake;
  readonly log: RelayLog;
  /** A run of `count` recorded gates was written, `seconds` after it was begun. */
  readonly written: (seconds: number, count: number) => void;
  /** The log cannot be written: nothing goes on. */
  readonly failed: (error: HoldpointError) => void;
}

/** Bytes that may wait for the log's turn before the client is not read any more. */
const loggingBytesMax = 4 << 20;
/** Bytes of deferred frames; beyond it they go to the server, which executes nothing of them. */
const deferredBytesMax = 1 << 20;

export class Uplink {
  readonly #options: UplinkOptions;
  readonly #run = new Run();
  #deferred: Buffer[] = [];
  #deferredBytes = 0;
  /** Batches handed to the log's turn and not yet written to the server. */
  #batches = 0;
  #batchesBytes = 0;
  /** Gates recorded since the last batch. */
  #recorded = 0;
  #begunAt = 0;
  #closed = false;

  constructor(options: UplinkOptions) {
    this.#options = options;
  }

  /** What comes now was read at `now`, in monotonic milliseconds. */
  begin(now: number): void {
    this.#begunAt = now;
  }

  /** Adds the framer's present view. */
  append(view: Framer): void {
    this.#run.append(view);
  }

  /** Adds bytes of the caller's, who must not change them. */
  add(bytes: Buffer): void {
    this.#run.add(bytes);
  }

  /** A gate's record was appended: what is gathered now waits until it is written. */
  recorded(): void {
    this.#recorded += 1;
  }

  /** A frame that waits for its Bind. False when there is no room for more: `sendDeferred` must follow. */
  defer(bytes: Buffer): boolean {
    this.#deferred.push(bytes);
    this.#deferredBytes += bytes.length;
    return this.#deferredBytes <= deferredBytesMax;
  }

  sendDeferred(): void {
    if (this.#deferred.length > 0) for (const bytes of this.takeDeferred()) this.#run.add(bytes);
  }

  takeDeferred(): Buffer[] {
    const frames = this.#deferred;
    this.#deferred = [];
    this.#deferredBytes = 0;
    return frames;
  }

  /** What was gathered goes to the server: after its records are written, in the order it came. */
  commit(): void {
    const batch = this.#run.take();
    if (batch.length === 0) return;
    const recorded = this.#recorded;
    if (recorded === 0 && this.#batches === 0) {
      this.#send(batch);
      return;
    }
    const { intake, log, written, failed } = this.#options;
    const since = this.#begunAt;
    const bytes = batch.reduce((sum, each) => sum + each.length, 0);
    this.#recorded = 0;
    this.#batches += 1;
    this.#batchesBytes += bytes;
    if (this.#batchesBytes > loggingBytesMax) intake.stop('log');
    log.written((error) => {
      this.#batches -= 1;
      this.#batchesBytes -= bytes;
      if (this.#batchesBytes <= loggingBytesMax) intake.go('log');
      if (this.#closed) return;
      if (error !== undefined) {
        failed(error);
        return;
      }
      this.#send(batch);
      if (recorded > 0) written((performance.now() - since) / 1000, recorded);
    });
  }

  /** Nothing goes to the server any more. */
  close(): void {
    this.#closed = true;
  }

  #send(batch: readonly Buffer[]): void {
    const { server, intake } = this.#options;
    if (!writeAll(server, batch)) intake.stopUntilDrain(server);
  }
}
