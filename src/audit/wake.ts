// Wake: follows the log through its own files, in the wake of the writer, and knows the tree of what was sealed. Off
// the hot path and in the memory of a few hundred hashes. What is vouched for outside is thereby what is on disk: a
// seal that says other than its records is noticed here, and nothing is told of it to anybody.
// Refuses to know who is told. Believes the writer's manifest, which recovery has checked.

import { hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { createZstdDecompress } from 'node:zlib';
import { CompactTree, type Hash } from '../../verify/src/merkle.ts';
import { packedName } from '../../verify/src/names.ts';
import {
  assemble,
  consistencyParts,
  hashOf,
  Passing,
  peaksOf,
  type Subtree,
  subtreeName,
} from '../../verify/src/subtrees.ts';
import { readToken, type Seal, type SegmentSeal } from '../../verify/src/token.ts';
import type { Folder } from './folder.ts';

/** Read and hashed in one go: about a millisecond of the event loop. */
const chunkBytes = 1 << 16;

/** A sealed state of the log: the root over its first `size` records. */
export interface Standing {
  readonly size: number;
  readonly root: Hash;
}

/** Where the files of a log are read from: a segment and the tree before its first record. */
interface Start {
  readonly n: number;
  readonly first: number;
  readonly range: readonly Hash[];
}

/** One log's wake. Calls must not overlap, except `consistency` and `rootAt`, which read files of their own. */
export class Wake {
  readonly #folder: Folder;
  #n = 0;
  #offset = 0;
  #tree = new CompactTree();
  #pending: Hash[] = [];
  #growths = new Map<number, Growth>();
  #standing: Standing | undefined;
  #begun = false;

  constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** Reads on to the last seal that is on disk, and returns what it says. Throws Error if that is not so. */
  async advance(): Promise<Standing | undefined> {
    if (!this.#begun) await this.#begin();
    for (;;) {
      // Asked before: what is in this segment when the next is there is all that ever will be, but for its last seal.
      const isClosing = (await pathOf(this.#folder, this.#n + 1)) !== undefined;
      const path = (await pathOf(this.#folder, this.#n)) ?? this.#folder.segment(this.#n);
      let last: Standing | undefined;
      for await (const { bytes, end } of lines(path, this.#offset)) {
        this.#offset = end;
        if (isRecord(bytes)) this.#pending.push(leafOf(bytes));
        else last = this.#seal(bytes);
      }
      if (last !== undefined) this.#check(last);
      if (!isClosing || this.#pending.length > 0) return this.#standing;
      this.#n += 1;
      this.#offset = 0;
    }
  }

  /** Keeps what a proof from the present standing on will need, and of earlier ones only those of these sizes. */
  remember(sizes: ReadonlySet<number>): void {
    const { size, range } = this.#tree;
    for (const known of this.#growths.keys()) if (!sizes.has(known)) this.#growths.delete(known);
    if (!this.#growths.has(size)) this.#growths.set(size, new Growth(size, range));
  }

  /** The RFC 6962 proof that the first `old` records begin the first `size`, both sealed. Reads files if it has to. */
  async consistency(old: number, size: number): Promise<Hash[]> {
    const growth = this.#growths.get(old);
    if (growth !== undefined && size === this.#tree.size) return growth.proof(size, this.#tree.range);
    const parts = consistencyParts(old, size);
    return assemble(parts, await this.#hashes(parts.flat(), old, size));
  }

  /** The root over the first `size` records, out of the files. Throws RangeError if there are not so many. */
  async rootAt(size: number): Promise<Hash> {
    const peaks = peaksOf(size);
    const found = await this.#hashes(peaks, size, size);
    return new CompactTree(
      size,
      peaks.map((peak) => hashOf(peak, found)),
    ).root();
  }

  async #begin(): Promise<void> {
    const starts = await this.#starts();
    const { n, first, range } = starts.at(-1)!;
    this.#n = n;
    this.#tree = new CompactTree(first, range);
    this.#begun = true;
  }

  #seal(bytes: Buffer): Standing {
    const { size, root } = readToken(bytes.toString('utf8')).claims as unknown as Seal;
    const leaves = this.#pending.splice(0, size - this.#tree.size);
    for (const leaf of leaves)
      this.#tree.append(leaf, (height, index, node) => {
        for (const growth of this.#growths.values()) growth.formed(height, index, node);
      });
    return { size, root: Buffer.from(root, 'base64url') };
  }

  #check({ size, root }: Standing): void {
    if (this.#tree.size !== size || !this.#tree.root().equals(root))
      throw new Error(
        `what is on disk of the first ${size} records is not what was sealed: the files of the log were changed`,
      );
    this.#standing = { size, root };
  }

  /** Where each segment begins that is closed, and the one behind them. */
  async #starts(): Promise<Start[]> {
    const { manifest } = this.#folder;
    const text = (await exists(manifest)) ? await readFile(manifest, 'utf8') : '';
    const starts: Start[] = [];
    let next: Start = { n: 0, first: 0, range: [] };
    for (const line of text.split('\n').slice(0, -1)) {
      const { n, first, size, start_range, end_range } = readToken(line).claims as unknown as SegmentSeal;
      starts.push({ n, first, range: rangeOf(start_range) });
      next = { n: n + 1, first: size, range: rangeOf(end_range) };
    }
    return [...starts, next];
  }

  /** The hashes of subtrees that end within the first `size` records and of which none is needed whole before `from`. */
  async #hashes(wanted: readonly Subtree[], from: number, size: number): Promise<ReadonlyMap<string, Hash>> {
    const start = (await this.#starts()).findLast(({ first }) => first <= from)!;
    const passing = new Passing(wanted, start.first, start.range);
    for (let n = start.n; passing.size < size; n += 1) {
      const path = await pathOf(this.#folder, n);
      if (path === undefined) throw new RangeError(`the log has ${passing.size} records, not ${size}`);
      for await (const { bytes } of lines(path, 0)) {
        if (passing.size === size) break;
        if (isRecord(bytes)) passing.append(leafOf(bytes));
      }
    }
    return passing.found;
  }
}

/** What the proof needs that the first `size` records begin a larger log, gathered while it grows. */
class Growth {
  readonly #old: number;
  readonly #found = new Map<string, Hash>();
  /** The next subtree to the right, by which the tree of `old` grows to a perfect one. */
  #next: Subtree;

  constructor(old: number, range: readonly Hash[]) {
    this.#old = old;
    for (const [i, peak] of peaksOf(old).entries()) this.#found.set(subtreeName(peak), range[i]!);
    this.#next = alignedAt(old);
  }

  formed(height: number, index: number, node: Hash): void {
    if (height !== this.#next.height || index !== this.#next.index) return;
    this.#found.set(subtreeName(this.#next), node);
    this.#next = alignedAt((index + 1) * 2 ** height);
  }

  proof(size: number, range: readonly Hash[]): Hash[] {
    const found = new Map(this.#found);
    for (const [i, peak] of peaksOf(size).entries()) found.set(subtreeName(peak), range[i]!);
    return assemble(consistencyParts(this.#old, size), found);
  }
}

/** The largest perfect subtree that can begin at leaf `at`. */
function alignedAt(at: number): Subtree {
  let height = 0;
  while (at > 0 && at % 2 ** (height + 1) === 0) height += 1;
  return { height, index: at / 2 ** height };
}

function rangeOf(range: readonly string[]): Hash[] {
  return range.map((peak) => Buffer.from(peak, 'base64url'));
}

function isRecord(line: Buffer): boolean {
  return line[0] === 0x7b;
}

function leafOf(line: Buffer): Hash {
  return hash('sha256', Buffer.concat([Buffer.of(0), line]), 'buffer');
}

/** Where a segment is, plain or compressed; undefined if it is nowhere. */
async function pathOf(folder: Folder, n: number): Promise<string | undefined> {
  const plain = folder.segment(n);
  if (await exists(plain)) return plain;
  const packed = join(folder.path, packedName(n));
  return (await exists(packed)) ? packed : undefined;
}

/** The whole lines of a segment from `offset` on, and where each ends; lets other work go on between chunks. */
async function* lines(path: string, offset: number): AsyncGenerator<{ bytes: Buffer; end: number }> {
  let rest: Buffer = Buffer.alloc(0);
  let at = offset;
  try {
    for await (const chunk of chunksOf(path, offset)) {
      at += chunk.length;
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
        yield { bytes: bytes.subarray(start, end), end: at - bytes.length + end + 1 };
        start = end + 1;
      }
      rest = bytes.subarray(start);
      await turn();
    }
  } catch (error) {
    // It is made a moment after it is first looked for.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** A segment's bytes from `offset` on, in pieces of its plain text. */
async function* chunksOf(path: string, offset: number): AsyncGenerator<Buffer> {
  if (!path.endsWith('.zst')) {
    yield* createReadStream(path, { start: offset, highWaterMark: chunkBytes }) as AsyncIterable<Buffer>;
    return;
  }
  let before = offset;
  for await (const chunk of createReadStream(path).pipe(createZstdDecompress()) as AsyncIterable<Buffer>) {
    if (chunk.length > before) yield chunk.subarray(before);
    before = Math.max(0, before - chunk.length);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
