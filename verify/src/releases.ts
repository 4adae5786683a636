// Releases: whether everything that went to the server after being held was released by somebody who may.
// audit-approval §19: hold(R) → decision(D, evidence) → grant_use → intent → outcome, each naming the former by digest.
// Part of the offline verifier: pure, and nothing of the proxy. The records fit the chain already; what they say of
// approvals is checked here, with approvers' public keys from the chain or from whoever verifies.

import { hash } from 'node:crypto';
import { type Asked, type Ballot, Ballots, type Broken, levelOf } from './ballots.ts';
import type { ChainedRecord } from './chain.ts';
import { type Credential, Credentials } from './credentials.ts';
import type { Aside } from './evidence.ts';
import { Lives } from './lives.ts';
import { Offence, type Place } from './offence.ts';
import { Reaches } from './reach.ts';

interface Held {
  readonly asked: Asked;
  /** The statement that it was opened for, and the digest of its text where the log has it. */
  readonly ref: number;
  readonly sha: unknown;
  readonly wire: string | undefined;
  /** Statements of a plan; undefined for what is one text. */
  readonly plan: number | undefined;
}

/** A statement that was not passed: what was decided, and the digest of its text where the log has it. */
interface Gated {
  readonly decided: string;
  readonly sha: unknown;
}

/** An approval as it was used for one statement, and how many rows that may change. */
interface Granted {
  readonly rid: string;
  readonly rowsMax: number | undefined;
  /** A statement of the approved one's shape, with a text of its own. */
  readonly further: boolean;
}

interface Started {
  readonly rowsMax: number | undefined;
}

/** How long a request is remembered of which nothing says how long it lives. */
const unknownMs = 30 * 86_400_000;

/** Gives the whole text of a record's long member that was moved to a blob. */
export type WholeText = (record: ChainedRecord, member: string, place: Place) => Promise<string>;

/** Everything that the log says of one request, each part of it checked by then. */
export interface Story {
  readonly rid: string;
  asked: Asked | undefined;
  /** R, whole. */
  text: string;
  readonly ballots: Ballot[];
  /** The statements that it released: by whose decisions, with which bytes, with what outcome. */
  readonly uses: {
    readonly ref: number;
    readonly ballots: readonly Ballot[];
    wire: string | undefined;
    sameBytes: boolean;
    outcome: Members | undefined;
  }[];
}

/** What a `Releases` is told beside the records. */
export interface ReleaseSources {
  readonly wholeText: WholeText;
  readonly aside: Aside;
  /** Credentials that the caller brings, by `kid`; they stand beside those in the chain. */
  readonly given?: ReadonlyMap<string, Credential> | undefined;
  /** The request whose story is kept. */
  readonly about?: string | undefined;
}

/** Follows requests through a log. `note` takes every record in order and throws Offence. */
export class Releases {
  /** Releases by what proves them: verified signatures of people; signatures whose key is not known here; a Slack button; a link. */
  readonly counts = { proved: 0, unproved: 0, bySlack: 0, byLink: 0 };
  readonly story: Story | undefined;
  readonly #sources: ReleaseSources;
  readonly #known: Credentials;
  readonly #ballots: Ballots;
  readonly #gates = new Map<number, Gated>();
  readonly #holds = new Map<string, Held>();
  readonly #rejected = new Set<string>();
  /** By the statement that was let through. */
  readonly #granted = new Map<number, Granted>();
  readonly #reaches = new Reaches();
  /** Released in an emergency. */
  readonly #broken = new Map<string, Broken>();
  readonly #intents = new Map<number, Started>();
  readonly #lives: Lives;
  #since = 0;

  constructor(sources: ReleaseSources) {
    const { given, about } = sources;
    this.#sources = sources;
    this.#known = new Credentials(given);
    this.#ballots = new Ballots(this.#known, sources.aside);
    this.#lives = new Lives((rid) => this.#forget(rid));
    if (about !== undefined) this.story = { rid: about, asked: undefined, text: '', ballots: [], uses: [] };
  }

  /** The records before `size` are not here: what rests on them cannot be judged, and is counted as unproved. */
  beginAt(size: number): void {
    this.#since = size;
  }

  /** What comes is of another start of the process than what came: whoever was enrolled for that is not known any more. */
  restarted(): void {
    this.#known.forget();
  }

  async note(record: ChainedRecord, place: Place): Promise<void> {
    const { members, kind, seq } = record;
    const fail = (message: string) => new Offence('approval', place, message);
    switch (kind) {
      case 'boot':
        return this.#known.forget();
      case 'stmt':
        if (members.dec !== 'pass') this.#gates.set(seq, { decided: String(members.dec), sha: members.sha });
        return;
      case 'approver':
        return told(fail, this.#known.note(members), "the approver's key: ");
      case 'hold':
        return this.#hold(record, place, fail);
      case 'decision':
        return this.#decide(record, place, fail);
      case 'delegation':
        return told(fail, this.#ballots.lend(members, await this.#sources.wholeText(record, 'D', place)));
      case 'reject':
        this.#rejected.add(String(members.rid));
        this.#lives.note(String(members.rid), record.ts / 1000 + unknownMs, record, fail);
        return;
      case 'breakglass':
        this.#broken.set(String(members.rid), brokenOf(members));
        this.#lives.note(String(members.rid), Number(members.due) + unknownMs, record, fail);
        return;
      case 'review':
        return this.#review(record, place, fail);
      case 'grant_use':
        return this.#grant(record, fail);
      case 'intent':
        return this.#begin(record, fail);
      case 'outcome':
        return this.#end(members, fail);
    }
  }

  async #hold(record: ChainedRecord, place: Place, fail: Fail): Promise<void> {
    const { rid, rd, ref, node } = record.members;
    const text = await this.#sources.wholeText(record, 'R', place);
    if (hash('sha256', `holdpoint-request-v1\0${text}`, 'base64url') !== rd)
      throw fail(`the digest of request ${rid} is not that of its text`);
    const request = parse(text, fail);
    if (request.rid !== rid) throw fail(`the record of request ${rid} holds another request`);
    const asked = askedOf(request, String(rd));
    this.#lives.note(String(rid), asked.exp === 0 ? record.ts / 1000 + unknownMs : asked.exp, record, fail);
    const elsewhere = request.node !== undefined && request.node !== node;
    this.#holds.set(String(rid), {
      asked,
      ref: Number(ref),
      sha: this.#gates.get(Number(ref))?.sha,
      // A node that releases what another one held sends bytes of its own, as any retry does.
      wire: typeof request.wire === 'string' && !elsewhere ? request.wire : undefined,
      plan: planLength(request.plan),
    });
    const story = this.#storyOf(String(rid));
    if (story !== undefined) Object.assign(story, { asked, text });
  }

  async #decide(record: ChainedRecord, place: Place, fail: Fail): Promise<void> {
    const text = await this.#sources.wholeText(record, 'D', place);
    const rid = String(record.members.rid);
    const ballot = await told(fail, this.#ballots.cast(record, text, this.#holds.get(rid)?.asked));
    // A decision is good for no longer than its request, where that is known.
    if (!this.#holds.has(rid)) this.#lives.note(rid, ballot.exp, record, fail);
    this.#storyOf(rid)?.ballots.push(ballot);
  }

  async #review(record: ChainedRecord, place: Place, fail: Fail): Promise<void> {
    const { members } = record;
    const text = await this.#sources.wholeText(record, 'D', place);
    const broken = this.#broken.get(String(members.rid));
    // What it reviews may be among the records that are not here.
    if (broken === undefined && this.#since > 0) return;
    await told(fail, this.#ballots.review(members, text, broken));
  }

  #grant({ members, ts, seq }: ChainedRecord, fail: Fail): void {
    const rid = String(members.rid);
    const ref = Number(members.ref);
    const seqs = Array.isArray(members.decisions) ? (members.decisions as unknown[]) : [];
    if (!(ref < seq)) throw fail(`request ${rid} is used for statement ${ref}, which is not there`);
    const held = this.#holds.get(rid);
    if (this.#rejected.has(rid))
      throw fail(`request ${rid} was rejected, which is final, and yet it was used`);
    if (seqs.some((one) => Number(one) < this.#since)) {
      this.#grantUnseen(rid, ref, members);
      return;
    }
    let released: ReturnType<Ballots['release']>;
    try {
      released = this.#ballots.release(rid, seqs, held?.asked, ts / 1000);
    } catch (error) {
      throw fail((error as Error).message);
    }
    const { ballots, proof } = released;
    if (ballots.some(({ scope }) => scope === 'break-glass') && !this.#broken.has(rid))
      throw fail(`request ${rid} was released in an emergency, and nothing says that it has to be reviewed`);
    const wrong = this.#reaches.use(
      rid,
      held?.plan,
      ballots.map(({ reach }) => reach),
      members,
    );
    if (wrong !== undefined) throw fail(wrong);
    const rowsMax = typeof members.rowsMax === 'number' ? members.rowsMax : undefined;
    this.#granted.set(ref, { rid, rowsMax, further: members.use !== undefined });
    this.counts[proof === 'slack' ? 'bySlack' : proof === 'link' ? 'byLink' : proof] += 1;
    this.#storyOf(rid)?.uses.push({ ref, ballots, wire: undefined, sameBytes: false, outcome: undefined });
  }

  /** A release that rests on decisions that are not here any more: nobody can say whether it was one. */
  #grantUnseen(rid: string, ref: number, members: Members): void {
    const rowsMax = typeof members.rowsMax === 'number' ? members.rowsMax : undefined;
    this.#granted.set(ref, { rid, rowsMax, further: members.use !== undefined });
    this.counts.unproved += 1;
    this.#storyOf(rid)?.uses.push({
      ref,
      ballots: [],
      wire: undefined,
      sameBytes: false,
      outcome: undefined,
    });
  }

  #begin(record: ChainedRecord, fail: Fail): void {
    const { rid, wire } = record.members;
    const ref = Number(record.members.ref);
    const held = this.#holds.get(String(rid));
    const unseen = ref < this.#since && !this.#granted.has(ref);
    const granted = unseen
      ? { rid, rowsMax: record.members.rowsMax as number | undefined, further: false }
      : this.#granted.get(ref);
    if (granted === undefined || granted.rid !== rid)
      throw fail(`statement ${ref} went to the server on request ${rid}, which was not released for it`);
    // A retry has names of its own for statement and portal, so its bytes differ; its text and values may not.
    const own = held?.ref === ref && held.wire !== undefined;
    if (own && held.wire !== wire)
      throw fail(`the bytes of statement ${ref} are not those of request ${rid}`);
    if (held !== undefined && held.plan === undefined && !granted.further)
      this.#refuseOtherText(ref, held, fail);
    const { rowsMax } = granted;
    if (rowsMax !== record.members.rowsMax)
      throw fail(`statement ${ref} went to the server without the bound of rows that request ${rid} has`);
    this.#intents.set(ref, { rowsMax });
    const use = this.#storyOf(String(rid))?.uses.find((one) => one.ref === ref);
    if (use !== undefined) Object.assign(use, { wire: String(wire), sameBytes: own });
  }

  /** Where the log has the digests of both texts (it has none of a text that carries a secret), they are one. */
  #refuseOtherText(ref: number, held: Held, fail: Fail): void {
    const [shown, sent] = [held.sha, this.#gates.get(ref)?.sha];
    if (shown !== undefined && sent !== undefined && shown !== sent)
      throw fail(`the text of statement ${ref} is not that of request ${held.asked.rid}`);
  }

  #end(members: Members, fail: Fail): void {
    const ref = Number(members.ref);
    const gate = this.#gates.get(ref);
    if (gate !== undefined && members.st === 'ok' && !this.#intents.has(ref))
      throw fail(
        `statement ${ref} was ${gate.decided === 'hold' ? 'held' : 'refused'} and yet it ran, without a release`,
      );
    const rowsMax = this.#intents.get(ref)?.rowsMax;
    const granted = this.#granted.get(ref);
    if (granted !== undefined && members.st === 'ok')
      this.#reaches.changed(granted.rid, Number(members.rows ?? 0));
    if (rowsMax !== undefined && members.st === 'ok' && Number(members.rows ?? 0) > rowsMax)
      throw fail(`statement ${ref} changed ${members.rows} rows; its approval allows ${rowsMax}`);
    const use = this.story?.uses.find((one) => one.ref === ref);
    if (use !== undefined) use.outcome = members;
    this.#gates.delete(ref);
    this.#intents.delete(ref);
    this.#granted.delete(ref);
  }

  /** The request can be used no more, so nothing of it is kept: a use of it is then one without a decision. */
  #forget(rid: string): void {
    this.#holds.delete(rid);
    this.#rejected.delete(rid);
    this.#broken.delete(rid);
    this.#reaches.forget(rid);
    this.#ballots.forget(rid);
  }

  #storyOf(rid: string): Story | undefined {
    return this.story?.rid === rid ? this.story : undefined;
  }
}

type Members = Readonly<Record<string, unknown>>;
type Fail = (message: string) => Offence;

function askedOf(request: Members, rd: string): Asked {
  const [need, agent, db, policy] = ['need', 'agent', 'db', 'policy'].map(
    (name) => (request[name] ?? {}) as Members,
  ) as [Members, Members, Members, Members];
  const names = (value: unknown) => (Array.isArray(value) ? value.map(String) : undefined);
  return {
    rid: String(request.rid),
    rd,
    aud: String(request.aud),
    agent: String(agent.id),
    obo: names(agent.obo) ?? [],
    target: String(db.target),
    environment: String(db.environment),
    rule: String(policy.rule),
    level: levelOf(need.level),
    quorum: typeof need.quorum === 'number' ? Math.max(1, need.quorum) : 1,
    of: names(need.of),
    exp: Number(request.exp ?? 0),
    created: Number(request.created ?? 0),
  };
}

function brokenOf({ rid, rd, agent, by }: Members): Broken {
  return { rid: String(rid), rd: String(rd), agent: String(agent), by: String(by) };
}

function planLength(plan: unknown): number | undefined {
  const statements = (plan as { statements?: unknown } | undefined)?.statements;
  return Array.isArray(statements) ? statements.length : undefined;
}

/** Waits, and makes an Offence of whatever is wrong. */
function told<T>(fail: Fail, checking: Promise<T>, prefix = ''): Promise<T> {
  return checking.catch((error: Error) => {
    throw error instanceof Offence ? error : fail(`${prefix}${error.message}`);
  });
}

function parse(text: string, fail: Fail): Members {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Members;
  } catch {
    // Falls through: not JSON is as bad as not an object.
  }
  throw fail('a text that should be a JSON object is not one');
}
