// Chain: the records of a log as they are appended, ahead of the file by what waits to be written. Gives each record its
// seq, the hash of the one before, its time, and its place in the tree. audit-approval §3. What is in the chain stays in
// it, whatever becomes of the disk: it is written later, or again, as the same bytes. Refuses to know files.
//
// The records of statements, whose lines cannot fail, are made into lines only when those are asked for, and leaves go
// into the tree only when its root is: many at once take half the time that one by one they take between other work.

import { hash } from 'node:crypto';
import { decodeHash, leafOf, lineBytesMax } from '../../verify/src/leaf.ts';
import type { CompactTree } from '../../verify/src/merkle.ts';
import { lineLengthMax, textLength } from './frequent.ts';
import { type Blob, encodeRecord, moveLongMembers } from './line.ts';
import type { LogClock } from './logstate.ts';
import type { OpenWork } from './openwork.ts';
import type { RecordBody } from './record.ts';
import type { SegmentEnd, SegmentStart } from './segment.ts';

/** A line of so many UTF-16 units cannot exceed the limit in bytes. */
const surelyShort = Math.floor(lineBytesMax / 3);

/** Where a chain begins, and what its records say of themselves. */
export interface ChainState {
  readonly origin: string;
  readonly boot: string;
  readonly clock: LogClock;
  readonly open: OpenWork;
  readonly tree: CompactTree;
  readonly head: string;
}

/** Lines taken, in order, each with its LF. */
export interface Taken {
  readonly text: string;
  readonly records: number;
}

interface Waiting {
  readonly body: RecordBody;
  readonly ts: number;
  readonly mono: number;
}

/** Of a line without its texts, at least: what waits must not count for more than it will be. */
const frameLength = 200;

/** Leaves that are kept back from the tree at most: to take them in must not be felt. */
const leavesMax = 256;

/** What a seal says of the first `size` records. */
export interface Snapshot {
  readonly size: number;
  readonly root: string;
  readonly head: string;
}

export class Chain {
  readonly #at: ChainState;
  readonly #monoStart: number;
  /** What was open behind the records that the disk has confirmed, and the records since, the first of them first. */
  readonly #confirmedOpen: OpenWork;
  readonly #unconfirmed: RecordBody[] = [];
  #size: number;
  /** Hash of the last line that was made. */
  #head: string;
  /** Records without a line yet, and about how long those lines will be. */
  readonly #waiting: Waiting[] = [];
  #waitingLength = 0;
  /** Leaves that are not in the tree yet. */
  readonly #leaves: string[] = [];
  /** Lines that were not taken yet. */
  #text = '';
  #records = 0;

  constructor(state: ChainState) {
    this.#at = state;
    this.#size = state.tree.size;
    this.#head = state.head;
    this.#confirmedOpen = state.open.copy();
    this.#monoStart = state.clock.mono();
  }

  /** Records so far; the seq of the next. */
  get size(): number {
    return this.#size;
  }

  /** UTF-16 units that wait to be taken, more or less. */
  get length(): number {
    return this.#text.length + this.#waitingLength;
  }

  get start(): SegmentStart {
    return { first: this.#size, head: this.#head, range: this.#tree().range };
  }

  get snapshot(): Snapshot {
    const tree = this.#tree();
    return { size: tree.size, root: tree.root().toString('base64url'), head: this.#head };
  }

  /**
   * Where the log stands now, as the end of a segment whose last seal line has the hash `psh`. What was open there is
   * known once it is confirmed.
   */
  end(psh: string): SegmentEnd {
    const tree = this.#tree();
    return { size: tree.size, head: this.#head, range: tree.range, psh, open: this.#confirmedOpen };
  }

  /** The disk has the first `size` records: what was open behind them is taken on to there. */
  confirm(size: number): void {
    const first = this.#size - this.#unconfirmed.length;
    const bodies = this.#unconfirmed.splice(0, Math.max(0, size - first));
    for (const [at, body] of bodies.entries()) this.#confirmedOpen.note(body, first + at);
  }

  /** The times of this moment: µs since 1970, and ns since this boot. */
  times(): { ts: number; mono: number } {
    const { clock } = this.#at;
    return {
      ts: Math.floor(clock.now() * 1000),
      mono: Math.max(0, Math.round((clock.mono() - this.#monoStart) * 1e6)),
    };
  }

  /**
   * Chains a record; returns its seq. Texts too long for a line are handed to `keep` before anything is chained. Throws
   * what that throws, and TypeError on a malformed body; the chain then goes on without it.
   */
  append(body: RecordBody, keep: (blobs: readonly Blob[]) => void): number {
    const seq = this.#size;
    const { ts, mono } = this.times();
    const length = textLength(body);
    if (lineLengthMax(length) <= surelyShort) {
      this.#waiting.push({ body, ts, mono });
      this.#waitingLength += length + frameLength;
    } else {
      this.#settle();
      this.#add(this.#line(body, seq, ts, mono, keep));
    }
    this.#size += 1;
    this.#at.open.note(body, seq);
    this.#unconfirmed.push(body);
    return seq;
  }

  /** The lines that were not taken yet. */
  take(): Taken {
    this.#settle();
    const taken = { text: this.#text, records: this.#records };
    this.#text = '';
    this.#records = 0;
    return taken;
  }

  /** Puts what was taken back in front. */
  giveBack({ text, records }: Taken): void {
    this.#settle();
    this.#text = text + this.#text;
    this.#records += records;
  }

  /** Makes the lines that wait. */
  #settle(): void {
    if (this.#waiting.length === 0) return;
    let seq = this.#size - this.#waiting.length;
    for (const { body, ts, mono } of this.#waiting) {
      this.#add(this.#line(body, seq, ts, mono, nothingKept));
      seq += 1;
    }
    this.#waiting.length = 0;
    this.#waitingLength = 0;
  }

  #line(
    body: RecordBody,
    seq: number,
    ts: number,
    mono: number,
    keep: (blobs: readonly Blob[]) => void,
  ): string {
    const { origin, boot } = this.#at;
    const stamp = { seq, prev: this.#head, ts, mono, node: origin, boot };
    const line = encodeRecord(body, stamp);
    if (line.length <= surelyShort || Buffer.byteLength(line) <= lineBytesMax) return line;
    const { line: short, blobs } = shorten(body, (shorter) => encodeRecord(shorter, stamp));
    keep(blobs);
    return short;
  }

  #add(line: string): void {
    const leaf = leafOf(line);
    this.#head = hash('sha256', leaf, 'base64url');
    this.#leaves.push(this.#head);
    if (this.#leaves.length >= leavesMax) this.#grow();
    // To hash it joined the pieces that the line is made of; as a part of that it is not joined once more to be written.
    this.#text += `${leaf.slice(1)}\n`;
    this.#records += 1;
  }

  /** With everything in it. */
  #tree(): CompactTree {
    this.#settle();
    this.#grow();
    return this.#at.tree;
  }

  #grow(): void {
    for (const leaf of this.#leaves) this.#at.tree.append(decodeHash(leaf));
    this.#leaves.length = 0;
  }
}

function nothingKept(): void {}

/** The line of a record whose long members go to blobs. */
function shorten(
  body: RecordBody,
  encode: (body: RecordBody) => string,
): { line: string; blobs: readonly Blob[] } {
  for (const charactersMax of [4096, 256]) {
    const { body: short, blobs } = moveLongMembers(body, charactersMax);
    const line = encode(short);
    if (Buffer.byteLength(line) <= lineBytesMax) return { line, blobs };
  }
  throw new TypeError(`a ${body.kind} record cannot be brought below ${lineBytesMax} bytes`);
}
