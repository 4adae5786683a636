// Cursor: how far one destination has got, kept in a file so that a crash sends things twice and never leaves one out.
// It belongs to one place: another bucket or host under the same name begins at the beginning.

import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The place kept for one destination. `T` is plain JSON. */
export class Cursor<T extends object> {
  readonly #path: string;
  readonly #place: string;

  /** `place` says which destination it is of, without secrets. */
  constructor(path: string, place: string) {
    this.#path = path;
    this.#place = place;
  }

  /** What was kept; `first` if nothing was, if it is unreadable, or if it is of another place. */
  async read(first: T): Promise<T> {
    try {
      const kept = JSON.parse(await readFile(this.#path, 'utf8')) as { place: string; at: T };
      return kept.place === this.#place ? kept.at : first;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || error instanceof SyntaxError) return first;
      throw error;
    }
  }

  /** Keeps it; a crash leaves this one or the one before. */
  async write(at: T): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const fresh = `${this.#path}.new`;
    const file = await open(fresh, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify({ place: this.#place, at })}\n`);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(fresh, this.#path);
  }
}
