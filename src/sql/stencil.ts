// Stencil: a text with its plain literals cut out: what is left says which syntax tree it has but for the values in it. Two
// texts with one stencil are read alike by PostgreSQL's scanner, token for token. Refuses to guess: where a text holds
// anything that its scanner treats in a way of its own (a comment, a backslash, a dollar quote, a string with a prefix or
// in parts, an escape of names), it has no stencil. Pure; knows no tree. The manual, 4.1 (Lexical Structure).

import { dollar, doubleQuote, isDigit, isIdentifierPart, isIdentifierStart, quote } from './characters.ts';

/** A literal that was cut out, as offsets in bytes; a string with its quotes. */
export interface Cut {
  readonly kind: 'integer' | 'decimal' | 'string';
  readonly start: number;
  readonly end: number;
}

export interface Stencil {
  /** The same for two texts if they differ in nothing but the values of `cuts`. Longer than the text by those. */
  readonly key: string;
  readonly cuts: readonly Cut[];
}

/** Longer texts are not looked at: they differ in more than values as a rule. */
const charactersMax = 16_384;
/** More literals are data, not the form of a statement. */
const cutsMax = 1024;
/** Digits of an integer that is surely one of four bytes, as the scanner sees it. */
const digitsMax = 9;

const point = 0x2e;

/** What stands in a key for a literal: a character that no text can contain, and its kind. */
const marks = { integer: '\0i', decimal: '\0d', string: '\0s' } as const;

/** Commands whose literals are values; in others they may be anything. */
const commands = /^\s*(?:select|insert|update|delete|with)\s/i;
/** What the scanner reads by rules of its own: escapes, comments, strings and names with U& in front. */
const special = /\\|--|\/\*|&['"]/;

/** `text` is the text by bytes, a character each (latin1). Undefined if it has no stencil, or nothing to be cut out. */
export function stencilOf(text: string): Stencil | undefined {
  if (text.length > charactersMax || !commands.test(text) || special.test(text)) return undefined;
  const cuts: Cut[] = [];
  let key = '';
  let done = 0;
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    const start = at;
    let kind: Cut['kind'] | undefined;
    if (isIdentifierStart(code)) {
      at = behindName(text, at);
      // A string right behind a word: the word may be its prefix.
      if (text.charCodeAt(at) === quote) return undefined;
    } else if (isDigit(code)) {
      const end = behindNumber(text, at);
      if (end === undefined) return undefined;
      at = end.at;
      if (end.isDecimal) kind = 'decimal';
      else if (at - start <= digitsMax) kind = 'integer';
    } else if (code === quote) {
      const end = behindString(text, at);
      if (end === undefined) return undefined;
      at = end;
      kind = 'string';
    } else if (code === doubleQuote) {
      at = text.indexOf('"', at + 1) + 1;
      if (at === 0) return undefined;
    } else if (code === dollar) {
      at = behindParameter(text, at);
      if (at === start) return undefined;
    } else if (code === point && isDigit(text.charCodeAt(at + 1))) return undefined;
    else at += 1;
    if (kind === undefined) continue;
    if (cuts.length === cutsMax) return undefined;
    cuts.push({ kind, start, end: at });
    key += text.slice(done, start) + marks[kind];
    done = at;
  }
  return cuts.length === 0 ? undefined : { key: key + text.slice(done), cuts };
}

function isNamePart(code: number): boolean {
  return isIdentifierPart(code) || code === dollar;
}

function behindName(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && isNamePart(text.charCodeAt(at))) at += 1;
  return at;
}

/** Digits, or digits with a point between them. Undefined for what else begins with a digit. */
function behindNumber(text: string, from: number): { at: number; isDecimal: boolean } | undefined {
  let at = behindDigits(text, from);
  const isDecimal = text.charCodeAt(at) === point && isDigit(text.charCodeAt(at + 1));
  if (isDecimal) at = behindDigits(text, at + 1);
  const next = text.charCodeAt(at);
  return isNamePart(next) || next === point ? undefined : { at, isDecimal };
}

function behindDigits(text: string, from: number): number {
  let at = from;
  while (at < text.length && isDigit(text.charCodeAt(at))) at += 1;
  return at;
}

/** Undefined for one that does not end, and for one that may go on behind a line end. */
function behindString(text: string, from: number): number | undefined {
  let at = from;
  do {
    at = text.indexOf("'", at + 1) + 1;
    if (at === 0) return undefined;
  } while (text.charCodeAt(at) === quote);
  let next = at;
  while (isBlank(text.charCodeAt(next))) next += 1;
  return next > at && text.charCodeAt(next) === quote ? undefined : at;
}

function isBlank(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

/** `from` itself where it is no `$1`. */
function behindParameter(text: string, from: number): number {
  const at = behindDigits(text, from + 1);
  return at === from + 1 || isNamePart(text.charCodeAt(at)) ? from : at;
}
