// Store: the state of requests that several proxies share, behind one port. A store moves rows and decides races; it
// is never an authority: a row that says `approved` releases nothing, the evidence in its votes does, and whoever
// releases verifies that evidence again. Refuses to know signatures, the meaning of a request, and the wall clock.

/** Where a request is in its life; the transitions between them are in approval/decision.ts. */
export type RequestState =
  | 'pending'
  | 'approved'
  | 'consumed'
  | 'executed'
  | 'failed'
  | 'unknown'
  | 'rejected'
  | 'expired'
  | 'canceled';

/** One person's decision with its evidence, as it was when it was cast. */
export interface Vote {
  /** The person, not the key. A second vote of the same person is refused. */
  readonly approver: string;
  readonly verdict: 'approve' | 'reject';
  readonly level: string;
  /** The exact RFC 8785 text of the decision. */
  readonly decision: string;
  /** JSON text of the evidence. Untrusted until verified again. */
  readonly evidence: string;
  readonly reason: string;
  /** Milliseconds since the epoch, by the clock of the node that took it. */
  readonly at: number;
  /** Where the decision was recorded first: node and sequence number in that node's log. */
  readonly node: string;
  readonly seq: number;
  /** It approves the request whatever the quorum: one person alone, in an emergency. */
  readonly alone?: true;
}

/** How a request came to its end, for people to read. */
export interface Ending {
  readonly by: string;
  readonly reason: string;
  readonly at: number;
}

/** A request as stored. Times are milliseconds since the epoch. Everything in it is untrusted by its readers. */
export interface StoredRequest {
  readonly rid: string;
  readonly rd: string;
  /** RFC 8785 text of the Request. */
  readonly request: string;
  /** JSON text of the parameter values, for approvers; empty once the request has ended. */
  readonly values: string;
  readonly nonce: string;
  readonly agent: string;
  readonly target: string;
  readonly match: string;
  readonly quorum: number;
  readonly created: number;
  readonly exp: number;
  readonly state: RequestState;
  /** Names the sessions that wait for it, for whoever releases to read; empty when none does. Opaque to the store. */
  readonly holder: string;
  readonly votes: readonly Vote[];
  readonly ending: Ending | null;
  /** Set while the approval covers further statements: until when, and what it has been used for. */
  readonly grant: GrantCount | null;
  /**
   * Set by the store on an open row when what it knows of the row may be older than what was: a failover or a restart
   * from a copy came in between. The row may have been used already; only a session that knows better may use it.
   */
  readonly stale?: true;
}

/** What a grant has been used for so far. `until` is milliseconds since the epoch. */
export interface GrantCount {
  readonly until: number;
  readonly uses: number;
  readonly rows: number;
}

export interface ListFilter {
  /** Rows in any of these states; all if left out. */
  readonly states?: readonly RequestState[];
  readonly agent?: string;
  readonly target?: string;
  /** Rows created before this moment only: the next page. */
  readonly before?: number;
  /** Newest first, at most this many. */
  readonly rowsMax: number;
}

/** Outcome of a vote: the row after it, or why it did not count. */
export type VoteResult =
  | { readonly counted: true; readonly row: StoredRequest }
  | {
      readonly counted: false;
      readonly why: 'missing' | 'digest' | 'settled' | 'voted' | 'stale';
      readonly state?: RequestState;
    };

/** Told of what happens in the store, here or elsewhere. Must not throw. */
export interface Watcher {
  /** A row has changed. */
  changed(rid: string): void;
  /** A row was consumed, whose time ends at `exp`: nobody may use it again, whatever the store says later. */
  used?(rid: string, exp: number): void;
  /** Changes may have been missed, or undone: everything has to be looked at again. */
  resumed?(): void;
}

/** A name that one holder has for a while, with a text for the others to read. */
export interface Lease {
  readonly name: string;
  readonly holder: string;
  readonly text: string;
}

/**
 * Every method is atomic against every other, also from other processes. `now` is the caller's clock. Failure to
 * reach the store rejects with HoldpointError('store-unreachable') and has no effect that the caller may rely on.
 */
export interface Store {
  /** Adds a pending row, unless its agent already has `pendingMax` rows pending that have not expired. */
  create(row: StoredRequest, pendingMax: number, now: number): Promise<'created' | 'too-many'>;
  get(rid: string): Promise<StoredRequest | undefined>;
  list(filter: ListFilter): Promise<StoredRequest[]>;
  /** The oldest row in `state` of this agent and match that nobody holds, that has not expired and is not stale. */
  findFree(
    agent: string,
    match: string,
    state: 'pending' | 'approved',
    now: number,
  ): Promise<StoredRequest | undefined>;
  /** Changes the holder of a pending or approved row if it is still `from`. A stale one that nobody holds stays so. */
  hold(rid: string, from: string, to: string): Promise<boolean>;
  /** Adds a vote to a pending row of digest `rd`; a reject ends it, the quorum-th approval approves it. */
  vote(rid: string, rd: string, vote: Vote): Promise<VoteResult>;
  /**
   * approved → consumed, if digest and holder are these. True for exactly one caller. A stale row is not consumed, unless
   * the caller knows that nobody but itself could have used it since it was opened: `sole`.
   */
  consume(rid: string, rd: string, holder: string, sole?: boolean): Promise<boolean>;
  /** Puts a pending row back that the store has lost, and makes its lookups whole; one that is there stays as it is. */
  restore(row: StoredRequest): Promise<'restored' | 'present'>;
  /** Ends or finishes a row that is in one of `from`; false if it is not. Values are dropped. */
  end(rid: string, from: readonly RequestState[], to: RequestState, ending: Ending): Promise<boolean>;
  /** The newest row of this agent and match that was rejected at or after `since`. */
  rejected(agent: string, match: string, since: number): Promise<StoredRequest | undefined>;
  /** Rows of this agent that are open (pending or approved) and not past their time, in the order of their creation. */
  open(agent: string, now: number): Promise<StoredRequest[]>;
  /** A consumed or executed row of digest `rd` becomes a grant until then, with nothing used yet. */
  grant(rid: string, rd: string, until: number): Promise<boolean>;
  /** Rows of this agent that carry a grant which is not past its time. */
  grants(agent: string, now: number): Promise<StoredRequest[]>;
  /** Adds to what a grant was used for (`rows` may be below 0) unless that would exceed `max`; the sums after it, or undefined. */
  spend(
    rid: string,
    rd: string,
    add: { uses: number; rows: number },
    max: { uses: number; rows: number },
    now: number,
  ): Promise<{ uses: number; rows: number } | undefined>;
  /** Ends a grant. */
  revoke(rid: string): Promise<boolean>;
  /** True for exactly one caller by that name, until then: for what may be presented once. */
  once(name: string, until: number, now: number): Promise<boolean>;
  /** Rows that can only be ended: pending or approved ones that are past their time, or stale and held by nobody. */
  overdue(now: number, rowsMax: number): Promise<StoredRequest[]>;
  /** Tells the watcher of every change from now on; returns the way to stop. */
  watch(watcher: Watcher): () => void;
  /**
   * Takes a name for `forMs`, or keeps it: if nobody has it, or its holder is this one or `over`. The lease in force
   * afterwards, whoever's it is.
   */
  lease(lease: Lease, forMs: number, over?: string): Promise<Lease>;
  /** Gives a name back before its time. */
  release(name: string, holder: string): Promise<void>;
  /** Every lease in force whose name begins so. Texts are untrusted. */
  leases(prefix: string): Promise<Lease[]>;
  /** Rejects when the store cannot be used. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
