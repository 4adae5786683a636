// Holding: what the relay does with a gate that waits for a person: keeps its frames, and in the end sends them, a stand-in
// or nothing. From the release on the statement counts as sent; until then nothing of it goes on. Refuses to know what a
// frame means and how a decision comes about (parking.ts). Source: DESIGN §4 (7b–9), §1.8.

import { HoldpointError } from '../errors.ts';
import type { Gate } from '../session/gate.ts';
import { changedSinceError } from '../session/refusal.ts';
import type { Session } from '../session/session.ts';
import { flush } from '../wire/messages/frontend.ts';
import type { Parked, RelayBook } from './book.ts';
import type { Interruption, ParkingEnd } from './parking.ts';
import type { Uplink } from './uplink.ts';

/**
 * How the relay goes on. `on`: with the next frame. `again`: the frame in view is offered once more. `enclosed`: the
 * session's enclosure runs. `end`: the session ends with that error.
 */
export type AfterHold =
  | { readonly kind: 'on' | 'again' | 'enclosed' }
  | { readonly kind: 'end'; readonly error: HoldpointError };

export interface HoldingOptions {
  readonly session: Session;
  readonly book: RelayBook;
  readonly uplink: Uplink;
  /** Sends a NoticeResponse at the next frame boundary. */
  readonly notice: (bytes: Buffer) => void;
  /** Which of the two sockets are still there. */
  readonly here: () => 'both' | 'server' | 'nobody';
  readonly goOn: (how: AfterHold) => void;
  readonly failed: (error: unknown) => void;
  /** What became of a hold is recorded. */
  readonly over: () => void;
}

export class Holding {
  readonly #options: HoldingOptions;
  #parking: Parked | undefined;
  #busy = false;
  /** Waits for the server to say where it stands. */
  #onAnswer: () => void = () => undefined;

  constructor(options: HoldingOptions) {
    this.#options = options;
  }

  /** From the beginning of a hold until what became of it is recorded. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Ends the hold; false where there is none, or its statement counts as sent. */
  interrupt(cause: Interruption): boolean {
    this.#parking?.interrupt(cause);
    return this.#parking !== undefined;
  }

  /** The server has said something, or never will. */
  answered(): void {
    this.#onAnswer();
  }

  /** `frame`: the Query or Bind of the gate, in memory of its own. Pulls no frames until `goOn`. */
  park(gate: Gate, frame: Buffer): void {
    const { session, book, uplink, here } = this.#options;
    const frames = [...uplink.takeDeferred(), frame];
    // Answers to earlier frames of the segment must reach the client before the wait.
    if (session.segmentOpen) uplink.add(flush());
    uplink.commit();
    const parking = book.park(gate, frames, this.#options.notice);
    this.#parking = parking;
    if (here() !== 'both') parking.interrupt('gone');
    this.#busy = true;
    parking
      .run()
      .then((end) => this.#unpark(gate, frames, end))
      .catch((error) => this.#options.failed(error))
      .finally(() => {
        this.#busy = false;
        this.#options.over();
      });
  }

  async #unpark(gate: Gate, frames: readonly Buffer[], end: ParkingEnd): Promise<void> {
    const { book, here, goOn } = this.#options;
    if (end.kind === 'release') {
      // From here on the statement counts as sent: an interruption comes too late.
      this.#parking = undefined;
      const change = await this.#beforeRelease(gate, end);
      if (change instanceof HoldpointError) {
        book.superseded(gate, end, change);
        if (here() === 'both') this.#refuse(gate, frames, change);
        return;
      }
      if (change !== undefined) {
        book.superseded(gate, end, changedSinceError(change));
        this.#holdAgain(frames, change);
        return;
      }
    }
    this.#parking = undefined;
    if (here() !== 'both' || end.kind === 'abandon') {
      const error = end.kind === 'refuse' ? end.error : undefined;
      book.unreleased(gate, error, end.kind === 'release' ? end.grant.rid : end.rid);
      return;
    }
    if (end.kind === 'release') this.#release(gate, frames, end.grant.rowsMax);
    else {
      book.unreleased(gate, end.error, end.rid);
      if (end.error.code === 'shutdown') goOn({ kind: 'end', error: end.error });
      else this.#refuse(gate, frames, end.error);
    }
  }

  /**
   * Records the intent, unless the gate is not any more what was approved: then why, in a clause. An error: the log of
   * it did not get outside in time.
   */
  async #beforeRelease(
    gate: Gate,
    end: Extract<ParkingEnd, { kind: 'release' }>,
  ): Promise<string | HoldpointError | undefined> {
    const { rowsMax } = end.grant;
    const change = (await this.#options.book.change(gate)) ?? (await this.#unboundable(gate, rowsMax));
    if (change !== undefined) return change;
    const notOutside = await this.#options.book.intent(gate, end);
    return notOutside ?? this.#unboundable(gate, rowsMax);
  }

  /** Why the rows of a gate cannot be bounded where it would run, once the server has said where that is. */
  async #unboundable(gate: Gate, rowsMax: number | undefined): Promise<string | undefined> {
    if (rowsMax === undefined) return undefined;
    for (;;) {
      const now = this.#options.session.boundedRelease(gate);
      if (now.kind === 'unbounded') return `the approval bounds its rows, and it ${now.why}`;
      if (now.kind !== 'wait' || this.#options.here() === 'nobody') return undefined;
      await new Promise<void>((resolve) => {
        this.#onAnswer = resolve;
      });
    }
  }

  /** Sends what was held; with `rowsMax` within an enclosure that undoes more. */
  #release(gate: Gate, frames: readonly Buffer[], rowsMax: number | undefined): void {
    const { session, uplink, goOn } = this.#options;
    // Where it cannot be enclosed any more, the server does not run it.
    if (rowsMax === undefined || session.boundedRelease(gate).kind !== 'enclose') {
      session.released(gate, performance.now());
      for (const frame of frames) uplink.add(frame);
      goOn({ kind: 'on' });
      return;
    }
    for (const frame of frames.slice(0, -1)) uplink.add(frame);
    const last = frames.at(-1)!;
    const view = { type: last[0]!, buffer: last, start: 0, end: last.length };
    goOn({ kind: session.releasedWithin(gate, view, rowsMax) ? 'enclosed' : 'on' });
  }

  #refuse(gate: Gate, frames: readonly Buffer[], error: HoldpointError): void {
    const { session, uplink, goOn } = this.#options;
    const standIn = session.refused(gate, error);
    for (const frame of frames.slice(0, -1)) uplink.add(frame);
    uplink.add(standIn);
    goOn({ kind: 'on' });
  }

  /** Offers the frame in view once more; what was deferred in front of it waits as it did. */
  #holdAgain(frames: readonly Buffer[], change: string): void {
    if (this.#options.here() === 'nobody') return;
    for (const frame of frames.slice(0, -1)) this.#options.uplink.defer(frame);
    this.#options.session.heldAgain(change);
    this.#options.goOn({ kind: 'again' });
  }
}
