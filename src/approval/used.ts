// Used: the requests that this node knows to have been used, here or on another node, until the end of their time. The
// store decides who uses a request; this is what remains true when the store forgets that it did. Pure. Forgets with the
// process: what was used before it began, the lineage of the store's rows tells (store/redis.ts).

/** Kept at most; beyond it the ones that end soonest are forgotten. A use needs a person, so there are never so many. */
const usedMax = 100_000;

/** One a desk. */
export class Used {
  /** Name of the request → the end of its time, in milliseconds since the epoch. */
  readonly #ends = new Map<string, number>();

  add(rid: string, exp: number): void {
    this.#ends.set(rid, exp);
    if (this.#ends.size > usedMax) this.#forgetSoonest();
  }

  has(rid: string): boolean {
    return this.#ends.has(rid);
  }

  /** Forgets what is past its time: it cannot be used any more anyhow. */
  sweep(now: number): void {
    for (const [rid, exp] of this.#ends) if (exp <= now) this.#ends.delete(rid);
  }

  #forgetSoonest(): void {
    const byEnd = [...this.#ends].sort(([, a], [, b]) => a - b);
    for (const [rid] of byEnd.slice(0, usedMax / 10)) this.#ends.delete(rid);
  }
}
