// Literals: where the strings, numbers and comments of a text stand. For what people and logs see, never for a verdict: those
// rest on PostgreSQL's own parser. Follows the manual, 4.1 (Lexical Structure), with standard_conforming_strings on.

import { dollar, doubleQuote, isDigit, isIdentifierPart, isIdentifierStart, quote } from './characters.ts';

export interface Literal {
  readonly kind: 'string' | 'number' | 'comment';
  /** Byte offsets; a string with its quotes and prefix, continued over line ends as the server does. */
  readonly start: number;
  readonly end: number;
}

const backslash = 0x5c;
const newline = 0x0a;
const carriageReturn = 0x0d;

/** The literals of a text, in order. An unterminated one reaches to the end. Linear in the text. */
export function literalsOf(sql: Buffer): Literal[] {
  return piecesOf(sql).filter(({ kind }) => kind !== 'comment');
}

/** The literals and comments of a text, in order. A comment between the parts of one string belongs to the string. */
export function piecesOf(sql: Buffer): Literal[] {
  const literals: Literal[] = [];
  let at = 0;
  while (at < sql.length) {
    const byte = sql[at] ?? 0;
    const next = sql[at + 1] ?? 0;
    const start = at;
    if (byte === quote) {
      at = endOfString(sql, at + 1, false);
      literals.push({ kind: 'string', start, end: at });
    } else if (byte === doubleQuote) at = endOfQuoted(sql, at + 1, doubleQuote, false);
    else if ((byte === 0x2d && next === 0x2d) || (byte === 0x2f && next === 0x2a)) {
      at = byte === 0x2d ? endOfLine(sql, at) : endOfComment(sql, at);
      literals.push({ kind: 'comment', start, end: at });
    } else if (byte === dollar) {
      const end = endOfDollarQuoted(sql, at);
      if (end !== undefined) literals.push({ kind: 'string', start, end });
      at = end ?? afterParameter(sql, at);
    } else if (isDigit(byte) || (byte === 0x2e && isDigit(next))) {
      at = endOfNumber(sql, at);
      literals.push({ kind: 'number', start, end: at });
    } else if (isIdentifierStart(byte)) at = word(sql, at, literals);
    else at += 1;
  }
  return literals;
}

/** An identifier, a keyword, or a string with a prefix: E'', B'', X'', U&''. */
function word(sql: Buffer, start: number, literals: Literal[]): number {
  const prefix = String.fromCharCode(sql[start] ?? 0).toLowerCase();
  const next = sql[start + 1];
  const unicode = prefix === 'u' && next === 0x26;
  const open = unicode ? start + 2 : start + 1;
  if (unicode && sql[open] === doubleQuote) return endOfQuoted(sql, open + 1, doubleQuote, false);
  if (sql[open] === quote && (unicode || 'ebx'.includes(prefix))) {
    const end = endOfString(sql, open + 1, prefix === 'e');
    literals.push({ kind: 'string', start, end });
    return end;
  }
  let at = start + 1;
  while (at < sql.length && (isIdentifierPart(sql[at] ?? 0) || sql[at] === dollar)) at += 1;
  return at;
}

/** `from` is behind the opening quote. A string goes on behind white space with a line end in it. */
function endOfString(sql: Buffer, from: number, escapes: boolean): number {
  let at = endOfQuoted(sql, from, quote, escapes);
  for (let again = continuation(sql, at); again !== undefined; again = continuation(sql, at)) {
    at = endOfQuoted(sql, again, quote, escapes);
  }
  return at;
}

function endOfQuoted(sql: Buffer, from: number, mark: number, escapes: boolean): number {
  for (let at = from; at < sql.length; ) {
    if (escapes && sql[at] === backslash) at += 2;
    else if (sql[at] === mark) {
      if (sql[at + 1] !== mark) return at + 1;
      at += 2;
    } else if (escapes) at += 1;
    else {
      // A value may be megabytes long.
      const next = sql.indexOf(mark, at);
      if (next === -1) break;
      at = next;
    }
  }
  return sql.length;
}

/** Behind the quote that opens the next part of a string, if there is one. */
function continuation(sql: Buffer, from: number): number | undefined {
  let at = from;
  let lines = 0;
  for (;;) {
    const byte = sql[at];
    if (byte === newline || byte === carriageReturn) lines += 1;
    else if (byte === 0x2d && sql[at + 1] === 0x2d) {
      at = endOfLine(sql, at);
      continue;
    } else if (byte === quote) return lines > 0 ? at + 1 : undefined;
    else if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0b && byte !== 0x0c) return undefined;
    at += 1;
  }
}

function endOfLine(sql: Buffer, from: number): number {
  let at = from;
  while (at < sql.length && sql[at] !== newline && sql[at] !== carriageReturn) at += 1;
  return at;
}

function endOfComment(sql: Buffer, from: number): number {
  let depth = 0;
  let at = from;
  while (at < sql.length) {
    const pair = sql.subarray(at, at + 2);
    if (pair[0] === 0x2f && pair[1] === 0x2a) depth += 1;
    else if (pair[0] === 0x2a && pair[1] === 0x2f) depth -= 1;
    else {
      at += 1;
      continue;
    }
    at += 2;
    if (depth === 0) return at;
  }
  return sql.length;
}

function endOfDollarQuoted(sql: Buffer, from: number): number | undefined {
  let at = from + 1;
  if (isDigit(sql[at] ?? 0)) return undefined;
  while (at < sql.length && isIdentifierPart(sql[at] ?? 0)) at += 1;
  if (sql[at] !== dollar) return undefined;
  const tag = sql.subarray(from, at + 1);
  const end = sql.indexOf(tag, at + 1);
  return end === -1 ? sql.length : end + tag.length;
}

function afterParameter(sql: Buffer, from: number): number {
  let at = from + 1;
  while (at < sql.length && isDigit(sql[at] ?? 0)) at += 1;
  return at;
}

function endOfNumber(sql: Buffer, from: number): number {
  let at = from;
  while (at < sql.length) {
    const byte = sql[at] ?? 0;
    const exponent = (byte === 0x2b || byte === 0x2d) && /e/i.test(String.fromCharCode(sql[at - 1] ?? 0));
    const point = byte === 0x2e && sql[at + 1] !== 0x2e;
    const hexadecimal = sql[from + 1] === 0x78 || sql[from + 1] === 0x58;
    if (!isIdentifierPart(byte) && !point && !(exponent && !hexadecimal && isDigit(sql[at + 1] ?? 0))) break;
    at += 1;
  }
  return at;
}
