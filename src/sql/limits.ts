// Limits: what is refused before PostgreSQL's parser sees a byte of it. Knows bytes, no syntax: every test here may
// refuse too much of what nobody writes, and must never need to know where a string or a comment ends.
// The wordings of the refusals are the server's own (wire.md 2.1 and 3.2: 08P01, 22021).

import { isUtf8 } from 'node:buffer';
import type { Analysis } from './statement.ts';

type Refused = Extract<Analysis, { kind: 'refused' }>;

/**
 * Steps that PostgreSQL's scanner may spend on going back. It matches a run of operator characters as far as it goes
 * and then gives back all but the comment opening, or all but one `+`: `/*` or `+` repeated n times costs n*n steps.
 * 64 million take about a tenth of a second; half a megabyte of comment openings would take more than 10^11.
 */
const rescanStepsMax = 64_000_000;

const operatorCharacter = new Uint8Array(256);
for (const character of '~!@#^&|`?+-*/%<>=') operatorCharacter[character.charCodeAt(0)] = 1;
const slash = 0x2f;
const star = 0x2a;
const plus = 0x2b;

/** Undefined if the text may go to the parser. `sql` is without its terminating NUL. */
export function refusal(sql: Buffer, statementBytesMax: number): Refused | undefined {
  if (sql.length > statementBytesMax) {
    return refused(
      'too-large',
      `statement of ${sql.length} bytes is over the limit of ${statementBytesMax} bytes; send it in parts`,
    );
  }
  if (sql.includes(0)) return refused('protocol-violation', 'invalid message format');
  if (!isUtf8(sql)) return refused('bad-encoding', invalidByteSequence(sql));
  if (isRescannedLong(sql)) {
    return refused(
      'too-complex',
      'statement has too long a run of operator characters; break it up with spaces',
    );
  }
  return undefined;
}

function refused(code: Refused['code'], message: string): Refused {
  return { kind: 'refused', code, message };
}

/** True if the scanner may spend more than `rescanStepsMax` steps on runs of operator characters. Linear in the text. */
function isRescannedLong(sql: Buffer): boolean {
  // A run costs no more than its length squared, and all of them no more than the text's.
  if (sql.length ** 2 <= rescanStepsMax) return false;
  // Most texts need not be looked at byte by byte: runs shorter than `stride` cost half of it at most, and of the others
  // each has a byte at one of its multiples.
  const stride = Math.floor(rescanStepsMax / 2 / sql.length);
  if (stride > 1 && stepsOfLongRuns(sql, stride) <= rescanStepsMax / 2) return false;
  return rescanSteps(sql, 0, sql.length) > rescanStepsMax;
}

/** The steps for the runs that have a byte at a multiple of `stride`: for all of that length, and some shorter ones. */
function stepsOfLongRuns(sql: Buffer, stride: number): number {
  let steps = 0;
  for (let at = 0; at < sql.length; at += stride) {
    if (operatorCharacter[sql[at] as number] === 0) continue;
    let start = at;
    let end = at;
    while (start > 0 && operatorCharacter[sql[start - 1] as number] === 1) start -= 1;
    while (end < sql.length && operatorCharacter[sql[end] as number] === 1) end += 1;
    steps += rescanSteps(sql, start, end);
    at += Math.floor((end - at) / stride) * stride;
  }
  return steps;
}

/** An upper bound of the steps the scanner spends on runs of operator characters between two places. */
function rescanSteps(sql: Buffer, from: number, to: number): number {
  let steps = 0;
  let run = 0;
  let restarts = 0;
  let previous = 0;
  // By index: an iterator over 16 MiB takes ten times as long, on the thread of all sessions.
  for (let at = from; at < to; at += 1) {
    const byte = sql[at] as number;
    if (operatorCharacter[byte] === 1) {
      run += 1;
      if (byte === plus || (byte === star && previous === slash)) restarts += 1;
    } else if (run > 0) {
      steps += run * restarts;
      run = 0;
      restarts = 0;
    }
    previous = byte;
  }
  return steps + run * restarts;
}

/** The server's message for the first sequence that is not UTF-8: as many bytes as its first byte announces. */
function invalidByteSequence(sql: Buffer): string {
  let at = 0;
  while (at < sql.length) {
    const length = sequenceLength(sql[at] ?? 0);
    const sequence = sql.subarray(at, at + length);
    if (sequence.length < length || !isUtf8(sequence)) {
      const bytes = [...sequence].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ');
      return `invalid byte sequence for encoding "UTF8": ${bytes}`;
    }
    at += length;
  }
  return 'invalid byte sequence for encoding "UTF8"';
}

function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if ((first & 0xe0) === 0xc0) return 2;
  if ((first & 0xf0) === 0xe0) return 3;
  if ((first & 0xf8) === 0xf0) return 4;
  return 1;
}
