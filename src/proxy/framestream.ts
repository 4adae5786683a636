// FrameStream: a socket read one whole frame at a time, for the few messages of a login. Unlike the relay it is pulled
// by promises, assembles everything, and has a small limit. Refuses to know what the frames mean.

import type { Duplex } from 'node:stream';
import { HoldpointError } from '../errors.ts';
import { Framer, type FrameView, NONE, type TypeTable } from '../wire/framer.ts';

export interface FrameStreamOptions {
  /** Types that may come; any other is `protocol-violation`. */
  readonly known: TypeTable;
  readonly frameBytesMax: number;
}

export class FrameStream {
  readonly #socket: Duplex;
  readonly #framer: Framer;
  readonly #waitingBytesMax: number;
  #failure: Error | undefined;
  #wake: () => void = () => undefined;

  constructor(socket: Duplex, options: FrameStreamOptions, head: Buffer = Buffer.alloc(0)) {
    this.#socket = socket;
    this.#waitingBytesMax = options.frameBytesMax;
    this.#framer = new Framer({
      wanted: options.known,
      known: options.known,
      frameBytesMax: () => options.frameBytesMax,
    });
    this.#framer.push(head);
    socket.on('data', this.#data);
    socket.on('close', this.#closed);
    socket.on('error', this.#failed);
  }

  /** The next frame, in memory of its own. Rejects when the socket closes, or on a frame that may not come. */
  async next(): Promise<FrameView> {
    for (;;) {
      if (this.#framer.next() !== NONE) {
        const bytes = this.#framer.copy();
        return { type: this.#framer.type, buffer: bytes, start: 0, end: bytes.length };
      }
      if (this.#failure !== undefined) throw this.#failure;
      this.#socket.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Lets go of the socket, paused; returns the bytes that were read and not given out. */
  detach(): Buffer {
    this.#socket.pause();
    this.#socket.off('data', this.#data);
    this.#socket.off('close', this.#closed);
    this.#socket.off('error', this.#failed);
    return this.#framer.rest();
  }

  readonly #data = (chunk: Buffer): void => {
    this.#framer.push(chunk);
    // Whoever sends more than one message in a login need not be read until the first is answered.
    if (this.#framer.pendingBytes > this.#waitingBytesMax) this.#socket.pause();
    this.#wake();
  };

  readonly #closed = (): void => {
    this.#failure ??= new HoldpointError(
      'upstream-unreachable',
      'the connection was closed during the login',
    );
    this.#wake();
  };

  readonly #failed = (error: Error): void => {
    this.#failure ??= error;
    this.#wake();
  };
}
