// Page: the newest rows before a place in the log, read backwards, with a bound on how much of the log is looked at.
// Outcomes come before their statements this way, so that joining them takes a memory of what was met. Refuses to know
// who reads it.

import { type Entry, readEntry } from './entry.ts';
import { type Filter, fits, glance, outcomeFits, type Related } from './filter.ts';
import type { Row } from './rows.ts';
import { back } from './scan.ts';
import { clockStepMicros, type Position, type Trail } from './trail.ts';

export interface PageOptions {
  /** Rows before this record only. */
  readonly before?: number | undefined;
  readonly rowsMax: number;
  /** Bytes of the log that are looked at; more are not, whatever was found by then. */
  readonly bytesMax: number;
}

export interface Page {
  /** Newest first. */
  readonly rows: readonly Row[];
  /** Where the next page begins (`before`); undefined where there is nothing older that could fit. */
  readonly older: number | undefined;
  /** The page ends because enough of the log was looked at, not because it is full. */
  readonly cut: boolean;
  /** The end of the log as it was; from there on it can be followed. */
  readonly end: Position | undefined;
}

/** Outcomes that are remembered until their statements are met. */
const outcomesMax = 20_000;

/** How far behind a page's first record the outcomes of its statements are looked for. */
const aheadBytes = 512 << 10;

/** Reads a page. */
export async function page(trail: Trail, filter: Filter, options: PageOptions): Promise<Page> {
  const { before = Number.MAX_SAFE_INTEGER, rowsMax } = options;
  const end = await trail.end();
  if (end === undefined) return { rows: [], older: undefined, cut: false, end };
  const upTo = Math.min(before - 1, filter.to ?? Number.MAX_SAFE_INTEGER);
  const from = await begin(trail, filter, upTo, end);
  // What is read for outcomes alone does not count.
  let left = options.bytesMax + (from === end ? 0 : aheadBytes);
  const allow = (bytes: number) => {
    if (left <= 0) return false;
    left -= bytes;
    return true;
  };
  const gathering = new Gathering(filter, upTo);
  const { rows } = gathering;
  for await (const { lines } of back(trail, from, allow)) {
    for (const { bytes } of lines) {
      gathering.take(bytes);
      if (rows.length >= rowsMax) return { rows, older: positive(rows.at(-1)!.entry.seq), cut: false, end };
    }
    const last = lowest(lines);
    if (last === undefined) continue;
    gathering.seen = Math.min(gathering.seen, last.seq);
    if (past(last, filter)) return { rows, older: undefined, cut: false, end };
  }
  const cut = left <= 0 && gathering.seen > 0;
  return { rows, older: cut ? gathering.seen : undefined, cut, end };
}

/** Where reading back begins: behind the newest record that may fit, by as much as outcomes are looked for. */
async function begin(trail: Trail, filter: Filter, upTo: number, end: Position): Promise<Position> {
  const bySeq = upTo < Number.MAX_SAFE_INTEGER ? await trail.atSeq(upTo + 1) : undefined;
  const byTime =
    filter.until === undefined ? undefined : await trail.atTime(filter.until + 2 * clockStepMicros);
  const [first] = [bySeq, byTime]
    .filter((position) => position !== undefined)
    .sort((a, b) => a.n - b.n || a.at - b.at);
  if (first === undefined) return end;
  let left = aheadBytes;
  let { n, at } = first;
  for (const segment of trail.segments()) {
    if (segment.n < n) continue;
    if (segment.n > n) [n, at] = [segment.n, 0];
    const file = await trail.open(segment);
    const size = await file.size().finally(() => file.close());
    const step = Math.min(left, Math.max(0, size - at));
    at += step;
    left -= step;
    if (left === 0) break;
  }
  return { n, at };
}

/** What was met on the way back. */
class Gathering {
  readonly rows: Row[] = [];
  /** The lowest sequence number that was looked at. */
  seen: number;
  readonly #filter: Filter;
  readonly #upTo: number;
  readonly #useful: (bytes: Buffer) => boolean;
  readonly #outcomes = new Map<number, Entry>();
  readonly #related: Related = new Set();

  constructor(filter: Filter, upTo: number) {
    this.#filter = filter;
    this.#upTo = upTo;
    this.seen = upTo;
    this.#useful = glance(filter, this.#related);
  }

  take(bytes: Buffer): void {
    const filter = this.#filter;
    const entry = this.#useful(bytes) ? readEntry(bytes) : undefined;
    if (entry === undefined) return;
    const { seq, kind, members } = entry;
    if (kind === 'outcome') this.#remember(Number(members.ref), entry);
    if (filter.request !== undefined && members.rid === filter.request && typeof members.ref === 'number')
      this.#related.add(members.ref);
    if (seq > this.#upTo || !fits(entry, filter, this.#related)) return;
    const asked = filter.kinds?.includes('outcome') === true;
    if (kind === 'outcome' && !asked) return;
    if (kind !== 'stmt') {
      this.rows.push({ entry });
      return;
    }
    const outcome = this.#outcomes.get(seq);
    this.#outcomes.delete(seq);
    if (outcomeFits(outcome, filter)) this.rows.push(outcome === undefined ? { entry } : { entry, outcome });
  }

  #remember(ref: number, outcome: Entry): void {
    const [oldest] = this.#outcomes.keys();
    if (this.#outcomes.size >= outcomesMax && oldest !== undefined) this.#outcomes.delete(oldest);
    this.#outcomes.set(ref, outcome);
  }
}

/** The first record of lines that are given last one first. */
function lowest(lines: readonly { readonly bytes: Buffer }[]): Entry | undefined {
  for (let at = lines.length - 1; at >= 0; at -= 1) {
    const entry = readEntry(lines[at]!.bytes);
    if (entry !== undefined) return entry;
  }
  return undefined;
}

/** True if nothing before this record can fit. */
function past({ seq, ts }: Entry, { from, since }: Filter): boolean {
  return (from !== undefined && seq <= from) || (since !== undefined && ts < since - clockStepMicros);
}

function positive(seq: number): number | undefined {
  return seq > 0 ? seq : undefined;
}
