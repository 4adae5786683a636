// Manifest: the signed list of the closed segments, a line each, in which every line names the one before.
// audit-approval §11. Knows segments and files; refuses to know records and when a segment closes.

import { digest } from '../../verify/src/token.ts';
import { type Folder, writeAll } from './folder.ts';
import type { Sign, SigningKey } from './seal.ts';
import type { Segment } from './segment.ts';

/** What the first manifest line names as the one before. */
export function firstManifestHash(origin: string): string {
  return digest(`holdpoint-manifest-v1\n${origin}`);
}

/** The manifest of one log, for adding to it. */
export class Manifest {
  readonly #folder: Folder;
  readonly #origin: string;
  /** Hash of its last line. */
  #pmh: string;
  /** Bytes of whole lines that the disk has confirmed. */
  #bytes: number;
  #sound = true;

  /** `pmh` is the hash of the last line; the file ends with that line. */
  constructor(folder: Folder, origin: string, pmh: string) {
    this.#folder = folder;
    this.#origin = origin;
    this.#pmh = pmh;
    this.#bytes = folder.fs.existsSync(folder.manifest) ? folder.fs.statSync(folder.manifest).size : 0;
  }

  /**
   * Adds the line of a segment to which nothing is added any more; on disk when it settles. `key` is the one that signs
   * what comes behind the segment. Rejects with what signer or file system say; then it may be called again.
   */
  async add(segment: Segment, sign: Sign, key: SigningKey, epoch: number): Promise<void> {
    const line = await sign(key, 'holdpoint-segment+jws', segment.summary(this.#origin, epoch, this.#pmh));
    const bytes = Buffer.from(`${line}\n`, 'utf8');
    if (this.#sound) this.#append(bytes);
    else this.#rewrite(bytes);
    this.#bytes += bytes.length;
    this.#pmh = digest(line);
  }

  #append(bytes: Buffer): void {
    const { fs, manifest } = this.#folder;
    // Until it is known to be on disk: half a line may be there, or a line that a sync has not confirmed.
    this.#sound = false;
    const fd = fs.openSync(manifest, 'a', 0o600);
    try {
      writeAll(fs, fd, bytes);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    if (this.#bytes === 0) this.#folder.syncNames();
    this.#sound = true;
  }

  /** A file of which a sync has failed is not synced again: all of it goes to a new one. */
  #rewrite(bytes: Buffer): void {
    const { fs, manifest } = this.#folder;
    const content = this.#bytes === 0 ? Buffer.alloc(0) : (fs.readFileSync(manifest) as Buffer);
    const whole = Buffer.concat([content.subarray(0, this.#bytes), bytes]);
    this.#folder.writeWhole(manifest, whole.toString('utf8'));
    this.#folder.syncNames();
    this.#sound = true;
  }
}
