// Uses: from "the row says approved" to permission to send the bytes, once. The only place where a Grant is made: on
// evidence verified in this call, after the store has given the use to this caller and nobody else, and never for a
// request that this node knows to have been used. Refuses to know who waits. audit-approval §17.4.

import type { StoredRequest } from '../store/store.ts';
import { type Decision, readDecision } from './decision.ts';
import { appendHeld } from './held.ts';
import type { Grant } from './hold.ts';
import type { DeskOptions } from './ports.ts';
import { type Reach, reachOf } from './reach.ts';
import type { Proven, Release } from './release.ts';
import type { Request } from './request.ts';
import type { Scrutiny } from './scrutiny.ts';
import { Used } from './used.ts';

/** Decisions whose places in the log are remembered; what is older is written there again when it is used. */
const recordedMax = 10_000;

/** Who asks for the use. */
export interface Claimant {
  /** Sequence number of the statement's record; absent for a plan, none of whose statements was sent yet. */
  readonly ref?: number;
  /** True while the use is this claimant's, by those who hold the row; it may change its mind at any time. */
  mine(holder: string): boolean;
  /** It vouches that nobody else could have used the request, whatever the store has forgotten. */
  readonly sole: boolean;
}

/** A use with all that its approvals cover. */
export interface Released extends Grant {
  readonly reach: Reach;
}

/** One a desk. */
export class Uses {
  readonly known = new Used();
  readonly #options: DeskOptions;
  readonly #scrutiny: Scrutiny;
  /** Where the decisions that this process recorded stand in its log, by their exact texts. */
  readonly #recorded = new Map<string, number>();

  /** Told of a release by this node, before the caller has it. */
  released: (held: { request: Request; rd: string }, decisions: readonly Decision[]) => void = () => {};

  constructor(options: DeskOptions, scrutiny: Scrutiny) {
    this.#options = options;
    this.#scrutiny = scrutiny;
  }

  /** A decision stands in this node's log. What the store says of that is not believed. */
  recorded(decision: string, seq: number): void {
    const [oldest] = this.#recorded.keys();
    if (this.#recorded.size >= recordedMax && oldest !== undefined) this.#recorded.delete(oldest);
    this.#recorded.set(decision, seq);
  }

  /** `held` is the claimant's own or `intactRequest`'s, never fields of the row. Undefined when nothing is released. */
  async release(
    held: { request: Request; rd: string; nonce: string },
    row: StoredRequest,
    claimant: Claimant & { readonly ref: number },
  ): Promise<Released | undefined> {
    const proven = await this.prove(held, row, claimant);
    if (proven === undefined) return undefined;
    const { by, decisions, votes } = proven;
    const reach = reachOf(votes.map(({ vote }) => readDecision(JSON.parse(vote.decision))));
    const { rowsMax } = reach;
    const use = { rid: held.request.rid, by, decisions, ...(rowsMax !== undefined && { rowsMax }) };
    const seq = this.#options.log.append({ kind: 'grant_use', ref: claimant.ref, ...use });
    return { ...use, seq, reach };
  }

  /** What the votes of an approved row prove, for the one claimant who gets the use. Nothing is recorded of that use. */
  async prove(
    held: { request: Request; rd: string; nonce: string },
    row: StoredRequest,
    claimant: Claimant,
  ): Promise<Proven | undefined> {
    const { log, node } = this.#options;
    const { rid, exp } = held.request;
    if (row.state !== 'approved' || this.known.has(rid) || !claimant.mine(row.holder)) return undefined;
    const release = await this.#scrutiny.release(held, row.votes);
    if (release === undefined) return undefined;
    if (!(await this.#consume(row, held.rd, claimant))) return undefined;
    this.known.add(rid, exp);
    const { ref } = claimant;
    // This log shows what was released also where another node's log has the opening.
    if (held.request.node !== node) appendHeld(log, held.request, held.rd, ref);
    this.released(
      held,
      release.votes.map(({ vote }) => readDecision(JSON.parse(vote.decision))),
    );
    return { ...release, decisions: this.decisions(rid, release) };
  }

  /** Where the decisions of a release stand in this node's log; what another node took is written there. */
  decisions(rid: string, { votes }: Release): number[] {
    return votes.map(({ vote, proof }) => {
      const known = this.#recorded.get(vote.decision);
      if (known !== undefined) return known;
      const { record, kept } = this.#scrutiny.record(rid, vote.decision, proof);
      const seq = this.#options.log.append(record, kept);
      this.recorded(vote.decision, seq);
      return seq;
    });
  }

  /** The session may have gone while the signatures were checked; the store decides between all other claimants. */
  async #consume(row: StoredRequest, rd: string, claimant: Claimant): Promise<boolean> {
    const { store } = this.#options;
    let holder = row.holder;
    while (claimant.mine(holder)) {
      if (await store.consume(row.rid, rd, holder, claimant.sole)) return true;
      const present = await store.get(row.rid);
      // Somebody may have left the list in the meantime; then it is another text.
      if (present?.state !== 'approved' || present.holder === holder) return false;
      holder = present.holder;
    }
    return false;
  }
}
