// Ahead: a segment that is read before those in front of it were, from where its manifest line says that it begins.
// audit-approval §11, §12. Nothing in the hint is believed: what was read ahead counts only if the segments before it lead
// exactly there, and is thrown away otherwise. So reading side by side finds what reading in order finds. Pure.

import { Walk, type WalkStart, type WalkState } from './chain.ts';
import { Offence, type Place } from './offence.ts';
import type { LogSource } from './port.ts';
import { SegmentScan, type Told } from './scan.ts';
import { Statements } from './statements.ts';

/** Told records beyond this are not kept for later: the segment is then read in its turn. */
const toldCharactersMax = 1 << 24;

/** What is to be read ahead. */
export interface AheadJob {
  readonly file: string;
  readonly origin: string;
  /** Undefined at the beginning of a log. Peaks are base64url. */
  readonly start: (Omit<WalkStart, 'range'> & { readonly range: readonly string[] }) | undefined;
  /** Sizes at which the root is wanted. */
  readonly sizes: readonly number[];
  readonly bytesMax: number | undefined;
}

/** What was read; another thread can take it. */
export interface ReadAhead {
  readonly start: WalkState;
  readonly end: WalkState;
  readonly bytes: number;
  readonly sha256: string;
  readonly records: number;
  readonly kinds: readonly (readonly [string, number])[];
  readonly told: readonly Told[];
  readonly open: readonly (readonly [number, Place])[];
  readonly first: NonNullable<SegmentScan['first']>;
  readonly last: NonNullable<SegmentScan['last']>;
  readonly roots: readonly (readonly [number, string])[];
}

/** Whoever reads ahead: `width` jobs side by side. */
export interface Readers {
  readonly width: number;
  /** Undefined if the segment is to be read in its turn: whatever is wrong with it is found and said there. */
  read(job: AheadJob): Promise<ReadAhead | undefined>;
}

/** Reads one segment ahead. */
export async function readAhead(source: LogSource, job: AheadJob): Promise<ReadAhead | undefined> {
  try {
    const walk = new Walk(job.origin, job.start && { ...job.start, range: job.start.range.map(unspelt) });
    const start = walk.state();
    const scan = new SegmentScan(walk, new Statements(walk.size), job.file, new Set(job.sizes));
    const pieces = await source.open(job.file, job.bytesMax === undefined ? {} : { bytesMax: job.bytesMax });
    if (pieces === undefined) return undefined;
    for await (const piece of pieces) {
      scan.push(piece);
      if (scan.toldCharacters > toldCharactersMax) return undefined;
    }
    scan.end();
    const { bytes, records, told, first, last } = scan;
    if (first === undefined || last === undefined) return undefined;
    return {
      ...{ start, bytes, records, told, first, last },
      end: walk.state(),
      sha256: scan.sha256(),
      kinds: [...scan.kinds],
      open: [...scan.statements],
      roots: [...scan.roots],
    };
  } catch (error) {
    if (error instanceof Offence || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Whether what was read ahead follows from where the log has come to. */
export function follows(truth: WalkState, { start, first }: ReadAhead): boolean {
  return (
    truth.unsealed.lines.length === 0 &&
    truth.nextKey === undefined &&
    truth.size === start.size &&
    truth.head === start.head &&
    truth.psh === start.psh &&
    truth.key?.kid === start.key?.kid &&
    truth.key?.epoch === start.key?.epoch &&
    String(truth.range) === String(start.range) &&
    // The one thing that a segment cannot know of those before it.
    (truth.boot !== first.boot || truth.mono <= first.mono)
  );
}

/** Where the log has come to behind it. */
export function joined(truth: WalkState, { end, first }: ReadAhead): WalkState {
  return {
    ...end,
    seals: truth.seals + end.seals,
    sealedAt: end.sealedAt ?? truth.sealedAt,
    sealedRoot: end.sealedRoot ?? truth.sealedRoot,
    root: end.root ?? truth.root,
    checkpointKeys: [...truth.checkpointKeys, ...end.checkpointKeys],
    bootSince: first.boot === truth.boot && end.bootSince === truth.size ? truth.bootSince : end.bootSince,
  };
}

function unspelt(peak: string): Buffer {
  return Buffer.from(peak, 'base64url');
}
