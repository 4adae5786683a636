// A desk to test with: a clock that only moves when told, a log that can be slow or broken, two approvers with keys.
// Nothing here sleeps; `turn()` lets what is ready run.

import { hash, randomBytes } from 'node:crypto';
import { exportJWK, generateKeyPair } from 'jose';
import {
  type ApproverKey,
  foldName,
  type Passkey,
  type SshCredential,
} from '../../src/approval/approvers.ts';
import { type Decision, decisionText } from '../../src/approval/decision.ts';
import { delegationId, type SignedDelegation } from '../../src/approval/delegation.ts';
import { Desk } from '../../src/approval/desk.ts';

import type { OidcPort } from '../../src/approval/ground.ts';
import type {
  DelegationShelf,
  DeskEvents,
  DeskLog,
  DeskNotify,
  DeskRecord,
  KeptValue,
} from '../../src/approval/ports.ts';
import {
  buildRequest,
  type Request,
  type RequestDraft,
  type RequestValues,
  requestDigest,
} from '../../src/approval/request.ts';
import { type SigningKey, signingKey, signToken } from '../../src/approval/token.ts';
import { HoldpointError } from '../../src/errors.ts';
import type { People, Person } from '../../src/http/people.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';

export const publicUrl = 'http://holdpoint.test';
export const startMs = 1_800_000_000_000;
const untilMs = 20_000;

export async function newKey(): Promise<SigningKey & { privateJwk: Record<string, unknown> }> {
  const { privateKey } = await generateKeyPair('Ed25519', { extractable: true });
  const jwk = await exportJWK(privateKey);
  return { ...(await signingKey(jwk)), privateJwk: jwk as Record<string, unknown> };
}

/** Moves only by `pass`. Timers due fire in order, as Node's would. */
export class FakeClock {
  ms = startMs;
  /** Set before anything is asked of it: the real time, for tests over a socket. */
  live = false;
  /** Added to the wall clock only: a step that the monotonic clock does not take. */
  stepMs = 0;
  #timers = new Set<{ at: number; then: () => void }>();

  readonly now = (): number => (this.live ? Date.now() : this.ms) + this.stepMs;
  readonly mono = (): number => (this.live ? performance.now() : this.ms - startMs);
  readonly after = (ms: number, then: () => void): (() => void) => {
    if (this.live) {
      const real = setTimeout(then, ms).unref();
      return () => clearTimeout(real);
    }
    const timer = { at: this.ms + ms, then };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  async pass(ms: number): Promise<void> {
    this.ms += ms;
    for (const timer of [...this.#timers].sort((a, b) => a.at - b.at)) {
      if (timer.at > this.ms || !this.#timers.delete(timer)) continue;
      timer.then();
      await turn();
    }
    await turn();
  }
}

/** Threads that sign and digest beside the event loop (libuv's pool). */
const poolThreads = 4;

/** Lets everything that is ready run, signatures under way included, without waiting for time. */
export async function turn(): Promise<void> {
  for (let index = 0; index < 20; index += 1) {
    await new Promise((done) => setImmediate(done));
    // The pool takes work in order: once each of its threads has taken one of these, what came before has been taken.
    if (index % poolThreads === 0)
      await Promise.all(Array.from({ length: poolThreads }, () => throughPool()));
  }
}

async function throughPool(): Promise<void> {
  await crypto.subtle.digest('SHA-256', new Uint8Array(1));
}

/** Turns of the event loop in which work of this process usually ends; what another one does takes as long as it takes. */
const turnsAtOnce = 100;

/** Waits for a condition that work already under way will bring about, here or in another process. */
export async function until(condition: () => boolean): Promise<void> {
  const begun = performance.now();
  for (let turns = 0; !condition(); turns += 1) {
    if (performance.now() - begun > untilMs) throw new Error('it never happened');
    await new Promise((done) => (turns < turnsAtOnce ? setImmediate(done) : setTimeout(done, 1)));
  }
}

export class FakeLog implements DeskLog {
  readonly records: DeskRecord[] = [];
  /** Who was told; kept apart, since it is no step of a request. */
  readonly told: Extract<DeskRecord, { kind: 'notify' }>[] = [];
  /** Set: `append` throws. */
  broken = false;
  /** Set: `durable` waits for `sync`. */
  slow = false;
  #waiting: (() => void)[] = [];
  onDurable: () => void = () => {};

  append(record: DeskRecord, kept: readonly KeptValue[] = []): number {
    for (const { index, value } of kept)
      if (index === -1) this.aside.set(hash('sha256', value!, 'hex'), Buffer.from(value!).toString('utf8'));
    if (this.broken) throw new HoldpointError('log-unwritable', 'the log cannot be written');
    if (record.kind === 'notify') return this.told.push(record);
    return this.records.push(record) - 1;
  }

  async durable(): Promise<void> {
    if (this.slow) await new Promise<void>((done) => this.#waiting.push(done));
    this.onDurable();
  }

  readonly aside = new Map<string, string>();

  sync(): void {
    for (const done of this.#waiting.splice(0)) done();
  }

  kinds(): string[] {
    return this.records.map((record) => record.kind);
  }
}

/** The people of a bench. Maps are by thumbprint, fingerprint, credential id, `ISSUER SUBJECT`, `TEAM/USER`. */
export class TestBook implements People {
  readonly keys: Map<string, ApproverKey>;
  readonly agents: Set<string>;
  readonly ssh = new Map<string, SshCredential & { approver: string }>();
  readonly passkeys = new Map<string, Passkey & { approver: string }>();
  readonly counters = new Map<string, number>();
  readonly accounts = new Map<string, { approver: string }>();
  readonly obo = new Map<string, string[]>();
  /** Names of those who may release alone in an emergency. */
  readonly breakers = new Set<string>();
  /** Names that decide nothing any more. */
  readonly retired = new Set<string>();

  constructor(keys: Map<string, ApproverKey>, agents: Set<string>) {
    this.keys = keys;
    this.agents = agents;
  }

  key = (kid: string) => this.keys.get(kid);
  sshKey = (fingerprint: string) => this.ssh.get(fingerprint);
  passkey = (id: string) => this.passkeys.get(id);
  oidcSubject = (issuer: string, subject: string) => this.accounts.get(`${issuer} ${subject}`);
  slackUser = (team: string, user: string) => this.accounts.get(`${team}/${user}`);
  isAgent = (name: string) => [...this.agents].some((agent) => foldName(agent) === foldName(name));
  isApprover = (name: string) => !this.isAgent(name) && !this.retired.has(foldName(name));
  mayBreakGlass = (name: string) => this.breakers.has(name) && this.isApprover(name);
  approver = (name: string): Person | undefined => {
    const of = <T extends { approver: string }>(all: Map<string, T>) =>
      [...all.values()].filter(({ approver }) => approver === name);
    const [keys, passkeys] = [of(this.keys), of(this.passkeys)];
    const oidc = [...this.accounts].flatMap(([account, { approver }]) => {
      const [issuer = '', subject] = account.split(' ');
      return approver === name && subject !== undefined ? [{ issuer, subject }] : [];
    });
    if (keys.length + passkeys.length + oidc.length === 0) return undefined;
    const retiredAt = this.retired.has(foldName(name)) ? startMs : undefined;
    return { name, keys, passkeys, oidc, ssh: of(this.ssh), slack: [], retiredAt, source: 'file' };
  };
  addPasskey = async (approver: string, passkey: Passkey) => {
    this.passkeys.set(passkey.id, { ...passkey, approver });
  };
  retirePasskey = async (_name: string, id: string) => {
    this.passkeys.delete(id);
  };
  onBehalfOf = (agent: string) => this.obo.get(agent) ?? [];
  passkeyCounter = async (id: string, counter: number) => {
    const before = this.counters.get(id) ?? this.passkeys.get(id)?.counter ?? 0;
    if (counter <= before && counter + before > 0) return false;
    this.counters.set(id, counter);
    return true;
  };
}

/** Delegations in memory. */
export class TestShelf implements DelegationShelf {
  readonly kept: SignedDelegation[] = [];

  of(from: string, to: string): SignedDelegation[] {
    return this.kept.filter(({ text }) => {
      const given = JSON.parse(text) as { from: string; to: string };
      return given.from === from && given.to === to;
    });
  }

  all(): (SignedDelegation & { exp: number })[] {
    return this.kept.map((each) => ({ ...each, exp: JSON.parse(each.text).exp }));
  }

  async keep(signed: { text: string; evidence: string }): Promise<void> {
    this.kept.push({ id: delegationId(signed.text), ...signed });
  }
}

export interface Bench {
  readonly book: TestBook;
  readonly shelf: TestShelf;
  readonly desk: Desk;
  readonly store: Store;
  readonly log: FakeLog;
  readonly clock: FakeClock;
  readonly ann: SigningKey & { privateJwk: Record<string, unknown> };
  readonly bob: SigningKey & { privateJwk: Record<string, unknown> };
  readonly link: SigningKey;
  readonly visitKey: SigningKey;
  readonly enrolKey: SigningKey;
  readonly ceremonyKey: SigningKey;
  readonly keys: Map<string, ApproverKey>;
  readonly agents: Set<string>;
  readonly suspicious: string[];
  /** Each request that people were to be told of, from the moment it was opened. */
  readonly opened: Request[];
  /** The same with its link, once that is signed. */
  readonly notified: { request: Request; link: string }[];
}

export async function newBench(
  options: {
    store?: Store;
    pendingMax?: number;
    node?: string;
    like?: Bench;
    /** Else that of `like`. */
    shelf?: TestShelf;
    /** Of its own; else that of `like`. */
    clock?: FakeClock;
    publicUrl?: string;
    events?: DeskEvents;
    oidc?: OidcPort;
    slackSecret?: string;
    notify?: DeskNotify;
  } = {},
): Promise<Bench> {
  const { like } = options;
  const clock = options.clock ?? like?.clock ?? new FakeClock();
  if (options.publicUrl !== undefined) clock.live = true;
  const store = options.store ?? new MemoryStore();
  const log = new FakeLog();
  const [ann, bob, link, visitKey, enrolKey, ceremonyKey] = like
    ? [like.ann, like.bob, like.link, like.visitKey, like.enrolKey, like.ceremonyKey]
    : await Promise.all([newKey(), newKey(), newKey(), newKey(), newKey(), newKey()]);
  const keys =
    like?.keys ??
    new Map([
      [ann.kid, { approver: 'ann', kid: ann.kid, jwk: ann.jwk }],
      [bob.kid, { approver: 'bob', kid: bob.kid, jwk: bob.jwk }],
    ]);
  const agents = like?.agents ?? new Set(['claude']);
  const book = like?.book ?? new TestBook(keys, agents);
  const shelf = options.shelf ?? like?.shelf ?? new TestShelf();
  const suspicious: string[] = [];
  const opened: Request[] = [];
  const notified: { request: Request; link: string }[] = [];
  const desk: Desk = new Desk({
    store,
    log,
    registry: book,
    oidc: options.oidc,
    slackSecret: options.slackSecret,
    delegations: shelf,
    linkKey: link,
    publicUrl: options.publicUrl ?? publicUrl,
    node: options.node ?? 'n1',
    pendingMax: () => options.pendingMax ?? 20,
    now: clock.now,
    mono: clock.mono,
    random: randomBytes,
    after: clock.after,
    notify: {
      opened: (request) => {
        opened.push(request);
        options.notify?.opened(request);
        void desk
          .link(request, requestDigest(request), 'bench')
          .then((address) => notified.push({ request, link: address }))
          .catch(() => {});
      },
      changed: (rid) => options.notify?.changed(rid),
    },
    events: { suspicious: (rid, what) => suspicious.push(`${rid} ${what}`), ...options.events },
  });
  const keysOfPages = { visitKey, enrolKey, ceremonyKey };
  return {
    desk,
    store,
    log,
    clock,
    book,
    shelf,
    ann,
    bob,
    link,
    ...keysOfPages,
    keys,
    agents,
    suspicious,
    opened,
    notified,
  };
}

let ordinal = 0;

/** A gate of `DROP TABLE orders` by `claude`, an hour to decide. Each call is another gate, with the same match. */
export function gate(
  change: Partial<RequestDraft> = {},
  values: RequestValues = { params: [] },
  now: number = startMs,
): { request: Request; values: RequestValues } {
  ordinal += 1;
  const draft: RequestDraft = {
    rid: randomBytes(16).toString('base64url'),
    aud: publicUrl,
    created: now,
    exp: now + 3_600_000,
    node: 'n1',
    boot: 'boot1',
    sid: `s${ordinal}`,
    n: 1,
    agent: { id: 'claude', auth: 'scram-sha-256' },
    db: {
      target: 'shop',
      environment: 'production',
      name: 'shop',
      addr: '10.0.0.5:5432',
      version: '18.0',
      systemId: '7711079308823436947',
    },
    user: 'owner',
    role: 'owner',
    state: { searchPath: 'public', settings: {} },
    tx: { status: 'I', statements: 0 },
    proto: 'simple',
    sql: 'DROP TABLE orders',
    statements: [{ command: 'DROP TABLE', effects: ['drop'], relations: ['orders'], why: [] }],
    wire: 'w'.repeat(43),
    policy: { digest: 'p'.repeat(43), rule: 'definitions', reason: 'DROP TABLE removes objects' },
    need: { level: 'key', quorum: 1 },
    ...change,
  };
  return { request: buildRequest(draft, values), values };
}

/** A gate on a development target that a link may decide. */
export function linkGate(
  change: Partial<RequestDraft> = {},
  values?: RequestValues,
): ReturnType<typeof gate> {
  return gate(
    {
      db: {
        target: 'shop',
        environment: 'development',
        name: 'shop',
        addr: '127.0.0.1:5432',
        version: '18.0',
        systemId: null,
      },
      need: { level: 'link', quorum: 1 },
      ...change,
    },
    values,
  );
}

/** The decision a person would be offered for a stored request. */
export async function decisionFor(
  bench: Bench,
  rid: string,
  approver: string,
  change: Partial<Decision> = {},
): Promise<Decision> {
  const { row, intact } = await bench.desk.get(rid);
  return {
    typ: 'holdpoint.decision.v1',
    aud: intact.request.aud,
    rid,
    rd: row.rd,
    verdict: 'approve',
    approver,
    level: 'key',
    reason: '',
    nonce: intact.nonce,
    nbf: bench.clock.now(),
    exp: row.exp,
    ...change,
  };
}

export async function signed(decision: Decision, key: SigningKey): Promise<{ kind: 'jws'; jws: string }> {
  return { kind: 'jws', jws: await signToken('holdpoint-decision+jws', decisionText(decision), key) };
}

/** Approves or rejects as one of the bench's approvers. */
export async function decideAs(
  bench: Bench,
  who: 'ann' | 'bob',
  rid: string,
  change: Partial<Decision> = {},
) {
  const decision = await decisionFor(bench, rid, who, change);
  return bench.desk.decide(rid, decision, await signed(decision, bench[who]));
}
