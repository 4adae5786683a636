// Run: consecutive bytes on their way to one socket. Frames that follow one another in the same chunk become one
// subarray and one write; nothing is copied unless the framer would write over it. Refuses to know what the bytes are.

import type { Line } from '../hop/line.ts';
import type { Framer } from '../wire/framer.ts';

export class Run {
  #batch: Buffer[] = [];
  #buffer: Buffer | undefined;
  #start = 0;
  #end = 0;

  /** Adds the framer's present view. */
  append(view: Framer): void {
    if (view.assembled) {
      this.add(view.copy());
      return;
    }
    if (this.#buffer === view.buffer && this.#end === view.start) {
      this.#end = view.end;
      return;
    }
    this.#close();
    this.#buffer = view.buffer;
    this.#start = view.start;
    this.#end = view.end;
  }

  /** Adds bytes of the caller's, who must not change them. */
  add(bytes: Buffer): void {
    this.#close();
    this.#batch.push(bytes);
  }

  /** What has gathered, in order. The run is empty afterwards. */
  take(): Buffer[] {
    this.#close();
    const batch = this.#batch;
    if (batch.length > 0) this.#batch = [];
    return batch;
  }

  #close(): void {
    if (this.#buffer === undefined) return;
    this.#batch.push(this.#buffer.subarray(this.#start, this.#end));
    this.#buffer = undefined;
  }
}

/** Writes a run in one go. False when the socket asks to wait for `drain`. */
export function writeAll(socket: Line, batch: readonly Buffer[]): boolean {
  return socket.write(batch.length === 1 ? batch[0]! : Buffer.concat(batch));
}
