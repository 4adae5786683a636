// Lines: cuts the bytes of a log into its lines, whole or as they come. audit-approval §3.1.
// A record line begins with {, a seal line with e; anything else, a blank line, CR, a line too long or not of UTF-8 is
// refused in its place. Pure.

import { lineBytesMax } from './leaf.ts';
import { Offence, type Place } from './offence.ts';

/** A line of a file, without its LF. `start`: its offset in the bytes that it was cut from. */
export interface Line {
  readonly line: string;
  readonly place: Place;
  readonly start: number;
}

/**
 * Cuts a segment into its lines. Throws Offence for a line that can be neither record nor seal: blank, with CR, too long,
 * not UTF-8; and `torn` for what stands behind the last LF.
 */
export function* linesOf(bytes: Buffer, file: string): Generator<Line> {
  const rest = yield* cut(bytes, file, 1);
  if (rest.start < bytes.length) throw torn(file, rest.number);
}

/** The same of a file that comes in pieces, and of which not more than a line is kept. */
export async function* linesFrom(pieces: AsyncIterable<Uint8Array>, file: string): AsyncGenerator<Line> {
  let held: Buffer = Buffer.alloc(0);
  let number = 1;
  for await (const piece of pieces) {
    const bytes = Buffer.concat([held, piece]);
    const rest = yield* cut(bytes, file, number);
    held = bytes.subarray(rest.start);
    number = rest.number;
    if (held.length > lineBytesMax)
      throw new Offence(
        'form',
        { file, line: number },
        `a line of more than ${lineBytesMax} bytes; no line is longer`,
      );
  }
  if (held.length > 0) throw torn(file, number);
}

/** The whole lines in `bytes`; returns where the rest begins, and the number of its line. */
function* cut(bytes: Buffer, file: string, from: number): Generator<Line, { start: number; number: number }> {
  let start = 0;
  for (let number = from; ; number += 1) {
    const end = bytes.indexOf(10, start);
    if (end < 0) return { start, number };
    const place = { file, line: number };
    if (end === start) throw new Offence('form', place, 'a blank line');
    if (end - start > lineBytesMax)
      throw new Offence(
        'form',
        place,
        `a line of ${end - start} bytes; no line is longer than ${lineBytesMax}`,
      );
    const first = bytes[start];
    if (first !== 0x7b && first !== 0x65)
      throw new Offence('form', place, 'the line is neither a record nor a seal');
    let line: string;
    try {
      line = utf8.decode(bytes.subarray(start, end));
    } catch {
      throw new Offence('form', place, 'the line is not UTF-8');
    }
    yield { line, place, start };
    start = end + 1;
  }
}

function torn(file: string, line: number): Offence {
  return new Offence('torn', { file, line }, 'the file ends in the middle of this line');
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
