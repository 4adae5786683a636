// Log table: rows of the log as columns, for people. As wide as the terminal where there is one: columns that matter less
// give way, the statement gets what is left. Elsewhere nothing is cut but very long texts. Whatever an agent wrote has its
// control and direction characters spelled out. Pure; refuses to know files.

import { plain, summary } from '../../verify/src/text.ts';
import type { Entry } from '../trail/entry.ts';
import type { Row } from '../trail/rows.ts';

interface Column {
  readonly name: string;
  readonly width: number;
  readonly right?: boolean;
  readonly cell: (row: Row) => string;
}

/** Least space for the statement before a column is left out for it. */
const statementWidthMin = 32;
/** Characters of a statement where there is no terminal to fit. */
const statementCharactersMax = 400;

const clock: Column = { name: 'TIME', width: 12, cell: ({ entry }) => stamp(entry).slice(11) };

const columns: Readonly<Record<string, Column>> = {
  time: { name: 'TIME (UTC)', width: 23, cell: ({ entry }) => stamp(entry) },
  clock,
  seconds: { ...clock, width: 8, cell: ({ entry }) => stamp(entry).slice(11, 19) },
  seq: { name: 'SEQ', width: 8, right: true, cell: ({ entry }) => String(entry.seq) },
  agent: { name: 'AGENT', width: 12, cell: (row) => word((row.of ?? row.entry).members.agent) },
  target: { name: 'TARGET', width: 10, cell: (row) => word((row.of ?? row.entry).members.target) },
  class: {
    name: 'CLASS',
    width: 11,
    cell: ({ entry }) => (entry.kind === 'stmt' ? word(entry.members.cls) : plain(entry.kind)),
  },
  verdict: {
    name: 'VERDICT',
    width: 7,
    cell: ({ entry }) => (entry.kind === 'stmt' ? word(entry.members.dec) : ''),
  },
  rule: {
    name: 'RULE',
    width: 16,
    cell: ({ entry }) => (entry.kind === 'stmt' ? word(entry.members.rule) : ''),
  },
  outcome: { name: 'OUTCOME', width: 11, cell: (row) => outcomeWords(row) },
  rows: { name: 'ROWS', width: 7, right: true, cell: (row) => word(outcomeOf(row)?.members.rows ?? '') },
  ms: { name: 'MS', width: 8, right: true, cell: (row) => milliseconds(outcomeOf(row)) },
};

/** All of them, and what each step leaves out or makes narrower to give the statement room. */
const all = ['time', 'seq', 'agent', 'target', 'class', 'verdict', 'rule', 'outcome', 'rows', 'ms'];
const steps: readonly (readonly [string, string | undefined])[] = [
  ['time', 'clock'],
  ['rule', undefined],
  ['target', undefined],
  ['clock', 'seconds'],
  ['class', undefined],
  ['ms', undefined],
  ['rows', undefined],
  ['agent', undefined],
  ['outcome', undefined],
  ['verdict', undefined],
];

export class LogTable {
  readonly #columns: readonly Column[];
  /** Of the last column. */
  readonly #rest: number | undefined;

  /** `width`: cells of the terminal; undefined where there is none. */
  constructor(width?: number) {
    const names = width === undefined ? all : fitting(width);
    this.#columns = names.map((name) => columns[name]!);
    this.#rest = width === undefined ? undefined : Math.max(1, width - widthOf(names));
  }

  header(): string {
    return this.#line(
      this.#columns.map(({ name }) => name),
      'STATEMENT',
    );
  }

  row(row: Row): string {
    const { entry, of } = row;
    const words =
      entry.kind === 'stmt'
        ? statementWords(entry)
        : of === undefined
          ? summary(entry)
          : lateWords(entry, of);
    return this.#line(
      this.#columns.map(({ cell }) => cell(row)),
      words,
    );
  }

  #line(cells: readonly string[], last: string): string {
    const padded = cells.map((text, index) => {
      const { width, right } = this.#columns[index]!;
      const shown = this.#rest === undefined ? text : shortened(text, width);
      const blanks = ' '.repeat(Math.max(0, width - cellsOf(shown)));
      return right === true ? blanks + shown : shown + blanks;
    });
    const rest =
      this.#rest === undefined ? shortened(last, statementCharactersMax) : shortened(last, this.#rest);
    return `${[...padded, rest].join(' ')}`.trimEnd();
  }
}

function fitting(width: number): string[] {
  let names = all;
  for (const [name, instead] of steps) {
    if (width - widthOf(names) >= statementWidthMin) break;
    names = names.flatMap((each) => (each === name ? (instead === undefined ? [] : [instead]) : [each]));
  }
  return names;
}

/** With a blank behind each. */
function widthOf(names: readonly string[]): number {
  return names.reduce((sum, name) => sum + columns[name]!.width + 1, 0);
}

function statementWords({ members: m }: Entry): string {
  const text = m.sql ?? m.reason;
  return plain(
    String(text ?? '')
      .replace(/\s+/g, ' ')
      .trim(),
  );
}

function lateWords(outcome: Entry, of: Entry): string {
  return `of #${of.seq} (${outcome.members.rid === undefined ? '' : `request ${word(outcome.members.rid)}, `}${statementWords(of)})`;
}

function outcomeOf({ entry, outcome }: Row): Entry | undefined {
  return entry.kind === 'outcome' ? entry : outcome;
}

function outcomeWords(row: Row): string {
  const m = outcomeOf(row)?.members;
  if (m === undefined) return row.entry.kind === 'stmt' ? '…' : '';
  return m.sqlstate === undefined ? word(m.st) : `${word(m.st).slice(0, 5)} ${word(m.sqlstate)}`;
}

function milliseconds(outcome: Entry | undefined): string {
  const micros = Number(outcome?.members.dur_us ?? 0);
  return micros > 0 ? (micros / 1000).toFixed(micros < 100_000 ? 2 : 0) : '';
}

function stamp({ ts }: Entry): string {
  const date = new Date(ts / 1000);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().replace('T', ' ').replace('Z', '');
}

function word(value: unknown): string {
  return plain(String(value ?? ''));
}

/** Cells of a terminal that a text takes: marks that combine none, wide characters two. */
export function cellsOf(text: string): number {
  // Most texts are ASCII.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let cells = 0;
  for (const character of text) cells += none.test(character) ? 0 : wide.test(character) ? 2 : 1;
  return cells;
}

const none = /^\p{M}$/u;
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]|^\p{Emoji_Presentation}$/u;

/** The text, or its beginning with `…` behind it. */
function shortened(text: string, width: number): string {
  if (cellsOf(text) <= width) return text;
  let kept = '';
  let used = 1;
  for (const character of text) {
    used += cellsOf(character);
    if (used > width) break;
    kept += character;
  }
  return `${kept}…`;
}
