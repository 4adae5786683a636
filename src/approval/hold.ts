// Hold: one session waiting at its gate for a request to be decided. Has an identity and a lifetime: it is waiting,
// then settled once, and its release can be claimed once. Refuses to know how a decision is reached or verified; the
// desk tells it, and every question of authority goes back to the desk.

import type { Request, RequestValues, Settlement } from './request.ts';

/** Permission to send the held bytes once. `decisions` and `seq` are numbers in this node's log. */
export interface Grant {
  readonly rid: string;
  readonly by: readonly string[];
  readonly decisions: readonly number[];
  /** The statement may change at most so many rows; absent: any number. */
  readonly rowsMax?: number;
  /** Rows that were set aside for it of those that all uses may change together; what it leaves is to be given back. */
  readonly reserved?: number;
  /** The grant_use record. */
  readonly seq: number;
}

/** What the relay holds while a session is parked. */
export interface Hold {
  readonly rid: string;
  /** Milliseconds since the epoch: when the request can no longer be decided or used. */
  readonly expiresAt: number;
  /** Another session had asked before: this one waits for the same request. */
  readonly joined: boolean;
  /** Resolves once, never rejects. After `detach` it never resolves: nobody waits. */
  readonly settled: Promise<Settlement>;
  /**
   * The release, at most once in the life of the request, on evidence verified again in this call. Undefined when there
   * is none: not approved, past its time, used, canceled, detached. Rejects with `log-unwritable`, `store-unreachable`.
   */
  claim(): Promise<Grant | undefined>;
  /** The session stops waiting; the request stays open for those who still wait, and for a retry. */
  detach(): void;
  /**
   * This statement will never be sent. Settles at once; resolves when the store and the log know. The request goes on
   * if others wait for it, else it is canceled.
   */
  cancel(by: CancelCause): Promise<void>;
}

export type CancelCause = 'client' | 'disconnect' | 'shutdown' | 'restart' | 'lost' | 'unopened';

/** For the log and for people. */
export const cancelReasons: Readonly<Record<CancelCause, string>> = {
  client: 'the client canceled the statement',
  disconnect: 'the client or the server went away',
  shutdown: 'the proxy is shutting down',
  restart: 'the proxy was started again',
  lost: 'the proxy that held it is gone',
  unopened: 'it could not be opened',
};

/** What a hold asks of the desk. */
export interface HoldDesk {
  claim(hold: LiveHold): Promise<Grant | undefined>;
  detach(hold: LiveHold): void;
  cancel(hold: LiveHold, by: CancelCause): Promise<void>;
}

/** A hold as the desk sees it. `request`, `rd` and `nonce` are this node's own, not the store's. */
export class LiveHold implements Hold {
  readonly request: Request;
  readonly rd: string;
  readonly nonce: string;
  /** Names this session's gate in the store. */
  readonly holder: string;
  readonly joined: boolean;
  /** Sequence number of the statement's record. */
  readonly ref: number;
  /** When it ends by the monotonic clock, in milliseconds of that clock. */
  readonly deadlineMono: number;
  readonly startedMono: number;
  readonly settled: Promise<Settlement>;
  readonly #desk: HoldDesk;
  readonly #resolve: (settlement: Settlement) => void;
  #vouched: RequestValues | undefined;
  #phase: 'waiting' | 'settled' | 'over' = 'waiting';
  #stopTimer: () => void = () => {};

  constructor(
    desk: HoldDesk,
    own: Pick<
      LiveHold,
      'request' | 'rd' | 'nonce' | 'holder' | 'joined' | 'vouched' | 'ref' | 'deadlineMono' | 'startedMono'
    >,
  ) {
    const { promise, resolve } = promiseWithResolve<Settlement>();
    this.#desk = desk;
    this.request = own.request;
    this.rd = own.rd;
    this.nonce = own.nonce;
    this.holder = own.holder;
    this.joined = own.joined;
    this.#vouched = own.vouched;
    this.ref = own.ref;
    this.deadlineMono = own.deadlineMono;
    this.startedMono = own.startedMono;
    this.settled = promise;
    this.#resolve = resolve;
  }

  get rid(): string {
    return this.request.rid;
  }

  get expiresAt(): number {
    return this.request.exp;
  }

  /**
   * The values, where nobody but this session could have used the request while it waited: it opened it, or took it up
   * when nobody held it. Then it can vouch for the request when the store forgets. Undefined for one that joined others.
   */
  get vouched(): RequestValues | undefined {
    return this.#vouched;
  }

  /** Its place was lost and taken again: what happened in between it does not know. */
  unvouch(): void {
    this.#vouched = undefined;
  }

  /** True until it is settled, detached or canceled. */
  get waiting(): boolean {
    return this.#phase === 'waiting';
  }

  /** True while a claim could still succeed. */
  get claimable(): boolean {
    return this.#phase !== 'over';
  }

  /** Called once by the desk with the way to stop the hold's expiry timer. */
  armed(stop: () => void): void {
    this.#stopTimer = stop;
  }

  /** Settles if nothing has yet; false if something has. An approval leaves it claimable, every other end closes it. */
  settle(settlement: Settlement): boolean {
    if (this.#phase !== 'waiting') return false;
    this.#phase = settlement.state === 'approved' ? 'settled' : 'over';
    if (this.#phase === 'over') this.#stopTimer();
    this.#resolve(settlement);
    return true;
  }

  /** Nothing can be claimed any more. */
  close(): void {
    this.#phase = 'over';
    this.#stopTimer();
  }

  claim(): Promise<Grant | undefined> {
    return this.#desk.claim(this);
  }

  detach(): void {
    if (this.#phase === 'over') return;
    this.close();
    this.#desk.detach(this);
  }

  async cancel(by: CancelCause): Promise<void> {
    if (this.#phase === 'over') return;
    // Before anything is awaited: from here on no approval, however late, can be claimed.
    this.settle({ state: 'canceled', rid: this.rid });
    this.close();
    await this.#desk.cancel(this, by);
  }
}

function promiseWithResolve<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
