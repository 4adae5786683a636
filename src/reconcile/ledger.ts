// Ledger: what Holdpoint's records say went to the server, session by session, in the form that the server's own log can
// be held against: how often each statement, by its likeness, may be there, and how often it has to be. Memory grows with
// the different statements of a session, not with how often they ran. Refuses to know the server's log.

import { likeness } from '../sql/likeness.ts';
import type { Entry } from '../trail/entry.ts';

/** One statement of a session, by its likeness. */
export interface Tally {
  /** How often the records let it through; the server may have run it as often. */
  allowed: number;
  /** How often an outcome says that the server ran it. */
  ran: number;
  /** How often it was met in the server's log. */
  met: number;
  /** The first record of it. */
  readonly seq: number;
}

/** A session with the server as the records have it. */
export interface KnownSession {
  /** `own`: a connection of Holdpoint's own, over which no agent's statement goes. */
  readonly kind: 'agent' | 'own';
  readonly target: string;
  readonly agent: string | undefined;
  /** By likeness. */
  readonly tallies: Map<string, Tally>;
  met: boolean;
}

/** A statement that was held and not released yet. */
interface Held {
  readonly session: KnownSession;
  readonly likeness: string;
}

/** Gives the whole text of a record's statement that was moved to a blob. */
export type WholeText = (entry: Entry) => string | undefined;

/** A SET whose value the log does not tell, which may be a bare word: it is like any other SET. */
export const secretSet = /^\s*SET\b.* ‹redacted›\s*;?\s*$/is;
const listingAsked = /^\s*show\s+"?holdpoint"?\s*\.\s*"?requests"?[\s;]*$/i;

export class Ledger {
  /** By the session's name in the server's log. */
  readonly sessions = new Map<string, KnownSession>();
  /** Databases that statements for each target went to. */
  readonly databases = new Map<string, Set<string>>();
  /** Logins that do not say which session of the server they are. */
  unnamed = 0;
  statements = 0;
  /** µs since 1970; of the first and the last record. */
  first: number | undefined;
  last: number | undefined;
  readonly #wholeText: WholeText;
  readonly #target: string | undefined;
  readonly #bySid = new Map<string, KnownSession>();
  readonly #held = new Map<number, Held>();
  readonly #open = new Map<number, Tally>();
  readonly #likenesses = new Map<string, string>();

  /** `target`: only what was meant for it. */
  constructor(target: string | undefined, wholeText: WholeText) {
    this.#target = target;
    this.#wholeText = wholeText;
  }

  /** What comes is another log: its sessions and sequence numbers are its own. */
  another(): void {
    this.#bySid.clear();
    this.#open.clear();
    this.#held.clear();
  }

  /** Takes the next record of a log. */
  note(entry: Entry): void {
    this.first = Math.min(this.first ?? entry.ts, entry.ts);
    this.last = Math.max(this.last ?? entry.ts, entry.ts);
    const { kind, members: m } = entry;
    switch (kind) {
      case 'auth':
      case 'own':
        this.#login(entry);
        return;
      case 'stmt':
        if (this.#target === undefined || m.target === this.#target) this.#statement(entry);
        return;
      case 'intent':
        this.#release(Number(m.ref));
        return;
      case 'outcome': {
        const tally = this.#open.get(Number(m.ref));
        this.#open.delete(Number(m.ref));
        this.#held.delete(Number(m.ref));
        if (tally !== undefined && m.st === 'ok') tally.ran += 1;
        return;
      }
      case 'boot':
        // Sessions of the process before are over.
        this.another();
    }
  }

  /** The likeness of a text; remembered for those that come again and again. */
  likenessOf(sql: string): string {
    if (sql.length > rememberedCharactersMax) return likeness(sql);
    const known = this.#likenesses.get(sql);
    if (known !== undefined) return known;
    const fresh = likeness(sql);
    if (this.#likenesses.size >= rememberedMax) this.#likenesses.clear();
    this.#likenesses.set(sql, fresh);
    return fresh;
  }

  #login({ kind, members: m }: Entry): void {
    if (kind === 'auth' && m.ok !== true) return;
    if (typeof m.server !== 'string') {
      this.unnamed += 1;
      return;
    }
    const known = this.sessions.get(m.server);
    // A session of an agent is one even if its name is met again among our own.
    if (known?.kind === 'agent' && kind === 'own') return;
    const session: KnownSession = {
      kind: kind === 'own' ? 'own' : 'agent',
      target: String(m.target),
      agent: m.agent === undefined ? undefined : String(m.agent),
      tallies: new Map(),
      met: false,
    };
    this.sessions.set(m.server, session);
    if (kind === 'auth') this.#bySid.set(String(m.sid), session);
  }

  #statement(entry: Entry): void {
    const { seq, members: m } = entry;
    const target = String(m.target);
    const databases = this.databases.get(target) ?? new Set();
    this.databases.set(target, databases.add(String(m.db)));
    const session = this.#bySid.get(String(m.sid));
    if (session === undefined || (m.dec !== 'pass' && m.dec !== 'hold')) return;
    const sql = this.#wholeText(entry);
    if (sql === undefined) return;
    const alike = secretSet.test(sql)
      ? secretSetName
      : listingAsked.test(sql)
        ? listingName
        : this.likenessOf(sql);
    if (m.dec === 'hold') this.#held.set(seq, { session, likeness: alike });
    else this.#allow(session, alike, seq);
  }

  /** A held statement goes to the server. */
  #release(ref: number): void {
    const held = this.#held.get(ref);
    this.#held.delete(ref);
    if (held !== undefined) this.#allow(held.session, held.likeness, ref);
  }

  #allow(session: KnownSession, alike: string, seq: number): void {
    this.statements += 1;
    const tally = session.tallies.get(alike) ?? { allowed: 0, ran: 0, met: 0, seq };
    tally.allowed += 1;
    session.tallies.set(alike, tally);
    this.#open.set(seq, tally);
  }
}

/** What stands for the likeness of a SET whose value is not told. */
export const secretSetName = 'SET';

/** What stands for the likeness of `SHOW holdpoint.requests`, for which the server is given a list to answer with. */
export const listingName = 'SHOW';

const rememberedMax = 20_000;
const rememberedCharactersMax = 4_096;
