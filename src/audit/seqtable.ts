// SeqTable: a small number for each of some records, by their seqs. Statements come and go by the thousand in a second, and a
// Map makes garbage of each: here an entry is a cell, taken and given back. Pure.

/** Of a table with nothing in it, as a power of two. */
const bitsMin = 6;
const nobody = -1;
/** Seqs that follow each other come to stand far apart, so that there are no long rows of them. Knuth 6.4, 2^32 / φ. */
const scatter = 0x9e3779b1;

export class SeqTable {
  /** Open addressing with linear probing, at most half full. */
  #bits = bitsMin;
  #seqs = new Float64Array(1 << bitsMin).fill(nobody);
  #values = new Uint8Array(1 << bitsMin);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** `value`: 0 to 255. */
  set(seq: number, value: number): void {
    let at = this.#find(seq);
    if (this.#seqs[at] === nobody) {
      if (2 * (this.#size + 1) > this.#seqs.length) {
        this.#grow();
        at = this.#find(seq);
      }
      this.#size += 1;
      this.#seqs[at] = seq;
    }
    this.#values[at] = value;
  }

  get(seq: number): number | undefined {
    const at = this.#find(seq);
    return this.#seqs[at] === nobody ? undefined : this.#values[at];
  }

  /** False if it was not there. */
  delete(seq: number): boolean {
    const seqs = this.#seqs;
    const mask = seqs.length - 1;
    let hole = this.#find(seq);
    if (seqs[hole] === nobody) return false;
    this.#size -= 1;
    // What stands behind it and would have stood here is moved up, so that no search ends too early.
    for (let at = (hole + 1) & mask; seqs[at] !== nobody; at = (at + 1) & mask) {
      const home = this.#home(seqs[at]!);
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      seqs[hole] = seqs[at]!;
      this.#values[hole] = this.#values[at]!;
      hole = at;
    }
    seqs[hole] = nobody;
    return true;
  }

  /** In the order of their seqs. */
  entries(): [seq: number, value: number][] {
    const found: [number, number][] = [];
    for (const [at, seq] of this.#seqs.entries()) if (seq !== nobody) found.push([seq, this.#values[at]!]);
    return found.sort(([a], [b]) => a - b);
  }

  /** Where it is, or else where it would be. */
  #find(seq: number): number {
    const seqs = this.#seqs;
    const mask = seqs.length - 1;
    let at = this.#home(seq);
    while (seqs[at] !== nobody && seqs[at] !== seq) at = (at + 1) & mask;
    return at;
  }

  #home(seq: number): number {
    return Math.imul(seq, scatter) >>> (32 - this.#bits);
  }

  #grow(): void {
    const [seqs, values] = [this.#seqs, this.#values];
    this.#bits += 1;
    this.#seqs = new Float64Array(1 << this.#bits).fill(nobody);
    this.#values = new Uint8Array(1 << this.#bits);
    for (const [from, seq] of seqs.entries()) {
      if (seq === nobody) continue;
      const at = this.#find(seq);
      this.#seqs[at] = seq;
      this.#values[at] = values[from]!;
    }
  }
}
