// Blobs: the texts too long for a line, each in a file under its SHA-256 beside the log. In memory until the disk has
// confirmed them, so that they can be written again. Refuses to know which record names them. audit-approval §3.1.

import type { Folder } from './folder.ts';
import type { Blob } from './line.ts';

interface Waiting {
  readonly blob: Blob;
  /** Of the file, to be synced; undefined once a sync has failed: then it is written anew. */
  fd: number | undefined;
}

export class Blobs {
  readonly #folder: Folder;
  #waiting: Waiting[] = [];
  #bytes = 0;

  constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** Bytes that the disk has not confirmed. */
  get unconfirmedBytes(): number {
    return this.#bytes;
  }

  /** Writes what is not there yet. Throws what the file system says; what was written stays and does no harm. */
  keep(blobs: readonly Blob[]): void {
    for (const blob of blobs) {
      const fd = this.#folder.writeBlob(blob.sha, blob.bytes);
      if (fd === undefined) continue;
      this.#waiting.push({ blob, fd });
      this.#bytes += blob.bytes.length;
    }
  }

  /** Has the disk confirm all of them. After it threw it may be called again: none is synced twice by a descriptor. */
  sync(): void {
    if (this.#waiting.length === 0) return;
    for (const waiting of this.#waiting) {
      const fd = waiting.fd ?? this.#folder.replaceBlob(waiting.blob.sha, waiting.blob.bytes);
      waiting.fd = undefined;
      this.#folder.syncAndClose(fd);
    }
    this.#folder.syncNames('blobs');
    this.#waiting = [];
    this.#bytes = 0;
  }
}
