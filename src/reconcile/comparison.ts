// Comparison: the server's log against what Holdpoint's records say went to it. Every statement of the server's log is
// one of four: recorded, Holdpoint's own, in a session of Holdpoint's without a record (a hole), or in a session that is
// none of Holdpoint's (it ran around). Pure; refuses to know files.

import { likenessText } from '../sql/likeness.ts';
import { type Executed, executedBy, isTimed } from './executed.ts';
import { type KnownSession, type Ledger, listingName, secretSetName, type Tally } from './ledger.ts';
import type { ServerEntry } from './server-log.ts';

/** A statement of the server's log that is not accounted for. */
export interface Stray {
  readonly time: string;
  readonly user: string;
  readonly database: string;
  readonly client: string;
  readonly application: string;
  readonly session: string;
  readonly statement: string;
  /** Of a hole: whose session it was in. */
  readonly agent?: string | undefined;
  readonly target?: string | undefined;
}

export interface Counts {
  recorded: number;
  own: number;
  around: number;
  holes: number;
  untold: number;
}

/** What is known of a session of the server's log. */
interface Met {
  readonly known: KnownSession | undefined;
  /** Number of the last entry; a jump is an entry that these files do not have. */
  line: number;
  /** Statements so far that anybody may run who logs in as Holdpoint does, while nothing else was met. */
  pending: Stray[] | undefined;
  readonly untold: boolean;
}

export interface ComparisonOptions {
  readonly ledger: Ledger;
  /** Only statements in these databases are looked at; undefined: in all. */
  readonly databases: ReadonlySet<string> | undefined;
  /** What Holdpoint asks a server right after its login. */
  readonly loginQuestions: readonly string[];
  /** Told of each, as it is met. */
  readonly stray: (kind: StrayKind, stray: Stray) => void;
  /** Seconds since 1970: of sessions that began before, the records do not tell any more. */
  readonly toldSince: number;
}

/** `untold`: in a session that is older than the records that are still there, and may have been Holdpoint's. */
export type StrayKind = 'around' | 'hole' | 'untold';

/** Commands of ours around a statement of a client's: bounds and READ ONLY transactions. */
const enclosing =
  /^(BEGIN( READ ONLY)?|COMMIT|ROLLBACK|(SAVEPOINT|RELEASE|ROLLBACK TO) holdpoint_[0-9a-f]{32}|SET LOCAL transaction_read_only = on)$/;
/** The list of an agent's own requests, as values (session/listing.ts), by its likeness. */
const listing =
  /^SELECT ("\w+",?)+ FROM\(VALUES(\(((\0|NULL)::pg_catalog\.\w+,?)+\),?)+\)AS requests\(("\w+",?)+\)(WHERE false)?$/;
const ownName = /^holdpoint_[0-9a-f]{32}(\/holdpoint_[0-9a-f]{32})?$/;

export class Comparison {
  readonly counts: Counts = { recorded: 0, own: 0, around: 0, holes: 0, untold: 0 };
  /** Sessions by what they are; of those around, only such in which something was run. */
  readonly sessions = { agents: 0, own: 0, around: 0, untold: 0 };
  /** As the server wrote them. */
  first = '';
  last = '';
  /** Entries that the numbering of sessions says are missing, and in how many places. */
  readonly missing = { entries: 0, places: 0 };
  /** Statements that are in the log because they took long, not because all are. */
  timed = 0;
  readonly #options: ComparisonOptions;
  readonly #met = new Map<string, Met>();

  constructor(options: ComparisonOptions) {
    this.#options = options;
  }

  /** All statements that were looked at. */
  get statements(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  /** Takes the next entry of the server's log. */
  note(entry: ServerEntry): void {
    if (this.first === '') this.first = entry.time;
    this.last = entry.time;
    const met = this.#sessionOf(entry);
    const executed = executedBy(entry);
    if (executed === undefined) return;
    const { databases, loginQuestions } = this.#options;
    if (databases !== undefined && !databases.has(entry.database)) return;
    if (isTimed(entry)) this.timed += 1;
    const stray = strayOf(entry, executed, met.known);
    if (met.known?.kind === 'own' || (met.known !== undefined && this.#isOurs(executed))) {
      this.counts.own += 1;
    } else if (met.known !== undefined) this.#held(stray, executed, met.known);
    else if (met.pending !== undefined && loginQuestions.includes(executed.texts[0]!))
      met.pending.push(stray);
    else this.#around(met, stray);
  }

  /** At the end of the log: what began as a login of Holdpoint's and never went on was one that its client left. */
  end(): void {
    for (const { known, pending } of this.#met.values())
      if (known === undefined) this.counts.own += pending?.length ?? 0;
  }

  /** Statements that records say the server ran and that its log does not have: how many, and the first of them. */
  unmet(): { count: number; first: number | undefined; sessions: number } {
    const unmet = { count: 0, first: undefined as number | undefined, sessions: 0 };
    for (const session of this.#options.ledger.sessions.values()) {
      if (!session.met) continue;
      const missing = [...session.tallies.values()].filter(({ ran, met }) => ran > met);
      if (missing.length === 0) continue;
      unmet.sessions += 1;
      for (const { ran, met, seq } of missing) {
        unmet.count += ran - met;
        unmet.first = Math.min(unmet.first ?? seq, seq);
      }
    }
    return unmet;
  }

  #sessionOf({ session, line }: ServerEntry): Met {
    let met = this.#met.get(session);
    if (met === undefined) {
      const known = this.#options.ledger.sessions.get(session);
      if (known !== undefined) known.met = true;
      if (known !== undefined) this.sessions[known.kind === 'own' ? 'own' : 'agents'] += 1;
      const began = Number.parseInt(session, 16);
      const untold = known === undefined && began < this.#options.toldSince;
      met = { known, line: line - 1, pending: known === undefined ? [] : undefined, untold };
      this.#met.set(session, met);
    }
    if (line > met.line + 1) {
      this.missing.entries += line - met.line - 1;
      this.missing.places += 1;
    }
    met.line = Math.max(met.line, line);
    return met;
  }

  #isOurs({ texts, name }: Executed): boolean {
    if (name === undefined) return this.#options.loginQuestions.includes(texts[0]!);
    return ownName.test(name) && enclosing.test(texts[0]!);
  }

  #held(stray: Stray, { texts, again }: Executed, known: KnownSession): void {
    const { ledger } = this.#options;
    const tallies = texts
      .flatMap((text) => [ledger.likenessOf(text), ...instead(text)])
      .map((alike) => known.tallies.get(alike))
      .filter((tally): tally is Tally => tally !== undefined);
    const open = tallies.find(({ met, allowed }) => met < allowed);
    if (open !== undefined && !again) open.met += 1;
    // Further rows of what was executed before are no further statement.
    if (open !== undefined || (again && tallies.length > 0)) this.counts.recorded += 1;
    else {
      this.counts.holes += 1;
      this.#options.stray('hole', stray);
    }
  }

  #around(met: Met, stray: Stray): void {
    const kind = met.untold ? 'untold' : 'around';
    if (met.pending !== undefined) this.sessions[kind] += 1;
    for (const each of [...(met.pending ?? []), stray]) {
      this.counts[kind] += 1;
      this.#options.stray(kind, each);
    }
    met.pending = undefined;
  }
}

/** What a record has where it has not the text that went to the server. */
function instead(text: string): string[] {
  if (/^\s*SET\b/i.test(text)) return [secretSetName];
  return text.startsWith('SELECT "id"') && listing.test(likenessText(text)) ? [listingName] : [];
}

function strayOf(entry: ServerEntry, { texts }: Executed, known: KnownSession | undefined): Stray {
  const { time, user, database, client, application, session } = entry;
  const whose = known === undefined ? {} : { agent: known.agent, target: known.target };
  return { time, user, database, client, application, session, statement: texts[0] ?? '', ...whose };
}
