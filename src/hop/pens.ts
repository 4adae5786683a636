// Pens: the ends of logs, lent to the addon while nobody else writes to them (native/pen.h), so that what goes by lanes is
// recorded there. One a log. Refuses to know lanes, and what the records say.

import { getSystemErrorName } from 'node:util';
import type { Hop } from './hop.ts';
import type { Borrower, LaneLog, LaneValue, Loan, NamedFile, Written } from './lane-log.ts';
import { Numbers } from './numbers.ts';

/** What lanes have to do when a log wants something of its pen. */
export interface PenEnds {
  /** Have told what was written with all pens: `take` each, `record` that, and `settle`. */
  recall(): void;
  /** Ask the log about the rounds that wait for the disk with the pen of that number. */
  abandon(number: number): void;
}

export class Pen {
  readonly #hop: Hop;
  readonly #log: LaneLog;
  readonly #number: number;
  readonly #borrower: Borrower;
  #users = 0;
  /** The last loan came to something. */
  #isUsed = false;
  /** Kept as long as the addon has its memory. */
  #loan: Loan | undefined;
  #written: Written | undefined;
  /** The log's file that the addon has synced; and the last one that it could not. */
  #file: NamedFile | undefined;
  #refused: NamedFile | undefined;
  /** What was written with it, as far as it was told; and of each whose values are kept those. */
  readonly #briefs = new Numbers();
  #values: (readonly LaneValue[] | undefined)[] = [];

  private constructor(hop: Hop, log: LaneLog, number: number, { recall, abandon }: PenEnds) {
    this.#hop = hop;
    this.#log = log;
    this.#number = number;
    this.#borrower = {
      recall,
      revoke: () => hop.laneRevoke(),
      again: () => this.#again(),
      // Behind whatever found it out.
      refused: () => setImmediate(() => pens.get(log) === this && abandon(number)),
    };
  }

  /** That of a log, for one more lane; undefined where there is none to be had. */
  static of(hop: Hop, log: LaneLog, ends: PenEnds): Pen | undefined {
    let pen = pens.get(log);
    if (pen === undefined) {
      const number = log.lend === undefined ? -1 : hop.penTake();
      if (number < 0) return undefined;
      pen = new Pen(hop, log, number, ends);
      pens.set(log, pen);
    }
    pen.#users += 1;
    return pen;
  }

  get number(): number {
    return this.#number;
  }

  /** A lane has no use for it any more. */
  drop(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    if (this.#loan !== undefined) this.#borrower.recall();
    pens.delete(this.#log);
    this.#hop.penDrop(this.#number);
  }

  /** What nobody used is not asked for again until somebody would use it. */
  #again(): void {
    if (this.#isUsed && this.#users > 0) this.lend();
  }

  /** The log lends its end, if it can. */
  lend(): void {
    if (this.#loan !== undefined) return;
    const loan = this.#log.lend?.(this.#borrower);
    if (loan === undefined) return;
    const { fd, block, at, blank, head, leaves, leafCount, seq, start, mono } = loan;
    const syncs = this.#syncs(loan);
    const number = this.#number;
    if (this.#hop.penLend(number, fd, block, at, blank, head, leaves, leafCount, seq, start, mono, syncs))
      this.#loan = loan;
    else this.#log.settle?.({ to: at, inFile: at, leafCount, mono, error: undefined }, none, []);
  }

  /** What rounds wait for may be synced by the addon. */
  #syncs({ synced }: Loan): boolean {
    if (synced === undefined) return false;
    const { file, lock } = synced;
    if (this.#file === file) return true;
    if (this.#refused === file) return false;
    const path = Buffer.from(file.path);
    const isHad = this.#hop.penFile(this.#number, file.fd, path, lock.fd, Buffer.from(lock.path));
    this.#file = isHad ? file : undefined;
    return isHad;
  }

  /**
   * The disk did not keep what was written, or not under its name: the log finds out what is wrong. Of that file the addon
   * is not asked again: the system tells a descriptor once of what was lost, and says of later lines that they are there.
   */
  unsynced(): void {
    this.#refused = this.#file ?? this.#refused;
    this.#file = undefined;
  }

  /** The addon has it no more. */
  take(): void {
    if (this.#loan === undefined) return;
    this.#hop.penReturn(this.#number, told);
    const [to = 0, inFile = 0, leafCount = 0, mono = 0, errno = 0] = tells;
    const error = errno === 0 ? undefined : failedWrite(errno);
    this.#loan = undefined;
    this.#written = { to, inFile, leafCount, mono, error };
  }

  /** A record that was written with it. */
  record(brief: number, values: readonly LaneValue[] | undefined): void {
    if (values !== undefined) this.#values[this.#briefs.length] = values;
    this.#briefs.push(brief);
  }

  /** The log has it back, with all that was recorded. */
  settle(): void {
    const written = this.#written;
    if (written === undefined) return;
    const [briefs, values] = [this.#briefs.take(), this.#values];
    this.#written = undefined;
    this.#isUsed = briefs.length > 0;
    if (values.length > 0) this.#values = [];
    this.#log.settle?.(written, briefs, values);
  }
}

const pens = new Map<LaneLog, Pen>();
const none = new Float64Array(0);
const told = Buffer.alloc(5 * 8);
const tells = new Float64Array(told.buffer, told.byteOffset, 5);

/** Of all logs. */
export function allPens(): Iterable<Pen> {
  return pens.values();
}

/** As node:fs would say it. */
function failedWrite(errno: number): Error {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${code}: write`), { code, errno: -errno, syscall: 'write' });
}
