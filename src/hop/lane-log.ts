// Lane log: what lanes want of a log. The one implementation is audit's.

/** One of the values of a round. `value`: a view that is written over later; undefined for NULL. */
export interface LaneValue {
  readonly index: number;
  readonly oid: number;
  readonly salt: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** What stands for a round in `briefs`. */
export const passedBrief = -1;

/** Records of rounds and of outcomes, in order; an outcome by the seq that it is of. */
export interface LaneRecords {
  readonly briefs: Float64Array;
  readonly bytesMax: number;
  readonly make: (block: Buffer, at: number, seq: number, ts: number, mono: number) => number;
}

/** Whom the end of a log is lent to. */
export interface Borrower {
  /** The log is about to be used for something else: `settle` must be called before this returns. */
  recall(): void;
  /** It gets more than the traffic of sessions, lent or not: what rounds rest on may not be what it was. */
  revoke(): void;
  /** It may be lent again. */
  again(): void;
  /** The log takes nothing now: who waits for the disk is to ask it. */
  refused(): void;
}

/** A file that is open, and where it is to be found as long as it is nobody else's. */
export interface NamedFile {
  readonly fd: number;
  readonly path: string;
}

/** The end of a log: lines are made in `block` from `at` on, and written to `fd`. Nobody else touches any of it meanwhile. */
export interface Loan {
  /** Open to append. */
  readonly fd: number;
  readonly block: Buffer;
  readonly at: number;
  /** What stands in a line for the hash of the one before; and that hash, base64url, which goes on with the lines. */
  readonly blank: Buffer;
  readonly head: Buffer;
  /** Hashes of lines that are not in the tree yet, and how many there are. */
  readonly leaves: Buffer;
  readonly leafCount: number;
  /** What rounds that wait for the disk have synced: the log's file, and its lock. Undefined: it is to be asked of the log. */
  readonly synced: { readonly file: NamedFile; readonly lock: NamedFile } | undefined;
  /** Of the next record. */
  readonly seq: number;
  /** When the log's clock began, in ns of CLOCK_MONOTONIC, and what it said last. */
  readonly start: number;
  readonly mono: number;
}

/** What became of a loan. */
export interface Written {
  /** Where the lines end that were made; and those that are in the file. */
  readonly to: number;
  readonly inFile: number;
  readonly leafCount: number;
  readonly mono: number;
  /** Why not all of them are. */
  readonly error: Error | undefined;
}

/** Where a lane's records go. */
export interface LaneLog {
  /** Rounds are taken now. */
  readonly takes: boolean;
  /** No outcome is taken any more. */
  readonly isClosing: boolean;
  /** The outcome of that record is not wanted. */
  hasEnded(ref: number): boolean;
  /** Returns the seq of the first. `values`: of each round whose user keeps them. */
  adopt(records: LaneRecords, values: readonly (readonly LaneValue[] | undefined)[]): number;
  /** Lends its end, to write to it until it is recalled; undefined where that is not possible now. */
  lend?(borrower: Borrower): Loan | undefined;
  /** Takes back what it lent, with the records that were written meanwhile; `values`: as of `adopt`. */
  settle?(written: Written, briefs: LaneRecords['briefs'], values: Parameters<LaneLog['adopt']>[1]): void;
  /** Writes what was adopted; true if all of it is in the file. Else `written` says when it is. */
  writeNow(): boolean;
  written(done: (error?: Error) => void): void;
  /** Settles once record `seq` and all before it are on disk. */
  synced(seq: number): Promise<void>;
  /** As `synced`, and once they are sealed. */
  durable(seq: number): Promise<void>;
}
