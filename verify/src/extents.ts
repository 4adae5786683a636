// Extents: which records each segment of a log holds, so that one of them is found without reading all. As manifest.jsonl
// says, unverified: a wrong word makes a record not be found, or a proof that does not hold.
// Pure given the source. audit-approval §11.

import type { Hash } from './merkle.ts';
import { segmentNumber } from './names.ts';
import type { LogSource } from './port.ts';
import { LineReader, type ReadRecord, type ReadSeal } from './source.ts';
import { readToken } from './token.ts';

/** A segment: its place among those that are there, its first record, and the peaks of the tree before that. */
export interface Extent {
  readonly at: number;
  readonly first: number;
  readonly peaks: readonly Hash[];
}

/** The segments of a log in order; the last is the one that is written. Empty if there is none. */
export async function extentsOf(source: LogSource): Promise<Extent[]> {
  // Before the names: a log that grows meanwhile has a segment more than its manifest knows, never one less.
  const manifest = String((await source.read('manifest.jsonl')) ?? '');
  const starts = new Map<number, Omit<Extent, 'at'>>([[0, { first: 0, peaks: [] }]]);
  for (const line of manifest.split('\n')) {
    if (line === '') continue;
    const { n, size, end_range } = readToken(line).claims;
    starts.set(Number(n) + 1, { first: Number(size), peaks: hashesOf(end_range) });
  }
  const extents: Extent[] = [];
  for (const [at, name] of (await source.segments()).entries()) {
    const start = starts.get(segmentNumber(name) ?? -1);
    // A segment that was closed a moment ago has no line yet; it is read together with the one before.
    if (start !== undefined) extents.push({ at, ...start });
  }
  return extents;
}

/** The segment that record `seq` is in, or would be. Undefined if it is before the first that is there. */
export function extentOf(extents: readonly Extent[], seq: number): Extent | undefined {
  return extents.findLast(({ first }) => first <= seq);
}

/** The lines from about record `seq` on, from the beginning of its segment. */
export function linesFrom(source: LogSource, extent: Extent): AsyncGenerator<ReadRecord | ReadSeal> {
  return new LineReader(source, extent.at).fresh();
}

/** Record `seq`, unverified; undefined if the log has it not, or not any more. */
export async function recordAt(source: LogSource, seq: number): Promise<ReadRecord | undefined> {
  const extent = extentOf(await extentsOf(source), seq);
  if (extent === undefined) return undefined;
  for await (const line of linesFrom(source, extent)) {
    if (!('kind' in line) || line.seq < seq) continue;
    return line.seq === seq ? line : undefined;
  }
  return undefined;
}

function hashesOf(value: unknown): Hash[] {
  return Array.isArray(value) ? value.map((text) => Buffer.from(String(text), 'base64url')) : [];
}
