// Upkeep: what keeps a node and the store in step while nobody asks for anything. Ends what is past its time, puts back
// what the store has lost and this node can vouch for, tells the store later what it could not be told, and looks again
// at everything after the store was away. Refuses to decide anything: what it finds, it hands to the desk.

import { HoldpointError } from '../errors.ts';
import type { Ending, RequestState, StoredRequest } from '../store/store.ts';
import { type CancelCause, cancelReasons, type LiveHold } from './hold.ts';
import type { DeskOptions } from './ports.ts';
import { isOpen, newRow } from './row.ts';
import type { Tally } from './tally.ts';
import type { Used } from './used.ts';
import type { Gate, Waiting } from './waiting.ts';
import { waiters, withdrawn } from './waitlist.ts';

/** How often everything is gone through. */
const sweepMs = 5_000;
const sweepRowsMax = 500;
/** Sessions of nodes that nobody has met are looked for every so many sweeps, and at the first. */
const searchEvery = 12;
/** Outcomes that the store could not be told of; beyond it, the log alone has them. */
const unfinishedMax = 10_000;

type Froms = readonly RequestState[];

/** What the desk does for it. Each takes its turn among the steps of its request. */
export interface UpkeepDesk {
  /** Ends a row that can only be ended. */
  expire(row: StoredRequest): Promise<unknown>;
  /** Looks at the sessions of this node that wait for the request, and at nothing if none does. */
  look(rid: string): void;
  /** Tells whoever watches the request that it may have changed. */
  changed(rid: string): void;
  /** Sessions wait no more: those that the store could not be told of, or one whose node is gone. */
  departAgain(): void;
  depart(gate: Gate, by: CancelCause): Promise<void>;
  /** It is pending no more. */
  left(rid: string, state: string): void;
}

/** One a desk. `close` stops its timer. */
export class Upkeep {
  readonly #options: DeskOptions;
  readonly #desk: UpkeepDesk;
  readonly #waiting: Waiting;
  readonly #used: Used;
  readonly #tally: Tally;
  readonly #unfinished = new Map<string, { state: RequestState; ending: Ending; from: Froms }>();
  #sweeps = 0;
  #stop: () => void = () => {};
  #closed = false;

  constructor(options: DeskOptions, desk: UpkeepDesk, waiting: Waiting, used: Used, tally: Tally) {
    this.#options = options;
    this.#desk = desk;
    this.#waiting = waiting;
    this.#used = used;
    this.#tally = tally;
    this.#arm();
  }

  close(): void {
    this.#closed = true;
    this.#stop();
  }

  /** Ends what is past its time, and whatever can only be ended. Rejects with `store-unreachable`. */
  async sweep(): Promise<void> {
    const { store, now } = this.#options;
    this.#used.sweep(now());
    for (const rid of this.#tally.overdue(now())) this.#desk.left(rid, 'expired');
    for (const row of await store.overdue(now(), sweepRowsMax)) await this.#desk.expire(row);
    this.#desk.departAgain();
    // Of what there is now: what the store cannot be told of this time either is put back, and would come again and again.
    for (const [rid, { state, ending, from }] of [...this.#unfinished]) {
      this.#unfinished.delete(rid);
      await this.finish(rid, state, ending, from);
    }
  }

  /** Changes may have been missed, or undone: everything open is looked at, here and by whoever watches. */
  async resume(): Promise<void> {
    for (const rid of this.#waiting.rids()) this.#desk.look(rid);
    await this.sweep();
    const states = ['pending', 'approved'] as const;
    for (const { rid } of await this.#options.store.list({ states, rowsMax: sweepRowsMax })) {
      this.#desk.changed(rid);
    }
  }

  /**
   * A request that an earlier process of this node left open. Its sessions are gone: whoever waits behind them moves up,
   * and if nobody does, the request is canceled, unless it waits for a retry anyhow.
   */
  async abandoned(rid: string): Promise<void> {
    const { store, log, node, now } = this.#options;
    const row = await store.get(rid);
    if (row !== undefined && isOpen(row)) {
      const gates = row.holder === withdrawn ? [withdrawn] : waiters(row.holder);
      const ghosts = gates.filter((gate) => gate === withdrawn || gate.startsWith(`${node}/`));
      for (const holder of ghosts) await this.#desk.depart({ rid, holder, expiresAt: now() + 1 }, 'restart');
      return;
    }
    const reason = row === undefined ? cancelReasons.restart : `it ended without this node: ${row.state}`;
    log.append({ kind: 'cancel', rid, by: 'holdpoint', reason });
  }

  /**
   * What came of a released statement. Never rejects: while the store is away, it is told later. `from`: the states that
   * it may have in a store that was not told of its release.
   */
  async finish(rid: string, state: RequestState, ending: Ending, from: Froms = ['consumed']): Promise<void> {
    await this.#options.store.end(rid, from, state, ending).catch((error: unknown) => {
      if (isAway(error) && this.#unfinished.size < unfinishedMax)
        this.#unfinished.set(rid, { state, ending, from });
    });
  }

  /**
   * The store has lost the request that a session waits for, or the session's place in its list. A session that can
   * vouch for the request puts it back, undecided; one that joined it takes its place again once it is back.
   */
  async restore(hold: LiveHold, row: StoredRequest | undefined): Promise<void> {
    if (row === undefined) {
      if (hold.vouched === undefined) return;
      const lost = { ...newRow(hold.request, hold.vouched, hold.nonce), holder: hold.holder };
      if ((await this.#options.store.restore(lost)) === 'restored')
        this.#options.events?.restored?.(hold.rid);
      return;
    }
    const placed = waiters(row.holder).includes(hold.holder);
    if (!placed && row.state === 'pending' && row.stale === undefined) {
      hold.unvouch();
      await this.#waiting.join(hold.rid, hold.holder);
    }
  }

  /**
   * Takes sessions of nodes that are gone out of the lists that others wait in. A node that was only out of reach finds
   * its place taken, and releases nothing.
   */
  async #clearGhosts(): Promise<void> {
    const { nodes, store } = this.#options;
    this.#sweeps += 1;
    if (nodes === undefined || !(nodes.someGone || this.#sweeps % searchEvery === 1)) return;
    const states = ['pending', 'approved'] as const;
    let found = false;
    for (const { rid, holder, exp } of await store.list({ states, rowsMax: sweepRowsMax })) {
      for (const gate of waiters(holder)) {
        const node = gate.slice(0, gate.indexOf('/'));
        nodes.met(node);
        if (!nodes.isGone(node)) continue;
        found = true;
        await this.#desk.depart({ rid, holder: gate, expiresAt: exp }, 'lost');
      }
    }
    if (!found) nodes.clearedOfGone();
  }

  #arm(): void {
    if (this.#closed) return;
    this.#stop = this.#options.after(sweepMs, () => {
      // Also what was announced and not heard, and what was lost without a word.
      for (const rid of this.#waiting.rids()) this.#desk.look(rid);
      void this.sweep()
        .then(() => this.#clearGhosts())
        .catch(() => {})
        .finally(() => this.#arm());
    });
  }
}

/** True if an error says that the store did not answer: what it was told may have happened, or not. */
export function isAway(error: unknown): boolean {
  return error instanceof HoldpointError && error.code === 'store-unreachable';
}
