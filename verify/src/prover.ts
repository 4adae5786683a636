// Prover: finds in a log what the proofs of some of its records are made of, in as much memory as they are long. From
// tiles where there are some; else in one pass over the lines. Nothing of it is believed: whoever makes a proof of it
// checks that as an outsider would. Pure given the source. audit-approval §9.

import type { JWK } from 'jose';
import { type Extent, extentOf, extentsOf, linesFrom } from './extents.ts';
import { leafHash } from './leaf.ts';
import type { Hash } from './merkle.ts';
import type { LogSource } from './port.ts';
import { readLines } from './source.ts';
import {
  assemble,
  consistencyParts,
  endOf,
  hashOf,
  inclusionParts,
  Passing,
  peaksOf,
  type Subtree,
  type Subtrees,
  subtreeName,
} from './subtrees.ts';
import { TiledTree, tiledSizeName } from './tiles.ts';
import { readToken } from './token.ts';
import { checkpointOver, type Witnessed } from './witnessed.ts';

/** A seal and what makes its key one of the log's. */
export interface Sealed {
  readonly origin: string;
  readonly root: JWK;
  /** Epoch keys from 0 to the seal's, each with the certificate by the one before. */
  readonly keys: readonly { readonly jwk: JWK; readonly cert: string }[];
  /** The seal's line. */
  readonly seal: string;
  readonly size: number;
}

/** A proof cannot be made of what is here. The message says why. */
export class Unprovable extends Error {
  override readonly name = 'Unprovable';
}

/** The first seal that covers record `seq`, and its keys. Throws Unprovable if there is none. */
export async function sealOver(source: LogSource, seq: number): Promise<Sealed> {
  const extent = extentOf(await extentsOf(source), seq);
  if (extent === undefined) throw new Unprovable(`the log does not hold record ${seq} any more`);
  let records = extent.first;
  for await (const line of linesFrom(source, extent)) {
    if ('kind' in line) {
      records = line.seq + 1;
      continue;
    }
    if (line.size <= seq) continue;
    return withKeys(source, line.line);
  }
  throw new Unprovable(
    records > seq
      ? `record ${seq} is under no seal yet: the next one covers it, ask again then`
      : `the log has ${records} records; there is no record ${seq}`,
  );
}

/** A seal line with the keys that lead to it. */
export async function withKeys(source: LogSource, seal: string): Promise<Sealed> {
  const { claims } = readToken(seal);
  const { root, keys } = await keysUpTo(source, Number(claims.epoch));
  return { origin: String(claims.origin), root, keys, seal, size: Number(claims.size) };
}

/** From the files of the folder `keys` where they are all there, else from the log's own records. */
async function keysUpTo(source: LogSource, epoch: number): Promise<Pick<Sealed, 'root' | 'keys'>> {
  const filed = await keysFiled(source, epoch);
  if (filed !== undefined) return filed;
  const keys: { jwk: JWK; cert: string }[] = [];
  let root: JWK | undefined;
  for await (const line of readLines(source)) {
    if (!('kind' in line)) continue;
    const { jwk, cert } = line.members;
    if (line.kind === 'genesis') root = jwk as JWK;
    if (line.kind === 'key') keys.push({ jwk: jwk as JWK, cert: String(cert) });
    if (keys.length > epoch && root !== undefined) return { root, keys };
  }
  throw new Unprovable(
    `the log does not hold the keys up to epoch ${epoch}: neither in keys/ nor in records`,
  );
}

async function keysFiled(
  source: LogSource,
  epoch: number,
): Promise<Pick<Sealed, 'root' | 'keys'> | undefined> {
  const root = await jwkFile(source, 'root');
  const keys: { jwk: JWK; cert: string }[] = [];
  for (let n = 0; n <= epoch; n += 1) {
    const jwk = await jwkFile(source, n);
    const cert = await source.read(`keys/${n}.cert`);
    if (jwk === undefined || cert === undefined) return undefined;
    keys.push({ jwk, cert: cert.toString('utf8').trim() });
  }
  return root === undefined ? undefined : { root, keys };
}

async function jwkFile(source: LogSource, name: string | number): Promise<JWK | undefined> {
  const bytes = await source.read(`keys/${name}.jwk`);
  return bytes === undefined ? undefined : (JSON.parse(bytes.toString('utf8')) as JWK);
}

/** The proofs that are wanted. */
export interface Wanted {
  /** Records in the tree of `size`. */
  readonly inclusion: readonly number[];
  readonly size: number;
  /** Trees, by size, that larger ones are to be shown to continue. */
  readonly consistency: readonly { readonly old: number; readonly size: number }[];
}

/** Their hashes. */
export interface Paths {
  /** By record. */
  readonly inclusion: ReadonlyMap<number, readonly Hash[]>;
  /** In the order in which they were wanted. */
  readonly consistency: readonly (readonly Hash[])[];
}

/** Makes proofs out of what `from` gives. Throws what that throws. */
export async function pathsFrom(from: Subtrees, wanted: Wanted): Promise<Paths> {
  const inclusion = wanted.inclusion.map((seq) => [seq, inclusionParts(seq, wanted.size)] as const);
  const consistency = wanted.consistency.map(({ old, size }) => consistencyParts(old, size));
  const parts = [...inclusion.map(([, each]) => each), ...consistency];
  const hashes = await from.hashes(parts.flat(2));
  return {
    inclusion: new Map(inclusion.map(([seq, each]) => [seq, assemble(each, hashes)])),
    consistency: consistency.map((each) => assemble(each, hashes)),
  };
}

/** Where the hashes of a log's tree of `size` come from: its tiles, and the lines behind what they cover. */
export class TiledLog implements Subtrees {
  readonly #source: LogSource;
  readonly #size: number;

  constructor(source: LogSource, size: number) {
    this.#source = source;
    this.#size = size;
  }

  async hashes(wanted: readonly Subtree[]): Promise<ReadonlyMap<string, Hash>> {
    const tiled = await tiledSize(this.#source);
    const tiles = new TiledTree((name) => this.#source.read(name), tiled);
    if (tiled === 0) throw new Unprovable('the log has no tiles');
    const inTiles = wanted.filter((one) => endOf(one) <= tiled);
    const found = new Map(await tiles.hashes(inTiles));
    const rest = wanted.filter((one) => endOf(one) > tiled);
    if (rest.length === 0) return found;
    const peaks = peaksOf(tiled);
    const known = await tiles.hashes(peaks);
    const start = { first: tiled, peaks: peaks.map((peak) => hashOf(peak, known)) };
    for (const [name, hash] of await passed(this.#source, start, this.#size, rest)) found.set(name, hash);
    return found;
  }
}

/** Where the hashes of a log's tree of `size` come from without tiles: one pass over all of its lines. */
export class WholeLog implements Subtrees {
  readonly #source: LogSource;
  readonly #size: number;

  constructor(source: LogSource, size: number) {
    this.#source = source;
    this.#size = size;
  }

  async hashes(wanted: readonly Subtree[]): Promise<ReadonlyMap<string, Hash>> {
    const [first] = await extentsOf(this.#source);
    return passed(this.#source, first ?? { first: 0, peaks: [] }, this.#size, wanted);
  }
}

/** How many records the tiles are over, as their hint says. */
export async function tiledSize(source: LogSource): Promise<number> {
  const text = String((await source.read(tiledSizeName)) ?? '');
  return /^\d{1,15}\n$/.test(text) ? Number(text) : 0;
}

/** The wanted subtrees out of the lines from record `start.first` to before `size`. */
async function passed(
  source: LogSource,
  start: Pick<Extent, 'first' | 'peaks'>,
  size: number,
  wanted: readonly Subtree[],
): Promise<ReadonlyMap<string, Hash>> {
  const passing = new Passing(wanted, start.first, start.peaks);
  const extent = extentOf(await extentsOf(source), start.first);
  if (extent !== undefined && passing.size < size) {
    for await (const line of linesFrom(source, extent)) {
      if (!('kind' in line) || line.seq < start.first) continue;
      passing.append(Buffer.from(leafHash(line.line), 'base64url'));
      if (passing.size === size) break;
    }
  }
  const missing = wanted.find((one) => !passing.found.has(subtreeName(one)));
  if (missing !== undefined)
    throw new Unprovable(`the log does not hold the records that subtree ${subtreeName(missing)} is over`);
  return passing.found;
}

/**
 * Makes something of proofs by tiles, and where there are none, or where what they say does not hold, by a pass over the
 * log. `make` throws if what it is given proves nothing.
 */
export async function proved<T>(
  source: LogSource,
  wanted: Wanted,
  make: (paths: Paths) => Promise<T>,
): Promise<{ made: T; tiles: 'used' | 'none' | 'wrong' }> {
  const tiled = (await tiledSize(source)) > 0;
  const size = Math.max(wanted.size, ...wanted.consistency.map((each) => each.size));
  if (tiled) {
    try {
      const made = await make(await pathsFrom(new TiledLog(source, size), wanted));
      return { made, tiles: 'used' };
    } catch {
      // Whether it was the tiles or the log itself, the pass over the log will tell.
    }
  }
  const made = await make(await pathsFrom(new WholeLog(source, size), wanted));
  return { made, tiles: tiled ? 'wrong' : 'none' };
}

/** What came of the parts that a proof does well with and can do without. */
export interface Aids {
  /** `wrong` ones want to be made anew. */
  readonly tiles: 'used' | 'none' | 'wrong';
  /** `wrong`: the log has one that it is no continuation of, or that is not signed by it. */
  readonly checkpoint: 'kept' | 'none' | 'wrong';
}

/**
 * Makes something of the proofs of records under a seal and, where the log has a checkpoint over as much, of that.
 * `make` throws if what it is given proves nothing.
 */
export async function provedUnder<T>(
  source: LogSource,
  sealed: Sealed,
  seqs: readonly number[],
  make: (inclusion: Paths['inclusion'], checkpoint: Witnessed | undefined) => Promise<T>,
): Promise<Aids & { made: T }> {
  const wanted = { inclusion: seqs, size: sealed.size, consistency: [] };
  const checkpoint = await checkpointOver(source, sealed.size);
  if (checkpoint === undefined)
    return {
      ...(await proved(source, wanted, ({ inclusion }) => make(inclusion, undefined))),
      checkpoint: 'none',
    };
  const { note, key, size } = checkpoint;
  const both = { ...wanted, consistency: [{ old: sealed.size, size }] };
  try {
    const done = await proved(source, both, ({ inclusion, consistency: [steps] }) =>
      make(inclusion, { note, key, consistency: steps!.map((step) => step.toString('base64url')) }),
    );
    return { ...done, checkpoint: 'kept' };
  } catch {
    // Whatever it is that is wrong, what the seal proves alone is proved alone.
    return {
      ...(await proved(source, wanted, ({ inclusion }) => make(inclusion, undefined))),
      checkpoint: 'wrong',
    };
  }
}
