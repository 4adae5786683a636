// SideFile: writes the values that records commit to, encrypted to auditors, into a file beside each segment. One block a
// group: written before the group's seal, synced with it. A value may be lost without harm to the log, so its bytes are
// in the file some milliseconds after its record's; but a disk that refuses them is the log's own disk, and the error is
// the log's. The content key is made here, leaves only wrapped, and is forgotten with the segment. audit-approval §10.

import { randomBytes } from 'node:crypto';
import {
  blockLine,
  entryHeadBytes,
  headerLine,
  type PlainEntry,
  type Recipient,
} from '../../verify/src/sidefile.ts';
import { type Folder, writeAll } from './folder.ts';
import type { Kept } from './values.ts';

/** Bytes of values that are written at once rather than with their group. */
const pendingBytesMax = 1 << 20;
const pendingBytesLeast = 1 << 16;

interface Ready {
  readonly n: number;
  readonly contentKey: Buffer;
  readonly header: string;
}

/** The values of one process's records, as they come. Throws what the file system throws. */
export class SideFile {
  readonly #folder: Folder;
  readonly #origin: string;
  readonly #recipients: readonly Recipient[];
  #n: number;
  #ready: Ready | undefined;
  #preparing: Promise<void> | undefined;
  #open: { readonly fd: number; readonly ready: Ready; block: number } | undefined;
  #plain = Buffer.alloc(pendingBytesLeast);
  #used = 0;
  #entries: PlainEntry[] = [];

  /** `n` is the segment whose records come next; `recipients` are not empty. */
  constructor(folder: Folder, origin: string, recipients: readonly Recipient[], n: number) {
    this.#folder = folder;
    this.#origin = origin;
    this.#recipients = recipients;
    this.#n = n;
  }

  /** Makes the key of segment `n` ready, so that it is there when the segment begins. */
  async prepare(n: number): Promise<void> {
    while (this.#preparing !== undefined) await this.#preparing;
    if (this.#ready?.n === n) return;
    const contentKey = randomBytes(32);
    this.#preparing = headerLine(this.#origin, n, contentKey, this.#recipients)
      .then((header) => {
        this.#ready = { n, contentKey, header };
      })
      .finally(() => {
        this.#preparing = undefined;
      });
    await this.#preparing;
  }

  /** Takes the values of record `seq`, which belongs to the present segment. Copies them. */
  keep(seq: number, values: readonly Kept[]): void {
    for (const { index, oid, salt, value } of values) {
      const offset = this.#used;
      const length = value?.length ?? 0;
      this.#makeRoom(entryHeadBytes + length);
      this.#plain.writeUInt32BE(oid >>> 0, offset);
      this.#plain.set(salt, offset + 4);
      this.#plain[offset + 20] = value === undefined ? 0 : 1;
      if (value !== undefined) this.#plain.set(value, offset + entryHeadBytes);
      this.#used += entryHeadBytes + length;
      this.#entries.push({ seq, index, offset });
    }
    if (this.#used > pendingBytesMax) this.write();
  }

  /** Passes everything that was kept so far to write(2). */
  write(): void {
    if (this.#entries.length === 0) return;
    const at = this.#file();
    // Only while a segment begins whose key nobody has made ready: the values wait for the next group.
    if (at === undefined) return;
    const { contentKey, n } = at.ready;
    const plain = this.#plain.subarray(0, this.#used);
    const line = blockLine({ origin: this.#origin, n, block: at.block, contentKey }, this.#entries, plain);
    try {
      writeAll(this.#folder.fs, at.fd, Buffer.from(`${line}\n`, 'latin1'));
    } catch (error) {
      // Half a line may be there: the next try begins a part of its own.
      this.#letGo();
      throw error;
    }
    at.block += 1;
    plain.fill(0);
    this.#used = 0;
    this.#entries = [];
    if (this.#plain.length > pendingBytesMax) this.#plain = Buffer.alloc(pendingBytesLeast);
  }

  /** fdatasync(2) on the thread pool, of what was written before the call. */
  sync(): Promise<void> {
    const fd = this.#open?.fd;
    if (fd === undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#folder.fs.fdatasync(fd, (error) => {
        if (error === null) resolve();
        else {
          // A descriptor of which a sync has failed is not synced again.
          if (this.#open?.fd === fd) this.#letGo();
          reject(error);
        }
      });
    });
  }

  /** Records from here on belong to segment `n`. The key of the one before is forgotten; answers how to close its file. */
  turnTo(n: number): () => void {
    const open = this.#open;
    this.#open = undefined;
    this.#n = n;
    open?.ready.contentKey.fill(0);
    return () => {
      if (open !== undefined) this.#folder.fs.closeSync(open.fd);
    };
  }

  /**
   * Lets `rewrite` put another file in the place of the present segment's: nothing is written meanwhile. The key of what
   * is in it stays good.
   */
  replace(n: number, rewrite: (path: string) => void): void {
    const path = this.#folder.side(n);
    rewrite(path);
    const open = this.#open;
    if (open === undefined || open.ready.n !== n) return;
    this.#open = { ...open, fd: this.#folder.fs.openSync(path, 'a', 0o600) };
    this.#folder.fs.closeSync(open.fd);
  }

  close(): void {
    this.turnTo(this.#n)();
    this.#plain.fill(0);
  }

  /** The present file is not used any more; what comes goes to a part of its own, with a key of its own. */
  #letGo(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    open.ready.contentKey.fill(0);
    this.#folder.fs.closeSync(open.fd);
  }

  /** The present segment's file, with its header in it; undefined while its key is being made. */
  #file(): { fd: number; ready: Ready; block: number } | undefined {
    if (this.#open !== undefined) return this.#open;
    const ready = this.#ready;
    if (ready?.n !== this.#n) {
      void this.prepare(this.#n).catch(() => undefined);
      return undefined;
    }
    const { fs } = this.#folder;
    const path = this.#folder.side(this.#n);
    const isNew = !fs.existsSync(path);
    const fd = fs.openSync(path, 'a', 0o600);
    this.#open = { fd, ready, block: 0 };
    this.#ready = undefined;
    try {
      if (isNew) this.#folder.syncNames();
      // A crash may have cut the last line; whatever it was, the header must begin a line of its own.
      writeAll(fs, fd, Buffer.from(`${isNew ? '' : '\n'}${ready.header}\n`, 'utf8'));
    } catch (error) {
      this.#letGo();
      throw error;
    }
    return this.#open;
  }

  #makeRoom(bytes: number): void {
    const needed = this.#used + bytes;
    if (needed <= this.#plain.length) return;
    const larger = Buffer.alloc(Math.max(needed, 2 * this.#plain.length));
    larger.set(this.#plain.subarray(0, this.#used));
    this.#plain.fill(0);
    this.#plain = larger;
  }
}
