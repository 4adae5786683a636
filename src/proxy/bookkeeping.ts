// Bookkeeping of one session: turns its gates into log records, metrics and approval requests. The relay says what
// happened; this says how it is written down. Refuses to know sockets and frames' meaning.

import type { Grant } from '../approval/hold.ts';
import {
  buildRequest,
  type Request,
  type RequestDraft,
  type RequestValues,
  ridFrom,
  secretText,
  wireDigest,
} from '../approval/request.ts';
import type { Decided, RecordBody } from '../audit/record.ts';
import type { Kept } from '../audit/values.ts';
import type { Catalog } from '../catalog/names.ts';
import type { HoldpointError } from '../errors.ts';
import type { Action } from '../policy/verdict.ts';
import { boundsOf } from '../session/enclosable.ts';
import { type Gate, type OutcomeState, rowsSpent } from '../session/gate.ts';
import type { Session } from '../session/session.ts';
import { leadingReason } from '../session/settings.ts';
import { classOf } from '../sql/class.ts';
import type { StatementClass } from '../sql/statement.ts';
import { askedOf, type Backend } from './asking.ts';
import type { Blast } from './blast.ts';
import type { Alike, Parked, RelayBook, RepeatBook } from './book.ts';
import { describe, forPeople, shownStatement } from './description.ts';
import type { PlanEscort } from './escort.ts';
import { jointNeed, type TargetNeed } from './need.ts';
import { Parking, type ParkingDesk, type ParkingEnd, type ParkingOptions } from './parking.ts';
import { ownOf, type Privacy, StatementRecords } from './recording.ts';
import type { SessionFacts } from './session-facts.ts';

/** What the book needs of the log. */
export interface BookLog {
  /** `kept`: values that are put aside for auditors. */
  append(body: RecordBody, kept?: readonly Kept[]): number;
  /** As `append`, of a record that nobody waits for. */
  appendLate(body: RecordBody): void;
  durable(seq: number): Promise<void>;
}

/** What the book tells the metrics. */
export interface BookMetrics {
  statement(statementClass: StatementClass, verdict: Action | 'refuse'): void;
  /** Statements that went without being judged again. */
  readonly repeated?: { inc(): void };
  refusal(sqlstate: string): void;
  overhead(seconds: number): void;
}

export interface BookOptions {
  readonly facts: SessionFacts;
  readonly log: BookLog;
  readonly desk: ParkingDesk;
  /** Measures what a held statement would touch, and where this session is for that; absent: nothing is measured. */
  readonly blast?: Pick<Blast, 'measure'> | undefined;
  readonly backend?: Backend;
  /** Of the session, where plans are to be had. */
  readonly escort?: PlanEscort;
  readonly catalog: Pick<Catalog, 'refresh' | 'pending' | 'reach'>;
  readonly metrics: BookMetrics;
  readonly publicUrl: string;
  readonly policyDigest: () => string;
  /** What statements must share with a gate for its approval to cover them; undefined where it covers none. */
  readonly shape: (gate: Gate) => string | undefined;
  readonly approval: TargetNeed;
  /** Settles once what the log says of record `seq` is vouched for outside; absent where the target asks for nothing. */
  readonly outside?: ((seq: number) => Promise<void>) | undefined;
  readonly hold: { readonly waitMs: number; readonly expiresMs: number; readonly heartbeatMs: number };
  /** What the log has of values and comments. */
  readonly privacy: Privacy;
  readonly now: () => number;
  readonly random: (bytes: number) => Buffer;
}

const unseen = 'the catalog cannot be read now, so that what it does may not be what was shown';

interface Context {
  readonly role: string | null;
  readonly searchPath: string | null;
  readonly meaning: string;
  readonly status: string;
}

const contextWords: Readonly<Record<keyof Context, string>> = {
  role: 'the role',
  searchPath: 'the search_path',
  meaning: 'a setting',
  status: 'the transaction status',
};

export class SessionBook implements RelayBook, RepeatBook {
  readonly #options: BookOptions;
  #session: Session | undefined;
  /** The context that an approver was shown, by gate. */
  readonly #shown = new WeakMap<Gate, { readonly context: Context; readonly wire: string }>();

  /** The approval by which a gate was released, until its outcome is known. */
  readonly #released = new Map<Gate, Grant>();

  /** Those of them for which rows are reserved, until it is known how many they changed. */
  readonly #reserved = new Map<Gate, Grant>();

  readonly #records: StatementRecords;

  constructor(options: BookOptions) {
    this.#options = options;
    this.#records = new StatementRecords(options.facts, options.privacy, () => this.#session);
  }

  /** The session and its book know each other; this is the second half of the introduction. */
  attach(session: Session): void {
    this.#session = session;
  }

  passing(gate: Gate): void {
    gate.ref = this.#append(gate, 'pass');
    this.#count(gate, 'pass');
  }

  passed(gate: Gate): void {
    this.#count(gate, 'pass');
    this.#options.metrics.repeated?.inc();
  }

  alike(gate: Gate): Alike | undefined {
    const alike = this.#records.alike(gate);
    if (alike === undefined) return undefined;
    return { ...alike, keepsValues: this.#options.privacy.values === 'auditor' };
  }

  refused(gate: Gate | undefined, bytes: Buffer, error: HoldpointError): void {
    const { log, metrics } = this.#options;
    const ref =
      gate === undefined
        ? log.append(this.#records.unread(bytes, error))
        : this.#append(gate, error.code === 'denied' ? 'deny' : 'refuse');
    log.append({ kind: 'outcome', ref, st: 'refused', sqlstate: error.sqlstate, dur_us: 0 });
    metrics.refusal(error.sqlstate);
    if (gate !== undefined) this.#count(gate, error.code === 'denied' ? 'deny' : 'refuse');
    else metrics.statement('unknown', 'refuse');
  }

  park(gate: Gate, frames: readonly Buffer[], notify: (notice: Buffer) => void): Parked {
    const { hold, desk, escort } = this.#options;
    gate.ref = this.#append(gate, 'hold');
    this.#count(gate, 'hold');
    const values = this.#values(gate);
    const escorted = escort?.release(gate);
    if (escorted !== undefined) {
      this.#shown.set(gate, { context: this.#context(), wire: wireDigest(frames, values) });
      return escorted;
    }
    // Behind others of a pipeline: what those have counted is certain enough for the next one.
    for (const before of [...this.#reserved.keys()])
      if (before.state === 'ok' && before.owed === 0) this.#giveBack(before, before.rows);
    const request = buildRequest(this.#draft(gate, frames, values), values);
    this.#shown.set(gate, { context: this.#context(), wire: request.wire });
    return new Parking({
      desk,
      request,
      values,
      ...this.#measuring(gate, request),
      ref: gate.ref,
      again: gate.again,
      waitMs: hold.waitMs,
      heartbeatMs: hold.heartbeatMs,
      notify,
    });
  }

  /** The request gets its time when it is opened: measuring takes some. */
  #measuring(gate: Gate, request: Request): Pick<ParkingOptions, 'measured'> {
    const { blast, backend, now, hold } = this.#options;
    const session = this.#session;
    if (blast === undefined || backend === undefined || session === undefined) return {};
    return {
      measured: async (signal) => {
        const effect = await blast.measure(askedOf(gate, session, backend), signal);
        const created = now();
        const times = { created, exp: created + hold.expiresMs };
        return { ...request, ...times, ...(effect === undefined ? {} : { effect }) };
      },
    };
  }

  async change(gate: Gate): Promise<string | undefined> {
    const { catalog } = this.#options;
    const looked = await catalog.refresh();
    await catalog.pending;
    // What was read earlier is good enough for a statement that nobody is asked about, not for one that was shown.
    if (!looked && catalog.reach !== undefined) return unseen;
    const shown = this.#shown.get(gate)?.context;
    const present = this.#context();
    const differing = Object.entries(contextWords).find(
      ([name]) => shown?.[name as keyof Context] !== present[name as keyof Context],
    );
    if (differing !== undefined) return `${differing[1]} of the session is not what it was`;
    return this.#session?.changeOf(gate);
  }

  superseded(gate: Gate, end: Extract<ParkingEnd, { kind: 'release' }>, error: HoldpointError): void {
    const { escort, desk } = this.#options;
    this.#released.delete(gate);
    this.#reserved.delete(gate);
    const planned = escort?.escorts(gate) === true;
    this.unreleased(gate, error, end.grant.rid);
    if (planned) return;
    void desk.finish(end.grant.rid, 'failed', error.message);
    void desk.grants.settle(end.grant, 0);
  }

  async intent(
    gate: Gate,
    end: Extract<ParkingEnd, { kind: 'release' }>,
  ): Promise<HoldpointError | undefined> {
    const wire = this.#shown.get(gate)?.wire ?? '';
    const { rid, rowsMax } = end.grant;
    const seq = this.#options.log.append({ kind: 'intent', rid, ref: gate.ref, wire, rowsMax });
    await this.#options.log.durable(seq);
    const escorted = this.#options.escort?.escorts(gate) === true;
    if (!escorted) {
      this.#released.set(gate, end.grant);
      if (end.grant.reserved !== undefined) this.#reserved.set(gate, end.grant);
    }
    return this.#options.outside?.(seq).then(
      () => undefined,
      (error: HoldpointError) => error,
    );
  }

  unreleased(gate: Gate, error: HoldpointError | undefined, rid?: string): void {
    const { log, metrics } = this.#options;
    this.#unsent(gate);
    const st =
      error === undefined || error.code === 'canceled' || error.code === 'shutdown' ? 'canceled' : 'refused';
    log.append({ kind: 'outcome', ref: gate.ref, rid, st, sqlstate: error?.sqlstate, dur_us: 0 });
    if (error !== undefined) metrics.refusal(error.sqlstate);
    this.#options.escort?.finished(gate, 'refused', error?.message ?? 'the client went away');
  }

  overhead(seconds: number, count: number): void {
    for (let each = 0; each < count; each += 1) this.#options.metrics.overhead(seconds);
  }

  /** The session's callback: a gate that went to the server has its outcome. */
  finished(gate: Gate): void {
    if (gate.ref < 0) return;
    const st = gate.state === 'waiting' || gate.state === 'suspended' ? 'unknown' : gate.state;
    this.#settle(gate, st);
    const answered = gate.answeredAt >= 0 && gate.forwardedAt >= 0;
    const outcome = {
      kind: 'outcome',
      ref: gate.ref,
      st,
      tags: gate.tags.length > 0 ? gate.tags : undefined,
      rows: gate.tags.length > 0 ? gate.rows : undefined,
      sqlstate: gate.sqlstate,
      dur_us: answered ? Math.max(0, (gate.answeredAt - gate.forwardedAt) * 1000) : 0,
    } as const;
    const { log } = this.#options;
    // What became of a read is in no hurry: half of the writes to the file are saved.
    if (gate.durability === 'kill') log.appendLate(outcome);
    else log.append(outcome);
  }

  /** What a gate changed of the rows reserved for it; undefined: nobody knows. What is rolled back later counts too. */
  #giveBack(gate: Gate, rows: number | undefined): void {
    const grant = this.#reserved.get(gate);
    this.#reserved.delete(gate);
    if (grant !== undefined && rows !== undefined) void this.#options.desk.grants.settle(grant, rows);
  }

  /** It was released, and its client went away before it was sent. */
  #unsent(gate: Gate): void {
    const grant = this.#released.get(gate);
    if (grant === undefined) return;
    this.#released.delete(gate);
    void this.#options.desk.finish(grant.rid, 'failed', 'the client went away before it was sent');
    this.#giveBack(gate, 0);
  }

  /** Tells the desk what became of a released statement. */
  #settle(gate: Gate, st: OutcomeState): void {
    this.#options.escort?.finished(gate, st, gate.sqlstate ?? '');
    const grant = this.#released.get(gate);
    if (grant === undefined) return;
    this.#released.delete(gate);
    const state = st === 'ok' ? 'executed' : st === 'unknown' ? 'unknown' : 'failed';
    const undone = gate.undone === undefined ? undefined : `undone: it ${gate.undone}`;
    void this.#options.desk.finish(grant.rid, state, undone ?? gate.sqlstate ?? gate.tags.join('; '));
    this.#giveBack(gate, rowsSpent(gate));
  }

  #append(gate: Gate, dec: Decided): number {
    const { body, kept } = this.#records.statement(gate, dec);
    return this.#options.log.append(body, kept);
  }

  #draft(gate: Gate, frames: readonly Buffer[], values: RequestValues): RequestDraft {
    const { facts, now, hold, publicUrl, policyDigest, random } = this.#options;
    const { verdict, statements } = gate;
    const obo = facts.onBehalfOf();
    const settings = this.#session?.settings;
    const created = now();
    const text = gate.sql.toString('utf8');
    const reason = settings?.reason ?? leadingReason(text);
    const status = this.#session?.transactionStatus;
    const counts = boundsOf(gate);
    const shape = this.#options.shape(gate);
    return {
      rid: ridFrom(random(16)),
      aud: publicUrl,
      created,
      exp: created + hold.expiresMs,
      node: facts.node,
      boot: facts.boot,
      sid: facts.sid,
      n: gate.n,
      agent: {
        id: facts.actor.agent,
        auth: facts.agentAuth,
        ...(obo.length > 0 && { obo: [...obo] }),
      },
      db: { target: facts.actor.target, environment: facts.actor.environment, ...facts.db },
      user: facts.user,
      role: settings?.role ?? null,
      state: { searchPath: settings?.searchPath ?? null, settings: settings?.meaning ?? {} },
      tx: {
        status: status === 'T' || status === 'E' ? status : 'I',
        statements: this.#session?.transactionGates ?? 0,
      },
      proto: gate.proto,
      sql: values.text === undefined ? text : describe(ownOf(gate), gate.sql, forPeople).sql,
      statements: statements.map(shownStatement),
      wire: wireDigest(frames, values),
      policy: { digest: policyDigest(), rule: verdict.rule, reason: verdict.reason },
      need: jointNeed(this.#options.approval, verdict.need),
      ...(counts === undefined ? {} : { counts }),
      ...(shape === undefined ? {} : { shape }),
      ...(this.#comparable(gate) ? {} : { once: true as const }),
      ...(reason === undefined ? {} : { reason }),
      ...this.#records.veil(gate),
    };
  }

  /** True if a retry can be told to be the same statement; what stands behind its names must be quoted whole. */
  #comparable({ statements, behind }: Gate): boolean {
    const quoted = behind.every(
      (prepared) => prepared.sql.length > 0 && !prepared.statements.some(({ secret }) => secret),
    );
    return quoted && this.#session?.settings.comparable(statements) === true;
  }

  #values(gate: Gate): RequestValues {
    const salt = (): string => this.#options.random(16).toString('base64url');
    const params = gate.parameters.map(({ oid, format, value }) => ({ oid, format, salt: salt(), value }));
    return {
      params,
      ...(describe(ownOf(gate), gate.sql, forPeople).secret && { text: secretText(salt(), gate.sql) }),
      ...(this.#options.privacy.values !== 'clear' && { wire: salt() }),
    };
  }

  #context(): Context {
    const settings = this.#session?.settings;
    return {
      role: settings?.role ?? null,
      searchPath: settings?.searchPath ?? null,
      meaning: JSON.stringify(settings?.meaning ?? {}),
      status: this.#session?.transactionStatus ?? 'I',
    };
  }

  #count(gate: Gate, verdict: Action | 'refuse'): void {
    const { metrics } = this.#options;
    for (const statement of gate.statements) metrics.statement(classOf(statement), verdict);
    if (gate.statements.length === 0) metrics.statement('read', verdict);
  }
}
