// Ballast: room on the log's disk that is kept so that it can be given up. On a full disk the log can then still say
// that it broke off, and end. audit-approval §4. Refuses to know what the room is used for.

import { randomBytes } from 'node:crypto';
import { type Folder, writeAll } from './folder.ts';

const chunkBytes = 1 << 20;

/** The ballast file of one log. */
export class Ballast {
  readonly #folder: Folder;
  readonly #bytes: number;
  #isThere = false;

  /** `bytes`: how much room is kept; 0 for none. Nothing is made yet. */
  constructor(folder: Folder, bytes: number) {
    this.#folder = folder;
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True if the room is kept, or none is wanted. */
  get isThere(): boolean {
    return this.#isThere || this.#bytes === 0;
  }

  /** Takes the room if it is to be had; returns whether it is kept now. Never throws. */
  make(): boolean {
    if (this.isThere) return true;
    const { fs, ballast } = this.#folder;
    try {
      if (fs.statSync(ballast, { throwIfNoEntry: false })?.size !== this.#bytes) this.#write();
      this.#isThere = true;
    } catch {
      this.#remove();
    }
    return this.#isThere;
  }

  /** As `make`, after it was given up: only if there is as much again as a quarter of it, so that it is not soon needed. */
  makeAgain(): boolean {
    const { fs, path } = this.#folder;
    try {
      const { bavail, bsize } = fs.statfsSync(path);
      return bavail * bsize >= this.#bytes * 1.25 && this.make();
    } catch {
      return false;
    }
  }

  /** Gives the room up; returns whether there was any. Never throws. */
  giveUp(): boolean {
    if (!this.#isThere) return false;
    this.#isThere = false;
    this.#remove();
    return true;
  }

  #write(): void {
    const { fs, ballast } = this.#folder;
    const fd = fs.openSync(ballast, 'w', 0o600);
    try {
      // Random bytes: a file system that compresses would keep no room for zeros.
      const chunk = randomBytes(Math.min(chunkBytes, this.#bytes));
      for (let at = 0; at < this.#bytes; at += chunk.length)
        writeAll(fs, fd, chunk.subarray(0, Math.min(chunk.length, this.#bytes - at)));
    } finally {
      fs.closeSync(fd);
    }
  }

  #remove(): void {
    try {
      this.#folder.fs.unlinkSync(this.#folder.ballast);
    } catch {
      // It was not there, or the disk does not let it go: then there is as little room as before.
    }
  }
}

/** True for what a file system says when there is no room. */
export function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
