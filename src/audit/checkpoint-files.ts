// Checkpoint files: the notes that lie beside the log for whoever verifies it. audit-approval §11.
// `checkpoint` is the newest note that as many witnesses cosigned as are asked for. `checkpoints/SIZE.note` are older
// ones: each tenth minute of the last day and one a day before that, so that their number grows by one a day.

import { mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from './remembered.ts';

const keepEachMs = 600_000;
const dayMs = 86_400_000;

/** The notes of one log, in its folder. Calls must not overlap. */
export class CheckpointFiles {
  readonly #folder: string;
  #keptAt = Number.NEGATIVE_INFINITY;
  #last: { readonly size: number; readonly cosignatures: number } = { size: -1, cosignatures: 0 };

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Puts a note in place as the newest, unless that would lose cosignatures that `quorum` asks for. `now`: ms since
   * 1970. `isLast`: the log ends with it, so that it is kept besides.
   */
  async put(
    size: number,
    note: string,
    cosignatures: number,
    quorum: number,
    now: number,
    isLast = false,
  ): Promise<void> {
    if (size < this.#last.size || cosignatures < Math.min(quorum, this.#last.cosignatures)) return;
    await writeDurably(join(this.#folder, 'checkpoint'), note, 0o644);
    this.#last = { size, cosignatures };
    if (cosignatures < quorum || (!isLast && now - this.#keptAt < keepEachMs)) return;
    this.#keptAt = now;
    const folder = join(this.#folder, 'checkpoints');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeDurably(join(folder, `${size}.note`), note, 0o644);
    await thin(folder, now);
  }
}

/** Of the notes older than a day, keeps the first of each day. */
async function thin(folder: string, now: number): Promise<void> {
  const notes = (await readdir(folder))
    .filter((name) => /^\d+\.note$/.test(name))
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
  const days = new Set<number>();
  for (const name of notes) {
    const path = join(folder, name);
    const { mtimeMs } = await stat(path);
    const day = Math.floor(mtimeMs / dayMs);
    if (now - mtimeMs > dayMs && days.has(day)) await unlink(path);
    days.add(day);
  }
}
