// Segment: the file that the log is being written to, and the manifest line it gets when it is closed.
// Knows bytes, counts and hashes; refuses to know records. audit-approval §11.

import { createHash, type Hash as Hasher } from 'node:crypto';
import { canonical } from '../../verify/src/jcs.ts';
import type { Hash } from '../../verify/src/merkle.ts';
import { segmentName } from '../../verify/src/names.ts';
import { digest, type SegmentSeal } from '../../verify/src/token.ts';
import { type Folder, writeAll } from './folder.ts';
import type { OpenWork } from './openwork.ts';
import type { Sign, SigningKey } from './seal.ts';

/** Where the log stood before a segment's first record. */
export interface SegmentStart {
  readonly first: number;
  readonly head: string;
  readonly range: readonly Hash[];
}

/** An open segment. */
export class Segment {
  readonly n: number;
  readonly fd: number;
  readonly start: SegmentStart;
  #bytes = 0;
  readonly #hasher: Hasher = createHash('sha256');
  readonly #folder: Folder;

  /** Opens segment `n` for appending. `content` is what it holds already; without it the file must not exist. */
  constructor(folder: Folder, n: number, start: SegmentStart, content?: Buffer) {
    this.n = n;
    this.start = start;
    this.#folder = folder;
    this.fd = folder.fs.openSync(folder.segment(n), content === undefined ? 'ax' : 'a', 0o600);
    if (content === undefined) {
      folder.syncNames();
    } else {
      this.#bytes = content.length;
      this.#hasher.update(content);
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** write(2), all of it. Throws what the file system throws; part of it may then be in the file. */
  write(bytes: Buffer): void {
    writeAll(this.#folder.fs, this.fd, bytes);
    this.#bytes += bytes.length;
    this.#hasher.update(bytes);
  }

  /**
   * fdatasync(2) on the thread pool: what was written before the call is then on disk, under the segment's name. Fails
   * if the file was moved or deleted, because what is written into it then is seen by nobody.
   */
  async sync(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#folder.fs.fdatasync(this.fd, (error) => (error ? reject(error) : resolve()));
    });
    const { fs } = this.#folder;
    const named = fs.statSync(this.#folder.segment(this.n), { throwIfNoEntry: false });
    const written = fs.fstatSync(this.fd);
    if (named?.ino !== written.ino || named.dev !== written.dev)
      throw new Error(`${segmentName(this.n)} was moved or deleted while it was written`);
  }

  close(): void {
    this.#folder.fs.closeSync(this.fd);
  }

  /** The manifest line's payload. Nothing may be written to the segment afterwards. */
  summary(end: SegmentEnd): string {
    const seal: SegmentSeal = {
      v: 1,
      origin: end.origin,
      n: this.n,
      first: this.start.first,
      size: end.size,
      bytes: this.#bytes,
      sha256: this.#hasher.copy().digest('hex'),
      start_head: this.start.head,
      end_head: end.head,
      start_range: this.start.range.map((hash) => hash.toString('base64url')),
      end_range: end.range.map((hash) => hash.toString('base64url')),
      psh: end.psh,
      epoch: end.epoch,
      pmh: end.pmh,
      ...end.open.members(),
    };
    return canonical(seal);
  }
}

/** Where the log stands behind a segment's last record. */
export interface SegmentEnd {
  readonly origin: string;
  readonly size: number;
  readonly head: string;
  readonly range: readonly Hash[];
  readonly psh: string;
  readonly epoch: number;
  readonly pmh: string;
  readonly open: OpenWork;
}

/** What the first manifest line names as the one before. */
export function firstManifestHash(origin: string): string {
  return digest(`holdpoint-manifest-v1\n${origin}`);
}

/** Adds a closed segment to the manifest, durably. Returns the hash of the new line. */
export async function addToManifest(
  folder: Folder,
  sign: Sign,
  key: SigningKey,
  segment: Segment,
  end: SegmentEnd,
): Promise<string> {
  const line = await sign(key, 'holdpoint-segment+jws', segment.summary(end));
  const isNew = !folder.fs.existsSync(folder.manifest);
  const fd = folder.fs.openSync(folder.manifest, 'a', 0o600);
  try {
    writeAll(folder.fs, fd, Buffer.from(`${line}\n`, 'utf8'));
  } finally {
    folder.syncAndClose(fd);
  }
  if (isNew) folder.syncNames();
  return digest(line);
}
