// Generations: a cache in two parts: what is asked for again moves to the young one, and when that has half of the budget,
// the old one is forgotten. Knows sizes, and no values.

interface Entry<Value> {
  readonly value: Value;
  readonly bytes: number;
}

export class Generations<Value> {
  readonly #bytesMax: number;
  #young = new Map<string, Entry<Value>>();
  #old = new Map<string, Entry<Value>>();
  #youngBytes = 0;

  /** `bytesMax`: of everything that is kept, as whoever keeps it counts. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young.value;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.set(key, old.value, old.bytes);
    return old.value;
  }

  /** What takes more than an eighth of the budget is not kept. */
  set(key: string, value: Value, bytes: number): void {
    if (bytes > this.#bytesMax / 8) return;
    if (this.#youngBytes + bytes > this.#bytesMax / 2) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, { value, bytes });
    this.#youngBytes += bytes;
  }
}
