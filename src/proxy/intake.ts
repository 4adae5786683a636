// Intake: whether one socket is being read. There may be several reasons not to; it is read while there is none.
// The one place for back-pressure, used in both directions.

import type { Line } from '../hop/line.ts';

/** `read-ahead`: a parked client sent enough. `drain`: the other socket cannot take more. `log`: it is behind. */
export type StopReason = 'read-ahead' | 'drain' | 'log';

export class Intake {
  readonly #socket: Line;
  readonly #reasons = new Set<StopReason>();

  constructor(socket: Line) {
    this.#socket = socket;
  }

  get isOpen(): boolean {
    return this.#reasons.size === 0;
  }

  stop(reason: StopReason): void {
    this.#reasons.add(reason);
    this.#socket.pause();
  }

  go(reason: StopReason): void {
    if (this.#reasons.delete(reason) && this.#reasons.size === 0) this.#socket.resume();
  }

  /** Reads whatever the reasons were: nobody is left to be spared. */
  goAlways(): void {
    this.#reasons.clear();
    this.#socket.resume();
  }

  /** Stops until `sink` has room again. */
  stopUntilDrain(sink: Line): void {
    if (this.#reasons.has('drain')) return;
    this.stop('drain');
    sink.once('drain', () => this.go('drain'));
  }
}
