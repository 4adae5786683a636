// Passage: rows and COPY data on their way from one descriptor to another without JavaScript (native/passage.h). Whoever frames
// the stream opens it in the middle of such frames, and shuts it before he looks at the stream again, or writes to where it
// leads. Refuses to know what the frames are. Where there is no hop there are no passages.

import { Descriptor, hopHere } from './descriptor.ts';
import type { Hop } from './hop.ts';
import type { Line } from './line.ts';

/** Of a frame: the largest length that can be told apart from a negative one. */
const lengthMax = 0x7fffffff;

export class Passage {
  readonly #hop: Hop;
  readonly #source: Descriptor;
  readonly #sink: Descriptor;
  #isOpen = false;
  /** Bytes that were still to come when one of the two was closed. */
  #last: number | undefined;

  private constructor(hop: Hop, source: Descriptor, sink: Descriptor) {
    this.#hop = hop;
    this.#source = source;
    this.#sink = sink;
    for (const end of [source, sink]) end.onClosing(() => this.#cut());
  }

  /** A passage between two lines, shut; undefined where there is none. */
  static between(source: Line, sink: Line): Passage | undefined {
    const hop = hopHere();
    if (hop === undefined || !(source instanceof Descriptor) || !(sink instanceof Descriptor))
      return undefined;
    return new Passage(hop, source, sink);
  }

  /** It was opened, and nobody asked since how far it went. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * From now on frames of `type` pass, of at most `frameBytesMax` bytes. `restBytes`: of one that is begun, still to come. Stays
   * shut where something waits on either side.
   */
  open(type: number, restBytes: number, frameBytesMax: number): void {
    if (this.#last !== undefined || !this.#source.isFlowing || this.#sink.writableLength > 0) return;
    const { fd } = this.#source;
    this.#isOpen = this.#hop.passOpen(
      fd,
      this.#sink.fd,
      type,
      restBytes,
      Math.min(frameBytesMax - 1, lengthMax),
    );
  }

  /** Nothing passes any more. Returns the bytes of the frame begun that are still to come; undefined if it was not open. */
  shut(): number | undefined {
    if (!this.#isOpen) return undefined;
    this.#isOpen = false;
    return this.#last ?? this.#hop.passShut(this.#source.fd);
  }

  #cut(): void {
    this.#last ??= this.#isOpen ? this.#hop.passShut(this.#source.fd) : 0;
  }
}
