// Waiting: the sessions of this node that wait for requests, and their places in the store's waitlists. Several may wait
// for one request, here and on other nodes. Refuses to know decisions and evidence: who is first may ask the desk for
// the release, and that is all. Source: waitlist.ts; the races are decided by the store's compare-and-set.

import { HoldpointError } from '../errors.ts';
import type { Store, StoredRequest } from '../store/store.ts';
import type { CancelCause, LiveHold } from './hold.ts';
import { isOpen } from './row.ts';
import { joined, left, waiters, withdrawn } from './waitlist.ts';

/** Tries of one compare-and-set against others that change the same list. More than can wait for it at once. */
const triesMax = 200;
/** Sessions that left while the store was away; beyond it their requests run into the end of their time. */
const departuresMax = 10_000;

/** A place in the list of a request, and the end of its time. */
export type Gate = Pick<LiveHold, 'rid' | 'holder' | 'expiresAt'>;

/** One a desk. */
export class Waiting {
  readonly #store: Store;
  /** In the order in which they joined here. */
  readonly #holds = new Map<string, LiveHold[]>();
  /** Departures on their way to the store: a retry right behind one must find its request free. */
  readonly #leaving = new Set<Promise<unknown>>();
  /** Departures that the store could not be told of, and why the session left; undefined for a wait that ran out. */
  readonly #departures = new Map<Gate, CancelCause | undefined>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** The sessions of this node that wait for a request. */
  of(rid: string): readonly LiveHold[] {
    return this.#holds.get(rid) ?? [];
  }

  /** The requests that sessions of this node wait for. */
  rids(): string[] {
    return [...this.#holds.keys()];
  }

  has(hold: LiveHold): boolean {
    return this.of(hold.rid).includes(hold);
  }

  add(hold: LiveHold): void {
    this.#holds.set(hold.rid, [...this.of(hold.rid), hold]);
  }

  /** The session waits no longer, whatever the store says. */
  forget(hold: LiveHold): void {
    hold.close();
    const others = this.of(hold.rid).filter((each) => each !== hold);
    if (others.length > 0) this.#holds.set(hold.rid, others);
    else this.#holds.delete(hold.rid);
  }

  close(): void {
    for (const holds of this.#holds.values()) for (const hold of holds) hold.close();
    this.#holds.clear();
  }

  /** Puts a gate at the end of a pending request's list: the row after that; undefined if it may not join any more. */
  async join(rid: string, gate: string): Promise<StoredRequest | undefined> {
    return this.#change(rid, (row) => {
      if (row.state !== 'pending' || row.stale) return undefined;
      const holder = joined(row.holder, gate);
      if (holder !== undefined || row.holder === withdrawn) return holder;
      throw new HoldpointError(
        'too-many-pending',
        `${waiters(row.holder).length} sessions wait for request ${rid} already; the statement did not run`,
        { hint: 'Wait until it is decided. SHOW holdpoint.requests tells when it is.' },
      );
    });
  }

  /** Takes a gate out of its list. The request stays open, also when nobody is left. */
  async leave(rid: string, gate: string): Promise<void> {
    await this.#change(rid, (row) => without(row, gate));
  }

  /**
   * As `leave`; true if nobody was left: then nobody can join any more, and the request is the caller's to end. Also if
   * that was so already: whoever was to end it may not have come to it.
   */
  async withdraw(rid: string, gate: string): Promise<boolean> {
    let before = false;
    const after = await this.#change(rid, (row) => {
      before = row.holder === withdrawn;
      const holder = without(row, gate);
      return holder === '' ? withdrawn : holder;
    });
    return before || after?.holder === withdrawn;
  }

  /** Remembers a departure until it has been carried out. */
  leaving(departure: Promise<unknown>): void {
    const over = departure.catch(() => undefined).finally(() => this.#leaving.delete(over));
    this.#leaving.add(over);
  }

  /** Resolves when the departures that are under way have been carried out, or have failed. */
  async departed(): Promise<void> {
    await Promise.all(this.#leaving);
  }

  /** The store could not be told that a session left: until it can be, the others would wait behind a ghost. */
  remember(gate: Gate, by: CancelCause | undefined): void {
    if (this.#departures.size < departuresMax) this.#departures.set(gate, by);
  }

  /** What was remembered, to be tried again; those past their time are let go. */
  takeDepartures(now: number): (readonly [Gate, CancelCause | undefined])[] {
    const departures = [...this.#departures].filter(([gate]) => gate.expiresAt > now);
    this.#departures.clear();
    return departures;
  }

  /** Sets the holder to what `next` says of the row, unless it says undefined; the row after that. */
  async #change(
    rid: string,
    next: (row: StoredRequest) => string | undefined,
  ): Promise<StoredRequest | undefined> {
    for (let tries = 0; tries < triesMax; tries += 1) {
      const row = await this.#store.get(rid);
      const holder = row === undefined || !isOpen(row) ? undefined : next(row);
      if (row === undefined || holder === undefined) return undefined;
      if (await this.#store.hold(rid, row.holder, holder)) return { ...row, holder };
    }
    throw new HoldpointError('store-unreachable', `the store does not keep who waits for request ${rid}`, {
      hint: 'Send the statement again in a moment.',
    });
  }
}

/** The list without the gate; undefined if it is not in it. */
function without(row: StoredRequest, gate: string): string | undefined {
  return waiters(row.holder).includes(gate) ? left(row.holder, gate) : undefined;
}
