// Outlet: bytes on their way to one client, in order. Where the operator asks for it (`audit.reads: output-commit`), what
// the server answered waits here until the record that it rests on is on disk, so that nobody has seen a result of which
// a power cut leaves no record. Bounded: with too much waiting, the server is not read. Refuses to know frames and what
// the log is. Source: audit-approval §4 (D1).

import type { HoldpointError } from '../errors.ts';
import { Descriptor } from '../hop/descriptor.ts';
import type { Line } from '../hop/line.ts';
import type { Intake } from './intake.ts';
import { writeAll } from './run.ts';
import type { RelayLog } from './uplink.ts';

/** What answers wait for; absent: nothing. */
export interface OutputCommit {
  readonly log: Pick<RelayLog, 'onDisk' | 'synced'>;
  /** Seq of the last record that an answer which comes now can rest on. */
  readonly ref: () => number;
  /** The log cannot be written: nothing more is seen. */
  readonly failed: (error: HoldpointError) => void;
}

interface Waiting {
  readonly frames: readonly Buffer[];
  readonly bytes: number;
  /** The stream stands between two frames behind it. */
  readonly whole: boolean;
  /** It may go once this record is on disk. */
  readonly ref: number;
}

/** Bytes that may wait for the disk before the server is not read any more. */
const waitingBytesMax = 1 << 20;

export class Outlet {
  readonly #client: Line;
  /** Of the server, which is not read while too much waits, or the client takes no more. */
  readonly #intake: Intake;
  readonly #commit: OutputCommit | undefined;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** What was written to the client ends between two frames. */
  #whole = true;
  #emptied: () => void = () => undefined;
  #closed = false;

  constructor(client: Line, intake: Intake, commit: OutputCommit | undefined) {
    this.#client = client;
    this.#intake = intake;
    this.#commit = commit;
  }

  /** What the client was given ends between two frames. */
  get atBoundary(): boolean {
    return this.#whole;
  }

  /** Nothing that came is in the way of what is given to the client elsewhere: a stream keeps the order by itself. */
  get isEmpty(): boolean {
    const isWritten = !(this.#client instanceof Descriptor) || this.#client.writableLength === 0;
    return this.#waiting.length === 0 && isWritten && !this.#closed;
  }

  /** What the client was given meanwhile went by elsewhere. `whole`: it ends between two frames. */
  passedBy(whole: boolean): void {
    this.#whole = whole;
  }

  /** Sends what the server said, as soon as it may be seen. `whole`: it ends between two frames. */
  write(frames: readonly Buffer[], whole: boolean): void {
    const ref = this.#commit?.ref() ?? -1;
    if (this.#waiting.length === 0 && (this.#commit === undefined || ref < this.#commit.log.onDisk)) {
      this.#send(frames, whole);
      return;
    }
    const bytes = frames.reduce((sum, each) => sum + each.length, 0);
    this.#waiting.push({ frames, bytes, whole, ref });
    this.#waitingBytes += bytes;
    if (this.#waitingBytes > waitingBytesMax) this.#intake.stop('log');
    if (this.#waiting.length === 1) this.#await(ref);
  }

  /** Calls `done` once nothing waits, at once if nothing does. What comes afterwards is dropped. */
  finish(done: () => void): void {
    if (this.#waiting.length === 0) {
      this.#closed = true;
      done();
    } else this.#emptied = done;
  }

  /** What waits is never seen. */
  drop(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#emptied();
  }

  #await(ref: number): void {
    this.#commit?.log.synced(ref).then(
      () => this.#release(),
      (error: HoldpointError) => {
        this.#commit?.failed(error);
        this.drop();
      },
    );
  }

  #release(): void {
    const { onDisk } = this.#commit!.log;
    while (!this.#closed) {
      const [first] = this.#waiting;
      if (first === undefined) {
        this.#emptied();
        return;
      }
      if (first.ref >= onDisk) {
        this.#await(first.ref);
        return;
      }
      this.#waiting.shift();
      this.#waitingBytes -= first.bytes;
      if (this.#waitingBytes <= waitingBytesMax) this.#intake.go('log');
      this.#send(first.frames, first.whole);
    }
  }

  #send(frames: readonly Buffer[], whole: boolean): void {
    if (this.#closed) return;
    this.#whole = whole;
    if (!writeAll(this.#client, frames)) this.#intake.stopUntilDrain(this.#client);
  }
}
