// Channel: what the courier needs of a way to tell people. Types only; Slack and webhooks fit them.

import type { Request } from '../approval/request.ts';
import type { Notice } from './notice.ts';

/** Somebody, or some place, that a channel tells. `to` names it within the channel; `name` is for the log. */
export interface Address {
  readonly to: string;
  readonly name: string;
}

/**
 * What a channel remembers of one request at one address: names → texts. Kept by the courier while the request can
 * still change; the channel changes it in place as soon as something has happened that must not happen twice.
 */
export type Memo = Record<string, string>;

/** Requests of one agent that came too fast to be told one by one. Times are milliseconds since the epoch. */
export interface Crowd {
  readonly agent: string;
  readonly targets: readonly string[];
  /** Still to be decided, and all that came since `since`. */
  readonly waiting: number;
  readonly asked: number;
  readonly since: number;
  /** The list of what waits. */
  readonly page: string;
}

/** A request that is gone from the store: its process ended before it did, or somebody emptied the store. */
export interface Lost {
  readonly rid: string;
  readonly headline: string;
  readonly page: string;
}

/**
 * How one delivery ended. `refused`: it never will be delivered. `later`: it may be, after `afterMs` if the other side
 * named a time; `all` if nothing else will get through before that either. `why` is for operators and holds no secret.
 */
export type Delivery =
  | { readonly done: 'sent' | 'updated' | 'unchanged' }
  | { readonly refused: string }
  | { readonly later: string; readonly afterMs?: number; readonly all: boolean };

/** One way to tell people. Its methods never reject. */
export interface Channel {
  /** Label of its metrics, and its name in the log. */
  readonly name: string;
  /** Deliveries under way at once. */
  readonly atOnce: number;
  /** Who is told of a new request; the first of them is also told of crowds. */
  addresses(request: Request): readonly Address[];
  /** Brings what is seen at `address` up to date with the notice. */
  deliver(notice: Notice, address: Address, memo: Memo): Promise<Delivery>;
  deliverCrowd(crowd: Crowd, address: Address, memo: Memo): Promise<Delivery>;
  deliverLost(lost: Lost, address: Address, memo: Memo): Promise<Delivery>;
}
