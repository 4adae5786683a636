// Segment: the file that the log is being written to, and the manifest line it gets when it is closed.
// Keeps what the disk has not confirmed yet in memory, so that it can be written again elsewhere, and remembers where
// the file stood when the disk last confirmed it. Knows bytes, counts and hashes; refuses to know records.
// audit-approval §4, §11.

import { createHash, type Hash as Hasher } from 'node:crypto';
import { canonical } from '../../verify/src/jcs.ts';
import type { Hash } from '../../verify/src/merkle.ts';
import { segmentName } from '../../verify/src/names.ts';
import type { SegmentSeal } from '../../verify/src/token.ts';
import { type Folder, writeAll } from './folder.ts';
import type { OpenWork } from './openwork.ts';

/** Where the log stood before a segment's first record. */
export interface SegmentStart {
  readonly first: number;
  readonly head: string;
  readonly range: readonly Hash[];
}

/** Where the log stood behind a segment's last line. */
export interface SegmentEnd {
  /** Records up to there. */
  readonly size: number;
  readonly head: string;
  readonly range: readonly Hash[];
  /** Hash of the last seal line. */
  readonly psh: string;
  /** What was open there; shared with the chain, which takes it on, until `freeze`. */
  readonly open: OpenWork;
}

/** What of a segment is on disk: so many bytes, their hash, and where the log stood behind them. */
interface Confirmed {
  readonly bytes: number;
  readonly hasher: Hasher;
  readonly end: SegmentEnd;
}

/** Bytes that are hashed at once, unless it is asked for: a call costs as much as some thousand of them. */
const hashedAtOnce = 64 << 10;

/** The segment's file is not under its name any more. Nothing is wrong with the disk: somebody took it away. */
export class Displaced extends Error {}

/** An open segment. */
export class Segment {
  readonly n: number;
  readonly start: SegmentStart;
  readonly #folder: Folder;
  readonly #fd: number;
  /** What the open file is to the system, once asked: that does not change. */
  #file: { readonly ino: number; readonly dev: number } | undefined;
  #isOpen = true;
  #bytes = 0;
  /** Of what was written, but for the last pieces. */
  #hasher: Hasher = createHash('sha256');
  #unhashed: Buffer[] = [];
  #unhashedBytes = 0;
  #named: { readonly fd: number; readonly path: string } | undefined;
  #confirmed: Confirmed | undefined;
  #unconfirmed: Buffer[] = [];
  #unconfirmedBytes = 0;

  private constructor(folder: Folder, n: number, start: SegmentStart, fd: number) {
    this.n = n;
    this.start = start;
    this.#folder = folder;
    this.#fd = fd;
  }

  /** Makes segment `n`, of which there must be none yet, but for the empty file of a try that failed. */
  static begin(folder: Folder, n: number, start: SegmentStart): Segment {
    const path = folder.segment(n);
    if ((folder.fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0)
      throw new Error(`${segmentName(n)} is there already and is not of this process`);
    const segment = new Segment(folder, n, start, folder.fs.openSync(path, 'a', 0o600));
    try {
      folder.syncNames();
    } catch (error) {
      segment.close();
      throw error;
    }
    return segment;
  }

  /** Goes on with segment `n`, which holds `content`; on disk when it returns. */
  static takeUp(folder: Folder, n: number, start: SegmentStart, content: Buffer, end: SegmentEnd): Segment {
    const segment = new Segment(folder, n, start, folder.fs.openSync(folder.segment(n), 'a', 0o600));
    try {
      folder.fs.fsyncSync(segment.#fd);
    } catch (error) {
      segment.close();
      throw error;
    }
    segment.#bytes = content.length;
    segment.#hasher.update(content);
    segment.#confirm(end);
    return segment;
  }

  /**
   * Writes segment `n` whole, on disk when it settles: under another name first, so that a crash leaves what there was
   * under its own. `end` is where the log stands behind `content`.
   */
  static async rewrite(
    folder: Folder,
    n: number,
    start: SegmentStart,
    content: readonly Buffer[],
    end: SegmentEnd,
  ): Promise<Segment> {
    const path = folder.segment(n);
    const segment = new Segment(folder, n, start, folder.fs.openSync(`${path}.new`, 'w', 0o600));
    try {
      for (const bytes of content) segment.write(bytes);
      await segment.#flushToDisk();
      folder.fs.renameSync(`${path}.new`, path);
      folder.syncNames();
      segment.#checkName();
    } catch (error) {
      segment.close();
      throw error;
    }
    segment.#confirm(end);
    segment.#dropUnconfirmed(segment.#unconfirmed.length);
    return segment;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Where the log stood when the disk last confirmed what is here; undefined if it never did. */
  get confirmed(): SegmentEnd | undefined {
    return this.#confirmed?.end;
  }

  /** What was open behind what the disk has confirmed stays as it is. */
  freeze(): void {
    const confirmed = this.#confirmed;
    if (confirmed === undefined) return;
    const open = confirmed.end.open.copy();
    this.#confirmed = { ...confirmed, end: { ...confirmed.end, open } };
  }

  /** What was written, or was tried to be, since then. */
  get unconfirmed(): readonly Buffer[] {
    return this.#unconfirmed;
  }

  get unconfirmedBytes(): number {
    return this.#unconfirmedBytes;
  }

  /** write(2), all of it. Throws what the file system throws; part of it may then be in the file. */
  write(bytes: Buffer): void {
    // First of all: what is written in part has to be written again.
    this.missed(bytes);
    writeAll(this.#folder.fs, this.#fd, bytes);
    this.#wrote(bytes);
  }

  /** For somebody who writes bytes that then are `written` or `missed`; it is open to append. Always the same object. */
  get named(): { readonly fd: number; readonly path: string } {
    this.#named ??= { fd: this.#fd, path: this.#folder.segment(this.n) };
    return this.#named;
  }

  /** Somebody has written them. */
  written(bytes: Buffer): void {
    this.missed(bytes);
    this.#wrote(bytes);
  }

  /** They belong behind the rest, and are not all in the file. */
  missed(bytes: Buffer): void {
    this.#unconfirmed.push(bytes);
    this.#unconfirmedBytes += bytes.length;
  }

  #wrote(bytes: Buffer): void {
    this.#bytes += bytes.length;
    this.#unhashed.push(bytes);
    this.#unhashedBytes += bytes.length;
    if (this.#unhashedBytes >= hashedAtOnce) this.#hash();
  }

  /**
   * fdatasync(2) on the thread pool: what was written before the call is then on disk, under the segment's name. `end`
   * is where the log stands behind that. Rejects with `Displaced` if the file was moved or deleted, because what is
   * written into it then is seen by nobody; with anything else, the descriptor must not be used any more.
   */
  async sync(end: SegmentEnd): Promise<void> {
    const confirmed = { bytes: this.#bytes, hasher: this.#hash().copy(), end };
    const count = this.#unconfirmed.length;
    await this.#flushToDisk();
    this.#checkName();
    this.#confirmed = confirmed;
    this.#dropUnconfirmed(count);
  }

  /**
   * Cuts the file behind what the disk has confirmed; the rest stands elsewhere. `last`: a line that belongs to the end
   * of what remains. The descriptor that failed is not used. May be called again after it threw.
   */
  cut(last?: { readonly line: Buffer; readonly psh: string }): void {
    const { bytes, hasher, end } = this.#confirmed!;
    const { fs } = this.#folder;
    const fd = fs.openSync(this.#folder.segment(this.n), 'a');
    try {
      fs.ftruncateSync(fd, bytes);
      if (last !== undefined) writeAll(fs, fd, last.line);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    this.#unconfirmed = [];
    this.#unconfirmedBytes = 0;
    this.#unhashed = [];
    this.#unhashedBytes = 0;
    this.#bytes = bytes + (last?.line.length ?? 0);
    this.#hasher = hasher.copy();
    if (last !== undefined) this.#hasher.update(last.line);
    this.#confirm(last === undefined ? end : { ...end, psh: last.psh });
  }

  /** Lets go of the file. What the system says to that is of no use: whatever counted was synced before. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      this.#folder.fs.closeSync(this.#fd);
    } catch {
      // As above.
    }
  }

  /** The manifest line's payload: of what the disk has confirmed. `epoch` is that of the key that signs it. */
  summary(origin: string, epoch: number, pmh: string): string {
    const { bytes, hasher, end } = this.#confirmed!;
    const seal: SegmentSeal = {
      v: 1,
      origin,
      n: this.n,
      first: this.start.first,
      size: end.size,
      bytes,
      sha256: hasher.copy().digest('hex'),
      start_head: this.start.head,
      end_head: end.head,
      start_range: this.start.range.map((hash) => hash.toString('base64url')),
      end_range: end.range.map((hash) => hash.toString('base64url')),
      psh: end.psh,
      epoch,
      pmh,
      ...end.open.members(),
    };
    return canonical(seal);
  }

  #confirm(end: SegmentEnd): void {
    this.#confirmed = { bytes: this.#bytes, hasher: this.#hash().copy(), end };
  }

  /** Of everything that was written. */
  #hash(): Hasher {
    const pieces = this.#unhashed;
    this.#unhashed = [];
    this.#unhashedBytes = 0;
    if (pieces.length > 0) this.#hasher.update(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
    return this.#hasher;
  }

  #dropUnconfirmed(count: number): void {
    for (const bytes of this.#unconfirmed.splice(0, count)) this.#unconfirmedBytes -= bytes.length;
  }

  #flushToDisk(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#folder.fs.fdatasync(this.#fd, (error) => (error ? reject(error) : resolve()));
    });
  }

  #checkName(): void {
    const { fs } = this.#folder;
    const named = fs.statSync(this.#folder.segment(this.n), { throwIfNoEntry: false });
    this.#file ??= fs.fstatSync(this.#fd);
    if (named?.ino !== this.#file.ino || named.dev !== this.#file.dev)
      throw new Displaced(
        `${segmentName(this.n)} was moved or deleted while it was written; nobody but Holdpoint may touch it. ` +
          'Put it back',
      );
  }
}
