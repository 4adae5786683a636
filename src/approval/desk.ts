// Desk: where requests are opened, decided and released. It puts three things in order for each request: the log, the
// store and the waiting session. A decision is durable in the log before it has an effect; a release rests on evidence
// that this desk verified itself; each request settles once. Refuses to know sockets, pages and who notified whom.
// audit-approval §17; the store's races are decided by the store, this node's by one queue a request.

import type { JWK } from 'jose';
import { HoldpointError } from '../errors.ts';
import type { Ending, ListFilter, StoredRequest } from '../store/store.ts';
import { checkBinding, decisionText, readDecision, settledError } from './decision.ts';
import { type EvidenceGround, readEvidence, verifyEvidence } from './evidence.ts';
import { type CancelCause, cancelReasons, type Grant, type Hold, type HoldDesk, LiveHold } from './hold.ts';
import type { DeskOptions, DeskRecord } from './ports.ts';
import { fitsGate, type IntactRequest, intactRequest, provenRelease, type Release } from './release.ts';
import { type Request, type RequestValues, requestDigest, valuesFit } from './request.ts';
import { endedSettlement, holderOf, isOpen, newRow, noSuchRequest, votedAlready } from './row.ts';
import { linkAudience, signLink } from './token.ts';
import { Turns } from './turns.ts';

/** How often requests that nobody waits for are looked at for their end. */
const sweepMs = 5_000;
const sweepRowsMax = 500;
/** Views remembered, so that a page that reloads does not fill the log. */
const viewsMax = 10_000;
/** Node's timers overflow above this and fire at once. */
const timerMsMax = 2_147_000_000;

/** One a process. `close` stops its timers; holds still open are the relay's to cancel. */
export class Desk implements HoldDesk {
  readonly #options: DeskOptions;
  readonly #live = new Map<string, LiveHold>();
  /** Steps of one request never interleave on this node. */
  readonly #turns = new Turns();
  /** Requests this node has released, until they are past their time: a store rolled back cannot release them again. */
  readonly #used = new Map<string, number>();
  /** Detachments on their way to the store: a retry right behind one must find its request free. */
  readonly #leaving = new Set<Promise<boolean>>();
  readonly #views = new Set<string>();
  readonly #listeners = new Set<(rid: string) => void>();
  readonly #unwatch: () => void;
  #stopSweep: () => void = () => {};
  #closed = false;

  constructor(options: DeskOptions) {
    this.#options = options;
    this.#unwatch = options.store.watch((rid) => this.#changed(rid));
    this.#armSweep();
  }

  /**
   * Parks a gate: a new request, or the pending one that a session of the same agent opened for the same match and no
   * longer waits for. Resolves when the hold is durable. Rejects with `too-many-pending`, `store-unreachable`,
   * `log-unwritable`; then nothing is open. `ref` is the sequence number of the statement's record.
   */
  async open(request: Request, values: RequestValues, ref: number): Promise<Hold> {
    const { store, publicUrl, pendingMax, now } = this.#options;
    if (request.aud !== publicUrl || !valuesFit(request, values)) {
      throw new HoldpointError(
        'bad-request',
        `request ${request.rid} is not addressed to ${publicUrl} or commits to other values`,
      );
    }
    const again = await this.#reattach(request, ref);
    if (again !== undefined) return again;
    const row = newRow(request, values, this.#options.random(16).toString('base64url'));
    return this.#turns.take(request.rid, async () => {
      if ((await store.create(row, pendingMax(request.db.target), now())) === 'too-many') {
        throw new HoldpointError(
          'too-many-pending',
          `agent ${request.agent.id} has as many requests waiting for approval as it may have; wait until one is decided`,
        );
      }
      try {
        await this.#record({ kind: 'hold', rid: row.rid, rd: row.rd, R: row.request, ref });
      } catch (error) {
        await store.end(row.rid, ['pending'], 'canceled', {
          by: 'holdpoint',
          reason: 'not recorded',
          at: now(),
        });
        throw error;
      }
      const hold = this.#park(request, row, ref);
      this.#options.events?.opened?.(request);
      void this.#notify(request);
      return hold;
    });
  }

  /**
   * The use of a request that was approved while nobody waited for it: for the same match from the same agent, once.
   * Verifies the evidence in this call. Undefined when there is none; the caller then opens a request.
   */
  async claimApproved(match: string, agent: string, ref: number): Promise<Grant | undefined> {
    const { store, publicUrl, now } = this.#options;
    await Promise.all(this.#leaving);
    const found = await store.findFree(agent, match, 'approved', now());
    if (found === undefined) return undefined;
    return this.#turns.take(found.rid, async () => {
      const row = await store.get(found.rid);
      if (row === undefined || row.holder !== '') return undefined;
      const intact = this.#intactOrNone(row);
      if (intact === undefined || !fitsGate(intact, match, agent, publicUrl)) return undefined;
      return this.#release(intact, row, '', ref);
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
      const row = await this.#openRow(rid);
      const held = this.#live.get(rid) ?? intactRequest(row);
      checkBinding(given, held, now());
      const verified = await verifyEvidence(proof, given, held, this.#ground());
      if (row.votes.some((vote) => vote.approver === verified.approver))
        throw votedAlready(rid, verified.approver);
      const text = decisionText(given);
      const seq = await this.#record({ kind: 'decision', rid, D: text, ev: verified.log });
      if (now() >= held.request.exp) throw await this.#expireRow(row);
      const result = await store.vote(rid, held.rd, {
        approver: verified.approver,
        verdict: given.verdict,
        level: verified.level,
        decision: text,
        evidence: JSON.stringify(proof),
        reason: given.reason,
        at: now(),
        node,
        seq,
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
      if (result.row.state !== 'pending') this.#settledEvent(row, result.row.state);
      return result.row;
    });
  }

  /** What became of a released statement, for people to read. Never throws: the log holds the truth of it. */
  async finish(rid: string, state: 'executed' | 'failed' | 'unknown', detail: string): Promise<void> {
    const ending = { by: 'server', reason: detail.slice(0, 200), at: this.#options.now() };
    await this.#turns
      .take(rid, () => this.#options.store.end(rid, ['consumed'], state, ending))
      .catch(() => false);
  }

  /** A stored request whose digest has been checked. Throws `not-found`, `conflict`. Who may see it is the caller's. */
  async get(rid: string): Promise<{ row: StoredRequest; intact: IntactRequest }> {
    const { store, now } = this.#options;
    let row = await store.get(rid);
    if (row !== undefined && isOpen(row) && row.exp <= now()) {
      await this.#turns.take(rid, () => this.#expireRow(row as StoredRequest));
      row = await store.get(rid);
    }
    if (row === undefined) throw noSuchRequest(rid);
    return { row, intact: intactRequest(row) };
  }

  async list(filter: ListFilter): Promise<StoredRequest[]> {
    await this.sweep();
    return this.#options.store.list(filter);
  }

  /** Records that somebody looked, once a person and request. Resolves at once; a view is no reason to wait. */
  viewed(rid: string, by: string): void {
    const view = `${rid} ${by}`;
    if (this.#views.has(view)) return;
    if (this.#views.size >= viewsMax) this.#views.clear();
    this.#views.add(view);
    this.#options.log.append({ kind: 'view', rid, by });
  }

  /** The address that shows one request; whoever has it may look, and at level `link` decide. */
  async link(request: Request, rd: string): Promise<string> {
    const { publicUrl, linkKey, now, random } = this.#options;
    const token = await signLink(
      {
        iss: publicUrl,
        aud: linkAudience(publicUrl),
        sub: request.rid,
        rd,
        jti: random(16).toString('base64url'),
        iat: Math.floor(now() / 1000),
        exp: Math.ceil(request.exp / 1000),
      },
      linkKey,
    );
    return `${publicUrl}/r/${request.rid}#${token}`;
  }

  /** This Holdpoint's public link key, if `kid` names it. */
  linkJwk(kid: string): JWK | undefined {
    const { linkKey } = this.#options;
    return kid === linkKey.kid ? linkKey.jwk : undefined;
  }

  /** Calls back with the name of each request that changes; returns the way to stop. */
  subscribe(listener: (rid: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends what is past its time. Runs by itself; harmless to call. */
  async sweep(): Promise<void> {
    const { store, now } = this.#options;
    for (const row of await store.overdue(now(), sweepRowsMax)) {
      await this.#turns.take(row.rid, () => this.#expireRow(row));
    }
    for (const [rid, exp] of this.#used) if (exp <= now()) this.#used.delete(rid);
  }

  close(): void {
    this.#closed = true;
    this.#stopSweep();
    this.#unwatch();
    for (const hold of this.#live.values()) hold.close();
    this.#live.clear();
  }

  /** For LiveHold. */
  async claim(hold: LiveHold): Promise<Grant | undefined> {
    return this.#turns.take(hold.rid, async () => {
      if (!hold.claimable || this.#live.get(hold.rid) !== hold) return undefined;
      if (this.#options.mono() >= hold.deadlineMono) return undefined;
      const row = await this.#options.store.get(hold.rid);
      if (row === undefined) return undefined;
      const grant = await this.#release(hold, row, hold.holder, hold.ref, () => hold.claimable);
      if (grant !== undefined) this.#forget(hold);
      return grant;
    });
  }

  /** For LiveHold. */
  detach(hold: LiveHold): void {
    this.#forget(hold);
    // A store that cannot be reached keeps the old holder; a retry then opens a request of its own.
    const leaving = this.#turns
      .take(hold.rid, () => this.#options.store.hold(hold.rid, hold.holder, ''))
      .catch(() => false)
      .finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }

  /** For LiveHold. */
  async cancel(hold: LiveHold, by: CancelCause): Promise<void> {
    this.#forget(hold);
    const ending = { by, reason: cancelReasons[by], at: this.#options.now() };
    await this.#turns.take(hold.rid, async () => {
      if (!(await this.#end(hold.rid, 'canceled', ending, hold))) return;
      await this.#record({ kind: 'cancel', rid: hold.rid, by, reason: ending.reason });
    });
  }

  /** Everything between "the row says approved" and "the bytes may go": the only place where a Grant is made. */
  async #release(
    held: { request: Request; rd: string; nonce: string },
    row: StoredRequest,
    holder: string,
    ref: number,
    stillWanted: () => boolean = () => true,
  ): Promise<Grant | undefined> {
    const { store, log, node } = this.#options;
    const { request, rd } = held;
    if (row.state !== 'approved' || this.#used.has(request.rid)) return undefined;
    const release = await provenRelease(held, row.votes, this.#ground());
    if (release === undefined) {
      this.#unproven(request.rid);
      return undefined;
    }
    // The session may have gone while the signatures were checked; the store decides between all other claimants.
    if (!stillWanted() || !(await store.consume(request.rid, rd, holder))) return undefined;
    this.#used.set(request.rid, request.exp);
    const decisions = release.votes.map(({ vote, proof }) =>
      vote.node === node
        ? vote.seq
        : log.append({ kind: 'decision', rid: request.rid, D: vote.decision, ev: proof.log }),
    );
    const seq = log.append({ kind: 'grant_use', rid: request.rid, ref, by: release.by, decisions });
    return { rid: request.rid, by: release.by, decisions, seq };
  }

  async #reattach(request: Request, ref: number): Promise<Hold | undefined> {
    const { store, publicUrl, now } = this.#options;
    await Promise.all(this.#leaving);
    const found = await store.findFree(request.agent.id, request.match, 'pending', now());
    if (found === undefined) return undefined;
    const intact = this.#intactOrNone(found);
    if (intact === undefined || !fitsGate(intact, request.match, request.agent.id, publicUrl))
      return undefined;
    return this.#turns.take(found.rid, async () => {
      const taken = await store.hold(found.rid, '', holderOf(request));
      return taken ? this.#park(intact.request, { ...found, holder: holderOf(request) }, ref) : undefined;
    });
  }

  #park(request: Request, row: StoredRequest, ref: number): LiveHold {
    const { now, mono, after } = this.#options;
    const leftMs = Math.max(0, request.exp - now());
    const startedMono = mono();
    const hold = new LiveHold(this, {
      request,
      rd: row.rd,
      nonce: row.nonce,
      holder: row.holder,
      ref,
      startedMono,
      deadlineMono: startedMono + leftMs,
    });
    this.#live.set(request.rid, hold);
    hold.armed(after(Math.min(leftMs, timerMsMax), () => void this.#timeUp(hold)));
    // It may have been decided between two looks.
    this.#changed(request.rid);
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
    hold.close();
    this.#forget(hold);
  }

  /** Ends a row past its time and returns the error that says so. */
  async #expireRow(row: StoredRequest): Promise<HoldpointError> {
    const { log, now } = this.#options;
    const ending = { by: 'holdpoint', reason: 'its time ran out', at: now() };
    if (await this.#end(row.rid, 'expired', ending)) {
      log.append({ kind: 'expire', rid: row.rid, by: ending.by, reason: ending.reason });
    }
    return settledError(row.rid, 'expired');
  }

  /** Ends an open row; true for exactly one caller. Leaving `pending` is what counts as settled. */
  async #end(
    rid: string,
    to: 'canceled' | 'expired',
    ending: Ending,
    hold = this.#live.get(rid),
  ): Promise<boolean> {
    const { store } = this.#options;
    const row = await store.get(rid);
    if (row === undefined) return false;
    if (await store.end(rid, ['pending'], to, ending)) {
      this.#settledEvent(row, to, hold);
      return true;
    }
    return store.end(rid, ['approved'], to, ending);
  }

  async #openRow(rid: string): Promise<StoredRequest> {
    const row = await this.#options.store.get(rid);
    if (row === undefined) throw noSuchRequest(rid);
    if (row.state !== 'pending') throw settledError(rid, row.state);
    if (row.exp <= this.#options.now()) throw await this.#expireRow(row);
    return row;
  }

  #ground(): EvidenceGround {
    return {
      approvers: this.#options.registry,
      linkKey: (kid) => this.linkJwk(kid),
      nowMs: this.#options.now(),
    };
  }

  async #record(record: DeskRecord): Promise<number> {
    const seq = this.#options.log.append(record);
    await this.#options.log.durable(seq);
    return seq;
  }

  async #notify(request: Request): Promise<void> {
    const link = await this.link(request, requestDigest(request));
    this.#options.notify?.(request, link);
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
    const hold = this.#live.get(rid);
    if (hold?.waiting) this.#turns.take(rid, () => this.#look(hold)).catch(() => {});
  }

  /** Settles a waiting hold by what the store says and, for an approval, by what its evidence proves. */
  async #look(hold: LiveHold): Promise<void> {
    const row = hold.waiting ? await this.#options.store.get(hold.rid) : undefined;
    if (row === undefined || row.state === 'pending') return;
    if (row.state === 'approved') {
      const release: Release | undefined = await provenRelease(hold, row.votes, this.#ground());
      if (release === undefined) {
        this.#unproven(hold.rid);
        return;
      }
      const decisions = release.votes.map(({ vote }) => vote.seq);
      hold.settle({ state: 'approved', rid: hold.rid, by: release.by, decisions });
      return;
    }
    hold.settle(endedSettlement(row));
    this.#forget(hold);
  }

  #unproven(rid: string): void {
    this.#options.events?.suspicious?.(rid, 'the store says approved, and no valid evidence supports it');
  }

  #forget(hold: LiveHold): void {
    hold.close();
    if (this.#live.get(hold.rid) === hold) this.#live.delete(hold.rid);
  }

  #settledEvent(what: { rid: string; target: string }, state: string, hold = this.#live.get(what.rid)): void {
    const waitMs = hold === undefined ? undefined : this.#options.mono() - hold.startedMono;
    this.#options.events?.settled?.(what.target, state, waitMs);
  }

  #armSweep(): void {
    if (this.#closed) return;
    this.#stopSweep = this.#options.after(sweepMs, () => {
      void this.sweep()
        .catch(() => {})
        .finally(() => this.#armSweep());
    });
  }
}
