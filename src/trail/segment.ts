// Segment: one file of a log as it is read by somebody who may only look at pieces of it: lines forward from an offset,
// lines backward from an offset, and the place where a record stands, found by halving. A closed segment may be
// compressed. Reads only, believes nothing; refuses to know what a record says.

import { createReadStream } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { createZstdDecompress, zstdDecompress } from 'node:zlib';
import { lineBytesMax } from '../../verify/src/leaf.ts';
import { SourceError } from '../../verify/src/source.ts';
import { type Entry, readEntry } from './entry.ts';

/** Bytes read at once. A proxy that reads its own log does no more than this between two turns of its event loop. */
export const chunkBytes = 128 << 10;

/** A compressed segment becomes this long at most: no segment is longer, unless somebody made it so. */
const plainBytesMax = 1 << 30;

const newline = 10;

/** A line without its LF, and the offset of its first byte. */
export interface Line {
  readonly bytes: Buffer;
  readonly at: number;
}

/** Asked before each piece is read, with its bytes; false ends the reading. */
export type Allow = (bytes: number) => boolean;

export class SegmentFile {
  readonly n: number;
  readonly #handle: FileHandle | undefined;
  readonly #content: Buffer | undefined;

  private constructor(n: number, handle: FileHandle | undefined, content: Buffer | undefined) {
    this.n = n;
    this.#handle = handle;
    this.#content = content;
  }

  /** Opens a segment; one whose name ends in `.zst` is decompressed. The caller closes it. */
  static async open(n: number, path: string): Promise<SegmentFile> {
    if (!path.endsWith('.zst')) return new SegmentFile(n, await open(path, 'r'), undefined);
    const packed = await readFile(path);
    try {
      const content = await promisify(zstdDecompress)(packed, { maxOutputLength: plainBytesMax });
      return new SegmentFile(n, undefined, content);
    } catch (cause) {
      throw new SourceError('not-found', `${path} cannot be decompressed: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  /** Bytes that are there now. */
  async size(): Promise<number> {
    return this.#content?.length ?? (await this.#handle!.stat()).size;
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }

  async #read(from: number, to: number): Promise<Buffer> {
    if (this.#content !== undefined) return this.#content.subarray(from, to);
    const buffer = Buffer.allocUnsafe(Math.max(0, to - from));
    const { bytesRead } = await this.#handle!.read(buffer, 0, buffer.length, from);
    return buffer.subarray(0, bytesRead);
  }

  /** Whole lines from the offset `from`, where a line begins, in groups. `to`: the offset behind the last one. */
  async *forward(from: number, allow: Allow = always, to?: number): AsyncGenerator<readonly Line[]> {
    const end = to ?? (await this.size());
    let rest: Buffer = Buffer.alloc(0);
    for (let at = from; at < end; ) {
      if (!allow(chunkBytes)) return;
      const chunk = await this.#read(at, Math.min(end, at + chunkBytes));
      if (chunk.length === 0) return;
      const begin = at - rest.length;
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      at += chunk.length;
      const lines: Line[] = [];
      let start = 0;
      for (let stop = bytes.indexOf(newline); stop !== -1; stop = bytes.indexOf(newline, start)) {
        lines.push({ bytes: bytes.subarray(start, stop), at: begin + start });
        start = stop + 1;
      }
      rest = bytes.subarray(start);
      refuseEndless(rest);
      yield lines;
    }
  }

  /** Whole lines that end before the offset `to`, last one first, in groups. */
  async *backward(to: number, allow: Allow = always): AsyncGenerator<readonly Line[]> {
    let rest: Buffer = Buffer.alloc(0);
    let isFirst = true;
    for (let end = to; end > 0; ) {
      if (!allow(chunkBytes)) return;
      const begin = Math.max(0, end - chunkBytes);
      const chunk = await this.#read(begin, end);
      let bytes = rest.length === 0 ? chunk : Buffer.concat([chunk, rest]);
      // What stands behind the last LF is a line that is still being written.
      if (isFirst) bytes = bytes.subarray(0, bytes.lastIndexOf(newline) + 1);
      if (bytes.length > 0) isFirst = false;
      end = begin;
      const lines: Line[] = [];
      let stop = bytes.length - 1;
      while (stop >= 0) {
        const before = stop === 0 ? -1 : bytes.lastIndexOf(newline, stop - 1);
        if (before === -1 && begin > 0) break;
        lines.push({ bytes: bytes.subarray(before + 1, stop), at: begin + before + 1 });
        stop = before;
      }
      rest = bytes.subarray(0, stop + 1);
      refuseEndless(rest);
      yield lines;
    }
  }

  /** The first record at or behind an offset that may lie in the middle of a line. */
  async first(at = 0): Promise<{ entry: Entry; at: number } | undefined> {
    const start = at === 0 ? 0 : await this.#behindLine(at);
    if (start === undefined) return undefined;
    for await (const lines of this.forward(start))
      for (const line of lines) {
        const entry = readEntry(line.bytes);
        if (entry !== undefined) return { entry, at: line.at };
      }
    return undefined;
  }

  /** The offset behind the first LF at or behind `at`. */
  async #behindLine(at: number): Promise<number | undefined> {
    const bytes = await this.#read(at, at + lineBytesMax + 1);
    const end = bytes.indexOf(newline);
    return end === -1 ? undefined : at + end + 1;
  }

  /** An offset, where a line begins, at or before the first record that is not `before`, provided that they are ordered. */
  async seek(before: (entry: Entry) => boolean): Promise<number> {
    let low = 0;
    let high = await this.size();
    while (high - low > chunkBytes) {
      const middle = low + Math.floor((high - low) / 2);
      const found = await this.first(middle);
      if (found === undefined || found.at >= high || !before(found.entry)) high = middle;
      else low = found.at;
    }
    return low;
  }
}

/** The first record of a segment, without reading more of it than that takes. */
export async function firstEntry(path: string): Promise<Entry | undefined> {
  const file = createReadStream(path, { highWaterMark: 16 << 10 });
  const stream = path.endsWith('.zst') ? file.pipe(createZstdDecompress()) : file;
  file.once('error', (error) => stream.destroy(error));
  let rest = Buffer.alloc(0);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      rest = Buffer.concat([rest, chunk]);
      for (let end = rest.indexOf(newline); end !== -1; end = rest.indexOf(newline)) {
        const entry = readEntry(rest.subarray(0, end));
        if (entry !== undefined) return entry;
        rest = rest.subarray(end + 1);
      }
      refuseEndless(rest);
    }
    return undefined;
  } finally {
    file.destroy();
  }
}

function always(): boolean {
  return true;
}

function refuseEndless(rest: Buffer): void {
  if (rest.length > lineBytesMax + chunkBytes)
    throw new SourceError('too-large', `a line of the log has more than ${lineBytesMax} bytes`);
}
