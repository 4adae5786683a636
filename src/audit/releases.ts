// Releases: whether everything that went to the server after being held was released by somebody who may.
// audit-approval §19: hold(R) → decision(D, evidence) → grant_use → intent → outcome, each naming the former by digest.
// Part of the offline verifier: pure, and nothing of the proxy. The records fit the chain already; what they say of
// approvals is checked here, with approvers' public keys from the chain or from whoever verifies.

import { hash } from 'node:crypto';
import { compactVerify, importJWK, type JWK } from 'jose';
import { type ChainedRecord, Offence, type Place } from './chain.ts';
import { readPublicKey } from './seal.ts';

interface Held {
  readonly rd: string;
  readonly ref: number;
  readonly wire: string | undefined;
  readonly quorum: number;
  /** Statements of a plan; undefined for what is one text. */
  readonly plan: number | undefined;
}

interface Decided {
  readonly rid: string;
  readonly rd: string;
  readonly approver: string;
  readonly approves: boolean;
  readonly rowsMax: number | undefined;
}

/** An approval as it was used for one statement, and how many rows that may change. */
interface Granted {
  readonly rid: string;
  readonly rowsMax: number | undefined;
}

interface Started {
  readonly seq: number;
  readonly place: Place;
  readonly boot: string;
  readonly rowsMax: number | undefined;
}

/** Gives the whole text of a record's long member that was moved to a blob. */
export type WholeText = (record: ChainedRecord, member: string, place: Place) => Promise<string>;

/** Follows requests through a log. `note` takes every record in order and throws Offence. */
export class Releases {
  /** Releases whose every signature was verified with an approver's key, and those where a key was missing. */
  proved = 0;
  unproved = 0;
  /** Releases by a link: somebody who had it, nobody in particular. */
  byLink = 0;
  readonly #wholeText: WholeText;
  readonly #keys = new Map<string, JWK>();
  readonly #gates = new Map<number, string>();
  readonly #holds = new Map<string, Held>();
  readonly #decisions = new Map<number, Decided & { readonly proof: 'proved' | 'link' | 'unproved' }>();
  /** By the statement that was let through. */
  readonly #granted = new Map<number, Granted>();
  /** How often a request was used, or how many statements of its plan. */
  readonly #used = new Map<string, number>();
  readonly #intents = new Map<number, Started>();

  /** `keys`: approvers' public keys that the caller brings, by thumbprint; they stand beside those in the chain. */
  constructor(wholeText: WholeText, keys: ReadonlyMap<string, JWK> = new Map()) {
    this.#wholeText = wholeText;
    for (const [kid, jwk] of keys) this.#keys.set(kid, jwk);
  }

  async note(record: ChainedRecord, place: Place): Promise<void> {
    const { members, kind, seq } = record;
    const fail = (message: string) => new Offence('approval', place, message);
    switch (kind) {
      case 'stmt':
        if (members.dec !== 'pass') this.#gates.set(seq, String(members.dec));
        return;
      case 'approver':
        return this.#enrol(members, fail);
      case 'hold':
        return this.#hold(record, place, fail);
      case 'decision':
        return this.#decide(record, place, fail);
      case 'grant_use':
        return this.#grant(members, fail);
      case 'intent':
        return this.#begin(record, place, fail);
      case 'outcome':
        return this.#end(members, fail);
    }
  }

  /** Statements that were released and have no outcome, in log order. */
  open(): Started[] {
    return [...this.#intents.values()];
  }

  async #enrol(members: Members, fail: Fail): Promise<void> {
    if (members.act === 'retire') {
      this.#keys.delete(String(members.kid));
      return;
    }
    if (members.form !== undefined) return;
    const key = await readPublicKey(members.jwk).catch((error: Error) => {
      throw fail(`the approver's key: ${error.message}`);
    });
    if (key.kid !== members.kid) throw fail("the approver's key has another thumbprint than the record says");
    this.#keys.set(key.kid, key.jwk);
  }

  async #hold(record: ChainedRecord, place: Place, fail: Fail): Promise<void> {
    const { rid, rd, ref } = record.members;
    const text = await this.#wholeText(record, 'R', place);
    if (hash('sha256', `holdpoint-request-v1\0${text}`, 'base64url') !== rd)
      throw fail(`the digest of request ${rid} is not that of its text`);
    const request = parse(text, fail);
    const need = (request.need ?? {}) as Members;
    const elsewhere = request.node !== undefined && request.node !== record.members.node;
    this.#holds.set(String(rid), {
      rd: String(rd),
      ref: Number(ref),
      // A node that releases what another one held sends bytes of its own, as any retry does.
      wire: typeof request.wire === 'string' && !elsewhere ? request.wire : undefined,
      plan: planLength(request.plan),
      quorum: typeof need.quorum === 'number' ? need.quorum : 1,
    });
  }

  async #decide(record: ChainedRecord, place: Place, fail: Fail): Promise<void> {
    const { rid, ev } = record.members;
    const text = await this.#wholeText(record, 'D', place);
    const decision = parse(text, fail);
    if (decision.rid !== rid) throw fail('the decision names another request than its record');
    const held = this.#holds.get(String(rid));
    if (held !== undefined && decision.rd !== held.rd)
      throw fail(`the decision names another digest than request ${rid} has`);
    this.#decisions.set(record.seq, {
      rid: String(rid),
      rd: String(decision.rd),
      approver: String(decision.approver),
      approves: decision.verdict === 'approve',
      rowsMax: typeof decision.rowsMax === 'number' ? decision.rowsMax : undefined,
      proof: await this.#evidence((ev ?? {}) as Members, text, fail),
    });
  }

  /** Verifies what can be verified with a public key. */
  async #evidence(ev: Members, text: string, fail: Fail): Promise<'proved' | 'link' | 'unproved'> {
    if (ev.kind === 'link') return 'link';
    if (ev.kind !== 'jws' || typeof ev.jws !== 'string') return 'unproved';
    const [head, payload] = ev.jws.split('.').map((part) => Buffer.from(part, 'base64url').toString('utf8'));
    if (payload !== text) throw fail('the signature is over another decision than the record shows');
    const { kid, typ } = parse(head ?? '', fail);
    const jwk = this.#keys.get(String(kid));
    if (jwk === undefined) return 'unproved';
    const key = await importJWK(jwk, 'Ed25519');
    await compactVerify(ev.jws, key, { algorithms: ['Ed25519'] }).catch(() => {
      throw fail(`the approver's signature by key ${kid} is not valid`);
    });
    if (typ !== 'holdpoint-decision+jws') throw fail(`a token of type ${typ} stands as a decision`);
    return 'proved';
  }

  #grant(members: Members, fail: Fail): void {
    const rid = String(members.rid);
    const seqs = Array.isArray(members.decisions) ? (members.decisions as unknown[]) : [];
    const votes = seqs.map((seq) => this.#decisions.get(Number(seq)));
    const held = this.#holds.get(rid);
    this.#count(rid, held?.plan, members, fail);
    for (const vote of votes) {
      if (vote === undefined || vote.rid !== rid || !vote.approves)
        throw fail(`the release of request ${rid} rests on a decision that does not approve it`);
      if (vote.rd !== (held?.rd ?? votes[0]!.rd))
        throw fail(`the decisions on request ${rid} are over different digests`);
    }
    const people = new Set(votes.map((vote) => vote!.approver));
    if (people.size < (held?.quorum ?? 1))
      throw fail(
        `request ${rid} needs ${held?.quorum ?? 1} approvals by different people; ${people.size} are here`,
      );
    const bounds = votes.flatMap((vote) => vote!.rowsMax ?? []);
    const rowsMax = bounds.length === 0 ? undefined : Math.min(...bounds);
    if (rowsMax !== members.rowsMax)
      throw fail(`the release of request ${rid} has another bound of rows than its approvals`);
    this.#granted.set(Number(members.ref), { rid, rowsMax });
    if (votes.some((vote) => vote!.proof === 'link')) this.byLink += 1;
    else if (votes.every((vote) => vote!.proof === 'proved')) this.proved += 1;
    else this.unproved += 1;
  }

  /** A text is let through once; the statements of a plan each once, in their order. */
  #count(rid: string, plan: number | undefined, { steps }: Members, fail: Fail): void {
    const used = this.#used.get(rid) ?? 0;
    if (plan === undefined) {
      if (used > 0) throw fail(`request ${rid} is used a second time`);
      this.#used.set(rid, 1);
      return;
    }
    const these = Array.isArray(steps) ? (steps as unknown[]) : [];
    const inOrder = these.length > 0 && these.every((step, at) => step === used + at + 1);
    if (!inOrder || used + these.length > plan)
      throw fail(`the plan ${rid} of ${plan} statements is used for statement ${these} behind ${used}`);
    this.#used.set(rid, used + these.length);
  }

  #begin(record: ChainedRecord, place: Place, fail: Fail): void {
    const { rid, ref, wire } = record.members;
    const held = this.#holds.get(String(rid));
    const granted = this.#granted.get(Number(ref));
    if (granted === undefined || granted.rid !== rid)
      throw fail(`statement ${ref} went to the server on request ${rid}, which was not released for it`);
    // A retry has names of its own for statement and portal, so its bytes differ; its text and values may not.
    if (held?.ref === ref && held?.wire !== undefined && held.wire !== wire)
      throw fail(`the bytes of statement ${ref} are not those of request ${rid}`);
    const { rowsMax } = granted;
    if (rowsMax !== record.members.rowsMax)
      throw fail(`statement ${ref} went to the server without the bound of rows that request ${rid} has`);
    this.#intents.set(Number(ref), { seq: record.seq, place, boot: record.boot, rowsMax });
  }

  #end(members: Members, fail: Fail): void {
    const ref = Number(members.ref);
    const dec = this.#gates.get(ref);
    if (dec !== undefined && members.st === 'ok' && !this.#intents.has(ref))
      throw fail(
        `statement ${ref} was ${dec === 'hold' ? 'held' : 'refused'} and yet it ran, without a release`,
      );
    const rowsMax = this.#intents.get(ref)?.rowsMax;
    if (rowsMax !== undefined && members.st === 'ok' && Number(members.rows ?? 0) > rowsMax)
      throw fail(`statement ${ref} changed ${members.rows} rows; its approval allows ${rowsMax}`);
    this.#gates.delete(ref);
    this.#intents.delete(ref);
  }
}

function planLength(plan: unknown): number | undefined {
  const statements = (plan as { statements?: unknown } | undefined)?.statements;
  return Array.isArray(statements) ? statements.length : undefined;
}

type Members = Readonly<Record<string, unknown>>;
type Fail = (message: string) => Offence;

function parse(text: string, fail: Fail): Members {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Members;
  } catch {
    // Falls through: not JSON is as bad as not an object.
  }
  throw fail('a text that should be a JSON object is not one');
}
