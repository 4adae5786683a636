// Tiles: the Merkle tree of a log as small files, in the layout of C2SP tlog-tiles: 256 hashes a tile, a level for every
// eight heights of the tree. A proof about a log of any length is read from a handful of them. They hold hashes only, so
// whoever publishes them tells nothing of what was logged. Nobody believes a tile: a proof made of a wrong one fails.
// Pure: knows names and bytes; reading and writing files is the caller's.

import { CompactTree, type Hash, nodeHash } from './merkle.ts';
import { peaksOf, type Subtree, type Subtrees, subtreeName } from './subtrees.ts';

/** Hashes in a full tile, and the height of the tree that they are the leaves of. */
export const tileWidth = 256;
export const tileHeight = 8;
const hashBytes = 32;

/** A file that says how many records the tiles are over: a hint of ours beside the layout. */
export const tiledSizeName = 'tile/size';

/** The name of a tile under the log's folder: `tile/0/x001/234`, and `tile/0/x001/234.p/7` where it holds 7 hashes. */
export function tileName(level: number, n: number, width = tileWidth): string {
  let path = String(n % 1000).padStart(3, '0');
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000))
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`;
  return `tile/${level}/${path}${width === tileWidth ? '' : `.p/${width}`}`;
}

/** How many hashes tile `n` of `level` holds in the tree of `size`: 0 if there is none. */
export function widthOf(level: number, n: number, size: number): number {
  const hashes = Math.floor(size / tileWidth ** level) - n * tileWidth;
  return Math.max(0, Math.min(tileWidth, hashes));
}

/** The root over the hashes of a full tile, or of any power of two of them. */
export function rootOfTile(hashes: readonly Hash[]): Hash {
  let row = hashes;
  while (row.length > 1) row = pairs(row);
  return row[0]!;
}

function pairs(row: readonly Hash[]): Hash[] {
  return Array.from({ length: row.length / 2 }, (_, i) => nodeHash(row[2 * i]!, row[2 * i + 1]!));
}

/** Gives a file of the log's folder by its name; undefined if it is not there. */
export type ReadTile = (name: string) => Promise<Buffer | undefined>;

/** The tree of the first `size` records, as its tiles say. */
export class TiledTree implements Subtrees {
  readonly size: number;
  readonly #read: ReadTile;
  /** Those read last, by name: hashes of neighbours are in the same. */
  readonly #tiles = new Map<string, Buffer>();

  constructor(read: ReadTile, size: number) {
    this.size = size;
    this.#read = read;
  }

  async hashes(wanted: readonly Subtree[]): Promise<ReadonlyMap<string, Hash>> {
    const found = new Map<string, Hash>();
    for (const subtree of wanted) {
      const name = subtreeName(subtree);
      if (!found.has(name)) found.set(name, await this.#hash(subtree));
    }
    return found;
  }

  async #hash({ height, index }: Subtree): Promise<Hash> {
    const level = Math.floor(height / tileHeight);
    const count = 2 ** (height % tileHeight);
    const first = index * count;
    const n = Math.floor(first / tileWidth);
    const offset = first % tileWidth;
    const width = widthOf(level, n, this.size);
    if (offset + count > width)
      throw new RangeError(`subtree ${height}/${index} is not in the tree of ${this.size}`);
    const tile = await this.#tile(level, n, width);
    const hashes = Array.from({ length: count }, (_, i) =>
      Buffer.from(tile.subarray((offset + i) * hashBytes, (offset + i + 1) * hashBytes)),
    );
    return rootOfTile(hashes);
  }

  async #tile(level: number, n: number, width: number): Promise<Buffer> {
    const name = tileName(level, n, width);
    const known = this.#tiles.get(name);
    if (known !== undefined) return known;
    // A partial tile goes once its full one is there; the log may have grown since its size was read.
    const read =
      (await this.#read(name)) ?? (width < tileWidth ? await this.#read(tileName(level, n)) : undefined);
    if (read === undefined) throw new Error(`the tile ${name} is missing`);
    if (read.length !== width * hashBytes && read.length !== tileWidth * hashBytes)
      throw new Error(`the tile ${name} has ${read.length} bytes, not ${width * hashBytes}`);
    if (this.#tiles.size >= tilesKeptMax) this.#tiles.clear();
    this.#tiles.set(name, read);
    return read;
  }
}

/** 8 KiB each. */
const tilesKeptMax = 512;

/** A tile as it is written: its name and its bytes. */
export interface Tile {
  readonly level: number;
  readonly n: number;
  readonly name: string;
  readonly bytes: Buffer;
}

/** Makes tiles of leaves that come in order. Holds the tiles that are not full: 8 KiB a level. */
export class TileBuilder {
  #size = 0;
  /** By level, the hashes of the tile that is not full yet. */
  readonly #rows: Hash[][] = [];

  get size(): number {
    return this.#size;
  }

  /** Takes ownership of `leaf`. Returns the tiles that it fills. */
  append(leaf: Hash): Tile[] {
    const full: Tile[] = [];
    this.#size += 1;
    let hash = leaf;
    for (let level = 0; ; level += 1) {
      const row = this.#rows[level] ?? [];
      this.#rows[level] = row;
      row.push(hash);
      if (row.length < tileWidth) return full;
      full.push(this.#tile(level, row, this.#size / tileWidth ** (level + 1) - 1));
      hash = rootOfTile(row);
      this.#rows[level] = [];
    }
  }

  /** The tiles at the right border, as many hashes of each as there are. */
  partial(): Tile[] {
    return this.#rows.flatMap((row, level) =>
      row.length === 0 ? [] : [this.#tile(level, row, Math.floor(this.#size / tileWidth ** (level + 1)))],
    );
  }

  /** The root over all leaves. */
  root(): Hash {
    return new CompactTree(this.#size, this.#rows.map(rowPeaks).reverse().flat()).root();
  }

  /** Goes on where the tiles of a tree of `size` end. Throws what reading them throws. */
  static async of(read: ReadTile, size: number): Promise<TileBuilder> {
    const builder = new TileBuilder();
    const tree = new TiledTree(read, size);
    builder.#size = size;
    for (let level = 0; tileWidth ** level <= size; level += 1) {
      const n = Math.floor(size / tileWidth ** (level + 1));
      const row = Array.from({ length: widthOf(level, n, size) }, (_, i) => ({
        height: level * tileHeight,
        index: n * tileWidth + i,
      }));
      builder.#rows[level] = [...(await tree.hashes(row)).values()];
    }
    return builder;
  }

  #tile(level: number, row: readonly Hash[], n: number): Tile {
    return { level, n, name: tileName(level, n, row.length), bytes: Buffer.concat(row) };
  }
}

/** The peaks over a row of hashes, largest first. */
function rowPeaks(row: readonly Hash[]): Hash[] {
  return peaksOf(row.length).map(({ height, index }) =>
    rootOfTile(row.slice(index * 2 ** height, (index + 1) * 2 ** height)),
  );
}
