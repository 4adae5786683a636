// Entry: a record as its line says, and the quick look that tells whether a line is worth reading. Nothing of it is
// verified. Pure; refuses to know files.

import type { ReadRecord } from '../../verify/src/source.ts';

/** A record as its line says. `line` is exactly the line. */
export type Entry = ReadRecord;

const brace = 0x7b;

/** The record of a line; undefined for a seal, and for what is neither. */
export function readEntry(bytes: Buffer): Entry | undefined {
  if (bytes[0] !== brace) return undefined;
  const line = bytes.toString('utf8');
  try {
    const members = JSON.parse(line) as Entry['members'];
    const { seq, kind, ts } = members;
    if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(ts) || typeof kind !== 'string') return undefined;
    return { seq: seq as number, kind, ts: ts as number, members, line };
  } catch {
    return undefined;
  }
}

/**
 * What a line of a record contains whose member has this value: the writer emits canonical JSON, so that a member stands
 * in its line in one way. Good for leaving lines out that cannot fit; what is left in has to be read.
 */
export function needle(member: string, value: string | number): Buffer {
  return Buffer.from(`"${member}":${JSON.stringify(value)}`, 'utf8');
}

/** True if one of them stands in the line. */
export function hasAny(bytes: Buffer, needles: readonly Buffer[]): boolean {
  return needles.some((each) => bytes.includes(each));
}
