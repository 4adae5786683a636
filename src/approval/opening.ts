// Opening: from a gate that needs a person to a session that waits. What is pending already is joined, what a person has
// just rejected is refused in their words, and only what is neither becomes a request and is told to people. Refuses to
// know how a request is decided and what releases it. audit-approval §17.1, §17.5 (no retry storm), P8 (fatigue).

import { HoldpointError } from '../errors.ts';
import type { StoredRequest } from '../store/store.ts';
import { heldRecord } from './held.ts';
import { cancelReasons, LiveHold } from './hold.ts';
import type { DeskOptions, DeskRecord, KeptValue } from './ports.ts';
import { fitsGate, type IntactRequest, intactRequest } from './release.ts';
import { type Request, type RequestValues, valuesFit } from './request.ts';
import { holderOf, newRow, rejectionMs } from './row.ts';
import type { Turns } from './turns.ts';
import type { Waiting } from './waiting.ts';

/** A gate as a hold knows it. `ref` is the sequence number of its statement's record. */
export interface WaitingGate {
  readonly holder: string;
  readonly ref: number;
  readonly joined: boolean;
  /** As LiveHold.vouched. */
  readonly vouched: RequestValues | undefined;
}

/** What the desk does for it. */
export interface OpeningDesk {
  /** Lets a gate wait for a row whose request is `request`. */
  park(request: Request, row: StoredRequest, gate: WaitingGate): LiveHold;
  /** A hold that is settled already, by a row that was rejected. */
  refused(request: Request, row: StoredRequest, gate: WaitingGate): LiveHold;
  /** Resolves with the record's sequence number once it is on disk. */
  record(record: DeskRecord, kept?: readonly KeptValue[]): Promise<number>;
  /** A new request waits for a person. */
  opened(request: Request): void;
}

/** How long one node keeps the others from asking for the same statement; longer than it takes to ask. */
const leaseMs = 5_000;
const momentMs = 100;

/** One a desk. */
export class Opening {
  readonly #options: DeskOptions;
  readonly #desk: OpeningDesk;
  readonly #waiting: Waiting;
  readonly #turns: Turns;

  constructor(options: DeskOptions, desk: OpeningDesk, waiting: Waiting, turns: Turns) {
    this.#options = options;
    this.#desk = desk;
    this.#waiting = waiting;
    this.#turns = turns;
  }

  /** As Desk.open. */
  async open(request: Request, values: RequestValues, ref: number): Promise<LiveHold> {
    const { publicUrl } = this.#options;
    if (request.aud !== publicUrl || !valuesFit(request, values)) {
      throw new HoldpointError(
        'bad-request',
        `request ${request.rid} is not addressed to ${publicUrl} or commits to other values`,
      );
    }
    // One after the other: two sessions that send the same in the same moment ask once.
    return this.#turns.take(`${request.agent.id} ${request.match}`, async () => {
      const opened = await this.#alone(request, ref, () =>
        this.#turns.take(request.rid, () => this.#create(request, values, ref)),
      );
      if (opened instanceof LiveHold) return opened;
      const gate = { holder: holderOf(request), ref, joined: true, vouched: undefined };
      return this.#desk.refused(request, opened, gate);
    });
  }

  /** Creates unless there is something to recall, while no other node does so for the same statement. */
  async #alone(
    request: Request,
    ref: number,
    create: () => Promise<LiveHold>,
  ): Promise<LiveHold | StoredRequest> {
    const { store, mono } = this.#options;
    const lease = { name: `ask:${request.match}`, holder: request.rid, text: '' };
    // A request that rests on its session is joined by nobody. And asking twice is better than not at all.
    for (const end = mono() + 2 * leaseMs; !request.once && mono() < end; ) {
      const moment = this.#moment();
      try {
        if ((await store.lease(lease, leaseMs)).holder === lease.holder) break;
        const known = await this.recall(request, ref);
        if (known !== undefined) return known;
        await moment.over;
      } finally {
        moment.stop();
      }
    }
    try {
      return (await this.recall(request, ref)) ?? (await create());
    } finally {
      if (!request.once) await store.release(lease.name, lease.holder).catch(() => undefined);
    }
  }

  /** Is over when a row changes from now on, or at the latest a moment from now. */
  #moment(): { over: Promise<void>; stop: () => void } {
    let stop = (): void => {};
    const over = new Promise<void>((resolve) => {
      const leave = this.#options.store.watch({ changed: () => resolve() });
      const disarm = this.#options.after(momentMs, resolve);
      stop = () => {
        leave();
        disarm();
      };
    });
    return { over, stop };
  }

  /** As Desk.recall. In that order: a request that is rejected between the two looks is found by the second. */
  async recall(request: Request, ref: number): Promise<LiveHold | StoredRequest | undefined> {
    const { store, now } = this.#options;
    const same = await store.open(request.agent.id, now());
    const hold = await this.#join(request, ref, same);
    if (hold !== undefined) return hold;
    const { id } = request.agent;
    const row = await store.rejected(id, request.match, now() - rejectionMs);
    const fits = row?.state === 'rejected' && row.agent === id && row.match === request.match;
    return fits ? row : undefined;
  }

  async #create(request: Request, values: RequestValues, ref: number): Promise<LiveHold> {
    const { store, pendingMax, now, random } = this.#options;
    const row = newRow(request, values, random(16).toString('base64url'));
    const most = pendingMax(request.db.target);
    const made = await store.create(row, most, now()).catch((error: unknown) => this.#unopened(row, error));
    if (made === 'too-many') {
      throw new HoldpointError(
        'too-many-pending',
        `agent ${request.agent.id} has as many requests waiting for approval as it may have; the statement did not run`,
        { hint: 'Wait until one of them is decided. SHOW holdpoint.requests lists them.' },
      );
    }
    try {
      const { record, kept } = heldRecord(request, row.rd, ref, values);
      await this.#desk.record(record, kept);
    } catch (error) {
      await this.#unopened(row, error);
    }
    const hold = this.#desk.park(request, row, { holder: row.holder, ref, joined: false, vouched: values });
    this.#desk.opened(request);
    return hold;
  }

  /** Nothing of it may stay open, also where the store cannot be told so now. Rejects with what went wrong. */
  async #unopened({ rid, holder, exp }: StoredRequest, error: unknown): Promise<never> {
    const ending = { by: 'holdpoint', reason: cancelReasons.unopened, at: this.#options.now() };
    await this.#options.store
      .end(rid, ['pending'], 'canceled', ending)
      .catch(() => this.#waiting.remember({ rid, holder, expiresAt: exp }, 'unopened'));
    throw error;
  }

  /** Joins the first of the rows that asks for the same and is pending. */
  async #join(request: Request, ref: number, rows: readonly StoredRequest[]): Promise<LiveHold | undefined> {
    const holder = holderOf(request);
    for (const found of rows) {
      if (found.match !== request.match || found.state !== 'pending' || found.stale) continue;
      const intact = this.#intactOrNone(found);
      if (intact === undefined || !fitsGate(intact, request.match, request.agent.id, request.aud)) continue;
      const hold = await this.#turns.take(found.rid, async () => {
        const row = await this.#waiting.join(found.rid, holder);
        // Nobody waited: then it is this session's own, as if it had asked.
        const alone = row?.holder === holder;
        const vouched = alone ? intact.values : undefined;
        return row?.rd === found.rd
          ? this.#desk.park(intact.request, row, { holder, ref, joined: !alone, vouched })
          : undefined;
      });
      if (hold !== undefined) return hold;
    }
    return undefined;
  }

  #intactOrNone(row: StoredRequest): IntactRequest | undefined {
    try {
      return intactRequest(row);
    } catch {
      this.#options.events?.suspicious?.(row.rid, 'the request in the store is not the one its digest names');
      return undefined;
    }
  }
}
