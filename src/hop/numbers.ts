// Numbers: a list of numbers that is filled again and again. An array of JavaScript's would make an object of most of them.

export class Numbers {
  #all = new Float64Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(number: number): void {
    if (this.#length === this.#all.length) {
      const more = new Float64Array(2 * this.#length);
      more.set(this.#all);
      this.#all = more;
    }
    this.#all[this.#length] = number;
    this.#length += 1;
  }

  /** They are forgotten; what is returned is written over by the next ones. */
  take(): Float64Array {
    const taken = this.#all.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }
}
