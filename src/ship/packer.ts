// Packer: compresses the closed segments of a log, one at a time, in a thread of its own. The plain file goes only when
// its compressed form is on disk under its name and has been read back to exactly what the manifest says was in it. A
// crash at any step leaves at least one whole form, and the next start goes on from there. audit-approval §11.

import { access, open, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { packedName, segmentName } from '../../verify/src/names.ts';
import type { Closed, Manifest } from './manifest.ts';
import type { Packed, PackJob } from './packing.ts';

export interface PackerOptions {
  /** The log's folder. */
  readonly folder: string;
  readonly manifest: Manifest;
  /** Told of each segment that is now compressed: its bytes before and after. */
  readonly packed: (bytes: number, packedBytes: number) => void;
  /** The calls that change the folder; a test ends the process between two of them. */
  readonly files?: PackFiles;
}

export interface PackFiles {
  readonly pack: (job: PackJob, signal: AbortSignal) => Promise<Packed>;
  readonly rename: typeof rename;
  readonly unlink: typeof unlink;
  readonly syncNames: (folder: string) => Promise<void>;
}

const workerUrl = new URL(
  import.meta.url.endsWith('.ts') ? './pack-worker.ts' : './pack-worker.js',
  import.meta.url,
);

/** The real calls. */
export const threaded: PackFiles = { pack: inThread, rename, unlink, syncNames };

/** Compresses one log's segments, by rounds. */
export class Packer {
  readonly #with: PackerOptions;
  readonly #files: PackFiles;
  #next = 0;

  constructor(options: PackerOptions) {
    this.#with = options;
    this.#files = options.files ?? threaded;
  }

  /** Compresses the next closed segment that is not. False if all are. Throws if a segment is not what was signed for. */
  async round(signal: AbortSignal): Promise<boolean> {
    const closed = await this.#with.manifest.of(this.#next);
    if (closed === undefined) return false;
    const plain = join(this.#with.folder, segmentName(closed.n));
    if (await exists(plain)) await this.#pack(closed, plain, signal);
    this.#next += 1;
    return true;
  }

  async #pack(closed: Closed, plain: string, signal: AbortSignal): Promise<void> {
    const { folder, packed: tell } = this.#with;
    const { pack, rename, unlink, syncNames } = this.#files;
    const packed = join(folder, packedName(closed.n));
    const isWhole =
      (await exists(packed)) &&
      (await pack({ plain, packed, to: undefined }, signal).then(
        ({ unpacked }) => unpacked === closed.sha256,
        () => false,
      ));
    if (!isWhole) {
      const fresh = `${packed}.new`;
      const { plain: read, unpacked } = await pack({ plain, packed, to: fresh }, signal);
      if (read !== closed.sha256)
        throw new Error(
          `${segmentName(closed.n)} is not what its manifest line says; it stays as it is, and \`holdpoint audit verify\` tells more`,
        );
      if (unpacked !== closed.sha256)
        throw new Error(`${segmentName(closed.n)} did not come out of its compressed form as it went in`);
      await rename(fresh, packed);
      // Its name is on disk before the plain file's is gone.
      await syncNames(folder);
    }
    const { size } = await stat(packed);
    await unlink(plain);
    await syncNames(folder);
    tell(closed.bytes, size);
  }
}

/** One thread for one segment. */
function inThread(job: PackJob, signal: AbortSignal): Promise<Packed> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerUrl, { workerData: job });
    const end = () => void worker.terminate();
    signal.addEventListener('abort', end, { once: true });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => {
      signal.removeEventListener('abort', end);
      reject(new Error('compressing ended early'));
    });
  });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function syncNames(folder: string): Promise<void> {
  const file = await open(folder, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
