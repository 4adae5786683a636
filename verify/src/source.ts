// Source: logs on disk, for those who read them: the verifier, the command line, the pages.
// Reads only, believes nothing, and does not need the lock: a log may be growing while it is read.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { segmentName, storedNumber } from './names.ts';
import type { LogSource } from './verify.ts';

/** A segment larger than this is not read into memory: no segment is, unless somebody made it so. */
const fileBytesMax = 1 << 30;

/** There is no such log, or none that can be read. The message says what to do. */
export class SourceError extends Error {
  readonly code: 'not-found' | 'too-large';

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
    const path = join(this.path, name);
    // The compressed form is there before the plain one goes.
    if (!existsSync(path))
      return existsSync(`${path}.zst`) && storedNumber(name) !== undefined
        ? zstdDecompressSync(readFileSync(`${path}.zst`), { maxOutputLength: fileBytesMax })
        : undefined;
    const { size } = statSync(path);
    if (size > fileBytesMax)
      throw new SourceError(
        'too-large',
        `${path} has ${size} bytes; no file of a log has more than ${fileBytesMax}`,
      );
    return readFileSync(path);
  }
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
      .filter((child) => statSync(child).isDirectory() && holdsSegments(child))
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
  #offset = 0;

  /** Begins with the segment of this index. */
  constructor(source: LogSource, segment = 0) {
    this.#source = source;
    this.#segment = segment;
  }

  async *fresh(): AsyncGenerator<ReadRecord | ReadSeal> {
    const names = await this.#source.segments();
    for (let i = this.#segment; i < names.length; i += 1) {
      const content = (await this.#source.read(names[i]!)) ?? Buffer.alloc(0);
      if (i > this.#segment) this.#offset = 0;
      const start = this.#offset;
      this.#segment = i;
      this.#offset = content.lastIndexOf(10) + 1;
      for (const line of content.toString('utf8', start, this.#offset).split('\n')) {
        const read = readLine(line);
        if (read !== undefined) yield read;
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
