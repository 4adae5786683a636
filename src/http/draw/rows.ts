// Rows: a statement's text cut into the lines of a page. Nothing of it is left out: long texts are cut into parts that
// each fit a page, long lines go on in further rows, and runs of blanks become their number. Pure; refuses to know markup.

import { lookalikes } from '../../approval/lookalike.ts';
import { type Segment, visible } from '../../approval/visible.ts';
import type { Token, TokenKind } from '../../sql/tokens.ts';

/** A piece of a row: text, a run of blanks that is not drawn, or a word that reads as another. */
export type Content =
  | { readonly segments: readonly Segment[] }
  | { readonly blanks: number }
  | { readonly lookalike: string; readonly segments: readonly Segment[] };

export interface Piece {
  readonly kind: TokenKind | 'plain';
  readonly content: readonly Content[];
}

/** `line` is undefined where the row goes on with the line before. `skipped`: so many blank lines begin here. */
export interface Row {
  readonly line: number | undefined;
  readonly pieces: readonly Piece[];
  readonly skipped?: number;
}

/** One part of a text: UTF-16 offsets, and the number of its first line. `fresh`: it begins at the line's beginning. */
export interface Part {
  readonly start: number;
  readonly end: number;
  readonly line: number;
  readonly fresh: boolean;
}

const partCharactersMax = 48 * 1024;
const partLinesMax = 1500;
const rowCharactersMax = 2000;
/** Shorter runs are drawn as they are. */
const blanksMin = 64;
const blankLinesMin = 5;

/** Blanks and line ends in runs that are drawn as their number. By hand: an expression overflows on megabytes of them. */
export function blanksInRuns(text: string): number {
  let [sum, run] = [0, 0];
  for (let at = 0; at <= text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x20 || code === 0x09 || code === 0x0a) {
      run += 1;
      continue;
    }
    if (run >= blanksMin) sum += run;
    run = 0;
  }
  return sum;
}

/** Where a text is cut; one part for most. Runs of blanks weigh nothing, whatever their length. */
export function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let [start, line, startLine, fresh] = [0, 1, 1, true];
  let [weight, lines, blanks] = [0, 0, 0];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const blank = code === 0x20 || code === 0x09 || code === 0x0a;
    blanks = blank ? blanks + 1 : 0;
    if (blanks < blanksMin) weight += 1;
    if (code === 0x0a) line += 1;
    if (code === 0x0a && blanks < blanksMin) lines += 1;
    const full = weight >= partCharactersMax || lines >= partLinesMax;
    // At a line's end if there is one near; never within a pair of surrogates.
    const late = weight >= partCharactersMax + rowCharactersMax && (code < 0xd800 || code > 0xdbff);
    if ((full && code === 0x0a) || late) {
      parts.push({ start, end: at + 1, line: startLine, fresh });
      [start, startLine, fresh, weight, lines] = [at + 1, line, code === 0x0a, 0, 0];
    }
  }
  if (start < text.length || parts.length === 0)
    parts.push({ start, end: text.length, line: startLine, fresh });
  return parts;
}

/** The rows of one part. `tokens` are of the whole text, in bytes; without them everything is plain. */
export function rowsOf(text: string, part: Part, tokens: readonly Token[] | undefined): Row[] {
  const slice = text.slice(part.start, part.end);
  const cut = new Cutter(slice);
  const lines: Piece[][] = [[]];
  for (const { kind, text: piece } of piecesOf(text, part, tokens)) {
    piece.split('\n').forEach((fragment, index) => {
      if (index > 0) lines.push([]);
      if (fragment !== '') lines.at(-1)?.push({ kind, content: cut.contentOf(fragment) });
    });
  }
  // The line end that closes a part opens no further line.
  if (slice.endsWith('\n') && part.end < text.length) lines.pop();
  return folded(lines, part);
}

/** The pieces of a part by kind, in order; together they are its text. */
function* piecesOf(
  text: string,
  part: Part,
  tokens: readonly Token[] | undefined,
): Generator<{ kind: Piece['kind']; text: string }> {
  if (tokens === undefined) {
    yield { kind: 'plain', text: text.slice(part.start, part.end) };
    return;
  }
  const whole = Buffer.from(text);
  const [from, to] = [part.start, part.end].map((offset) => Buffer.byteLength(text.slice(0, offset)));
  let at = from ?? 0;
  const end = to ?? whole.length;
  for (const token of tokens) {
    if (token.end <= at) continue;
    if (token.start >= end) break;
    if (token.start > at) yield { kind: 'plain', text: whole.toString('utf8', at, token.start) };
    const stop = Math.min(token.end, end);
    yield { kind: token.kind, text: whole.toString('utf8', Math.max(at, token.start), stop) };
    at = stop;
  }
  if (at < end) yield { kind: 'plain', text: whole.toString('utf8', at, end) };
}

/** Finds what must not be overlooked within one line. */
class Cutter {
  readonly #words: RegExp | undefined;

  constructor(slice: string) {
    const words = lookalikes(slice).map(({ word }) => word);
    const letter = '[\\p{L}\\p{N}\\p{M}_]';
    this.#words =
      words.length === 0 ? undefined : new RegExp(`(?<!${letter})(${words.join('|')})(?!${letter})`, 'u');
  }

  contentOf(fragment: string): Content[] {
    // Most tokens are short and plain, and there may be tens of thousands of them.
    if (fragment.length < blanksMin && /^[\t\x20-\x7e]*$/.test(fragment)) return [{ segments: [fragment] }];
    const content: Content[] = [];
    let begin = 0;
    for (let at = 0; at < fragment.length; ) {
      let end = at;
      while (isBlank(fragment.charCodeAt(end))) end += 1;
      if (end - at >= blanksMin) {
        content.push(...this.#worded(fragment.slice(begin, at)), { blanks: end - at });
        begin = end;
      }
      at = Math.max(end, at + 1);
    }
    content.push(...this.#worded(fragment.slice(begin)));
    return content;
  }

  #worded(text: string): Content[] {
    const parts = this.#words === undefined ? [text] : text.split(this.#words);
    // What stands between brackets in the expression comes back at every odd place.
    return parts.flatMap((part, index): Content[] =>
      index % 2 === 1
        ? [{ lookalike: part, segments: visible(part).lines[0] ?? [] }]
        : chopped(part).map((row) => ({ segments: visible(row).lines[0] ?? [] })),
    );
  }
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** A text in pieces that fit a row; never cut within a pair of surrogates. */
function chopped(text: string): string[] {
  const rows: string[] = [];
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + rowCharactersMax);
    const code = text.charCodeAt(end - 1);
    if (end < text.length && code >= 0xd800 && code <= 0xdbff) end -= 1;
    rows.push(text.slice(at, end));
    at = end;
  }
  return rows;
}

/** Numbers the lines, folds runs of blank ones, and lets long ones go on. */
function folded(lines: readonly (readonly Piece[])[], part: Part): Row[] {
  const rows: Row[] = [];
  const isEmpty = (index: number) =>
    lines[index]?.every(({ kind }) => kind === 'plain') === true && blankText(lines[index]);
  for (let index = 0; index < lines.length; ) {
    let end = index;
    while (end < lines.length && isEmpty(end)) end += 1;
    const line = index > 0 || part.fresh ? part.line + index : undefined;
    if (end - index >= blankLinesMin) {
      rows.push({ line, pieces: [], skipped: end - index });
      index = end;
      continue;
    }
    rows.push(...continued(lines[index] ?? [], line));
    index += 1;
  }
  return rows;
}

function blankText(pieces: readonly Piece[]): boolean {
  return pieces.every(({ content }) =>
    content.every(
      (each) =>
        'blanks' in each ||
        each.segments.every((segment) => typeof segment === 'string' && /^[ \t]*$/.test(segment)),
    ),
  );
}

function continued(pieces: readonly Piece[], line: number | undefined): Row[] {
  const rows: { line: number | undefined; pieces: Piece[] }[] = [{ line, pieces: [] }];
  let characters = 0;
  for (const { kind, content } of pieces) {
    for (const each of content) {
      const length = 'blanks' in each ? 1 : each.segments.reduce((sum, one) => sum + lengthOf(one), 0);
      if (characters > 0 && characters + length > rowCharactersMax) {
        rows.push({ line: undefined, pieces: [] });
        characters = 0;
      }
      characters += length;
      const current = rows.at(-1)?.pieces ?? [];
      const last = current.at(-1);
      if (last?.kind === kind) current[current.length - 1] = { kind, content: [...last.content, each] };
      else current.push({ kind, content: [each] });
    }
  }
  return rows;
}

function lengthOf(segment: Segment): number {
  if (typeof segment === 'string') return segment.length;
  return 'foreign' in segment ? segment.foreign.length : 8;
}
