// Briefs: what is to be noted of records that the disk has not confirmed yet, in order, in as little as can be kept of very
// many. Refuses to know what they mean.

import type { Brief } from './openwork.ts';
import type { RecordBody } from './record.ts';

/** Room at first. */
const codesMin = 256;
/** Stands for the next of the bodies; no brief is that number. */
const body = Number.NEGATIVE_INFINITY;

export class Briefs {
  #codes = new Float64Array(codesMin);
  #from = 0;
  #to = 0;
  readonly #bodies: RecordBody[] = [];

  get length(): number {
    return this.#to - this.#from;
  }

  push(brief: Brief): void {
    if (this.#to === this.#codes.length) this.#makeRoom();
    const isNumber = typeof brief === 'number';
    if (!isNumber) this.#bodies.push(brief);
    this.#codes[this.#to] = isNumber ? brief : body;
    this.#to += 1;
  }

  /** Tells `note` of the first `count` and forgets them; `seq` is that of the first. */
  shift(count: number, seq: number, note: (brief: Brief, seq: number) => void): void {
    const end = Math.min(this.#from + count, this.#to);
    for (let of = seq; this.#from < end; of += 1, this.#from += 1) {
      const code = this.#codes[this.#from]!;
      note(code === body ? this.#bodies.shift()! : code, of);
    }
    if (this.#from === this.#to) this.#from = this.#to = 0;
  }

  /** What was forgotten makes some, if that is worth it. */
  #makeRoom(): void {
    const { length } = this;
    const codes = 2 * length > this.#codes.length ? new Float64Array(2 * length) : this.#codes;
    codes.set(this.#codes.subarray(this.#from, this.#to));
    this.#codes = codes;
    this.#from = 0;
    this.#to = length;
  }
}
