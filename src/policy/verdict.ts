// Verdict: what the rules say of a statement, and Actor: of whom they say it. Types only, shared by session and log.

export type Environment = 'production' | 'staging' | 'development';

/** Who asks, where. All of it is authenticated before a rule sees it. */
export interface Actor {
  readonly agent: string;
  readonly target: string;
  readonly environment: Environment;
  /** Set where every session of the agent is read-only at the server: what could end that is denied. */
  readonly access?: 'read-only';
}

export type Action = 'pass' | 'hold' | 'deny';

/** The least evidence that the deciding rules ask for. It only ever raises what the target asks for. */
export interface Need {
  /** Weakest first: link, slack, key, passkey. */
  readonly level?: 'link' | 'slack' | 'key' | 'passkey';
  /** How many different approvers. */
  readonly quorum?: number;
  /** Only these approvers count. */
  readonly of?: readonly string[];
}

/** What a passing statement runs within, so that the server stops what the rules could not foresee. */
export type Enclosure =
  /** A READ ONLY transaction or savepoint; a write in it is undone and held. */
  | { readonly kind: 'read-only' }
  /** A transaction or savepoint of its own; if a command tag counts more rows, it is undone and held. */
  | {
      readonly kind: 'rows';
      readonly rowsMax: number;
      /** The tag of a SELECT counts as well: it shows each row that a WITH query in it changes. */
      readonly selects?: true;
      /** The bound is of the person who approved it, not of the rule. */
      readonly approved?: true;
    };

export interface Verdict {
  readonly action: Action;
  /** The name of the rule that decided; `no-rule` when none matched, which holds. */
  readonly rule: string;
  /** One plain sentence for the agent and the approver: what the statement does that the rule minds. */
  readonly reason: string;
  /** In shadow mode: what would have been done. The action is then `pass`. */
  readonly shadow?: 'hold' | 'deny';
  /** Set on a pass that holds only within it. */
  readonly enclosure?: Enclosure;
  /** Set on a pass by rules with a budget: reserved before it is sent, settled by what it really changed (budget.ts). */
  readonly budget?: readonly Spend[];
  /**
   * Set on a hold whose rules ask for more than the target does, and on a pass with an enclosure: what the hold needs
   * that follows if the enclosure does not hold.
   */
  readonly need?: Need;
}

/** Rows that a statement may change on the budget of one rule. */
export interface Spend {
  /** The rule whose budget it is. */
  readonly rule: string;
  /** At most so many rows. */
  readonly rows: number;
  /** What the budget allows in an hour. */
  readonly rowsPerHour: number;
}
