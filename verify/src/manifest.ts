// Manifest: the signed line that every closed segment has in manifest.jsonl, read in order and a little ahead.
// audit-approval §11. What a line says is believed only once the segment was read and says the same, or where the segment
// was pruned and the key that signed the line is known. Ahead of that it is a hint where to begin. Pure.

import type { EpochKey, WalkStart, WalkState } from './chain.ts';
import { type Line, linesFrom } from './lines.ts';
import { Offence, type Place } from './offence.ts';
import type { LogSource } from './port.ts';
import { checkToken, digest, publicKeyOf, readToken, type SegmentSeal } from './token.ts';

const file = 'manifest.jsonl';

/** The lines of one manifest. `line` may be asked for a number once it was not forgotten. */
export class Manifest {
  readonly #pieces: AsyncIterator<Uint8Array> | undefined;
  readonly #lines: AsyncGenerator<Line> | undefined;
  readonly #ahead = new Map<number, Line>();
  readonly #live: boolean;
  /** Lines read so far. */
  #read = 0;
  #error: Offence | undefined;
  #done = false;

  constructor(pieces: AsyncIterable<Uint8Array> | undefined, live: boolean) {
    this.#pieces = pieces?.[Symbol.asyncIterator]();
    this.#lines = pieces === undefined ? undefined : linesFrom(pieces, file);
    this.#live = live;
  }

  /** Nothing more is read. */
  async close(): Promise<void> {
    await this.#lines?.return(undefined);
    await this.#pieces?.return?.();
  }

  static async open(source: LogSource, live: boolean): Promise<Manifest> {
    return new Manifest(await source.open(file), live);
  }

  /** Line `n`, from 0; undefined if there is none, or none that can be read. */
  async line(n: number): Promise<Line | undefined> {
    while (this.#read <= n && (await this.#next()));
    return this.#ahead.get(n);
  }

  /** Line `n` is not needed any more, nor any before it. */
  forget(n: number): void {
    for (const one of this.#ahead.keys()) if (one <= n) this.#ahead.delete(one);
  }

  /**
   * Reads the rest. Throws Offence if a line could not be read, or if there are more lines than for the `pruned` segments
   * and all but the last of those that are `here`.
   */
  async finish(pruned: number, here: number): Promise<void> {
    for (this.forget(this.#read); await this.#next(); this.forget(this.#read));
    if (this.#error !== undefined) throw this.#error;
    const closed = pruned + Math.max(0, here - 1);
    if (this.#read > closed)
      throw new Offence(
        'chain',
        placeOfLine(closed),
        `the manifest tells of ${this.#read} closed segments and an open one; ${pruned + here} are here: the last were removed`,
      );
  }

  async #next(): Promise<boolean> {
    if (this.#done || this.#lines === undefined) return false;
    try {
      const next = await this.#lines.next();
      if (next.done !== true) {
        this.#ahead.set(this.#read, next.value);
        this.#read += 1;
        return true;
      }
    } catch (error) {
      if (!(error instanceof Offence)) throw error;
      // The line that is being written is not there yet.
      if (!(this.#live && error.kind === 'torn')) this.#error = error;
    }
    this.#done = true;
    return false;
  }
}

/** What a line claims, or undefined if it is none. Nothing is verified. */
export function claimsOf(line: Line): SegmentSeal | undefined {
  try {
    const claims = readToken(line.line).claims as unknown as SegmentSeal;
    return Number.isSafeInteger(claims.size) && Array.isArray(claims.end_range) ? claims : undefined;
  } catch {
    return undefined;
  }
}

/** What a line claims, by the key that must have signed it. Throws Offence. */
export function verifiedClaims(line: Line, key: EpochKey): SegmentSeal {
  try {
    return checkToken(line.line, 'holdpoint-segment+jws', key) as unknown as SegmentSeal;
  } catch (error) {
    throw new Offence('signature', line.place, `the manifest line is not valid: ${(error as Error).message}`);
  }
}

/** What reading a segment showed of its file. */
export interface ReadSegment {
  readonly n: number;
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly start: Pick<WalkState, 'size' | 'head'> & { readonly range: readonly string[] };
  readonly end: Pick<WalkState, 'size' | 'head' | 'psh'> & { readonly range: readonly string[] };
}

/**
 * Compares a segment that was read with its line. `pmh`: hash of the line before. Throws Offence; returns the hash of the
 * line.
 */
export function compareSegment(
  line: Line,
  origin: string,
  key: EpochKey | undefined,
  pmh: string,
  read: ReadSegment,
): string {
  if (key === undefined) throw new Offence('keys', line.place, 'a closed segment before any seal');
  const claims = verifiedClaims(line, key);
  const { n, start, end } = read;
  const fits =
    claims.origin === origin &&
    claims.n === n &&
    claims.first === start.size &&
    claims.size === end.size &&
    claims.start_head === start.head &&
    claims.end_head === end.head &&
    String(claims.start_range) === String(start.range) &&
    String(claims.end_range) === String(end.range) &&
    claims.psh === end.psh &&
    claims.epoch === key.epoch &&
    claims.pmh === pmh;
  if (!fits) throw new Offence('root', line.place, `the manifest says of ${read.file} what it is not`);
  if (claims.bytes !== read.bytes || claims.sha256 !== read.sha256)
    throw new Offence(
      'chain',
      { file: read.file, line: 1 },
      'the manifest names other bytes: lines were moved about',
    );
  return digest(line.line);
}

/** Where the segment behind a line begins, if the line and the published key say so. Nothing is verified. */
export async function hintOf(source: LogSource, line: Line | undefined): Promise<WalkStart | undefined> {
  const claims = line === undefined ? undefined : claimsOf(line);
  if (claims === undefined) return undefined;
  try {
    const { size, end_head: head, end_range, psh, epoch } = claims;
    const key = { ...publicKeyOf(JSON.parse(String(await source.read(`keys/${Number(epoch)}.jwk`)))), epoch };
    const range = end_range.map((peak) => Buffer.from(peak, 'base64url'));
    return { size, head: String(head), range, psh: String(psh), key };
  } catch {
    return undefined;
  }
}

/** The place of line `n`, where it should be. */
export function placeOfLine(n: number): Place {
  return { file, line: n + 1 };
}
