// Bypass: one direction's stream of frames that nobody looks at, rows or COPY data, let past the framer while nothing else is to
// be done with the stream. Refuses to know what the frames mean and what else goes the same way: that is for who opens it.

import type { Line } from '../hop/line.ts';
import { Passage } from '../hop/passage.ts';
import type { Framer } from '../wire/framer.ts';

export class Bypass {
  readonly #source: Line;
  readonly #sink: Line;
  readonly #framer: Framer;
  readonly #frameBytesMax: (type: number) => number;
  /** Made for those who stream; null where there is none to be had. */
  #passage: Passage | null | undefined;

  /** `framer` is that of what `source` sends; `frameBytesMax` is its too. */
  constructor(source: Line, sink: Line, framer: Framer, frameBytesMax: (type: number) => number) {
    this.#source = source;
    this.#sink = sink;
    this.#framer = framer;
    this.#frameBytesMax = frameBytesMax;
  }

  get isOpen(): boolean {
    return this.#passage?.isOpen === true;
  }

  /** The framer stands among frames that nobody wants. */
  get isWanted(): boolean {
    return this.#framer.passing !== 0 && this.#passage !== null;
  }

  /** What comes next goes by, where it is wanted, and nothing that came before waits. */
  open(): void {
    const type = this.#framer.passing;
    if (type === 0) return;
    this.#passage ??= Passage.between(this.#source, this.#sink) ?? null;
    this.#passage?.open(type, this.#framer.passingBytes, this.#frameBytesMax(type));
  }

  /** Nothing goes by any more, and the framer stands where the stream does. False if it was not open. */
  shut(): boolean {
    const rest = this.#passage?.shut();
    if (rest === undefined) return false;
    this.#framer.passedBy(rest);
    return true;
  }
}
