// Row: one row of a catalog question as it arrives, all cells as text in PostgreSQL's output formats, and the readers of
// the few formats that the questions use. Refuses to know which question it answers.
// Source: the manual, "Array Input and Output Syntax".

export type Row = readonly (string | null)[];

type Cell = string | null | undefined;

/** What gathers the rows of one section. Rows come in any order; reading it is for when all have come. */
export interface Table {
  add(row: Row): void;
}

const none: readonly never[] = [];

export function number(cell: Cell): number {
  return cell === null || cell === undefined ? 0 : Number(cell);
}

export function text(cell: Cell): string {
  return cell ?? '';
}

export function flag(cell: Cell): boolean {
  return cell === 't';
}

/** OIDs or column numbers: an array, a vector, or a list with spaces; zeros are left in. */
export function numbers(cell: Cell): readonly number[] {
  if (cell === null || cell === undefined || cell === '' || cell === '{}') return none;
  return cell
    .replace(/^\{|\}$/g, '')
    .split(/[ ,]/)
    .map(Number);
}

/** A JSON array of texts. */
export function texts(cell: Cell): readonly string[] {
  if (cell === null || cell === undefined) return [];
  return (JSON.parse(cell) as (string | null)[]).map((entry) => entry ?? '');
}

/** A text[] in the server's own notation; no element is NULL. */
export function elements(cell: Cell): readonly string[] {
  if (cell === null || cell === undefined || cell === '' || cell === '{}') return [];
  const inner = cell.slice(1, -1);
  if (!inner.includes('"')) return inner.split(',');
  const found = inner.matchAll(/"((?:[^"\\]|\\.)*)"|([^",]+)/g);
  return Array.from(found, ([, quoted, plain]) => plain ?? quoted!.replace(/\\(.)/g, '$1'));
}

/** Lists by key. Nearly all of them have one element, which stands for itself: a list of its own would double them. */
export class Listing<K, V extends object> {
  readonly #of = new Map<K, V | V[]>();

  add(key: K, value: V): void {
    const before = this.#of.get(key);
    if (before === undefined) this.#of.set(key, value);
    else if (Array.isArray(before)) before.push(value);
    else this.#of.set(key, [before, value]);
  }

  keys(): Iterable<K> {
    return this.#of.keys();
  }

  /** In the order in which they were added. */
  get(key: K): readonly V[] {
    const found = this.#of.get(key);
    if (found === undefined) return none;
    return Array.isArray(found) ? found : [found];
  }
}

/** Gives one and the same text for equal ones: what is short and comes often, such as the names of schemas. */
export function interning(): (cell: Cell) => string {
  const known = new Map<string, string>();
  return (cell) => {
    const fresh = cell ?? '';
    const before = known.get(fresh);
    if (before !== undefined) return before;
    if (known.size < internedMax) known.set(fresh, fresh);
    return fresh;
  };
}

const internedMax = 1_000;
