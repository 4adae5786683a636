// Segments: the row of a log's files: the one that is written, and the one before it until the manifest lists it.
// audit-approval §4, §6, §11. Refuses to know records, seals and who waits.
//
// What becomes of a file whose disk refused something. A descriptor that failed once is not used again: after a failed
// sync the system may say of lost bytes that they are written (fsyncgate). So the file is broken off where the disk has
// last confirmed it, and everything behind that, records and seals in the same bytes, is written to the next file, which
// gets its name only when the disk has confirmed it whole; then the old file is cut to what was confirmed. The chain
// does not notice: no record changes, is left out or comes twice, so that a verifier needs no rule for it, and a changed
// byte shows as anywhere else. A `gap` record behind the repeated lines says what happened. Between the new name and the
// cut both files hold the repeated records; recovery and the verifier take the second, and only if the records of the
// first are the same bytes (verify/src/brokenoff.ts).

import { type Folder, systemFs } from './folder.ts';
import type { Manifest } from './manifest.ts';
import type { Sign, SigningKey } from './seal.ts';
import { Displaced, Segment, type SegmentEnd } from './segment.ts';

export class Segments {
  readonly #folder: Folder;
  readonly #manifest: Manifest;
  #current: Segment;
  #unlisted: Segment | undefined;
  #isBroken = false;
  #isFinished = false;

  constructor(folder: Folder, manifest: Manifest, current: Segment) {
    this.#folder = folder;
    this.#manifest = manifest;
    this.#current = current;
  }

  /** The number of the one that is written. */
  get n(): number {
    return this.#current.n;
  }

  /** Bytes of the one that is written. */
  get bytes(): number {
    return this.#current.bytes;
  }

  get unconfirmedBytes(): number {
    return this.#current.unconfirmedBytes;
  }

  /** True once the disk refused something of the present file: nothing is written until it is mended. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** True if the present file takes no more lines: nothing is written until `moveOn`. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** The number of records that the disk has confirmed in the present file and those before it. */
  get confirmed(): number {
    return this.#current.confirmed?.size ?? this.#current.start.first;
  }

  /** write(2). What it throws has broken the file. */
  write(bytes: Buffer): void {
    try {
      this.#current.write(bytes);
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  /** The present file, if it takes lines and is a file of the system's: to write to it, then tell `wrote`. */
  get file(): { readonly fd: number; readonly path: string } | undefined {
    const isOurs = this.#folder.fs.writeSync === systemFs.writeSync;
    return isOurs && !this.#isBroken && !this.#isFinished ? this.#current.named : undefined;
  }

  /** Somebody has written the first, and not the others if there was an error, which has broken the file. */
  wrote(inFile: Buffer, rest: Buffer, error: Error | undefined): void {
    if (inFile.length > 0) this.#current.written(inFile);
    if (error === undefined) return;
    this.#current.missed(rest);
    this.#isBroken = true;
  }

  /** Has the disk confirm what was written. Rejects with `Displaced`, or with what has broken the file. */
  async sync(end: SegmentEnd): Promise<void> {
    try {
      await this.#current.sync(end);
    } catch (error) {
      this.#isBroken = !(error instanceof Displaced);
      throw error;
    }
  }

  /** The present file, which was synced, takes no more lines. */
  finish(): void {
    this.#current.freeze();
    this.#isFinished = true;
  }

  /**
   * Goes on in the next file: writes there what the disk has not confirmed here, and `rest` behind it; `end` is where
   * the log stands then. `last`: a seal that covers no more than what was confirmed here, and so belongs to this file's
   * end. On disk when it settles; after it rejected it may be called again.
   */
  async mend(
    rest: Buffer,
    end: SegmentEnd,
    last?: { readonly line: Buffer; readonly psh: string },
  ): Promise<void> {
    const old = this.#current;
    old.close();
    old.freeze();
    const { confirmed } = old;
    const again = old.unconfirmed.filter((bytes) => last === undefined || !bytes.equals(last.line));
    // A file of which nothing was ever confirmed gives its number to the new one.
    const n = confirmed === undefined ? old.n : old.n + 1;
    const start = confirmed === undefined ? old.start : { ...confirmed, first: confirmed.size };
    const fresh = await Segment.rewrite(this.#folder, n, start, [...again, rest], end);
    try {
      if (confirmed !== undefined) old.cut(last);
    } catch (error) {
      fresh.close();
      throw error;
    }
    this.#current = fresh;
    this.#isBroken = false;
    this.#isFinished = false;
    if (confirmed !== undefined) this.#unlisted = old;
  }

  /**
   * Begins the next file if the present one is finished, and lists the one before it. `key` signs what comes behind
   * that. Returns the number of the segment that is now listed. After it rejected it may be called again.
   */
  async moveOn(sign: Sign, key: SigningKey, epoch: number): Promise<number | undefined> {
    if (this.#isFinished) {
      const old = this.#current;
      const { size, head, range } = old.confirmed!;
      this.#current = Segment.begin(this.#folder, old.n + 1, { first: size, head, range });
      this.#isFinished = false;
      this.#unlisted = old;
      old.close();
    }
    const listed = this.#unlisted;
    if (listed === undefined) return undefined;
    await this.#manifest.add(listed, sign, key, epoch);
    this.#unlisted = undefined;
    return listed.n;
  }

  close(): void {
    this.#current.close();
  }
}
