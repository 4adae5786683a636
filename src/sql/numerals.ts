// Numerals: numbers as PostgreSQL 16 writes them (0x1F, 0o7, 0b1, 1_000), which servers before 14 read as a number and
// a name behind it, and those of 15 refuse. Knows bytes and the tokens of PostgreSQL's own scanner. wire.md §3.1.

import { isDigit } from './characters.ts';
import type { Engine } from './engine.ts';

/** The major version that first reads them as numbers. */
export const numeralsSince = 16;

const underscore = 0x5f;
const digitZero = 0x30;

/** Letters, digits, underscore, dollar and all beyond ASCII: what makes a word. */
const wordByte = new Uint8Array(256);
for (const character of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$')
  wordByte[character.charCodeAt(0)] = 1;
wordByte.fill(1, 0x80);

/** True if a number of the text is written in a way that older servers do not know. Throws as `Engine.scan`. */
export function hasNewNumerals(engine: Engine, sql: Uint8Array): boolean {
  // Most texts have nothing that looks like one, not even in a string, and are not scanned a second time.
  if (!mayHaveSome(sql)) return false;
  return engine.scan(sql).some(({ start, end }) => isNewNumeral(sql, start, end));
}

/** True if a word that begins with a digit looks like one; it may still stand in a string or a comment. */
function mayHaveSome(sql: Uint8Array): boolean {
  for (let at = 0; at < sql.length; ) {
    if (wordByte[sql[at]!] === 0) {
      at += 1;
      continue;
    }
    const start = at;
    while (at < sql.length && wordByte[sql[at]!] === 1) at += 1;
    if (isNewNumeral(sql, start, at)) return true;
  }
  return false;
}

function isNewNumeral(sql: Uint8Array, start: number, end: number): boolean {
  const first = sql[start]!;
  const pointed = first === 0x2e && start + 1 < end && isDigit(sql[start + 1]!);
  if (!isDigit(first) && !pointed) return false;
  if (first === digitZero && start + 1 < end && 'xobXOB'.includes(String.fromCharCode(sql[start + 1]!)))
    return true;
  const at = sql.indexOf(underscore, start);
  return at !== -1 && at < end;
}
