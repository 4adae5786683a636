// Uplink: one relay's direction from the client to the server. What was read is gathered into runs, and a run goes once
// the records of its gates are written, or on disk where one of them asks for it, in the order it came. Frames behind a
// gated Parse wait in front of it. Refuses to know what a frame means. Source: DESIGN §1.4, §1.9, §6; audit-approval §4.

import type { HoldpointError } from '../errors.ts';
import type { Line } from '../hop/line.ts';
import type { Durability } from '../session/gate.ts';
import type { Framer } from '../wire/framer.ts';
import type { Intake } from './intake.ts';
import { Run, writeAll } from './run.ts';

/** What the uplink needs of the log. Seqs count all records, of every session. */
export interface RelayLog {
  /** Calls back once everything appended so far has been written to the file, or cannot be; not while `congested`. */
  written(done: (error?: HoldpointError) => void): void;
  /** True while so much waits for the disk that nothing more should be read. */
  readonly congested: boolean;
  /** Records appended so far. */
  readonly size: number;
  /** How many of them, from the first on, are on disk; and sealed there. */
  readonly onDisk: number;
  readonly sealed: number;
  /** Settles once record `seq` is on disk; rejects with `log-unwritable` if that can no longer happen. */
  synced(seq: number): Promise<void>;
  /** As `synced`, and once it is sealed. */
  durable(seq: number): Promise<void>;
}

export interface UplinkOptions {
  readonly server: Line;
  /** Of the client, which is not read while the server or the log is behind. */
  readonly intake: Intake;
  readonly log: RelayLog;
  /** A run of `count` recorded gates was written, `seconds` after it was begun. */
  readonly written: (seconds: number, count: number) => void;
  /** The log cannot be written: nothing goes on. */
  readonly failed: (error: HoldpointError) => void;
}

/** A run that was begun elsewhere: see `resumes`. */
export interface UnderWay {
  readonly bytes: Buffer | undefined;
  readonly isWritten: boolean;
  readonly durability: Durability;
}

/** A run that waits for the log, or behind one that does. */
interface Batch {
  readonly frames: readonly Buffer[];
  readonly bytes: number;
  /** Gates recorded for it, and the seq of the last record of the session by then. */
  readonly recorded: number;
  readonly ref: number;
  /** Monotonic milliseconds when it was read. */
  readonly since: number;
  /** The log has what it waits for. */
  ready: boolean;
}

/** Bytes that may wait for the log before the client is not read any more. */
const loggingBytesMax = 4 << 20;
/** Bytes of deferred frames; beyond it they go to the server, which executes nothing of them. */
const deferredBytesMax = 1 << 20;

export class Uplink {
  readonly #options: UplinkOptions;
  readonly #run = new Run();
  #deferred: Buffer[] = [];
  #deferredBytes = 0;
  /** Runs that are not written to the server yet, in order. */
  readonly #batches: Batch[] = [];
  #batchesBytes = 0;
  /** Gates recorded since the last batch, and whether what comes next waits for the disk, and for a seal. */
  #recorded = 0;
  #barrier: 'disk' | 'seal' | undefined;
  /** Seq of the session's last record, and of the last one whose run is the server's. */
  #ref = -1;
  #sentRef = -1;
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

  /** Seq of the last record that the server has the run of: what it answers rests on no later one. */
  get sentRef(): number {
    return this.#sentRef;
  }

  /** A gate's record, `ref` where it is known, was appended: what is gathered now waits until it is as it must be. */
  recorded(ref: number, durability: Durability): void {
    this.#recorded += 1;
    if (ref > this.#ref) this.#ref = ref;
    if (durability === 'disk' || durability === 'seal') this.#await(durability);
  }

  /** What is gathered now waits until everything recorded so far is on disk, or sealed there. */
  barrier(what: 'disk' | 'seal'): void {
    const { onDisk, sealed } = this.#options.log;
    if (this.#ref >= (what === 'seal' ? sealed : onDisk)) this.#await(what);
  }

  #await(what: 'disk' | 'seal'): void {
    if (this.#barrier !== 'seal') this.#barrier = what;
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

  /** Nothing waits here, and the server has taken all that it was sent. */
  get isIdle(): boolean {
    return (
      this.#batches.length === 0 &&
      this.#deferred.length === 0 &&
      this.#recorded === 0 &&
      this.#barrier === undefined &&
      this.#options.server.writableLength === 0
    );
  }

  /**
   * Records up to `ref` were made elsewhere. `underWay`: the run of the last one, as far as the server does not have it, whether
   * its record is as it must be, and whether that is on disk.
   */
  resumes(ref: number, underWay?: UnderWay): void {
    this.#ref = Math.max(this.#ref, ref);
    const bytes = underWay?.bytes;
    if (bytes !== undefined && underWay?.isWritten === false) {
      this.begin(performance.now());
      this.recorded(ref, underWay.durability);
      this.add(bytes);
      this.commit();
      return;
    }
    this.#sentRef = this.#ref;
    if (bytes !== undefined) this.#send([bytes]);
  }

  /** What was gathered goes to the server: once the log has its records as they must be, in the order it came. */
  commit(): void {
    const frames = this.#run.take();
    if (frames.length === 0) return;
    const recorded = this.#recorded;
    const barrier = this.#barrier;
    if (recorded === 0 && barrier === undefined && this.#batches.length === 0) {
      this.#send(frames);
      return;
    }
    this.#recorded = 0;
    this.#barrier = undefined;
    const { log, intake } = this.#options;
    const bytes = frames.reduce((sum, each) => sum + each.length, 0);
    const batch = { frames, bytes, recorded, ref: this.#ref, since: this.#begunAt, ready: false };
    this.#batches.push(batch);
    this.#batchesBytes += bytes;
    if (this.#batchesBytes > loggingBytesMax || log.congested) intake.stop('log');
    const done = (error?: HoldpointError): void => this.#logged(batch, error);
    // The last record of all is no later than what the next group takes with it anyway.
    if (barrier === 'seal') log.durable(log.size - 1).then(() => done(), done);
    else if (barrier === 'disk') log.synced(log.size - 1).then(() => done(), done);
    else if (recorded > 0) log.written(done);
    else batch.ready = true;
  }

  /** Nothing goes to the server any more. */
  close(): void {
    this.#closed = true;
  }

  /** The log has what a batch waits for; it goes when those in front of it have gone. */
  #logged(batch: Batch, error: HoldpointError | undefined): void {
    if (this.#closed) return;
    if (error !== undefined) {
      this.#options.failed(error);
      return;
    }
    batch.ready = true;
    const { written } = this.#options;
    while (this.#batches[0]?.ready === true && !this.#closed) {
      const { frames, bytes, recorded, ref, since } = this.#batches.shift()!;
      this.#batchesBytes -= bytes;
      this.#readOn();
      this.#sentRef = ref;
      this.#send(frames);
      if (recorded > 0) written((performance.now() - since) / 1000, recorded);
    }
  }

  /** Reads the client again if neither its own runs nor those of all others are too many. */
  #readOn(): void {
    const { intake, log } = this.#options;
    if (this.#batchesBytes > loggingBytesMax || this.#closed) return;
    // A log that has stopped answers at once; what the client sends then is refused, which is better than silence.
    if (log.congested) log.written((error) => (error === undefined ? this.#readOn() : intake.go('log')));
    else intake.go('log');
  }

  #send(frames: readonly Buffer[]): void {
    const { server, intake } = this.#options;
    if (!writeAll(server, frames)) intake.stopUntilDrain(server);
  }
}
