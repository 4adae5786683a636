// Mirror of one session's prepared statements and cursors: which statements a name may stand for on the server.
// It chooses verdicts and never builds bytes, so it may be wrong in one direction only: a name that might stand for
// several statements yields all of them, a name it cannot explain yields none and the caller holds.
// Source: wire.md §2.3 and the manual, "Extended Query" (Message Flow) and PREPARE. SQL PREPARE and the protocol's
// Parse share one namespace on the server, so they share one here.

import type { Statement } from '../sql/statement.ts';

/** A statement behind a name. `sql` is an own copy. */
export interface Prepared {
  readonly sql: Buffer;
  /** All that `sql` says, or with `inner` the one statement that a PREPARE in it names. */
  readonly statements: readonly Statement[];
  readonly inner: boolean;
  readonly parameterOids: readonly number[];
}

/** A Parse that was forwarded and not yet answered. */
export interface StagedParse {
  /** Undefined where the name is not one that can be compared. */
  readonly key: string | undefined;
  /** Undefined where there was no room to remember it, or code ran behind it that may have redefined the name. */
  prepared: Prepared | undefined;
  /** Number of the Sync-delimited segment it was sent in. */
  readonly segment: number;
}

/** A PREPARE in a forwarded text. It may run at any moment until its gate ends: a portal can be executed late. */
export interface StagedPrepare {
  readonly key: string | undefined;
  prepared: Prepared | undefined;
}

interface Entry {
  /** What the server confirmed, or might have kept; usually one. Empty: not defined, or not by anything seen here. */
  committed: Prepared[];
  staged: StagedParse[];
  prepares: StagedPrepare[];
}

export interface MirrorLimits {
  readonly namesMax: number;
  readonly sqlBytesMax: number;
  readonly candidatesMax: number;
}

export const mirrorLimits: MirrorLimits = { namesMax: 10_000, sqlBytesMax: 64 << 20, candidatesMax: 8 };

/** Names are cut at NAMEDATALEN - 1 bytes: by the lexer, and by the hash table (dynahash.c, string_compare). */
const nameBytesMax = 63;
/** A name that is not ASCII may have more bytes in the server's encoding than in ours. */
const foreignNameBytesMax = 40;

/**
 * The key under which the server keeps a name: its first 63 bytes, so two longer names with the same beginning are one
 * name there. Undefined where it depends on the server's encoding which names are the same.
 */
export function nameKey(name: string, foreignNames: boolean): string | undefined {
  const bytes = Buffer.byteLength(name, 'utf8');
  if (bytes === name.length) return name.slice(0, nameBytesMax);
  return foreignNames && bytes <= foreignNameBytesMax ? name : undefined;
}

/** True if both are the same statement. One text may hold several PREPAREs of one name, so its bytes do not tell. */
export function samePrepared(a: Prepared, b: Prepared): boolean {
  if (a === b) return true;
  if (a.inner || b.inner) return a.inner && b.inner && a.statements[0] === b.statements[0];
  return a.sql.equals(b.sql);
}

export class PreparedMirror {
  readonly #entries = new Map<string, Entry>();
  readonly #cursors = new Set<string>();
  /** Portals that look a name up only when they run; undefined once there were too many to remember. */
  #late: Set<string> | undefined = new Set();
  /** Portals and cursors of read-only enclosures; undefined once there were too many to remember. */
  #enclosed: Set<string> | undefined = new Set();
  readonly #foreignNames: boolean;
  readonly #limits: MirrorLimits;
  #sqlBytes = 0;
  #distrusted = false;
  #codeRan = false;

  /** `foreignNames`: the server's encoding is UTF8, so that names which are not ASCII compare there as they do here. */
  constructor(foreignNames: boolean, limits: MirrorLimits = mirrorLimits) {
    this.#foreignNames = foreignNames;
    this.#limits = limits;
  }

  /** No room for another text until the server has answered for some. */
  get full(): boolean {
    return this.#sqlBytes >= this.#limits.sqlBytesMax;
  }

  /** The key of a name, undefined if it cannot be compared. */
  key(name: string): string | undefined {
    return nameKey(name, this.#foreignNames);
  }

  /** A Parse goes to the server: from now on its text is a candidate for `name`, until the server answers. */
  stage(name: string, prepared: Prepared, segment: number): StagedParse {
    const key = this.key(name);
    const entry = this.#entry(key);
    const staged = { key, prepared: this.#remember(entry, prepared), segment };
    entry?.staged.push(staged);
    return staged;
  }

  /** ParseComplete: the name now stands for this text alone. */
  confirm(staged: StagedParse): void {
    const entry = this.#unstage(staged);
    if (entry !== undefined) this.#replace(entry, staged.prepared);
    this.#tidy(staged.key);
  }

  /** The server refused the Parse. A failing unnamed Parse destroys the old unnamed statement; a named one keeps it. */
  refuse(staged: StagedParse): void {
    const entry = this.#unstage(staged);
    this.#forget(staged.prepared);
    if (entry !== undefined && staged.key === '') this.#replace(entry, undefined);
    this.#tidy(staged.key);
  }

  /** The server skipped the Parse after an earlier error: what the name stood for before still stands. */
  skip(staged: StagedParse): void {
    this.#unstage(staged);
    this.#forget(staged.prepared);
    this.#tidy(staged.key);
  }

  /** Whether the server took the Parse will never be known: the name may stand for either. */
  doubt(staged: StagedParse): void {
    const entry = this.#unstage(staged);
    if (entry !== undefined) this.#keepBoth(entry, staged.prepared);
    this.#tidy(staged.key);
  }

  /** A text with a PREPARE goes to the server. Ends with `settlePrepare`. */
  stagePrepare(name: string, prepared: Prepared): StagedPrepare {
    const key = this.key(name);
    const entry = this.#entry(key);
    const staged = { key, prepared: this.#remember(entry, prepared) };
    entry?.prepares.push(staged);
    return staged;
  }

  /** The PREPARE ran: the name stands for it alone, until another is seen to run. */
  ran(staged: StagedPrepare): void {
    const entry = staged.key === undefined ? undefined : this.#entries.get(staged.key);
    if (entry === undefined) return;
    this.#replace(entry, staged.prepared);
    if (staged.prepared !== undefined) this.#sqlBytes += staged.prepared.sql.length;
  }

  /** The gate of the PREPARE has ended. `perhaps`: it is not certain whether it ran. */
  settlePrepare(staged: StagedPrepare, perhaps: boolean): void {
    const entry = staged.key === undefined ? undefined : this.#entries.get(staged.key);
    const at = entry?.prepares.indexOf(staged) ?? -1;
    if (entry === undefined || at < 0) return;
    entry.prepares.splice(at, 1);
    if (perhaps) this.#keepBoth(entry, staged.prepared);
    else this.#forget(staged.prepared);
    this.#tidy(staged.key);
  }

  /** CloseComplete or DEALLOCATE, confirmed. Without a name: all. */
  drop(name: string | undefined): void {
    const keys = name === undefined ? [...this.#entries.keys()] : [this.key(name)];
    for (const key of keys) {
      const entry = key === undefined ? undefined : this.#entries.get(key);
      if (entry !== undefined) this.#replace(entry, undefined);
      this.#tidy(key);
    }
  }

  /**
   * Every statement that `name` may stand for when a Bind in `segment` reaches the server; undefined when it cannot be
   * explained; 'open' when that depends on answers still to come. A Parse of the same segment settles it: if that
   * Parse fails or is skipped, so is the Bind.
   */
  candidates(name: string, segment: number): readonly Prepared[] | 'open' | undefined {
    const key = this.key(name);
    const entry = key === undefined ? undefined : this.#entries.get(key);
    if (entry === undefined || this.#distrusted) return undefined;
    const { committed, staged, prepares } = entry;
    const latest = staged.at(-1);
    if (latest !== undefined && latest.segment === segment && prepares.length === 0)
      return latest.prepared === undefined ? undefined : [latest.prepared];
    const first = committed[0];
    const underWay = [...staged, ...prepares];
    if (underWay.length > 0) {
      // Without a committed statement the name may stand for something that was never seen here.
      const same = (other: Prepared | undefined): boolean =>
        first !== undefined && other !== undefined && samePrepared(first, other);
      if (!committed.every(same) || !underWay.every(({ prepared }) => same(prepared))) return 'open';
    }
    return first === undefined || committed.length > this.#limits.candidatesMax ? undefined : committed;
  }

  /**
   * Code of which nothing is known ran: it may have given any name to another statement, and opened or replaced any
   * cursor. Only the unnamed statement stays, for SQL has no way to name it. What is defined from now on is known.
   */
  codeRan(): void {
    this.#codeRan = true;
    this.#cursors.clear();
    for (const [key, entry] of this.#entries) {
      if (key === '') continue;
      this.#replace(entry, undefined);
      for (const staged of [...entry.staged, ...entry.prepares]) {
        this.#forget(staged.prepared);
        staged.prepared = undefined;
      }
      this.#tidy(key);
    }
  }

  /** True if a portal by that name may be one that code opened: nobody has judged what it runs. */
  mayBeOpenedByCode(name: string): boolean {
    return this.#codeRan && !this.knowsCursor(name);
  }

  /** Answers no longer fit what was sent: from now on no name is explained. */
  distrust(): void {
    this.#distrusted = true;
  }

  /** A cursor or portal by that name was made through a gate. Names are never forgotten: the gate was the DECLARE. */
  noteCursor(name: string): void {
    const key = this.key(name);
    if (key !== undefined && this.#cursors.size < this.#limits.namesMax) this.#cursors.add(key);
  }

  /**
   * A portal by that name is an EXECUTE, which may run another statement later than the one its gate saw: a FETCH from
   * it is never explained again.
   */
  noteLatePortal(name: string): void {
    const key = this.key(name);
    if (key === undefined) return;
    this.#late?.add(key);
    if (this.#late !== undefined && this.#late.size > this.#limits.namesMax) this.#late = undefined;
  }

  isLatePortal(name: string): boolean {
    const key = this.key(name);
    return this.#late === undefined || key === undefined || this.#late.has(key);
  }

  /** A cursor or portal by that name was made to run within a read-only transaction: each FETCH from it must as well. */
  noteEnclosed(name: string): void {
    const key = this.key(name);
    if (key === undefined) return;
    this.#enclosed?.add(key);
    if (this.#enclosed !== undefined && this.#enclosed.size > this.#limits.namesMax)
      this.#enclosed = undefined;
  }

  isEnclosed(name: string): boolean {
    const key = this.key(name);
    return this.#enclosed === undefined || (key !== undefined && this.#enclosed.has(key));
  }

  knowsCursor(name: string): boolean {
    const key = this.key(name);
    return key !== undefined && this.#cursors.has(key) && !this.isLatePortal(name);
  }

  /** Past the limits nothing is remembered, so the name is unknown and held. */
  #entry(key: string | undefined): Entry | undefined {
    if (key === undefined) return undefined;
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    if (this.#entries.size >= this.#limits.namesMax) return undefined;
    const entry: Entry = { committed: [], staged: [], prepares: [] };
    this.#entries.set(key, entry);
    return entry;
  }

  /** Counts a text that is kept; undefined where there is no room for it. */
  #remember(entry: Entry | undefined, prepared: Prepared): Prepared | undefined {
    if (entry === undefined || this.#sqlBytes + prepared.sql.length > this.#limits.sqlBytesMax)
      return undefined;
    this.#sqlBytes += prepared.sql.length;
    return prepared;
  }

  #forget(prepared: Prepared | undefined): void {
    if (prepared !== undefined) this.#sqlBytes -= prepared.sql.length;
  }

  #unstage(staged: StagedParse): Entry | undefined {
    const entry = staged.key === undefined ? undefined : this.#entries.get(staged.key);
    const at = entry?.staged.indexOf(staged) ?? -1;
    if (entry === undefined || at < 0) return undefined;
    entry.staged.splice(at, 1);
    return entry;
  }

  /** `prepared` undefined: from now on the name is not explained. Its bytes are counted already. */
  #replace(entry: Entry, prepared: Prepared | undefined): void {
    for (const old of entry.committed) this.#forget(old);
    entry.committed = prepared === undefined ? [] : [prepared];
  }

  /** A name that was not explained stays so: the new statement may have been refused in favour of an unseen one. */
  #keepBoth(entry: Entry, prepared: Prepared | undefined): void {
    if (prepared === undefined) this.#replace(entry, undefined);
    else if (entry.committed.length === 0 || entry.committed.some((each) => samePrepared(each, prepared)))
      this.#forget(prepared);
    else entry.committed.push(prepared);
  }

  #tidy(key: string | undefined): void {
    const entry = key === undefined ? undefined : this.#entries.get(key);
    if (key === undefined || entry === undefined) return;
    if (entry.committed.length + entry.staged.length + entry.prepares.length === 0) this.#entries.delete(key);
  }
}
