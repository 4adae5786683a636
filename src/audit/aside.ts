// Aside: what a log keeps beside its segments for those who may see more than the chain tells: values, encrypted to
// auditors, and the evidence of decisions. audit-approval §10. Refuses to know the chain, and who may read it.

import { hash } from 'node:crypto';
import { tokenIndex } from '../../verify/src/sidefile.ts';
import type { Folder } from './folder.ts';
import type { SideFile } from './sidefile.ts';
import type { Kept } from './values.ts';

/** The writer's side of it. Throws what the file system throws; then it may be called again. */
export class Aside {
  readonly #folder: Folder;
  readonly #side: SideFile | undefined;

  constructor(folder: Folder, side: SideFile | undefined) {
    this.#folder = folder;
    this.#side = side;
  }

  /** Keeps a text under its digest; on disk when it returns. */
  evidence(sha256: string, text: string): void {
    this.#folder.writeWhole(this.#folder.evidence(sha256), text);
    this.#folder.syncNames('evidence');
  }

  /** Before the record: without auditors an ID token is kept in clear, because it is what proves a decision. */
  tokens(kept: readonly Kept[]): void {
    if (this.#side !== undefined) return;
    for (const { index, value } of kept) {
      if (index !== tokenIndex || value === undefined) continue;
      this.evidence(hash('sha256', value, 'hex'), Buffer.from(value).toString('utf8'));
    }
  }

  /** Behind the record: takes its values. */
  values(seq: number, kept: readonly Kept[]): void {
    this.#side?.keep(seq, kept);
  }

  /** Makes the key of segment `n` ready. */
  async prepare(n: number): Promise<void> {
    await this.#side?.prepare(n);
  }

  /** Has the disk confirm the values taken so far. Undefined if there are none to be. */
  sync(): Promise<void> | undefined {
    this.#side?.write();
    const synced = this.#side?.sync();
    // Somebody else hears of it: a rejection that nobody waits for yet would end the process.
    synced?.catch(() => undefined);
    return synced;
  }

  /** Records from here on belong to segment `n`. Returns what closes the file of the one before. */
  turnTo(n: number): (() => void) | undefined {
    return this.#side?.turnTo(n);
  }

  /** Lets `rewrite` put another file in the place of the values of a segment; none are written to it meanwhile. */
  replace(n: number, rewrite: (path: string) => void): void {
    if (this.#side === undefined) rewrite(this.#folder.side(n));
    else this.#side.replace(n, rewrite);
    this.#folder.syncNames();
  }

  close(): void {
    this.#side?.close();
  }
}
