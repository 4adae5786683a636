// Budget: rows that agents have changed on the budgets of rules within the last hour, per target, agent and rule. What
// is on its way is reserved at its upper bound, so that sessions side by side cannot overspend. Pure: time is an
// argument, in milliseconds of a clock that does not go back. Refuses to know the rules and what a row is. Each proxy
// counts for itself, in memory.

import type { Spending } from './terms.ts';
import type { Actor, Spend } from './verdict.ts';

/** An hour in minutes; the minute that has begun counts too, so what is spent comes back after 60 to 61 minutes. */
const minutes = 60;
const minuteMs = 60_000;

/** Accounts kept at most. A new one takes the place of one on which nothing was spent within the hour. */
export const accountsMax = 10_000;

interface Account {
  /** Rows by minute, oldest first; at most `minutes` + 1 of them. */
  readonly spent: { readonly minute: number; rows: number }[];
  reserved: number;
}

/** Rows held back for statements on their way. To be settled once; a second time does nothing. */
export interface Reservation {
  /** `rows`: what was really changed; undefined where nobody can tell: then all that was reserved counts as changed. */
  settle(rows: number | undefined): void;
}

export class Ledger implements Spending {
  readonly #now: () => number;
  readonly #accounts = new Map<string, Account>();

  /** `now`: a monotonic clock in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Rows changed within the hour and rows reserved. Infinity where there is no room to count: nothing is left then. */
  spent(rule: string, actor: Actor): number {
    const key = keyOf(rule, actor);
    const account = this.#accounts.get(key);
    if (account === undefined) return this.#hasRoom() ? 0 : Infinity;
    this.#forget(account);
    return account.spent.reduce((sum, { rows }) => sum + rows, account.reserved);
  }

  /**
   * To be called at dispatch with the verdict's `budget`; undefined, with nothing reserved, if another statement has
   * been faster and not all of it is left.
   */
  reserve(actor: Actor, spends: readonly Spend[]): Reservation | undefined {
    if (spends.some(({ rule, rows, rowsPerHour }) => this.spent(rule, actor) + rows > rowsPerHour)) return;
    const reserved = spends.map(({ rule, rows }) => ({ account: this.#account(rule, actor), rows }));
    for (const { account, rows } of reserved) account.reserved += rows;
    let open = true;
    return {
      settle: (rows) => {
        if (!open) return;
        open = false;
        for (const each of reserved) {
          each.account.reserved -= each.rows;
          this.#spend(each.account, rows ?? each.rows);
        }
      },
    };
  }

  #account(rule: string, actor: Actor): Account {
    const key = keyOf(rule, actor);
    const known = this.#accounts.get(key);
    if (known !== undefined) return known;
    const account: Account = { spent: [], reserved: 0 };
    this.#accounts.set(key, account);
    return account;
  }

  #spend(account: Account, rows: number): void {
    if (rows <= 0) return;
    this.#forget(account);
    const minute = Math.floor(this.#now() / minuteMs);
    const last = account.spent.at(-1);
    if (last !== undefined && last.minute >= minute) last.rows += rows;
    else account.spent.push({ minute, rows });
  }

  /** Drops what is older than an hour. */
  #forget({ spent }: Account): void {
    const oldest = Math.floor(this.#now() / minuteMs) - minutes;
    while (spent[0] !== undefined && spent[0].minute < oldest) spent.shift();
  }

  #hasRoom(): boolean {
    if (this.#accounts.size < accountsMax) return true;
    for (const [key, account] of this.#accounts) {
      this.#forget(account);
      if (account.reserved === 0 && account.spent.length === 0) this.#accounts.delete(key);
    }
    return this.#accounts.size < accountsMax;
  }
}

/** Names of agents, targets and rules hold no line feed. */
function keyOf(rule: string, { agent, target }: Actor): string {
  return `${target}\n${agent}\n${rule}`;
}
