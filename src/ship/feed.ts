// Feed: the lines of a log from a position on, as its files grow, for those who carry them away.
// Reads files only, in bounded memory, plain or compressed, and never further than what is sealed and on disk: bytes
// up to there do not change again, so a position means the same line after any crash. Refuses to know where lines go.

import { createReadStream } from 'node:fs';
import { access, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createZstdDecompress } from 'node:zlib';
import { packedName, segmentName, storedNumber } from '../../verify/src/names.ts';
import type { Closed, Manifest } from './manifest.ts';

/** Between two lines of a log. */
export interface Position {
  readonly segment: number;
  /** Bytes of the plain segment before it. */
  readonly offset: number;
  /** Records before it, which is the seq of the next. */
  readonly seq: number;
}

export const beginning: Position = { segment: 0, offset: 0, seq: 0 };

/** One line. */
export interface Entry {
  readonly kind: 'record' | 'seal';
  /** Without LF. */
  readonly line: string;
  readonly begin: Position;
  readonly end: Position;
  /** Of a record: its members. Nothing of it is verified. */
  readonly members: Readonly<Record<string, unknown>> | undefined;
  /** Of a seal: the number of records that it vouches for. */
  readonly size: number | undefined;
}

/** The files are not what they were: what was read before is gone, or is followed by something else. */
export class FeedError extends Error {
  override readonly name = 'FeedError';
  /** Where the log goes on, if what is missing was pruned. */
  readonly goOn: Position | undefined;

  constructor(message: string, goOn?: Position) {
    super(message);
    this.goOn = goOn;
  }
}

const readBytes = 1 << 18;
/** No line of a log is longer, whatever it says. */
const lineBytesMax = 1 << 20;

interface Source {
  /** The next bytes; undefined where there are none now. */
  read(): Promise<Buffer | undefined>;
  close(): Promise<void>;
}

/** Reads one log on. One reader at a time. */
export class Feed {
  readonly #folder: string;
  readonly #manifest: Manifest;
  readonly #durable: () => number;
  #position: Position;
  #source: Source | undefined;
  /** The manifest line of this segment, once there is one. */
  #closed: Closed | undefined;
  #rest: Buffer = Buffer.alloc(0);

  /** `durable` says how many records are sealed and on disk. */
  constructor(folder: string, manifest: Manifest, position: Position, durable: () => number) {
    this.#folder = folder;
    this.#manifest = manifest;
    this.#position = position;
    this.#durable = durable;
  }

  /** Behind the last line taken. */
  get position(): Position {
    return this.#position;
  }

  /** The next lines, up to about so many and so many bytes; none if there are none now. Throws FeedError. */
  async take(entriesMax: number, bytesMax: number): Promise<Entry[]> {
    const taken: Entry[] = [];
    for (let bytes = 0; taken.length < entriesMax && bytes < bytesMax; ) {
      if (await this.#isOver()) {
        await this.#next();
        continue;
      }
      // Between the two looks the segment may have been closed: then the rest of it is there now.
      const line = (await this.#line()) ?? ((await this.#isClosed()) ? await this.#line() : undefined);
      if (line === undefined) {
        if (this.#closed !== undefined && !(await this.#isOver())) throw this.#tooShort();
        break;
      }
      const entry = entryOf(line, this.#position);
      if ((entry.size ?? entry.end.seq) > this.#durable()) {
        // Read again when it is on disk: until then a crash may put other bytes here.
        await this.close();
        break;
      }
      this.#position = entry.end;
      this.#rest = this.#rest.subarray(line.length + 1);
      bytes += line.length + 1;
      taken.push(entry);
    }
    return taken;
  }

  /** Goes on from `position` instead. */
  async rewind(position: Position): Promise<void> {
    await this.close();
    this.#position = position;
  }

  async close(): Promise<void> {
    const source = this.#source;
    this.#source = undefined;
    this.#closed = undefined;
    this.#rest = Buffer.alloc(0);
    await source?.close();
  }

  /** The next whole line of this segment, not yet taken. */
  async #line(): Promise<Buffer | undefined> {
    const { segment, offset } = this.#position;
    this.#source ??= await openSegment(this.#folder, segment, offset);
    if (this.#source === undefined) {
      await this.#missing();
      return undefined;
    }
    for (;;) {
      const lf = this.#rest.indexOf(10);
      if (lf >= 0) return this.#rest.subarray(0, lf);
      if (this.#rest.length > lineBytesMax)
        throw new FeedError(`${segmentName(segment)} has a line of more than ${lineBytesMax} bytes`);
      const more = await this.#source.read();
      if (more === undefined) return undefined;
      this.#rest = this.#rest.length === 0 ? more : Buffer.concat([this.#rest, more]);
    }
  }

  async #isClosed(): Promise<boolean> {
    this.#closed ??= await this.#manifest.of(this.#position.segment);
    return this.#closed !== undefined;
  }

  /** Whether this segment is closed and has no more lines than have been taken. */
  async #isOver(): Promise<boolean> {
    return (await this.#isClosed()) && this.#position.offset >= this.#closed!.bytes;
  }

  /** Goes over to the next segment. */
  async #next(): Promise<void> {
    const { segment, offset, seq } = this.#position;
    const { bytes, size } = this.#closed!;
    if (offset === bytes && seq !== size) throw this.#tooShort();
    await this.close();
    // Of a segment that broke off, what is behind its end is repeated by the next: then it comes twice.
    this.#position = { segment: segment + 1, offset: 0, seq: size };
  }

  #tooShort(): FeedError {
    const { segment, offset, seq } = this.#position;
    return new FeedError(
      `${segmentName(segment)} ends behind ${offset} bytes and record ${seq}; its manifest line says ` +
        `${this.#closed?.bytes} and ${this.#closed?.size}`,
    );
  }

  async #missing(): Promise<void> {
    const { segment } = this.#position;
    if ((await this.#manifest.of(segment)) === undefined) return;
    const left = (await readdir(this.#folder))
      .map(storedNumber)
      .filter((n) => n !== undefined && n > segment);
    const first =
      left.length === 0 ? undefined : await this.#manifest.of(Math.min(...(left as number[])) - 1);
    throw new FeedError(
      `${segmentName(segment)} is not there any more`,
      first && { segment: first.n + 1, offset: 0, seq: first.size },
    );
  }
}

function entryOf(bytes: Buffer, begin: Position): Entry {
  const line = bytes.toString('utf8');
  const offset = begin.offset + bytes.length + 1;
  try {
    if (line.startsWith('{')) {
      const members = JSON.parse(line) as Record<string, unknown>;
      if (members.seq !== begin.seq) throw new Error(`it is record ${String(members.seq)}, not ${begin.seq}`);
      return {
        kind: 'record',
        line,
        begin,
        end: { ...begin, offset, seq: begin.seq + 1 },
        members,
        size: undefined,
      };
    }
    const claims = JSON.parse(Buffer.from(line.split('.')[1] ?? '', 'base64url').toString('utf8')) as {
      size: number;
    };
    if (!Number.isSafeInteger(claims.size)) throw new Error('it is neither record nor seal');
    return { kind: 'seal', line, begin, end: { ...begin, offset }, members: undefined, size: claims.size };
  } catch (error) {
    throw new FeedError(
      `${segmentName(begin.segment)} cannot be read at byte ${begin.offset}: ${(error as Error).message}`,
    );
  }
}

/** Opens a segment for reading from a byte of its plain text on; undefined if it is there in no form. */
async function openSegment(folder: string, n: number, offset: number): Promise<Source | undefined> {
  const file = await open(join(folder, segmentName(n)), 'r').catch(ifMissing);
  if (file !== undefined) {
    let at = offset;
    return {
      async read() {
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(readBytes), 0, readBytes, at);
        at += bytesRead;
        return bytesRead === 0 ? undefined : buffer.subarray(0, bytesRead);
      },
      close: () => file.close(),
    };
  }
  const path = join(folder, packedName(n));
  if ((await access(path).then(() => true, ifMissing)) !== true) return undefined;
  return unpacked(path, offset);
}

function unpacked(path: string, offset: number): Source {
  const stream = createReadStream(path);
  const plain = createZstdDecompress();
  stream.on('error', (error) => plain.destroy(error));
  stream.pipe(plain);
  const chunks = (plain as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let skip = offset;
  return {
    async read() {
      for (;;) {
        const { done, value } = await chunks.next();
        if (done) return undefined;
        const rest = value.subarray(Math.min(skip, value.length));
        skip -= value.length - rest.length;
        if (rest.length > 0) return rest;
      }
    },
    async close() {
      stream.destroy();
      plain.destroy();
    },
  };
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
