// Views: who has looked at which request, as far as it was recorded already. Refuses to know who may look.

/** Remembered, so that a page that reloads does not fill the log; beyond it some are recorded once more. */
const viewsMax = 10_000;

/** One a desk. */
export class Views {
  readonly #seen = new Set<string>();

  /** True for the first look of that person at that request. */
  first(rid: string, by: string): boolean {
    const view = `${rid} ${by}`;
    if (this.#seen.has(view)) return false;
    if (this.#seen.size >= viewsMax) this.#seen.clear();
    this.#seen.add(view);
    return true;
  }
}
