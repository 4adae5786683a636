// Desk: where requests are opened, decided and released. It puts three things in order for each request: the log, the
// store and the waiting session. A decision is durable in the log before it has an effect; a release rests on evidence
// that this desk verified itself; each request settles once. Refuses to know sockets, pages and who notified whom.
// audit-approval §17; the store's races are decided by the store, this node's by one queue a request.

import type { JWK } from 'jose';
import { HoldpointError } from '../errors.ts';
import type { Ending, ListFilter, StoredRequest } from '../store/store.ts';
import { checkBinding, decisionText, readDecision, settledError } from './decision.ts';
import type { Delegation } from './delegation.ts';
import { Emergencies } from './emergency.ts';
import { readEvidence } from './evidence.ts';
import { Grants } from './grants.ts';
import { type CancelCause, cancelReasons, type Grant, type Hold, type HoldDesk, LiveHold } from './hold.ts';
import { Links } from './links.ts';
import { Opening, type OpeningDesk, type WaitingGate } from './opening.ts';
import { Plans, type PlansDesk } from './plans.ts';
import type { DeskOptions, DeskRecord, KeptValue } from './ports.ts';
import { fitsGate, type IntactRequest, intactRequest, keptEvidence } from './release.ts';
import type { Rejection, Request, RequestValues } from './request.ts';
import { endedSettlement, isOpen, isOver, newRow, noSuchRequest, rejection, votedAlready } from './row.ts';
import { isBreakGlass } from './scope.ts';
import { Scrutiny } from './scrutiny.ts';
import { Tally } from './tally.ts';
import { Turns } from './turns.ts';
import { isAway, Upkeep, type UpkeepDesk } from './upkeep.ts';
import { Uses } from './uses.ts';
import { Views } from './views.ts';
import { type Gate, Waiting } from './waiting.ts';
import { isFirst } from './waitlist.ts';

/** Node's timers overflow above this and fire at once. */
const timerMsMax = 2_147_000_000;

const staleReason =
  'the store was set back since it was asked for, so nobody can tell whether it was used; it has to be asked for again';

/** One a process. `close` stops its timers; holds still open are the relay's to cancel. */
export class Desk implements HoldDesk {
  readonly plans: Plans;
  readonly grants: Grants;
  readonly emergencies: Emergencies;
  readonly #options: DeskOptions;
  readonly #scrutiny: Scrutiny;
  readonly #waiting: Waiting;
  readonly #opening: Opening;
  /** Steps of one request never interleave on this node. */
  readonly #turns = new Turns();
  readonly #uses: Uses;
  readonly #tally = new Tally();
  readonly #upkeep: Upkeep;
  readonly #views = new Views();
  readonly #links: Links;
  readonly #listeners = new Set<(rid: string) => void>();
  readonly #unwatch: () => void;

  constructor(options: DeskOptions) {
    this.#options = options;
    this.#scrutiny = new Scrutiny(options);
    this.#uses = new Uses(options, this.#scrutiny);
    this.#links = new Links(options);
    this.#waiting = new Waiting(options.store);
    const desk: OpeningDesk = {
      park: (request, row, gate) => this.#park(this.#holdOf(request, row, gate)),
      refused: (request, row, gate) => {
        const hold = this.#holdOf({ ...request, rid: row.rid }, row, gate);
        hold.settle(rejection(row));
        return hold;
      },
      record: (record, kept) => this.#record(record, kept),
      opened: (request) => {
        this.#tally.opened(request, options.mono());
        options.events?.opened?.(request);
        options.notify?.opened(request);
      },
    };
    this.#opening = new Opening(options, desk, this.#waiting, this.#turns);
    const turn: PlansDesk['turn'] = (rid, step) => this.#turns.take(rid, step);
    this.plans = new Plans(options, { ...desk, turn }, this.#uses);
    this.grants = new Grants(options, { ...desk, turn }, this.#scrutiny, this.#uses);
    this.emergencies = new Emergencies(options, { ...desk, turn }, this.#scrutiny, this.#uses);
    this.#uses.released = (held, decisions) => this.emergencies.released(held, decisions);
    this.#upkeep = this.#newUpkeep();
    this.#unwatch = options.store.watch({
      changed: (rid) => this.#changed(rid),
      used: (rid, exp) => this.#uses.known.add(rid, exp),
      resumed: () => {
        void this.#upkeep.resume().catch(() => {});
        void this.plans.look();
      },
    });
    void this.plans.look();
  }

  /**
   * Parks a gate without asking anybody anew: at the pending request for the same statement, which the session joins; or
   * resolves with what a person said who rejected the identical statement a short while ago. Undefined if there is
   * neither. `ref` is the sequence number of the statement's record.
   */
  async recall(request: Request, ref: number): Promise<Hold | Rejection | undefined> {
    const known = await this.#opening.recall(request, ref);
    return known === undefined || known instanceof LiveHold ? known : rejection(known);
  }

  /**
   * Parks a gate at a new request, unless there is something to recall. Resolves when the hold is durable. Rejects with
   * `too-many-pending`, `store-unreachable`, `log-unwritable`; then nothing is open. `ref`: as for `recall`.
   */
  open(request: Request, values: RequestValues, ref: number): Promise<Hold> {
    return this.#opening.open(request, values, ref);
  }

  /**
   * The use of a request that was approved while nobody waited for it: for the same match from the same agent, once.
   * Verifies the evidence in this call. Undefined when there is none; the caller then opens a request.
   */
  async claimApproved(match: string, agent: string, ref: number): Promise<Grant | undefined> {
    const { store, publicUrl, now } = this.#options;
    await this.#waiting.departed();
    const found = await store.findFree(agent, match, 'approved', now());
    if (found === undefined) return undefined;
    return this.#turns.take(found.rid, async () => {
      const row = await store.get(found.rid);
      if (row === undefined || row.holder !== '' || row.stale) return undefined;
      const intact = this.#intactOrNone(row);
      if (intact === undefined || !fitsGate(intact, match, agent, publicUrl)) return undefined;
      return this.grants.release(intact, row, { ref, mine: (holder) => holder === '', sole: false });
    });
  }

  /**
   * Takes one person's decision. `decision` and `evidence` are untrusted JSON. Resolves with the row after it; rejects
   * with what is wrong, and then nothing has changed (a record of a decision that lost a race may remain in the log).
   */
  async decide(rid: string, decision: unknown, evidence: unknown): Promise<StoredRequest> {
    const given = readDecision(decision);
    const proof = readEvidence(evidence);
    return this.#turns.take(rid, async () => {
      const { store, node, events, now } = this.#options;
      const alone = isBreakGlass(given);
      const row = await this.#openRow(rid).catch((error: unknown) => {
        const own = alone && isAway(error) ? this.#ownHold(rid) : undefined;
        if (own === undefined) throw error;
        return this.emergencies.decide(own, given, proof);
      });
      if (row.state !== 'pending') return row;
      const held = this.#waiting.of(rid)[0] ?? intactRequest(row);
      checkBinding(given, held, now());
      const verified = await this.#scrutiny.arrived(proof, given, held, row);
      const text = decisionText(given);
      const { record, kept } = this.#scrutiny.record(rid, text, verified);
      const seq = await this.#record(record, kept);
      this.#uses.recorded(text, seq);
      if (alone) await this.emergencies.broken(held, given);
      if (now() >= held.request.exp) throw await this.#expireRow(row);
      const result = await store.vote(rid, held.rd, {
        approver: verified.approver,
        verdict: given.verdict,
        level: verified.level,
        decision: text,
        evidence: keptEvidence(proof, verified),
        reason: given.reason,
        at: now(),
        node,
        seq,
        ...(alone && { alone }),
      });
      if (!result.counted) {
        if (result.why === 'voted') throw votedAlready(rid, verified.approver);
        if (result.state !== undefined) throw settledError(rid, result.state);
        throw new HoldpointError(
          'not-found',
          `request ${rid} is no longer in the store; nothing was released`,
        );
      }
      events?.decided?.(held.request, given.verdict, verified.level);
      if (result.row.state !== 'pending') this.#leftPending(rid, result.row.state);
      if (result.row.state === 'rejected') this.#rejected(rid, verified.approver, given.reason);
      return result.row;
    });
  }

  /** Takes a delegation from one approver to another; see Scrutiny. */
  delegate(delegation: unknown, evidence: unknown): Promise<Delegation & { id: string }> {
    return this.#scrutiny.delegated(delegation, evidence);
  }

  /** What became of a released statement, for people to read. Never throws: the log holds the truth of it. */
  async finish(rid: string, state: 'executed' | 'failed' | 'unknown', detail: string): Promise<void> {
    const ending = { by: 'server', reason: detail.slice(0, 200), at: this.#options.now() };
    const from = this.emergencies.untold(rid) ? (['pending', 'approved', 'consumed'] as const) : undefined;
    await this.#turns.take(rid, () => this.#upkeep.finish(rid, state, ending, from));
  }

  /** A stored request whose digest has been checked. Throws `not-found`, `conflict`. Who may see it is the caller's. */
  async get(rid: string): Promise<{ row: StoredRequest; intact: IntactRequest }> {
    const { store, now } = this.#options;
    let row = await store.get(rid).catch((error: unknown) => {
      const own = isAway(error) ? this.#ownHold(rid) : undefined;
      if (own === undefined) throw error;
      return newRow(own.request, own.vouched ?? { params: [] }, own.nonce);
    });
    if (row !== undefined && isOver(row, now())) {
      await this.#turns.take(rid, () => this.#expireRow(row as StoredRequest));
      row = await store.get(rid);
    }
    if (row === undefined) throw noSuchRequest(rid);
    return { row, intact: intactRequest(row) };
  }

  async list(filter: ListFilter): Promise<StoredRequest[]> {
    await this.#upkeep.sweep();
    return this.#options.store.list(filter);
  }

  /** Records that somebody looked, once a person and request. Resolves at once; a view is no reason to wait. */
  viewed(rid: string, by: string): void {
    if (this.#views.first(rid, by)) this.#options.log.append({ kind: 'view', rid, by });
  }

  /** The address that shows one request to one recipient; the same one whenever it is asked for. */
  link(request: Request, rd: string, recipient: string): Promise<string> {
    return this.#links.for(request, rd, recipient);
  }

  /** This Holdpoint's public link key, if `kid` names it. */
  linkJwk(kid: string): JWK | undefined {
    return this.#scrutiny.linkJwk(kid);
  }

  /** The public key of a link that may be viewed here: this node's own, or one that another node has told of. */
  async viewingJwk(kid: string): Promise<JWK | undefined> {
    return this.linkJwk(kid) ?? (await this.#options.nodes?.linkKey(kid));
  }

  /** Calls back with the name of each request that changes; returns the way to stop. */
  subscribe(listener: (rid: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#upkeep.close();
    this.#unwatch();
    this.#waiting.close();
  }

  /** A request that an earlier process of this node left open; see Upkeep. */
  abandoned(rid: string): Promise<void> {
    return this.#upkeep.abandoned(rid);
  }

  /** For LiveHold. */
  async claim(hold: LiveHold): Promise<Grant | undefined> {
    return this.#turns.take(hold.rid, async () => {
      if (!hold.claimable || !this.#waiting.has(hold)) return undefined;
      if (this.#options.mono() >= hold.deadlineMono) return undefined;
      const aside = await this.emergencies.claim(hold);
      if (aside !== undefined) {
        this.#waiting.forget(hold);
        return aside;
      }
      const row = await this.#options.store.get(hold.rid);
      if (row === undefined) return undefined;
      const mine = (holder: string) => hold.claimable && isFirst(holder, hold.holder);
      const sole = hold.vouched !== undefined;
      const grant = await this.grants.release(hold, row, { ref: hold.ref, mine, sole });
      if (grant !== undefined) this.#waiting.forget(hold);
      return grant;
    });
  }

  /** The session of this node that waits for a request which nobody else could release, whatever the store says. */
  #ownHold(rid: string): LiveHold | undefined {
    return this.#waiting.of(rid).find((hold) => hold.waiting && hold.vouched !== undefined);
  }

  /** For LiveHold. */
  detach(hold: LiveHold): void {
    this.#waiting.forget(hold);
    this.#waiting.leaving(this.#depart(hold, undefined));
  }

  /** For LiveHold. */
  async cancel(hold: LiveHold, by: CancelCause): Promise<void> {
    this.#waiting.forget(hold);
    // A store that is away is told later; that the statement will not be sent is certain now.
    await this.#depart(hold, by).catch((error: unknown) => {
      if (!isAway(error)) throw error;
    });
  }

  /** A session waits no more. The next one is first; where there is none, a statement that was given up is canceled. */
  async #depart(hold: Gate, by: CancelCause | undefined): Promise<void> {
    await this.#turns.take(hold.rid, async () => {
      try {
        if (by === undefined) return await this.#waiting.leave(hold.rid, hold.holder);
        if (!(await this.#waiting.withdraw(hold.rid, hold.holder))) return;
        const ending = { by, reason: cancelReasons[by], at: this.#options.now() };
        if (!(await this.#end(hold.rid, 'canceled', ending))) return;
        await this.#record({ kind: 'cancel', rid: hold.rid, by, reason: ending.reason });
      } catch (error) {
        if (isAway(error)) this.#waiting.remember(hold, by);
        throw error;
      }
    });
  }

  #holdOf(request: Request, { rd, nonce }: StoredRequest, gate: WaitingGate): LiveHold {
    const startedMono = this.#options.mono();
    const deadlineMono = startedMono + Math.max(0, request.exp - this.#options.now());
    return new LiveHold(this, { request, rd, nonce, ...gate, startedMono, deadlineMono });
  }

  #park(hold: LiveHold): LiveHold {
    const leftMs = hold.deadlineMono - hold.startedMono;
    this.#waiting.add(hold);
    hold.armed(this.#options.after(Math.min(leftMs, timerMsMax), () => void this.#timeUp(hold)));
    // It may have been decided between two looks.
    this.#changed(hold.rid);
    return hold;
  }

  async #timeUp(hold: LiveHold): Promise<void> {
    await this.#turns
      .take(hold.rid, async () => {
        const row = await this.#options.store.get(hold.rid);
        if (row !== undefined && isOpen(row)) await this.#expireRow(row);
      })
      .catch(() => {});
    // Also when the store is silent: the holder's clock alone ends a hold.
    hold.settle({ state: 'expired', rid: hold.rid });
    this.#waiting.forget(hold);
  }

  /** Ends a row past its time, or one that nobody may use any more, and returns the error that says so. */
  async #expireRow(row: StoredRequest): Promise<HoldpointError> {
    const { log, now } = this.#options;
    // A holder's own clock may be a moment ahead of the wall clock: a row that is not stale has run out of time.
    const late = row.stale === undefined || row.exp <= now();
    const reason = late ? 'its time ran out' : staleReason;
    const state = late ? 'expired' : 'canceled';
    if (await this.#end(row.rid, state, { by: 'holdpoint', reason, at: now() })) {
      log.append({ kind: late ? 'expire' : 'cancel', rid: row.rid, by: 'holdpoint', reason });
    }
    return settledError(row.rid, state);
  }

  /** Ends an open row; true for exactly one caller. Leaving `pending` is what counts as settled. */
  async #end(rid: string, to: 'canceled' | 'expired', ending: Ending): Promise<boolean> {
    const ended = await this.#options.store.end(rid, ['pending', 'approved'], to, ending);
    if (ended) this.#leftPending(rid, to);
    return ended;
  }

  async #openRow(rid: string): Promise<StoredRequest> {
    const row = await this.#options.store.get(rid);
    if (row === undefined) throw noSuchRequest(rid);
    if (row.state !== 'pending') throw settledError(rid, row.state);
    if (isOver(row, this.#options.now())) throw await this.#expireRow(row);
    return row;
  }

  async #record(record: DeskRecord, kept?: readonly KeptValue[]): Promise<number> {
    const seq = this.#options.log.append(record, kept);
    await this.#options.log.durable(seq);
    return seq;
  }

  #intactOrNone(row: StoredRequest): IntactRequest | undefined {
    try {
      return intactRequest(row);
    } catch {
      this.#options.events?.suspicious?.(row.rid, 'the request in the store is not the one its digest names');
      return undefined;
    }
  }

  #changed(rid: string): void {
    for (const listener of this.#listeners) listener(rid);
    void this.plans.changed(rid);
    this.#options.notify?.changed(rid);
    const waits = this.#lookAt(rid);
    if (!waits && this.#tally.has(rid)) this.#turns.take(rid, () => this.#count(rid)).catch(() => {});
  }

  /** False if no session of this node waits for it. */
  #lookAt(rid: string): boolean {
    const holds = this.#waiting.of(rid).filter((hold) => hold.waiting);
    for (const hold of holds) this.#turns.take(rid, () => this.#look(hold)).catch(() => {});
    return holds.length > 0;
  }

  /** Settles a waiting hold by what the store says and, for an approval, by what its evidence proves. */
  async #look(hold: LiveHold): Promise<void> {
    if (!hold.waiting) return;
    const row = await this.#options.store.get(hold.rid);
    if (row === undefined || row.state === 'pending') return this.#upkeep.restore(hold, row);
    this.#leftPending(hold.rid, row.state);
    if (row.state === 'approved') {
      // One of those who wait may use it, and the others hear of that.
      if (!isFirst(row.holder, hold.holder)) return;
      const release = await this.#scrutiny.release(hold, row.votes);
      if (release === undefined) return;
      const decisions = release.votes.map(({ vote }) => vote.seq);
      hold.settle({ state: 'approved', rid: hold.rid, by: release.by, decisions });
      return;
    }
    hold.settle(endedSettlement(row));
    this.#waiting.forget(hold);
  }

  /** That it is final: the decision alone does not say that no other came before it. */
  #rejected(rid: string, by: string, reason: string): void {
    try {
      this.#options.log.append({ kind: 'reject', rid, by, reason });
    } catch {
      // The decision itself is on disk, and it has had its effect; the log says for itself that it cannot be written.
    }
  }

  /** What another node made of a request that was opened here and that no session of this node waits for any more. */
  async #count(rid: string): Promise<void> {
    const row = await this.#options.store.get(rid);
    if (row !== undefined && row.state !== 'pending') this.#leftPending(rid, row.state);
  }

  #leftPending(rid: string, state: string): void {
    const opened = this.#tally.left(rid);
    if (opened !== undefined)
      this.#options.events?.settled?.(opened.target, state, this.#options.mono() - opened.mono);
  }

  #newUpkeep(): Upkeep {
    const desk: UpkeepDesk = {
      expire: (row) => this.#turns.take(row.rid, () => this.#expireRow(row)),
      look: (rid) => void this.#lookAt(rid),
      changed: (rid) => this.#changed(rid),
      left: (rid, state) => this.#leftPending(rid, state),
      depart: (gate, by) => this.#depart(gate, by),
      departAgain: () => {
        for (const [hold, by] of this.#waiting.takeDepartures(this.#options.now())) {
          this.#depart(hold, by).catch(() => {});
        }
      },
    };
    return new Upkeep(this.#options, desk, this.#waiting, this.#uses.known, this.#tally);
  }
}
