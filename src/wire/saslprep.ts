// SASLprep (RFC 4013): the form of a password that SCRAM hashes, so that one password typed on two keyboards is one.
// Follows PostgreSQL's saslprep.c, which falls back to the raw bytes where the RFC would refuse. Knows characters;
// refuses to know verifiers and exchanges. The tables are RFC 3454's, in saslprep-data.ts.

import {
  leftToRight,
  mappedToNothing,
  mappedToSpace,
  prohibited,
  rightToLeft,
  unassigned,
} from './saslprep-data.ts';

/** Sorted, disjoint ranges: first and last code points alternate. */
type Ranges = readonly number[];

interface Tables {
  mappedToNothing: Ranges;
  mappedToSpace: Ranges;
  prohibited: Ranges;
  unassigned: Ranges;
  rightToLeft: Ranges;
  leftToRight: Ranges;
}

let tables: Tables | undefined;

/**
 * The bytes of a password to hash. A password that SASLprep refuses (prohibited, unassigned or badly mixed
 * characters, nothing left) is hashed as it is: PostgreSQL never refuses one, it must only agree with itself.
 */
export function preparePassword(password: string): Buffer {
  return Buffer.from(isAscii(password) ? password : (saslprep(password) ?? password), 'utf8');
}

function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text);
}

/** The prepared text, or undefined where RFC 4013 refuses it. */
function saslprep(text: string): string | undefined {
  tables ??= loadTables();
  const { prohibited, unassigned } = tables;
  const mapped = mapCharacters(text, tables);
  if (mapped === '') return undefined;
  const points = Array.from(mapped.normalize('NFKC'), (character) => character.codePointAt(0)!);
  if (points.some((point) => isIn(point, prohibited) || isIn(point, unassigned))) return undefined;
  if (!isWellDirected(points, tables)) return undefined;
  return String.fromCodePoint(...points);
}

function mapCharacters(text: string, { mappedToSpace, mappedToNothing }: Tables): string {
  let mapped = '';
  for (const character of text) {
    const point = character.codePointAt(0)!;
    if (isIn(point, mappedToSpace)) mapped += ' ';
    else if (!isIn(point, mappedToNothing)) mapped += character;
  }
  return mapped;
}

/** RFC 3454 §6: right-to-left text stands alone and at both ends. */
function isWellDirected(points: readonly number[], { rightToLeft, leftToRight }: Tables): boolean {
  if (!points.some((point) => isIn(point, rightToLeft))) return true;
  if (points.some((point) => isIn(point, leftToRight))) return false;
  return isIn(points[0]!, rightToLeft) && isIn(points.at(-1)!, rightToLeft);
}

function isIn(point: number, ranges: Ranges): boolean {
  let low = 0;
  let high = ranges.length / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (point > ranges[middle * 2 + 1]!) low = middle + 1;
    else high = middle;
  }
  return low * 2 < ranges.length && point >= ranges[low * 2]!;
}

function loadTables(): Tables {
  return {
    mappedToNothing: readRanges(mappedToNothing),
    mappedToSpace: readRanges(mappedToSpace),
    prohibited: readRanges(prohibited),
    unassigned: readRanges(unassigned),
    rightToLeft: readRanges(rightToLeft),
    leftToRight: readRanges(leftToRight),
  };
}

function readRanges(text: string): Ranges {
  const ranges: number[] = [];
  let last = 0;
  for (const entry of text.split(' ')) {
    const [gap, extra] = entry.split('.');
    const first = last + Number.parseInt(gap!, 36);
    last = first + (extra === undefined ? 0 : Number.parseInt(extra, 36));
    ranges.push(first, last);
  }
  return ranges;
}
