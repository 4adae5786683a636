// Remembered: what this machine knows of its log beside the log: how far it was vouched for, and what each witness was
// sent. Lies with the keys, not in the log's folder, so that a log restored from an older copy is noticed even before a
// witness is asked. A restored disk brings back both: that only a witness, or whoever keeps checkpoints, can tell.

import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { folderName } from '../../verify/src/names.ts';

/** A size and the root over so many records, base64url. */
export interface Extent {
  readonly size: number;
  readonly root: string;
}

/** What is known of one witness, by its key. */
export interface WitnessMemory {
  /** The largest that it was sent: nothing smaller ever is. */
  readonly sent?: Extent | undefined;
  /** The newest that it cosigned. */
  readonly kept?: Extent | undefined;
  /** It holds to so many records of a history that was given up here, as an operator acknowledged. */
  readonly abandoned?: number | undefined;
}

interface Content {
  /** The newest checkpoint that was made. */
  standing?: Extent | undefined;
  /** An operator accepts that the log goes on from here though more is remembered elsewhere. Good once. */
  acknowledged?: Extent | undefined;
  witnesses: Record<string, WitnessMemory>;
}

/** The memory of one log. Writes are in order and on disk when they settle. */
export class Remembered {
  readonly #path: string;
  #content: Content;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, content: Content) {
    this.#path = path;
    this.#content = content;
  }

  /** `dir`: the folder of the log's private keys. Throws Error if the file is there and cannot be read. */
  static async open(dir: string, origin: string): Promise<Remembered> {
    const path = join(dir, `audit-${folderName(origin)}`, 'outside.json');
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '{"witnesses":{}}';
      throw error;
    });
    return new Remembered(path, JSON.parse(text) as Content);
  }

  get standing(): Extent | undefined {
    return this.#content.standing;
  }

  get acknowledged(): Extent | undefined {
    return this.#content.acknowledged;
  }

  witness(key: string): WitnessMemory {
    return this.#content.witnesses[key] ?? {};
  }

  /** In memory only: the next `write` takes it along. */
  note(key: string, known: WitnessMemory): void {
    this.#content.witnesses[key] = known;
  }

  stand(standing: Extent): void {
    this.#content.standing = standing;
  }

  acknowledge(extent: Extent | undefined): void {
    this.#content.acknowledged = extent;
  }

  write(): Promise<void> {
    const text = `${JSON.stringify(this.#content)}\n`;
    this.#writing = this.#writing.catch(() => undefined).then(() => writeDurably(this.#path, text));
    return this.#writing;
  }
}

/** Writes a whole file durably, off the event loop: a crash leaves the old one or the new one. */
export async function writeDurably(path: string, text: string, mode = 0o600): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, 'w', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  const folder = await open(join(path, '..'), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
