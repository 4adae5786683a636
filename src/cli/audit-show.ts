// `holdpoint audit show | tail`: what a log says, filtered: as a table for people, as the log's own lines (JSON) for pipes.
// Reads only the segments that can hold what is asked for, holds few records at a time, and verifies nothing.

import { setTimeout as wait } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { findLogs } from '../../verify/src/source.ts';
import { plain } from '../../verify/src/text.ts';
import { type Entry, readEntry } from '../trail/entry.ts';
import { type Filter, glance } from '../trail/filter.ts';
import { page } from '../trail/page.ts';
import { type Row, Rows } from '../trail/rows.ts';
import { Follower, onward } from '../trail/scan.ts';
import { clockStepMicros, type Position, Trail } from '../trail/trail.ts';
import { type FilterFlags, filterOf, filterOptions, whole } from './log-filter.ts';
import { LogTable } from './log-table.ts';
import { onlyLog } from './only-log.ts';
import { type Output, terminal } from './outcome.ts';

/** Adds `show` and `tail` to the `audit` commands. `finish` ends a command as all of them end. */
export function registerShow(audit: Command, finish: Finish): void {
  const folder = ['[dir]', "a log's folder, or the data folder above it", './holdpoint-data/audit'] as const;
  const json = () => new Option('--json', "print the log's own lines");
  filterOptions(
    audit
      .command('show')
      .description('print what fits, oldest first; nothing is verified')
      .argument(...folder)
      .option('--seq <n>', 'this record, and everything it says', whole),
  )
    .addOption(json())
    .action((dir: string, flags: ShowFlags) => finish(() => show(dir, flags, terminal), flags));
  filterOptions(
    audit
      .command('tail')
      .description('print the newest of what fits; nothing is verified')
      .argument(...folder)
      .option('-n, --lines <n>', 'how many', whole, 20)
      .option('-f, --follow', 'go on as the log grows'),
  )
    .addOption(json())
    .action((dir: string, flags: TailFlags) => {
      const interrupted = new AbortController();
      if (flags.follow === true) process.once('SIGINT', () => interrupted.abort());
      return finish(() => tail(dir, flags, terminal, interrupted.signal), flags);
    });
}

type Finish = (run: () => Promise<number>, flags: { json?: boolean }) => Promise<void>;

export interface ShowFlags extends FilterFlags {
  readonly json?: boolean;
}

export interface TailFlags extends ShowFlags {
  readonly lines: number;
  readonly follow?: boolean;
}

const followMs = 250;

/** How far behind the last statement that is asked for its outcome is looked for. */
const aheadRecordsMax = 50_000;

/** `audit show`: exit code 1 if nothing that was asked for is there. */
export async function show(dir: string, flags: ShowFlags, output: Output): Promise<number> {
  const filter = filterOf(flags);
  const sources = findLogs(dir);
  const printer = new Printer(flags, filter, output);
  for (const source of sources) {
    const trail = new Trail(source.path);
    if (sources.length > 1) printer.title(source.name);
    for await (const row of rowsOf(trail, filter)) {
      printer.row(row);
      if (flags.seq !== undefined) printer.whole(row);
      if (output.closed === true) return 0;
      await output.drained?.();
    }
  }
  if (printer.count === 0 && flags.json !== true) output.err('holdpoint audit: no record fits\n');
  return printer.count === 0 ? 1 : 0;
}

/** `audit tail`. With `follow` it ends when `signal` says so, or nobody reads any more. */
export async function tail(
  dir: string,
  flags: TailFlags,
  output: Output,
  signal?: AbortSignal,
): Promise<number> {
  const filter = filterOf(flags);
  const trail = new Trail(onlyLog(dir).path);
  const printer = new Printer(flags, filter, output);
  const { rows, end } = await page(trail, filter, {
    rowsMax: flags.lines,
    bytesMax: Number.MAX_SAFE_INTEGER,
  });
  for (const row of rows.toReversed()) printer.row(row);
  if (flags.follow !== true) return 0;
  const joined = new Rows(filter);
  for (const { entry, outcome } of rows) if (entry.kind === 'stmt' && !outcome) joined.shown(entry);
  await follow(trail, end, filter, joined, printer, output, signal);
  return 0;
}

/** Prints what a log gets, as it gets it. A statement waits for its outcome for one look. */
async function follow(
  trail: Trail,
  from: Position | undefined,
  filter: Filter,
  joined: Rows,
  printer: Printer,
  output: Output,
  signal: AbortSignal | undefined,
): Promise<void> {
  const follower = new Follower(trail, from);
  const useful = glance(filter, joined.related);
  try {
    while (signal?.aborted !== true && output.closed !== true) {
      for await (const { lines } of follower.fresh()) {
        for (const { bytes } of lines) {
          const entry = useful(bytes) ? readEntry(bytes) : undefined;
          if (entry === undefined) continue;
          for (const row of joined.push(entry)) printer.row(row);
        }
        await output.drained?.();
      }
      for (const row of joined.flush()) printer.row(row);
      await wait(followMs, undefined, signal && { signal }).catch(() => undefined);
    }
  } finally {
    await follower.close();
  }
}

/** The rows that fit, in the order of the log. */
async function* rowsOf(trail: Trail, filter: Filter): AsyncGenerator<Row> {
  const joined = new Rows(filter);
  if (filter.request !== undefined) await relate(trail, filter, joined);
  const useful = glance(filter, joined.related);
  const byTime = filter.since === undefined ? undefined : await trail.atTime(filter.since);
  const bySeq = filter.from === undefined ? undefined : await trail.atSeq(filter.from);
  const from = later(byTime, bySeq);
  let ahead = 0;
  for await (const { lines } of onward(trail, from)) {
    for (const { bytes } of lines) {
      const entry = useful(bytes) ? readEntry(bytes) : undefined;
      if (entry !== undefined) yield* joined.push(entry);
    }
    const last = lines.findLast(({ bytes }) => readEntry(bytes) !== undefined);
    const entry = last && readEntry(last.bytes);
    if (entry === undefined || !isPast(entry.seq, entry.ts, filter)) continue;
    ahead += lines.length;
    if (!joined.waits || ahead > aheadRecordsMax) break;
  }
  yield* joined.flush();
}

/** Finds the statements of a request, which do not name it themselves. */
async function relate(trail: Trail, filter: Filter, joined: Rows): Promise<void> {
  const useful = glance({ request: filter.request }, new Set());
  for await (const { lines } of onward(trail, undefined)) {
    for (const { bytes } of lines) {
      const members = useful(bytes) ? readEntry(bytes)?.members : undefined;
      if (members?.rid === filter.request && typeof members?.ref === 'number')
        joined.related.add(members.ref);
    }
  }
}

function later(a: Position | undefined, b: Position | undefined): Position | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.n > b.n || (a.n === b.n && a.at > b.at) ? a : b;
}

function isPast(seq: number, ts: number, { to, until }: Filter): boolean {
  return (to !== undefined && seq > to) || (until !== undefined && ts > until + clockStepMicros);
}

/** Prints rows in one form, a heading before the first of a table. */
class Printer {
  count = 0;
  readonly #table: LogTable | undefined;
  readonly #output: Output;
  readonly #wanted: (entry: Entry) => boolean;

  constructor(flags: ShowFlags, filter: Filter, output: Output) {
    this.#output = output;
    this.#table = flags.json === true ? undefined : new LogTable(output.columns);
    this.#wanted = ({ kind, seq }) =>
      (filter.kinds?.includes(kind) ?? true) && (flags.seq === undefined || seq === flags.seq);
  }

  title(name: string): void {
    if (this.#table !== undefined) this.#output.out(`${plain(decodeURIComponent(name))}\n`);
  }

  row(row: Row): void {
    if (this.#table === undefined) this.#lines(row);
    else {
      if (this.count === 0) this.#output.out(`${this.#table.header()}\n`);
      this.#output.out(`${this.#table.row(row)}\n`);
    }
    this.count += 1;
  }

  /** Everything that a record says. */
  whole({ entry }: Row): void {
    if (this.#table === undefined) return;
    const text = plain(JSON.stringify(entry.members, null, 2)).replaceAll('\\u{a}', '\n');
    this.#output.out(`${text}\n`);
  }

  /** The log's own lines: the statement, then its outcome. */
  #lines({ entry, outcome }: Row): void {
    for (const each of [entry, outcome])
      if (each !== undefined && this.#wanted(each)) this.#output.out(`${each.line}\n`);
  }
}
