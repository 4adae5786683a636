// Source: logs on disk, for those who read them: the verifier, the command line, the pages.
// Reads only, believes nothing, and does not need the lock: a log may be growing while it is read. A file is a regular
// file: a link, a pipe or a folder under a file's name is refused, and nothing is waited for.

import { constants, existsSync, readdirSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { createZstdDecompress, constants as zlib } from 'node:zlib';
import { lineBytesMax } from './leaf.ts';
import { packedName, segmentName, storedNumber } from './names.ts';
import type { LogSource, Range } from './port.ts';

/** A file larger than this is not read into memory: no blob and no key is. Segments are read in pieces. */
const fileBytesMax = 1 << 28;
const pieceBytes = 1 << 20;
/** log₂ of what unpacking may remember: 32 MiB, more than any level of zstd below `--ultra` asks for. */
const windowLogMax = 25;

/** There is no such log, or none that can be read. The message says what to do. */
export class SourceError extends Error {
  readonly code: 'not-found' | 'too-large' | 'not-a-file';

  constructor(code: SourceError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SourceError';
    this.code = code;
  }
}

/** One log in a folder. */
export class FolderSource implements LogSource {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The folder's name: the origin, percent-encoded. */
  get name(): string {
    return basename(this.path);
  }

  /** By their plain names, also where they are compressed. */
  async segments(): Promise<readonly string[]> {
    const numbers = readdirSync(this.path)
      .map(storedNumber)
      .filter((n) => n !== undefined);
    return [...new Set(numbers)].sort((a, b) => a - b).map(segmentName);
  }

  async read(name: string): Promise<Buffer | undefined> {
    const file = await openFile(join(this.path, name));
    if (file === undefined) return undefined;
    try {
      const { size } = await file.stat();
      if (size > fileBytesMax)
        throw new SourceError(
          'too-large',
          `${join(this.path, name)} has ${size} bytes; it is read whole, and none has more than ${fileBytesMax}`,
        );
      return await file.readFile();
    } finally {
      await file.close();
    }
  }

  async open(name: string, range: Range = {}): Promise<AsyncIterable<Uint8Array> | undefined> {
    const { from = 0, bytesMax = Number.POSITIVE_INFINITY } = range;
    const plain = await openFile(join(this.path, name));
    if (plain !== undefined) return pieces(plain, from, (await plain.stat()).size);
    const n = storedNumber(name);
    if (n === undefined) return undefined;
    const path = join(this.path, packedName(n));
    const packed = await openFile(path);
    if (packed === undefined) return undefined;
    return unpacked(pieces(packed, 0, (await packed.stat()).size), from, bytesMax, path);
  }
}

/** Undefined if there is none. Never waits for who would write into a pipe, and follows no link. */
async function openFile(path: string): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'ELOOP' || code === 'ENXIO') throw notAFile(path);
    throw error;
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw notAFile(path);
}

function notAFile(path: string): SourceError {
  return new SourceError('not-a-file', `${path} is a link, a pipe or a folder where a file belongs`);
}

/**
 * The bytes from `from` to `to` of the file, which is closed behind them, or when whoever reads them has enough, also
 * before the first. A piece is good until the next is asked for.
 */
function pieces(file: FileHandle, from: number, to: number): AsyncIterableIterator<Uint8Array> {
  const piece = Buffer.allocUnsafe(Math.max(1, Math.min(to - from, pieceBytes)));
  let at = from;
  const end = async (): Promise<IteratorResult<Uint8Array>> => {
    await file.close();
    return { done: true, value: undefined };
  };
  return {
    next: async () => {
      if (at >= to) return end();
      const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, to - at), at);
      if (bytesRead === 0) return end();
      at += bytesRead;
      return { done: false, value: piece.subarray(0, bytesRead) };
    },
    return: end,
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** What is packed in `packed` from `from` on; not more than `bytesMax`, however much it would come to. */
async function* unpacked(
  packed: AsyncIterable<Uint8Array>,
  from: number,
  bytesMax: number,
  path: string,
): AsyncGenerator<Uint8Array> {
  const unpack = createZstdDecompress({
    chunkSize: 1 << 17,
    params: { [zlib.ZSTD_d_windowLogMax]: windowLogMax },
  });
  // Copies: the stream keeps a piece while the next is read.
  const input = Readable.from(copies(packed), { objectMode: false, highWaterMark: 1 << 18 });
  input.on('error', (error) => unpack.destroy(error));
  let at = 0;
  try {
    for await (const piece of input.pipe(unpack) as AsyncIterable<Uint8Array>) {
      const skipped = Math.min(piece.length, Math.max(0, from - at));
      at += piece.length;
      if (at - from > bytesMax)
        throw new SourceError(
          'too-large',
          `${path} unpacks to more than the ${from + bytesMax} bytes that it should be`,
        );
      if (skipped < piece.length) yield piece.subarray(skipped);
    }
  } catch (error) {
    if (error instanceof SourceError) throw error;
    throw new SourceError('not-a-file', `${path} cannot be unpacked: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    input.destroy();
    unpack.destroy();
  }
}

async function* copies(given: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of given) yield Uint8Array.from(piece);
}

/**
 * The logs under a path: the path itself if it holds segments, else its folders that do, else those of its `audit`
 * folder. Throws `not-found` if there are none, or none that can be read.
 */
export function findLogs(path: string): FolderSource[] {
  try {
    return logsUnder(path);
  } catch (error) {
    if (error instanceof SourceError) throw error;
    throw new SourceError(
      'not-found',
      `the log in ${path} cannot be read: ${(error as Error).message}; run this as the user that Holdpoint runs as`,
      { cause: error },
    );
  }
}

function logsUnder(path: string): FolderSource[] {
  for (const parent of [path, join(path, 'audit')]) {
    if (!existsSync(parent) || !statSync(parent).isDirectory()) continue;
    if (holdsSegments(parent)) return [new FolderSource(parent)];
    const found = readdirSync(parent)
      .map((name) => join(parent, name))
      .filter((child) => statSync(child, { throwIfNoEntry: false })?.isDirectory() && holdsSegments(child))
      .sort();
    if (found.length > 0) return found.map((child) => new FolderSource(child));
  }
  throw new SourceError(
    'not-found',
    `there is no log in ${path}: name the folder that holds seg-00000000.jsonl, or the data folder above it`,
  );
}

/** A record as its line says; nothing of it is verified. */
export interface ReadRecord {
  readonly seq: number;
  readonly kind: string;
  /** µs since 1970. */
  readonly ts: number;
  readonly members: Readonly<Record<string, unknown>>;
  readonly line: string;
}

/** A seal as its line says; nothing of it is verified. */
export interface ReadSeal {
  readonly size: number;
  readonly line: string;
}

/** The whole lines of a log in order, unverified. A line that is neither record nor seal is left out. */
export function readLines(source: LogSource): AsyncGenerator<ReadRecord | ReadSeal> {
  return new LineReader(source).fresh();
}

/** Reads a log that grows: each call of `fresh` yields the whole lines that were not there at the last. */
export class LineReader {
  readonly #source: LogSource;
  #segment: number;
  /** Bytes of that segment that were read as lines. */
  #offset = 0;

  /** Begins with the segment of this index. */
  constructor(source: LogSource, segment = 0) {
    this.#source = source;
    this.#segment = segment;
  }

  async *fresh(): AsyncGenerator<ReadRecord | ReadSeal> {
    const names = await this.#source.segments();
    for (let i = this.#segment; i < names.length; i += 1) {
      if (i > this.#segment) this.#offset = 0;
      this.#segment = i;
      const file = await this.#source.open(names[i]!, { from: this.#offset });
      let held: Buffer = Buffer.alloc(0);
      for await (const piece of file ?? []) {
        const bytes = Buffer.concat([held, piece]);
        const whole = bytes.lastIndexOf(10) + 1;
        held = bytes.subarray(whole);
        for (const line of bytes.toString('utf8', 0, whole).split('\n')) {
          const read = readLine(line);
          if (read !== undefined) yield read;
        }
        this.#offset += whole;
        // Nothing that long is a line: it is passed over like any other that is none.
        if (held.length > lineBytesMax) {
          this.#offset += held.length;
          held = Buffer.alloc(0);
        }
      }
    }
  }
}

function readLine(line: string): ReadRecord | ReadSeal | undefined {
  try {
    if (line.startsWith('{')) {
      const members = JSON.parse(line) as ReadRecord['members'];
      return { seq: Number(members.seq), kind: String(members.kind), ts: Number(members.ts), members, line };
    }
    if (!line.startsWith('e')) return undefined;
    const claims = JSON.parse(Buffer.from(line.split('.')[1] ?? '', 'base64url').toString('utf8')) as {
      size: unknown;
    };
    return { size: Number(claims.size), line };
  } catch {
    return undefined;
  }
}

function holdsSegments(path: string): boolean {
  return readdirSync(path).some((name) => storedNumber(name) !== undefined);
}
