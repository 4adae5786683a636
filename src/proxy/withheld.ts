// Withheld: what the server answered to an enclosure, kept back until it is certain that it stands. Frames that are the
// client's whatever becomes of it (notifications, settings) keep their place among them. Pure but for the bytes it
// holds, which are bounded. Refuses to know what a frame means.

import type { Place } from '../session/step.ts';

/** Output of one enclosure that is kept back, in bytes. */
export const withheldBytesMax = 256 << 10;

interface Kept {
  readonly bytes: Buffer;
  /** It is the client's even if the enclosure is undone. */
  readonly lasting: boolean;
}

export class Withheld {
  readonly #overflows: () => 'stream' | 'swallow';
  #kept: Kept[] = [];
  #keptBytes = 0;
  /** Index of the frame that ends a Query; -1 while there is none. */
  #tail = -1;
  #mode: 'keep' | 'stream' | 'swallow' = 'keep';

  /** `overflows` is asked once, when there is too much to keep. */
  constructor(overflows: () => 'stream' | 'swallow') {
    this.#overflows = overflows;
  }

  /** A whole frame. Its bytes must not change. */
  frame(bytes: Buffer, place: Place): void {
    if (this.#mode === 'swallow') return;
    if (place === 'before-tail' && this.#tail >= 0) {
      this.#kept.splice(this.#tail, 0, { bytes, lasting: false });
      this.#tail += 1;
    } else if (place === 'instead-of-tail' && this.#tail >= 0) {
      this.#kept[this.#tail] = { bytes, lasting: false };
      this.#tail = -1;
    } else {
      if (place === 'tail') this.#tail = this.#kept.length;
      this.#kept.push({ bytes, lasting: false });
    }
    this.#keptBytes += bytes.length;
  }

  /** Bytes that are the client's in any case. Returns what goes to it now. */
  lasting(bytes: Buffer): Buffer[] {
    if (this.#kept.length === 0) return [bytes];
    this.#kept.push({ bytes, lasting: true });
    return [];
  }

  /**
   * Pieces of rows or of COPY data, `enclosed` or of a statement before. Returns what goes to the client now: once it
   * streams, all.
   */
  passage(bytes: Buffer, enclosed: boolean): Buffer[] {
    if (!enclosed) return this.lasting(bytes);
    this.#kept.push({ bytes, lasting: false });
    this.#keptBytes += bytes.length;
    if (this.#mode === 'keep' && this.#keptBytes > withheldBytesMax) this.#mode = this.#overflows();
    if (this.#mode === 'keep') return [];
    const given = this.take(this.#mode === 'stream');
    // Only what a person may not see yet is dropped; the rest keeps waiting for its place.
    if (this.#mode === 'stream') return given;
    this.#kept = given.map((each) => ({ bytes: each, lasting: true }));
    return [];
  }

  /** What the client gets. `kept`: the enclosure stands. */
  take(kept: boolean): Buffer[] {
    const given = this.#kept.filter(({ lasting }) => kept || lasting).map(({ bytes }) => bytes);
    this.#kept = [];
    this.#keptBytes = 0;
    this.#tail = -1;
    return given;
  }
}
