// Account: every record of a log that tells of one statement or request: who was connected and from where, what ran, who
// allowed it with which keys and in whose place, what came of it. audit-approval §19. Found in passes over the log that
// keep no more than the account itself, until a pass learns nothing new: two, or three where an approval that was given
// before released it. Nothing of it is verified here; a bundle of it is. Pure given the source.

import { recordAt } from './extents.ts';
import type { Moved } from './leaf.ts';
import type { LogSource } from './port.ts';
import { type ReadRecord, readLines } from './source.ts';

type Members = Readonly<Record<string, unknown>>;

/** What is asked about: any record, or a request. */
export interface Subject {
  readonly seq?: number | undefined;
  readonly request?: string | undefined;
}

export interface Account {
  /** In log order. Empty if the log has no such record or request. */
  readonly records: readonly ReadRecord[];
  /** The request, where it was held: the first of several. */
  readonly rid: string | undefined;
  /** Records that a seal covers. */
  readonly sealed: number;
}

/** A log that links more than this is not one that Holdpoint wrote. */
const passesMax = 6;

/** All records of a log that tell of the subject. */
export async function accountOf(source: LogSource, subject: Subject): Promise<Account> {
  const links = new Links(source);
  if (subject.request !== undefined) links.requests.add(subject.request);
  if (subject.seq !== undefined) {
    const asked = await recordAt(source, subject.seq);
    if (asked === undefined) return { records: [], rid: undefined, sealed: 0 };
    links.seqs.add(asked.seq);
    await links.learn(asked);
  }
  let found: ReadRecord[] = [];
  let sealed = 0;
  let size: number | undefined;
  for (let pass = 0; pass < passesMax; pass += 1) {
    const known = links.count;
    found = [];
    let seen = 0;
    for await (const line of readLines(source)) {
      if (!('kind' in line)) {
        sealed = Math.max(sealed, line.size);
        continue;
      }
      // The log may grow; every pass is over the same records.
      if (size !== undefined && line.seq >= size) break;
      seen = line.seq + 1;
      if (links.tells(line)) {
        await links.learn(line);
        found.push(line);
      } else if (links.vouches(line)) found.push(line);
    }
    size ??= seen;
    if (links.count === known) break;
  }
  const held = found.find(({ kind, members }) => kind === 'hold' && links.requests.has(String(members.rid)));
  const rid = subject.request ?? (held === undefined ? undefined : String(held.members.rid));
  return { records: found, rid, sealed };
}

/** What is known of the account so far. */
class Links {
  readonly seqs = new Set<number>();
  readonly requests = new Set<string>();
  readonly #source: LogSource;
  readonly #sessions = new Set<string>();
  /** Those who decided, those for whom they did, and the processes in which: each has its own enrolments. */
  readonly #people = new Set<string>();
  readonly #boots = new Set<string>();

  constructor(source: LogSource) {
    this.#source = source;
  }

  get count(): number {
    const sets = [this.seqs, this.requests, this.#sessions, this.#people, this.#boots];
    return sets.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether the record is a part of what happened. */
  tells({ seq, kind, members }: ReadRecord): boolean {
    const { ref, rid, sid, seqs } = members;
    if (this.seqs.has(seq) || this.requests.has(rid as string)) return true;
    if (this.seqs.has(ref as number)) return true;
    if (kind === 'auth') return sid !== '' && this.#sessions.has(sid as string);
    return kind === 'redact' && Array.isArray(seqs) && seqs.some((one) => this.seqs.has(one as number));
  }

  /**
   * Whether decisions of the account rest on it: a start, which every enrolment is of; an enrolment; a delegation. All
   * enrolments of the time, because a key may be somebody else's than the decision says.
   */
  vouches({ kind, members }: ReadRecord): boolean {
    const { boot, from, to } = members;
    if (this.#people.size === 0) return false;
    if (kind === 'approver' || kind === 'boot') return this.#boots.has(String(boot));
    return kind === 'delegation' && this.#people.has(String(from)) && this.#people.has(String(to));
  }

  /** Takes a record that tells of it. */
  async learn(record: ReadRecord): Promise<void> {
    const { seq, kind, members } = record;
    const { ref, rid, sid, by, boot } = members;
    this.#boots.add(String(boot));
    if (typeof rid === 'string') this.requests.add(rid);
    if (typeof ref === 'number') this.seqs.add(ref);
    if (kind === 'stmt') this.seqs.add(seq);
    // A login tells of its statements no more than that they were possible.
    if (kind === 'stmt' && typeof sid === 'string') this.#sessions.add(sid);
    if (kind === 'breakglass' || kind === 'review') this.#people.add(String(by));
    if (kind === 'hold') this.#sessions.add(String((await this.#signed(record, 'R')).sid));
    if (kind !== 'decision') return;
    const { approver, for: from } = await this.#signed(record, 'D');
    this.#people.add(String(approver));
    if (from !== undefined) this.#people.add(String(from));
  }

  /** The object that a member is the text of, wherever it is kept; empty if it is none. */
  async #signed({ members }: ReadRecord, member: string): Promise<Members> {
    const moved = movedOf(members)[member];
    const text = moved === undefined ? members[member] : await this.#source.read(`blobs/${moved.sha}`);
    try {
      return JSON.parse(String(text)) as Members;
    } catch {
      return {};
    }
  }
}

/** The long members and ID tokens that records refer to and that are kept beside the log, as a bundle takes them. */
export async function keptOf(
  source: LogSource,
  records: readonly ReadRecord[],
): Promise<{ blobs: Record<string, string>; evidence: Record<string, string> }> {
  const blobs: Record<string, string> = {};
  const evidence: Record<string, string> = {};
  for (const { members } of records) {
    for (const { sha } of Object.values(movedOf(members))) await keep(source, 'blobs/', sha, '', blobs);
    const { sha256 } = (members.ev ?? {}) as { sha256?: unknown };
    if (typeof sha256 === 'string') await keep(source, 'evidence/', sha256, '.jwt', evidence);
  }
  return { blobs, evidence };
}

async function keep(
  source: LogSource,
  folder: string,
  sha: string,
  suffix: string,
  into: Record<string, string>,
): Promise<void> {
  if (!/^[0-9a-f]{64}$/.test(sha)) return;
  const bytes = await source.read(`${folder}${sha}${suffix}`);
  if (bytes !== undefined) into[sha] = bytes.toString('utf8');
}

function movedOf(members: Members): Readonly<Record<string, Moved>> {
  return (members.blobs ?? {}) as Readonly<Record<string, Moved>>;
}
