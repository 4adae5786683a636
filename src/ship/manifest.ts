// Manifest: the closed segments of a log as its manifest.jsonl tells of them, read as the file grows.
// Believes the folder, which is this process's own; whoever verifies checks the signatures. audit-approval §11.

import { open } from 'node:fs/promises';
import { join } from 'node:path';

/** A closed segment. Its bytes never change again. */
export interface Closed {
  readonly n: number;
  /** Seq of its first record, and the number of records up to its end. */
  readonly first: number;
  readonly size: number;
  /** Of the plain file; hex. */
  readonly bytes: number;
  readonly sha256: string;
  /** The manifest line, without LF. */
  readonly line: string;
}

/** Bytes that are read at once. A line holds up to 128 hashes and what was open when the segment closed. */
const chunkBytes = 1 << 20;

/** Follows one manifest. Keeps one small entry a segment, and no line. */
export class Manifest {
  readonly #path: string;
  readonly #closed: { readonly at: number; readonly length: number }[] = [];
  #end = 0;

  /** `folder` is the log's. */
  constructor(folder: string) {
    this.#path = join(folder, 'manifest.jsonl');
  }

  /** The closed segment of this number; undefined if it is still open. */
  async of(n: number): Promise<Closed | undefined> {
    if (n >= this.#closed.length) await this.#read();
    const place = this.#closed[n];
    if (place === undefined) return undefined;
    const file = await open(this.#path, 'r');
    try {
      const { buffer } = await file.read(Buffer.alloc(place.length), 0, place.length, place.at);
      return closedOf(buffer.toString('utf8'), n);
    } finally {
      await file.close();
    }
  }

  /** How many segments are closed. */
  async count(): Promise<number> {
    await this.#read();
    return this.#closed.length;
  }

  async #read(): Promise<void> {
    const file = await open(this.#path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (file === undefined) return;
    try {
      let rest = Buffer.alloc(0);
      for (let at = this.#end; ; ) {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(chunkBytes), 0, chunkBytes, at);
        if (bytesRead === 0) return;
        at += bytesRead;
        rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
        for (let lf = rest.indexOf(10); lf >= 0; lf = rest.indexOf(10)) {
          this.#closed.push({ at: this.#end, length: lf });
          this.#end += lf + 1;
          rest = rest.subarray(lf + 1);
        }
      }
    } finally {
      await file.close();
    }
  }
}

function closedOf(line: string, n: number): Closed {
  const claims = JSON.parse(Buffer.from(line.split('.')[1] ?? '', 'base64url').toString('utf8')) as Closed;
  if (claims.n !== n) throw new Error(`line ${n + 1} of the manifest speaks of segment ${claims.n}`);
  const { first, size, bytes, sha256 } = claims;
  return { n, first, size, bytes, sha256, line };
}
