// BrokenOff: how much of a segment counts whose disk refused something. The writer then goes on in the next segment and
// writes there again what the disk had not confirmed here, in the same bytes; only afterwards it cuts this one. A crash
// in between leaves both with the repeated records: those of the second count, provided that they are the same, so that
// no record can be changed, added or lost by it. Pure: refuses to know files. audit-approval §4, §6.

import { linesOf } from './lines.ts';
import { Offence } from './offence.ts';

/**
 * The bytes of the segment `file`, of content `content`, that count when the next one holds `next`; all of them where it
 * was not broken off. Half a line at the end is never more than what is cut. Throws Offence if a record that is repeated
 * is not the same in both.
 */
export function keptBytes(content: Buffer, next: Buffer, file: string): number {
  const again = recordsOf(next);
  const start = again[0] === undefined ? -1 : lineStart(content, again[0]);
  if (start < 0) return content.length;
  const whole = content.subarray(0, content.lastIndexOf(10) + 1);
  let repeated = 0;
  for (const { line, place, start: at } of linesOf(whole, file)) {
    // A seal is written again as well, or made again over more; it vouches for itself.
    if (at < start || line.startsWith('e')) continue;
    if (line !== again[repeated])
      throw new Offence('chain', place, 'the next segment repeats the end of this one, and has it otherwise');
    repeated += 1;
  }
  return start;
}

/** True if `next`, a segment, says that the one before was broken off after `size` records of the log. */
export function tellsOfBreak(next: Buffer, size: number): boolean {
  return recordsOf(next).some((line) => {
    if (!line.includes('"kind":"gap"')) return false;
    try {
      const { kind, from } = JSON.parse(line) as { kind: unknown; from: unknown };
      return kind === 'gap' && from === size;
    } catch {
      return false;
    }
  });
}

/** The whole record lines. What is no line at all is found where the segment is walked. */
function recordsOf(content: Buffer): string[] {
  const whole = content.toString('utf8', 0, content.lastIndexOf(10) + 1);
  return whole.split('\n').filter((line) => line.startsWith('{'));
}

function lineStart(content: Buffer, line: string): number {
  const bytes = Buffer.from(`${line}\n`, 'utf8');
  for (let at = content.indexOf(bytes); at >= 0; at = content.indexOf(bytes, at + 1))
    if (at === 0 || content[at - 1] === 10) return at;
  return -1;
}
