// Emergencies: releases that one pre-enrolled person makes alone, and the reviews that they owe. A hold that waits on this
// node is released also while the store is away; nothing is while the log cannot be written. Each is on record before it
// has an effect, and until somebody else has reviewed it in time, agents only read on its target. Refuses to know how a
// signature is made and what is sent. audit-approval §17.9, invariant B19.

import { HoldpointError } from '../errors.ts';
import type { StoredRequest, Vote } from '../store/store.ts';
import { foldName } from './approvers.ts';
import { checkBinding, type Decision, decisionText } from './decision.ts';
import { type Evidence, verifyReview } from './evidence.ts';
import type { Grant, LiveHold } from './hold.ts';
import type { DeskOptions, DeskRecord, KeptValue, OwedReview } from './ports.ts';
import { reachOf } from './reach.ts';
import type { Request } from './request.ts';
import { type Review, readReview } from './review.ts';
import { newRow } from './row.ts';
import { isBreakGlass } from './scope.ts';
import type { Scrutiny } from './scrutiny.ts';
import type { Uses } from './uses.ts';

/** How long there is for a review. */
const reviewMs = 24 * 3_600_000;
/** How far ahead of ours a reviewer's clock may be. */
const skewMs = 30_000;

/** What the emergencies need of the desk they are part of. */
export interface EmergencyDesk {
  /** As Turns. */
  turn<T>(rid: string, step: () => Promise<T>): Promise<T>;
  /** Appends and waits until it is on disk. */
  record(record: DeskRecord, kept?: readonly KeptValue[]): Promise<number>;
}

export class Emergencies {
  readonly #options: DeskOptions;
  readonly #desk: EmergencyDesk;
  readonly #scrutiny: Scrutiny;
  readonly #uses: Uses;
  readonly #owed = new Map<string, OwedReview>();
  readonly #reviewed = new Map<string, { readonly review: unknown; readonly evidence: unknown }>();
  /** Decided without the store: the vote, until its session has claimed the release. */
  readonly #aside = new Map<string, Vote>();
  /** Released without the store, which is to be told what became of it. */
  readonly #untold = new Set<string>();

  constructor(options: DeskOptions, desk: EmergencyDesk, scrutiny: Scrutiny, uses: Uses) {
    this.#options = options;
    this.#desk = desk;
    this.#scrutiny = scrutiny;
    this.#uses = uses;
    for (const owed of options.owedReviews ?? []) this.#owed.set(owed.rid, owed);
  }

  /** Reviews that are owed, soonest due first. */
  owed(): OwedReview[] {
    return [...this.#owed.values()].sort((a, b) => a.due - b.due);
  }

  /** Why agents only read on a target now, in a sentence; undefined while they need not. */
  overdue(target: string): string | undefined {
    if (this.#owed.size === 0) return undefined;
    const now = this.#options.now();
    const late = this.owed().find((owed) => owed.target === target && owed.due <= now);
    if (late === undefined) return undefined;
    const due = new Date(late.due).toISOString();
    return `request ${late.rid} was released by ${late.by} alone in an emergency, and nobody has reviewed that until ${due}; until an approver does, agents only read here`;
  }

  /** Reviews that were taken here since this process began: what was signed, and the evidence. By request. */
  reviews(): ReadonlyMap<string, { readonly review: unknown; readonly evidence: unknown }> {
    return this.#reviewed;
  }

  /** Another node says that a review is owed; this one's log shows it as well. */
  heard(owed: OwedReview): void {
    if (this.#owed.has(owed.rid) || this.#reviewed.has(owed.rid)) return;
    this.#options.log.append({ kind: 'breakglass', ...owed });
    this.#owed.set(owed.rid, owed);
  }

  /** A decision to release alone has been recorded: it is on disk that it owes a review before it has an effect. */
  async broken(held: { request: Request; rd: string }, decision: Decision): Promise<void> {
    await this.#desk.record(this.#owe(held, decision));
    this.#options.events?.brokeGlass?.(held.request, decision.approver, decision.reason);
  }

  /** A release that rests on such decisions, of another node's log: this one shows what they owe as well. */
  released(held: { request: Request; rd: string }, decisions: readonly Decision[]): void {
    for (const decision of decisions.filter(isBreakGlass)) {
      if (!this.#owed.has(held.request.rid)) this.#options.log.append(this.#owe(held, decision));
    }
  }

  #owe({ request, rd }: { request: Request; rd: string }, decision: Decision): DeskRecord {
    const { rid } = request;
    const owed: OwedReview = {
      rid,
      rd,
      target: request.db.target,
      agent: request.agent.id,
      by: decision.approver,
      reason: decision.reason,
      due: this.#options.now() + reviewMs,
    };
    this.#owed.set(rid, owed);
    return { kind: 'breakglass', ...owed };
  }

  /**
   * Decides for a hold of this node while the store is away. `hold` must be one that nobody else could release. Rejects
   * as `decide` does; resolves with the row as it would stand in the store.
   */
  async decide(hold: LiveHold, decision: Decision, evidence: Evidence): Promise<StoredRequest> {
    const { now, node } = this.#options;
    const { rid, request, rd, nonce } = hold;
    checkBinding(decision, hold, now());
    const row = { ...newRow(request, hold.vouched ?? { params: [] }, nonce), holder: hold.holder };
    const verified = await this.#scrutiny.arrived(evidence, decision, hold, row);
    const text = decisionText(decision);
    const { record, kept } = this.#scrutiny.record(rid, text, verified);
    const seq = await this.#desk.record(record, kept);
    this.#uses.recorded(text, seq);
    await this.broken({ request, rd }, decision);
    const vote: Vote = {
      approver: verified.approver,
      verdict: 'approve',
      level: verified.level,
      decision: text,
      evidence: JSON.stringify(evidence),
      reason: decision.reason,
      at: now(),
      node,
      seq,
      alone: true,
    };
    this.#aside.set(rid, vote);
    hold.settle({ state: 'approved', rid, by: [verified.approver], decisions: [seq] });
    return { ...row, state: 'approved', votes: [vote] };
  }

  /** The release of a hold that was decided without the store, once, on evidence that is verified again. */
  async claim(hold: LiveHold): Promise<Grant | undefined> {
    const { rid, request } = hold;
    const vote = this.#aside.get(rid);
    if (vote === undefined) return undefined;
    this.#aside.delete(rid);
    if (this.#uses.known.has(rid)) return undefined;
    const release = await this.#scrutiny.release(hold, [vote]);
    if (release === undefined || !hold.claimable) return undefined;
    this.#uses.known.add(rid, request.exp);
    this.#untold.add(rid);
    const { rowsMax } = reachOf([JSON.parse(vote.decision) as Decision]);
    const decisions = this.#uses.decisions(rid, release);
    const use = { rid, by: release.by, decisions, ...(rowsMax !== undefined && { rowsMax }) };
    return { ...use, seq: this.#options.log.append({ kind: 'grant_use', ref: hold.ref, ...use }) };
  }

  /** True, once, if the store does not know that the request was released. */
  untold(rid: string): boolean {
    return this.#untold.delete(rid);
  }

  /** Takes a review. Both arguments are untrusted JSON. Durable when it resolves. */
  async review(rid: string, review: unknown, evidence: unknown): Promise<OwedReview> {
    const given = readReview(review);
    return this.#desk.turn(rid, async () => {
      const owed = this.#owed.get(rid);
      if (owed === undefined || given.rid !== rid)
        throw new HoldpointError('not-found', `request ${rid} owes no review here, or has been reviewed`);
      this.#check(given, owed);
      const { text, proof } = await verifyReview(given, evidence, this.#scrutiny.ground(true));
      if (proof.counter !== undefined) await this.#scrutiny.countUp(proof);
      const { log } = proof;
      await this.#desk.record({ kind: 'review', rid, by: proof.approver, D: text, ev: log });
      this.#owed.delete(rid);
      this.#reviewed.set(rid, { review, evidence });
      return owed;
    });
  }

  #check(review: Review, owed: OwedReview): void {
    const { publicUrl, registry, now } = this.#options;
    const other = (why: string) => new HoldpointError('conflict', `the review does not fit: ${why}`);
    if (review.aud !== publicUrl) throw other(`it is addressed to ${JSON.stringify(review.aud)}`);
    if (review.rd !== owed.rd) throw other('it names another digest than the one that was released');
    if (review.at > now() + skewMs) throw other('it is signed in the future; compare the clocks');
    const barred = [owed.by, owed.agent, ...registry.onBehalfOf(owed.agent)].map(foldName);
    if (barred.includes(foldName(review.approver)))
      throw new HoldpointError(
        'forbidden',
        `somebody else has to review request ${owed.rid}: ${review.approver} released it, or it was released for them`,
      );
  }
}
