// Plans: the plans that wait for a person or for their session. A plan is a request whose statements have not been sent
// yet: it is opened and decided like any other, and one session of its agent takes it, once, on evidence that is verified
// in that moment. Refuses to know gates, frames and how far a session has come (plan.ts). audit-approval §16.6, §17.4.

import { HoldpointError } from '../errors.ts';
import type { StoredRequest } from '../store/store.ts';
import { heldRecord } from './held.ts';
import type { Grant } from './hold.ts';
import { type PlanEnd, planFits } from './plan.ts';
import type { DeskOptions, DeskRecord, KeptValue } from './ports.ts';
import { intactRequest } from './release.ts';
import type { Plan, Request } from './request.ts';
import { newRow } from './row.ts';
import type { Claimant, Uses } from './uses.ts';

/** What the plans need of the desk they are part of. */
export interface PlansDesk {
  /** As Turns. */
  turn<T>(rid: string, step: () => Promise<T>): Promise<T>;
  /** Appends and waits until it is on disk. */
  record(record: DeskRecord, kept?: readonly KeptValue[]): Promise<number>;
  /** People are told. */
  opened(request: Request): void;
}

/** An approved plan that no session has taken. Untrusted: what the store says. */
export interface WaitingPlan {
  readonly rid: string;
  readonly request: Request & { plan: Plan };
}

/** A plan that one session has taken. */
export interface TakenPlan {
  readonly rid: string;
  /** Intact: its digest is the one that was signed. */
  readonly request: Request & { plan: Plan };
  readonly by: readonly string[];
  readonly decisions: readonly number[];
}

/** Requests remembered that are no plans, so that their changes are not looked at again. */
const othersMax = 10_000;
const listedMax = 200;

export class Plans {
  readonly #options: DeskOptions;
  readonly #desk: PlansDesk;
  readonly #uses: Uses;
  readonly #waiting = new Map<string, WaitingPlan>();
  readonly #others = new Set<string>();

  constructor(options: DeskOptions, desk: PlansDesk, uses: Uses) {
    this.#options = options;
    this.#desk = desk;
    this.#uses = uses;
  }

  /** Puts a plan before people. Rejects as `open` of the desk does. */
  async submit(request: Request): Promise<StoredRequest> {
    const { store, publicUrl, pendingMax, now, random } = this.#options;
    if (request.aud !== publicUrl || !isPlan(request))
      throw new HoldpointError('bad-request', `request ${request.rid} is no plan for ${publicUrl}`);
    const row = { ...newRow(request, { params: [] }, random(16).toString('base64url')), holder: '' };
    await this.#desk.turn(request.rid, async () => {
      if ((await store.create(row, pendingMax(request.db.target), now())) === 'too-many') {
        throw new HoldpointError(
          'too-many-pending',
          `agent ${request.agent.id} has as many requests waiting for approval as it may have; wait until one is decided`,
        );
      }
      try {
        const { record, kept } = heldRecord(request, row.rd);
        await this.#desk.record(record, kept);
      } catch (error) {
        const ending = { by: 'holdpoint', reason: 'not recorded', at: now() };
        await store.end(row.rid, ['pending'], 'canceled', ending);
        throw error;
      }
    });
    this.#desk.opened(request);
    return row;
  }

  /** Approved plans of the agent that this node knows of, oldest first. */
  waiting(agent: string, target: string): readonly WaitingPlan[] {
    if (this.#waiting.size === 0) return none;
    const now = this.#options.now();
    return [...this.#waiting.values()].filter(
      ({ request }) => request.agent.id === agent && request.db.target === target && request.exp > now,
    );
  }

  /** The plan, for the one session that gets it; undefined if it is not to be had. `holder` names the session. */
  async take(rid: string): Promise<TakenPlan | undefined> {
    return this.#desk.turn(rid, async () => {
      this.#waiting.delete(rid);
      const row = await this.#options.store.get(rid);
      if (row === undefined || row.holder !== '') return undefined;
      const intact = intactRequest(row);
      const { request } = intact;
      if (!isPlan(request) || request.aud !== this.#options.publicUrl) return undefined;
      const proven = await this.#uses.prove(intact, row, nobodys);
      return proven === undefined ? undefined : { rid, request, by: proven.by, decisions: proven.decisions };
    });
  }

  /** Records that these statements (from 1) of the plan are let through as the `stmt` record `ref`. */
  use({ rid, by, decisions }: TakenPlan, ref: number, steps: readonly number[]): Grant {
    const seq = this.#options.log.append({ kind: 'grant_use', rid, ref, by, decisions, steps });
    return { rid, by, decisions, seq };
  }

  /** The session has no more use for the plan. Never rejects: the log holds the truth of it. */
  async over({ rid }: TakenPlan, end: PlanEnd): Promise<void> {
    const reason = end.state === 'executed' ? 'every statement succeeded' : end.why;
    try {
      if (end.state === 'failed') this.#options.log.append({ kind: 'revoke', rid, by: 'holdpoint', reason });
      const ending = { by: 'server', reason: reason.slice(0, 500), at: this.#options.now() };
      await this.#desk.turn(rid, () => this.#options.store.end(rid, ['consumed'], end.state, ending));
    } catch {
      // A log or store that fails has said so itself; nothing more is let through by this plan.
    }
  }

  /** Looks for plans that were approved before this node began, or while it could not hear of it. Never rejects. */
  async look(): Promise<void> {
    const { store } = this.#options;
    const rows = await store.list({ states: ['approved'], rowsMax: listedMax }).catch(() => []);
    for (const row of rows) this.#see(row);
  }

  /** Something about a request has changed. Never rejects. */
  async changed(rid: string): Promise<void> {
    if (this.#others.has(rid)) return;
    const row = await this.#options.store.get(rid).catch(() => undefined);
    if (row === undefined) this.#waiting.delete(rid);
    else this.#see(row);
  }

  #see(row: StoredRequest): void {
    const { rid } = row;
    const request = readRequest(row);
    if (request === undefined || !isPlan(request)) {
      if (this.#others.size >= othersMax) this.#others.clear();
      this.#others.add(rid);
      return;
    }
    if (row.state === 'approved' && row.holder === '') {
      this.#waiting.set(rid, { rid, request });
      this.#options.planWaits?.();
    } else this.#waiting.delete(rid);
  }
}

const none: readonly WaitingPlan[] = [];

/** A plan waits for no session until one takes it. */
const nobodys: Claimant = { mine: (holder) => holder === '', sole: false };

/** True for a request that is a plan as its digests say. */
function isPlan(request: Request): request is Request & { plan: Plan } {
  return request.plan !== undefined && request.open === undefined && planFits(request.plan);
}

function readRequest(row: StoredRequest): Request | undefined {
  try {
    return intactRequest(row).request;
  } catch {
    return undefined;
  }
}
