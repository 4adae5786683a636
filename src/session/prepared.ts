// Mirror of one session's prepared statements and cursors: which statements a name may stand for on the server.
// It chooses verdicts and never builds bytes, so it may be wrong in one direction only: a name that might stand for
// several statements yields all of them, a name it cannot explain yields none and the caller holds.
// Source: wire.md §2.3 and the manual, "Extended Query" (Message Flow) and PREPARE. SQL PREPARE and the protocol's
// Parse share one namespace on the server, so they share one here.

import type { Statement } from '../sql/statement.ts';

/** A statement behind a name. `sql` is an own copy. */
export interface Prepared {
  readonly sql: Buffer;
  readonly statements: readonly Statement[];
  readonly parameterOids: readonly number[];
}

/** A Parse that was forwarded and not yet answered. */
export interface StagedParse {
  readonly name: string;
  readonly prepared: Prepared;
  /** Number of the Sync-delimited segment it was sent in. */
  readonly segment: number;
}

interface Entry {
  /** What the server confirmed, or might have kept; usually one. */
  committed: Prepared[];
  staged: StagedParse[];
}

export interface MirrorLimits {
  readonly namesMax: number;
  readonly sqlBytesMax: number;
  readonly candidatesMax: number;
}

export const mirrorLimits: MirrorLimits = { namesMax: 10_000, sqlBytesMax: 64 << 20, candidatesMax: 8 };

/**
 * The key under which the server keeps a name: its first 63 bytes. Its hash tables compare NAMEDATALEN - 1 bytes, so
 * two longer names with the same beginning are one name there (dynahash.c, string_compare).
 */
export function nameKey(name: string): string {
  return Buffer.from(name, 'utf8').subarray(0, 63).toString('latin1');
}

export class PreparedMirror {
  readonly #entries = new Map<string, Entry>();
  readonly #cursors = new Set<string>();
  readonly #limits: MirrorLimits;
  #sqlBytes = 0;
  #distrusted = false;

  constructor(limits: MirrorLimits = mirrorLimits) {
    this.#limits = limits;
  }

  /** A Parse goes to the server: from now on its text is a candidate for `name`, until the server answers. */
  stage(name: string, prepared: Prepared, segment: number): StagedParse {
    const staged = { name: nameKey(name), prepared, segment };
    const entry = this.#entry(staged.name);
    if (entry !== undefined) {
      entry.staged.push(staged);
      this.#sqlBytes += prepared.sql.length;
    }
    return staged;
  }

  /** ParseComplete: the name now stands for this text alone. */
  confirm(staged: StagedParse): void {
    const entry = this.#unstage(staged);
    if (entry !== undefined) this.#replace(entry, [staged.prepared]);
  }

  /** The server refused the Parse. A failing unnamed Parse destroys the old unnamed statement; a named one keeps it. */
  refuse(staged: StagedParse): void {
    const entry = this.#unstage(staged);
    if (entry !== undefined) this.#sqlBytes -= staged.prepared.sql.length;
    if (entry !== undefined && staged.name === '') this.#replace(entry, []);
    this.#forgetIfEmpty(staged.name);
  }

  /** The server skipped the Parse after an earlier error: what the name stood for before still stands. */
  skip(staged: StagedParse): void {
    if (this.#unstage(staged) !== undefined) this.#sqlBytes -= staged.prepared.sql.length;
    this.#forgetIfEmpty(staged.name);
  }

  /** A PREPARE in a text that ran wholly: the name stands for this text alone. */
  define(name: string, prepared: Prepared): void {
    const entry = this.#entry(nameKey(name));
    if (entry === undefined) return;
    this.#replace(entry, [prepared]);
    this.#sqlBytes += prepared.sql.length;
  }

  /** A PREPARE that may or may not have run: the name may stand for this text too. */
  mayDefine(name: string, prepared: Prepared): void {
    const entry = this.#entry(nameKey(name));
    if (entry === undefined) return;
    entry.committed.push(prepared);
    this.#sqlBytes += prepared.sql.length;
  }

  /** CloseComplete or DEALLOCATE, confirmed. Without a name: all. */
  drop(name: string | undefined): void {
    const names = name === undefined ? [...this.#entries.keys()] : [nameKey(name)];
    for (const each of names) {
      const entry = this.#entries.get(each);
      if (entry === undefined) continue;
      this.#replace(entry, []);
      this.#forgetIfEmpty(each);
    }
  }

  /**
   * Every statement that `name` may stand for when a Bind in `segment` reaches the server; undefined when unknown.
   * A Parse of the same segment settles it: if that Parse fails or is skipped, so is the Bind.
   */
  candidates(name: string, segment: number): readonly Prepared[] | undefined {
    const entry = this.#entries.get(nameKey(name));
    if (entry === undefined || this.#distrusted) return undefined;
    const latest = entry.staged.at(-1);
    if (latest !== undefined && latest.segment === segment) return [latest.prepared];
    const all = [...entry.committed, ...entry.staged.map((staged) => staged.prepared)];
    if (all.length === 0 || all.length > this.#limits.candidatesMax) return undefined;
    return all;
  }

  /** Answers no longer fit what was sent: from now on no name is explained. */
  distrust(): void {
    this.#distrusted = true;
  }

  /** A cursor or portal by that name was made through a gate. Names are never forgotten: the gate was the DECLARE. */
  noteCursor(name: string): void {
    if (this.#cursors.size < this.#limits.namesMax) this.#cursors.add(nameKey(name));
  }

  knowsCursor(name: string): boolean {
    return this.#cursors.has(nameKey(name));
  }

  /** Past the limits nothing is remembered, so the name is unknown and held. */
  #entry(name: string): Entry | undefined {
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    if (this.#entries.size >= this.#limits.namesMax || this.#sqlBytes >= this.#limits.sqlBytesMax)
      return undefined;
    const entry: Entry = { committed: [], staged: [] };
    this.#entries.set(name, entry);
    return entry;
  }

  #unstage(staged: StagedParse): Entry | undefined {
    const entry = this.#entries.get(staged.name);
    const at = entry?.staged.indexOf(staged) ?? -1;
    if (entry === undefined || at < 0) return undefined;
    entry.staged.splice(at, 1);
    return entry;
  }

  #replace(entry: Entry, committed: Prepared[]): void {
    for (const old of entry.committed) {
      if (!committed.includes(old)) this.#sqlBytes -= old.sql.length;
    }
    entry.committed = committed;
  }

  #forgetIfEmpty(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined && entry.committed.length === 0 && entry.staged.length === 0)
      this.#entries.delete(name);
  }
}
