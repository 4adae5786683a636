// Ballots: the decisions in a log, and whether those that a release names are enough for its request: by enough distinct
// people who may, with strong enough evidence, in time. audit-approval §19. Part of the offline verifier: pure, nothing of
// the proxy; it counts by the same rules with code of its own.

import type { ChainedRecord } from './chain.ts';
import type { Credentials } from './credentials.ts';
import { type Aside, type Level, levels, lookAt, type Proof } from './evidence.ts';
import { canonical } from './jcs.ts';
import { type Signed, signedReach } from './reach.ts';

type Members = Readonly<Record<string, unknown>>;

/** What a request asks for, from its own text. */
export interface Asked {
  readonly rid: string;
  readonly rd: string;
  readonly aud: string;
  readonly agent: string;
  readonly obo: readonly string[];
  readonly target: string;
  readonly environment: string;
  readonly rule: string;
  readonly level: Level;
  readonly quorum: number;
  /** Only these people count; everybody if undefined. */
  readonly of: readonly string[] | undefined;
  /** Milliseconds since the epoch; 0 where a request of an earlier version does not say. */
  readonly exp: number;
  /** 0 where it does not say. */
  readonly created: number;
}

/** A release in an emergency: the members of its record. */
export interface Broken {
  readonly rid: string;
  readonly rd: string;
  readonly agent: string;
  readonly by: string;
}

/** One person's decision. */
export interface Ballot extends Proof {
  readonly seq: number;
  readonly rid: string;
  readonly rd: string;
  readonly approver: string;
  readonly for: string | undefined;
  readonly approves: boolean;
  readonly claimed: Level;
  readonly reason: string;
  readonly reach: Signed;
  readonly scope: string;
  readonly nbf: number;
  readonly exp: number;
  /** When the log says that it was taken, in milliseconds since the epoch. */
  readonly at: number;
}

interface Lent extends Proof {
  readonly aud: string;
  readonly from: string;
  readonly to: string;
  readonly targets: readonly string[] | undefined;
  readonly rules: readonly string[] | undefined;
  readonly nbf: number;
  readonly exp: number;
}

/** How far the clocks of an approver and of a node may differ, and how long a release may take to be written down. */
const skewMs = 30_000;

/** Decisions and delegations that are kept at once. */
const castMax = 200_000;
const lentMax = 10_000;
/** How long after its end something can still matter, if clocks were set back meanwhile. */
export const forgottenMs = 86_400_000;

/** Of one log, as it is walked. Everything throws Error with a reason for what cannot be. */
export class Ballots {
  readonly #known: Credentials;
  readonly #aside: Aside;
  readonly #cast = new Map<number, Ballot>();
  /** Seqs of the decisions on each request. */
  readonly #on = new Map<string, number[]>();
  #lent: Lent[] = [];

  constructor(known: Credentials, aside: Aside) {
    this.#known = known;
    this.#aside = aside;
  }

  /** Takes a `decision` record and the whole text of its D. */
  async cast(record: ChainedRecord, text: string, asked: Asked | undefined): Promise<Ballot> {
    const { rid, ev } = record.members;
    const given = readSigned(text, 'holdpoint.decision.v1');
    if (given.rid !== rid) throw new Error('the decision names another request than its record');
    if (asked !== undefined && given.rd !== asked.rd)
      throw new Error(`the decision names another digest than request ${rid} has`);
    if (asked !== undefined && given.aud !== asked.aud)
      throw new Error(`the decision on request ${rid} is addressed to another Holdpoint`);
    const proof = await lookAt(
      (ev ?? {}) as Members,
      text,
      'decision',
      String(given.aud),
      this.#known,
      this.#aside,
    );
    refuseForeign(proof, String(given.approver));
    const ballot: Ballot = {
      ...proof,
      seq: record.seq,
      rid: String(rid),
      rd: String(given.rd),
      approver: String(given.approver),
      for: given.for === undefined ? undefined : String(given.for),
      approves: given.verdict === 'approve',
      claimed: levelOf(given.level),
      reason: String(given.reason ?? ''),
      reach: signedReach(given),
      scope: String((given.scope as Members | undefined)?.kind ?? 'statement'),
      nbf: Number(given.nbf),
      exp: Number(given.exp),
      at: record.ts / 1000,
    };
    if (this.#cast.size >= castMax)
      throw new Error(`more than ${castMax} decisions are in force at once: no Holdpoint has so many`);
    this.#cast.set(record.seq, ballot);
    const on = this.#on.get(ballot.rid);
    if (on === undefined) this.#on.set(ballot.rid, [record.seq]);
    else on.push(record.seq);
    return ballot;
  }

  /** The request can be used no more. */
  forget(rid: string): void {
    for (const seq of this.#on.get(rid) ?? []) this.#cast.delete(seq);
    this.#on.delete(rid);
  }

  /** Takes a `delegation` record and the whole text of its D. */
  async lend(members: Members, text: string): Promise<void> {
    const given = readSigned(text, 'holdpoint.delegation.v1');
    const { from, to } = given;
    if (from !== members.from || to !== members.to)
      throw new Error('the delegation is of other people than its record');
    const ev = (members.ev ?? {}) as Members;
    const proof = await lookAt(ev, text, 'delegation', String(given.aud), this.#known, this.#aside);
    refuseForeign(proof, String(from));
    const sinceMs = Number(members.ts) / 1000 - forgottenMs;
    if (this.#lent.length >= lentMax) this.#lent = this.#lent.filter(({ exp }) => exp >= sinceMs);
    if (this.#lent.length >= lentMax)
      throw new Error(`more than ${lentMax} delegations are in force at once: no Holdpoint has so many`);
    this.#lent.push({
      ...proof,
      aud: String(given.aud),
      from: String(from),
      to: String(to),
      targets: namesOf(given.targets),
      rules: namesOf(given.rules),
      nbf: Number(given.nbf),
      exp: Number(given.exp),
    });
  }

  /**
   * The ballots of a release, in the order in which it names them, and what they prove together: as much as the weakest.
   * `asked` is undefined if the request is not in this log.
   */
  release(
    rid: string,
    seqs: readonly unknown[],
    asked: Asked | undefined,
    atMs: number,
  ): { ballots: readonly Ballot[]; proof: Proof['proof'] } {
    const ballots = seqs.map((seq) => this.#cast.get(Number(seq)));
    const taken = new Set<string>();
    const proofs: Proof['proof'][] = [];
    let people = 0;
    let alone = false;
    for (const ballot of ballots) {
      if (ballot === undefined || ballot.rid !== rid || !ballot.approves)
        throw new Error(`the release of request ${rid} rests on a decision that does not approve it`);
      if (ballot.rd !== (asked?.rd ?? ballots[0]!.rd))
        throw new Error(`the decisions on request ${rid} are over different digests`);
      if (asked !== undefined) refuseUncounted(ballot, asked, atMs);
      alone ||= ballot.scope === emergency;
      proofs.push(ballot.proof);
      if (asked !== undefined && ballot.for !== undefined)
        proofs.push(this.#lentProof(ballot, ballot.for, asked));
      const names = namesCounted(ballot);
      if (names.some((name) => taken.has(name))) continue;
      for (const name of names) taken.add(name);
      people += 1;
    }
    const quorum = asked?.quorum ?? 1;
    if (people < quorum && !alone)
      throw new Error(`request ${rid} needs ${quorum} approvals by different people; ${people} are here`);
    const proof = (['link', 'slack', 'unproved'] as const).find((one) => proofs.includes(one)) ?? 'proved';
    return { ballots: ballots as Ballot[], proof };
  }

  /** Takes a `review` record and the whole text of its D, of what `broken` says was released. */
  async review(members: Members, text: string, broken: Broken | undefined): Promise<void> {
    const given = readSigned(text, 'holdpoint.review.v1');
    const { rid, by } = members;
    if (broken === undefined || given.rid !== rid) throw new Error(`request ${rid} owed no review`);
    if (given.rd !== broken.rd) throw new Error(`the review of request ${rid} is over another digest`);
    if (given.approver !== by)
      throw new Error(`the review of request ${rid} is of another person than its record`);
    const ev = (members.ev ?? {}) as Members;
    const proof = await lookAt(ev, text, 'review', String(given.aud), this.#known, this.#aside);
    refuseForeign(proof, String(by));
    if (!reaches(proof.level, 'key'))
      throw new Error(`the review of request ${rid} is not signed with a key`);
    if ([broken.by, broken.agent].map(fold).includes(fold(String(by))))
      throw new Error(`request ${rid} was reviewed by ${by}, who released it or sent it`);
  }

  /** What the delegation proves by which `ballot` is cast for somebody. Throws if there is none. */
  #lentProof(ballot: Ballot, from: string, asked: Asked): Proof['proof'] {
    const lent = this.#lent.filter(
      (one) =>
        one.from === from &&
        one.to === ballot.approver &&
        one.aud === asked.aud &&
        (one.targets?.includes(asked.target) ?? true) &&
        (one.rules?.includes(asked.rule) ?? true) &&
        reaches(one.level, asked.level) &&
        ballot.at >= one.nbf - skewMs &&
        ballot.at < one.exp + skewMs,
    );
    if (lent.length === 0)
      throw new Error(`${ballot.approver} decided on request ${asked.rid} for ${from} without a delegation`);
    return lent.some(({ proof }) => proof === 'proved') ? 'proved' : 'unproved';
  }
}

/** Throws for a decision that does not count for this request, whatever it proves. */
function refuseUncounted(ballot: Ballot, asked: Asked, atMs: number): void {
  const { rid, level } = asked;
  const barred = new Set([asked.agent, ...asked.obo].map(fold));
  for (const name of namesCounted(ballot))
    if (barred.has(name))
      throw new Error(`request ${rid} was released by ${name}, the agent or who is behind it`);
  const counted = ballot.for ?? ballot.approver;
  if (ballot.scope === emergency) {
    refuseEmergency(ballot, asked, atMs);
    return;
  }
  if (asked.of !== undefined && !asked.of.some((name) => fold(name) === fold(counted)))
    throw new Error(`request ${rid} was released by ${counted}, who is not one of those who decide on it`);
  if (!reaches(ballot.claimed, level) || !reaches(ballot.level, ballot.claimed))
    throw new Error(
      `request ${rid} needs evidence of level ${level}; that of ${counted} is of ${ballot.level}`,
    );
  const weak = ballot.proof === 'slack' || ballot.proof === 'link';
  if (weak && (asked.environment === 'production' || (ballot.proof === 'link' && level !== 'link')))
    throw new Error(`a ${ballot.proof} released request ${rid} on ${asked.environment}`);
  const ends = Math.min(ballot.exp, asked.exp === 0 ? ballot.exp : asked.exp);
  if (ballot.at < ballot.nbf - skewMs || ballot.at >= ends + skewMs || atMs >= ends + skewMs)
    throw new Error(`the decision of ${counted} on request ${rid} was not in force when it was used`);
}

/** How long a request can be released in an emergency, and the scope that says so. */
const emergencyMs = 15 * 60_000;
const emergency = 'break-glass';

/** Throws unless one person may have released this alone. */
function refuseEmergency(ballot: Ballot, { rid, created }: Asked, atMs: number): void {
  const { approver, credential, reason } = ballot;
  if (credential !== undefined && !credential.breakGlass)
    throw new Error(`request ${rid} was released in an emergency by ${approver}, who may not do that`);
  if (!reaches(ballot.level, 'key') || ballot.proof === 'slack' || ballot.proof === 'link')
    throw new Error(`request ${rid} was released in an emergency without a key of ${approver}`);
  if (reason.trim() === '' || ballot.for !== undefined)
    throw new Error(`request ${rid} was released in an emergency without a reason, or for somebody else`);
  const ends = Math.min(ballot.exp, created === 0 ? ballot.exp : created + emergencyMs);
  if (ballot.at < ballot.nbf - skewMs || ballot.at >= ends + skewMs || atMs >= ends + skewMs)
    throw new Error(`request ${rid} was released in an emergency after its time`);
}

/** Throws unless the credential is of the person named. One that the verifier brought without a name is whose they say. */
function refuseForeign({ credential }: Proof, approver: string): void {
  if (credential?.id === undefined || credential.id === approver) return;
  throw new Error(`the signature is by ${credential.id}, and stands for ${JSON.stringify(approver)}`);
}

function readSigned(text: string, typ: string): Members {
  let given: unknown;
  let again: string;
  try {
    given = JSON.parse(text);
    again = canonical(given);
  } catch {
    throw new Error('what was signed is not JSON of integers only');
  }
  // A repeated member could mean one thing to whoever signed and another to whoever checks.
  if (again !== text || typeof given !== 'object' || given === null)
    throw new Error('what was signed is not a canonical JSON object');
  if ((given as Members).typ !== typ) throw new Error(`what was signed is not of type ${typ}`);
  return given as Members;
}

function namesCounted({ approver, for: from }: Ballot): string[] {
  return [approver, ...(from === undefined ? [] : [from])].map(fold);
}

function namesOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.map(String) : undefined;
}

/** One name for all its spellings. */
function fold(name: string): string {
  return name.normalize('NFKC').trim().toLowerCase();
}

/** The level of that name; the weakest for what is none. */
export function levelOf(value: unknown): Level {
  return levels.find((level) => level === value) ?? 'link';
}

function reaches(given: Level, needed: Level): boolean {
  return levels.indexOf(given) >= levels.indexOf(needed);
}
