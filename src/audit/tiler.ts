// Tiler: keeps the tiles of one log, by reading its lines behind whoever writes them. audit-approval §9, C2SP tlog-tiles.
// Takes only records that a seal on disk covers, because others may be gone after a power cut, and compares its root with
// what the seals say; where they differ it begins anew. Tiles can be made again from the log at any time, so they are not
// synced. Refuses to know the writer, keys and proofs; whoever reads a tile believes it no more than the proof it gives.

import { hash } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { extentOf, extentsOf } from '../../verify/src/extents.ts';
import { lineBytesMax } from '../../verify/src/leaf.ts';
import type { Hash } from '../../verify/src/merkle.ts';
import { FolderSource } from '../../verify/src/source.ts';
import { type Tile, TileBuilder, tiledSizeName, tileWidth } from '../../verify/src/tiles.ts';
import { readToken } from '../../verify/src/token.ts';
import { HoldpointError } from '../errors.ts';

/** What a seal says of the tree. */
interface SealedTree {
  readonly size: number;
  /** base64url. */
  readonly root: string;
}

/** Keeps the tiles of the log in a folder. One at a time may be at work in it; two would write the same. */
export class Tiler {
  readonly #path: string;
  readonly #source: FolderSource;
  #builder = new TileBuilder();
  #lines: Lines | undefined;
  /** Leaves that no seal has been seen to cover. */
  #pending: Hash[] = [];
  #seals: SealedTree[] = [];
  /** The largest size of a seal that was seen. */
  #sealed = 0;

  /** `path`: the log's folder. */
  constructor(path: string) {
    this.#path = path;
    this.#source = new FolderSource(path);
  }

  /** How many records the tiles are over. */
  get size(): number {
    return this.#builder.size;
  }

  /**
   * Brings the tiles up to the last seal that covers no more than the first `limit` records. Throws
   * `log-unwritable` if the lines are not what the seals say, which `audit verify` then explains; and what the file
   * system throws.
   */
  async catchUp(limit = Number.POSITIVE_INFINITY): Promise<number> {
    if (this.#lines === undefined) await this.#takeUp();
    return (await this.#advance(limit)) ? this.size : this.makeAnew(limit);
  }

  /** The same, from the first record on. */
  async makeAnew(limit = Number.POSITIVE_INFINITY): Promise<number> {
    const [first] = await extentsOf(this.#source);
    if (first !== undefined && first.first > 0)
      throw new HoldpointError(
        'log-unwritable',
        `the tiles of ${this.#path} cannot be made: the log begins with record ${first.first}, those before are not here`,
      );
    this.#startAnew();
    if (await this.#advance(limit)) return this.size;
    this.#startAnew();
    throw new HoldpointError(
      'log-unwritable',
      `the tiles of ${this.#path} cannot be made: its records are not those that its seals are over`,
    );
  }

  /** Begins where the tiles end that are there; at the beginning if they cannot be read. */
  async #takeUp(): Promise<void> {
    const text = String((await this.#source.read(tiledSizeName)) ?? '');
    const size = /^\d{1,15}\n$/.test(text) ? Number(text) : 0;
    const read = (name: string) => this.#source.read(name);
    try {
      this.#builder = await TileBuilder.of(read, size);
    } catch {
      this.#builder = new TileBuilder();
    }
    // The seal over the last of them is in its segment, and is compared.
    const extent = extentOf(await extentsOf(this.#source), Math.max(0, this.size - 1));
    this.#lines = new Lines(this.#source, extent?.at ?? 0, this.size - (extent?.first ?? 0));
  }

  #startAnew(): void {
    this.#builder = new TileBuilder();
    this.#pending = [];
    this.#seals = [];
    this.#sealed = 0;
    this.#lines = new Lines(this.#source, 0, 0);
  }

  /** False if a seal says otherwise than the lines. */
  async #advance(limit: number): Promise<boolean> {
    const from = this.size;
    let last = this.#takeSeals(limit);
    for await (const line of this.#sealed < limit ? this.#lines!.read() : []) {
      if (typeof line !== 'string') {
        this.#pending.push(line);
        continue;
      }
      const { size, root } = readToken(line).claims;
      this.#sealed = Number(size);
      this.#seals.push({ size: this.#sealed, root: String(root) });
      last = this.#takeSeals(limit) ?? last;
      if (this.#sealed >= limit) break;
    }
    // Tiles over more than is sealed are of a log that was set back.
    if (last === undefined) return this.#sealed >= this.size;
    if (last.size !== this.size || this.#builder.root().toString('base64url') !== last.root) return false;
    if (this.size > from) this.#publish();
    return true;
  }

  /** Takes the records that seals up to `limit` cover; returns the last of those seals. */
  #takeSeals(limit: number): SealedTree | undefined {
    let last: SealedTree | undefined;
    while (this.#seals[0] !== undefined && this.#seals[0].size <= limit) {
      last = this.#seals.shift()!;
      for (const leaf of this.#pending.splice(0, last.size - this.size))
        for (const tile of this.#builder.append(leaf)) this.#write(tile);
    }
    return last;
  }

  /** The partial tiles and then the size: whoever reads the size finds the tiles. */
  #publish(): void {
    for (const tile of this.#builder.partial()) this.#write(tile);
    writeWhole(join(this.#path, tiledSizeName), Buffer.from(`${this.size}\n`));
  }

  #write({ name, bytes }: Tile): void {
    const path = join(this.#path, name);
    fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeWhole(path, bytes);
    // What its predecessors held, it holds.
    if (bytes.length === tileWidth * 32) fs.rmSync(`${path}.p`, { recursive: true, force: true });
  }
}

/** A crash leaves the old file or the new one. After a power cut it may be neither; then a proof fails, and it is made anew. */
function writeWhole(path: string, bytes: Buffer): void {
  fs.writeFileSync(`${path}.new`, bytes, { mode: 0o600 });
  fs.renameSync(`${path}.new`, path);
}

/** The whole lines of a log from a place on, as it grows: a record's leaf hash, a seal's text. */
class Lines {
  readonly #source: FolderSource;
  /** Index of the segment, and bytes of it that are done with. */
  #at: number;
  #offset = 0;
  /** Records yet to be passed over. */
  #skip: number;

  constructor(source: FolderSource, at: number, skip: number) {
    this.#source = source;
    this.#at = at;
    this.#skip = skip;
  }

  /** Yields what is there. A caller that leaves early goes on behind the last line it took. */
  async *read(): AsyncGenerator<Hash | string> {
    const names = await this.#source.segments();
    for (; this.#at < names.length; ) {
      for await (const line of this.#segment(names[this.#at]!)) yield line;
      if (this.#at === names.length - 1) return;
      this.#at += 1;
      this.#offset = 0;
    }
  }

  async *#segment(name: string): AsyncGenerator<Hash | string> {
    // One byte in front for the prefix of a leaf, so that a line is hashed where it stands.
    let rest = Buffer.of(0);
    for await (const chunk of (await this.#source.open(name, { from: this.#offset })) ?? []) {
      const bytes = Buffer.concat([rest, chunk]);
      let start = 1;
      for (let end = bytes.indexOf(10, start); end >= 0; end = bytes.indexOf(10, start)) {
        this.#offset += end + 1 - start;
        const line = this.#line(bytes, start, end);
        start = end + 1;
        if (line !== undefined) yield line;
      }
      rest = bytes.subarray(start - 1);
      if (rest.length > lineBytesMax + 1)
        throw new HoldpointError('log-unwritable', `${name} has a line longer than ${lineBytesMax} bytes`);
    }
  }

  #line(bytes: Buffer, start: number, end: number): Hash | string | undefined {
    if (bytes[start] !== 0x7b) return bytes.toString('latin1', start, end);
    if (this.#skip > 0) {
      this.#skip -= 1;
      return undefined;
    }
    bytes[start - 1] = 0;
    return hash('sha256', bytes.subarray(start - 1, end), 'buffer');
  }
}
