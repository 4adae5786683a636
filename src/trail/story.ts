// Story: every record that tells of one statement or request: who was connected, what ran, who was asked, who allowed it
// with which keys, what came of it. Looked for around its place in the log and no further than a bound, so that a log of
// any length can be asked; what `account.ts` of the verifier finds in all of it. Nothing of it is verified here.

import type { Entry } from './entry.ts';
import { hasAny, needle, readEntry } from './entry.ts';
import { back, onward } from './scan.ts';
import type { Allow } from './segment.ts';
import type { Position, Trail } from './trail.ts';

export interface Story {
  /** The record that was asked for. */
  readonly asked: Entry;
  /** The statement that it is about. */
  readonly statement: Entry | undefined;
  /** The request that the statement waited for, or was let through by. */
  readonly rid: string | undefined;
  /** In log order. */
  readonly records: readonly Entry[];
  /** False where more of the log than was looked at may tell of it. */
  readonly complete: boolean;
}

export interface StoryOptions {
  /** Bytes of the log that are looked at. */
  readonly bytesMax: number;
  /** Records that are kept: a grant may have been used many times. */
  readonly recordsMax: number;
}

const roundsMax = 4;

/** The story of a record; undefined if the log has it not, or not any more. */
export async function storyOf(trail: Trail, seq: number, options: StoryOptions): Promise<Story | undefined> {
  const place = await find(trail, seq);
  if (place === undefined) return undefined;
  const gathering = new Gathering(place.entry, options.recordsMax);
  let left = options.bytesMax;
  const allow: Allow = (bytes) => {
    left -= bytes;
    return left > 0 && !gathering.full;
  };
  /** The log's beginning was reached: what was not found by then is not there. */
  let whole = false;
  for (let round = 0; round < roundsMax && gathering.links > 0; round += 1) {
    const known = gathering.links;
    gathering.again();
    const first = await lookBack(trail, place.behind, gathering, allow);
    whole ||= first === 0;
    for await (const { lines } of onward(trail, place.behind, allow))
      for (const { bytes } of lines) gathering.take(bytes);
    if (gathering.links === known) break;
  }
  return gathering.story(left > 0 && (whole || !gathering.wantsEarlier));
}

async function find(trail: Trail, seq: number): Promise<{ entry: Entry; behind: Position } | undefined> {
  const from = await trail.atSeq(seq);
  if (from === undefined) return undefined;
  for await (const { n, lines } of onward(trail, from)) {
    for (const { bytes, at } of lines) {
      const entry = readEntry(bytes);
      if (entry === undefined || entry.seq < seq) continue;
      return entry.seq === seq ? { entry, behind: { n, at: at + bytes.length + 1 } } : undefined;
    }
  }
  return undefined;
}

/** Takes what stands before. Returns the first record that was looked at. */
async function lookBack(
  trail: Trail,
  from: Position,
  gathering: Gathering,
  allow: Allow,
): Promise<number | undefined> {
  let first: Buffer | undefined;
  for await (const { lines } of back(trail, from, allow)) {
    for (const { bytes } of lines) gathering.take(bytes);
    first = lines.at(-1)?.bytes ?? first;
    if (!gathering.wantsEarlier) break;
  }
  return first && readEntry(first)?.seq;
}

const refused = new Set(['approver', 'delegation', 'boot', 'auth']);
const always = ['auth', 'approver', 'delegation', 'boot', 'redact'].map((kind) => needle('kind', kind));

/** What is known so far, and what it leads to. */
class Gathering {
  readonly #asked: Entry;
  readonly #recordsMax: number;
  readonly #found = new Map<number, Entry>();
  /** Statements, requests, who decided, and the processes in which: each has enrolments of its own. */
  readonly #refs = new Set<number>();
  readonly #rids = new Set<string>();
  readonly #people = new Set<string>();
  readonly #boots = new Set<string>();
  readonly #bootsMet = new Set<string>();
  readonly #holds = new Set<string>();
  #sid: string | undefined;
  #login = false;
  #needles: Buffer[] = [];

  constructor(asked: Entry, recordsMax: number) {
    this.#asked = asked;
    this.#recordsMax = recordsMax;
    this.#keep(asked);
  }

  /** How much there is to look for; 0 for a record that stands by itself. */
  get links(): number {
    return this.#refs.size + this.#rids.size + this.#people.size + this.#boots.size;
  }

  get full(): boolean {
    return this.#found.size >= this.#recordsMax;
  }

  /** True while something is missing that stands before what refers to it. */
  get wantsEarlier(): boolean {
    return (
      [...this.#refs].some((ref) => !this.#found.has(ref)) ||
      [...this.#rids].some((rid) => !this.#holds.has(rid)) ||
      (this.#sid !== undefined && !this.#login) ||
      (this.#people.size > 0 && [...this.#boots].some((boot) => !this.#bootsMet.has(boot)))
    );
  }

  /** Looks from the beginning: enrolments that were passed by before anybody's decision was known are met again. */
  again(): void {
    this.#bootsMet.clear();
  }

  take(bytes: Buffer): void {
    if (this.full || !(hasAny(bytes, this.#needles) || hasAny(bytes, always))) return;
    const entry = readEntry(bytes);
    if (entry === undefined || this.#found.has(entry.seq)) return;
    if (entry.kind === 'boot') this.#bootsMet.add(String(entry.members.boot));
    if (this.#tells(entry)) this.#keep(entry);
  }

  story(complete: boolean): Story {
    const records = [...this.#found.values()].sort((a, b) => a.seq - b.seq);
    const { kind, seq, members } = this.#asked;
    const ref = kind === 'stmt' ? seq : typeof members.ref === 'number' ? members.ref : undefined;
    const held = records.find((each) => each.kind === 'hold' && this.#rids.has(String(each.members.rid)));
    const statement =
      ref === undefined
        ? records.find((each) => each.kind === 'stmt' && each.seq === held?.members.ref)
        : this.#found.get(ref);
    return {
      asked: this.#asked,
      statement,
      rid: held === undefined ? [...this.#rids][0] : String(held.members.rid),
      records,
      complete: complete && !this.full,
    };
  }

  #tells({ seq, kind, members: m }: Entry): boolean {
    switch (kind) {
      case 'boot':
        return false;
      case 'auth':
        return m.sid === this.#sid && m.sid !== '';
      case 'approver':
        return this.#people.has(String(m.id)) && this.#boots.has(String(m.boot));
      case 'delegation':
        return this.#people.has(String(m.from)) && this.#people.has(String(m.to));
      case 'redact':
        return Array.isArray(m.seqs) && m.seqs.some((one) => this.#refs.has(Number(one)));
      default:
        return this.#refs.has(seq) || this.#refs.has(Number(m.ref ?? -1)) || this.#rids.has(String(m.rid));
    }
  }

  #keep(entry: Entry): void {
    const { seq, kind, members: m } = entry;
    this.#found.set(seq, entry);
    if (kind === 'auth') this.#login = true;
    if (refused.has(kind)) return;
    if (kind === 'stmt') this.#refs.add(seq);
    if (typeof m.ref === 'number') this.#refs.add(m.ref);
    if (typeof m.rid === 'string') this.#rids.add(m.rid);
    if (kind === 'hold') this.#holds.add(String(m.rid));
    if (kind === 'stmt' && this.#isOurs(seq)) this.#sid = String(m.sid);
    if (kind === 'breakglass' || kind === 'review') this.#decided(entry, [m.by]);
    if (kind === 'decision') this.#decided(entry, decidersOf(m.D));
    this.#needles = [
      ...[...this.#refs].flatMap((ref) => [needle('ref', ref), needle('seq', ref)]),
      ...[...this.#rids].map((rid) => needle('rid', rid)),
    ];
  }

  /** True for the statement that was asked for: its session is told of, not that of another use of its approval. */
  #isOurs(seq: number): boolean {
    const { kind, seq: asked, members } = this.#asked;
    return seq === (kind === 'stmt' ? asked : (members.ref ?? seq)) && this.#sid === undefined;
  }

  #decided({ members }: Entry, people: readonly unknown[]): void {
    this.#boots.add(String(members.boot));
    for (const one of people) if (typeof one === 'string') this.#people.add(one);
  }
}

/** Who decided, and in whose place. */
function decidersOf(text: unknown): unknown[] {
  try {
    const { approver, for: from } = JSON.parse(String(text)) as { approver?: unknown; for?: unknown };
    return [approver, from];
  } catch {
    return [];
  }
}
