// Chain: the records of a log as they are appended, ahead of the file by what waits to be written. Gives each record its
// seq, the hash of the one before, its time, and its place in the tree. audit-approval §3. What is in the chain stays in
// it, whatever becomes of the disk: it is written later, or again, as the same bytes. Refuses to know files.
//
// The records of statements, whose lines cannot fail, are made into lines only when those are asked for; what a line lacks
// of the one before is filled in then, and leaves go into the tree when there are many of them or its root is asked for:
// many at once take a fraction of the time that one by one they take between other work.

import { randomBytes } from 'node:crypto';
import { lineBytesMax } from '../../verify/src/leaf.ts';
import { type CompactTree, hashBytes } from '../../verify/src/merkle.ts';
import { Blocks } from './blocks.ts';
import { Briefs } from './briefs.ts';
import { finish } from './finish.ts';
import { lineLengthMax, type Spelling, spelling, textLength } from './frequent.ts';
import { GrowingTree } from './growing.ts';
import { type Blob, encodeRecord, moveLongMembers } from './line.ts';
import type { LogClock } from './logstate.ts';
import { type Brief, briefly, type OpenWork } from './openwork.ts';
import type { RecordBody, StatementBody } from './record.ts';
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

/** Lines taken, in order, each with its LF. Nobody changes the bytes any more. */
export interface Taken {
  readonly bytes: Buffer;
  readonly records: number;
}

/** Records of statements that somebody else makes into lines, many at once. */
export interface Lines {
  /** Of each: that of a statement that passed, or of an outcome. */
  readonly briefs: Float64Array;
  /** Of all of them, at most. */
  readonly bytesMax: number;
  /**
   * Writes them into `block` at `at`, each with its LF: the first with that seq, all with those times, spelled as `spelling`
   * says. Returns where they end.
   */
  readonly make: (block: Buffer, at: number, seq: number, ts: number, mono: number) => number;
}

interface Waiting {
  readonly body: RecordBody;
  readonly ts: number;
  readonly mono: number;
}

/** Of a line without its texts, at least: what waits must not count for more than it will be. */
const frameLength = 200;

/** Leaves that are kept back from the tree, unless more come at once: to take them in must not be felt. */
const leavesMax = 512;

/** Room in it for what somebody else makes. */
const lentBytesMin = 48 << 10;

/** How far apart two looks at a clock are, at most, so that what was seen between them was then; in ms. */
const atOnceMs = 0.02;

/** Where lines may be made by somebody else; as Loan of hop has it. */
export interface ChainEnd {
  readonly block: Buffer;
  readonly at: number;
  readonly blank: Buffer;
  readonly head: Buffer;
  readonly leaves: Buffer;
  readonly leafCount: number;
  readonly seq: number;
  readonly start: number;
  readonly mono: number;
}

/** What came of that; as Written of hop has it. */
export interface Made {
  readonly to: number;
  readonly inFile: number;
  readonly leafCount: number;
  readonly mono: number;
  readonly error: Error | undefined;
}

/** What a seal says of the first `size` records. */
export interface Snapshot {
  readonly size: number;
  readonly root: string;
  readonly head: string;
}

export class Chain {
  readonly #at: ChainState;
  readonly #monoStart: number;
  /** What whoever made lines elsewhere said last; and when in ns of the system's clock that of here began, once asked. */
  #mono = 0;
  #start: number | undefined;
  /** What was open behind the records that the disk has confirmed, and what the records since come to, the first first. */
  readonly #confirmedOpen: OpenWork;
  readonly #unconfirmed = new Briefs();
  readonly #noteConfirmed = (brief: Brief, seq: number): void => this.#confirmedOpen.noteBrief(brief, seq);
  #size: number;
  readonly #tree: GrowingTree;
  /** Hash of the last line that was made, base64url. */
  readonly #head: Buffer;
  /** Stands in a line for the hash of the one before until that is known. By chance, so that no value can look like it. */
  readonly #blank = randomBytes(hashBytes).toString('base64url');
  readonly #blankBytes = Buffer.from(this.#blank, 'latin1');
  /** Records without a line yet, or their lines without the hash of the one before; about how long they will be. */
  readonly #waiting: (Waiting | string)[] = [];
  #waitingLength = 0;
  /** Leaves that are not in the tree yet. */
  #leaves = Buffer.alloc(leavesMax * hashBytes);
  #leafCount = 0;
  /** Lines that were not taken yet: these, and behind them those of the block between `from` and `to`. */
  #pieces: Buffer[] = [];
  readonly #blocks = new Blocks();
  #block = this.#blocks.take(0);
  #from = 0;
  #to = 0;
  /** Where lines of the block begin that lack the hash of the one before, and how many there are. */
  #unfinished = 0;
  #unfinishedCount = 0;
  #records = 0;

  constructor(state: ChainState) {
    this.#at = state;
    this.#size = state.tree.size;
    this.#tree = new GrowingTree(state.tree);
    this.#head = Buffer.from(state.head, 'latin1');
    this.#confirmedOpen = state.open.copy();
    this.#monoStart = state.clock.mono();
  }

  /** Records so far; the seq of the next. */
  get size(): number {
    return this.#size;
  }

  /** Bytes that wait to be taken, more or less. */
  get length(): number {
    let length = this.#waitingLength + this.#to - this.#from;
    for (const piece of this.#pieces) length += piece.length;
    return length;
  }

  get start(): SegmentStart {
    const { range } = this.#grown();
    return { first: this.#size, head: this.#head.toString('latin1'), range };
  }

  get snapshot(): Snapshot {
    const tree = this.#grown();
    return { size: tree.size, root: tree.root().toString('base64url'), head: this.#head.toString('latin1') };
  }

  /**
   * Where the log stands now, as the end of a segment whose last seal line has the hash `psh`. What was open there is
   * known once it is confirmed.
   */
  end(psh: string): SegmentEnd {
    const { size, range } = this.#grown();
    return { size, head: this.#head.toString('latin1'), range, psh, open: this.#confirmedOpen };
  }

  /** The disk has the first `size` records: what was open behind them is taken on to there. */
  confirm(size: number): void {
    const first = this.#size - this.#unconfirmed.length;
    this.#unconfirmed.shift(size - first, first, this.#noteConfirmed);
    this.#blocks.confirm(size);
  }

  /** The times of this moment: µs since 1970, and ns since this boot. */
  times(): { ts: number; mono: number } {
    const { clock } = this.#at;
    const mono = Math.max(this.#mono, Math.round((clock.mono() - this.#monoStart) * 1e6));
    return { ts: Math.floor(clock.now() * 1000), mono };
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
      const line = this.#line(body, seq, ts, mono, keep);
      this.#waiting.push(line);
      this.#waitingLength += line.length;
    }
    this.#size += 1;
    const brief = briefly(body);
    this.#at.open.noteBrief(brief, seq);
    this.#unconfirmed.push(brief);
    return seq;
  }

  /** Chains records; returns the seq of the first. */
  adopt({ briefs, bytesMax, make }: Lines): number {
    this.#setDown();
    this.#makeRoom(bytesMax);
    const first = this.#size;
    const { ts, mono } = this.times();
    this.#to = make(this.#block, this.#to, first, ts, mono);
    this.#unfinishedCount += briefs.length;
    this.#note(briefs);
    return first;
  }

  #note(briefs: Float64Array): void {
    for (let at = 0; at < briefs.length; at += 1) {
      this.#at.open.noteBrief(briefs[at]!, this.#size);
      this.#unconfirmed.push(briefs[at]!);
      this.#size += 1;
    }
  }

  /** When the clock of the records began, in ns of CLOCK_MONOTONIC; undefined if that could not be seen. */
  #clockStart(): number | undefined {
    const { mono } = this.#at.clock;
    for (let tries = 0; this.#start === undefined && tries < 3; tries += 1) {
      const [before, system, after] = [mono(), Number(process.hrtime.bigint()), mono()];
      if (after - before < atOnceMs) this.#start = system - (after - this.#monoStart) * 1e6;
    }
    return this.#start;
  }

  /**
   * Where the next lines come, to be made by somebody else until `takeBack`; undefined while some wait to be taken. The
   * clock must be the system's.
   */
  lend(): ChainEnd | undefined {
    const start = this.#clockStart();
    if (start === undefined || this.length > 0) return undefined;
    if (this.#leafCount > leavesMax / 2) this.#grow();
    this.#makeRoom(lentBytesMin);
    return {
      block: this.#block,
      at: this.#to,
      blank: this.#blankBytes,
      head: this.#head,
      leaves: this.#leaves,
      leafCount: this.#leafCount,
      seq: this.#size,
      start,
      mono: this.times().mono,
    };
  }

  /** Lines of these records were made and chained meanwhile. Returns those that are in the file, and the rest. */
  takeBack({ to, inFile, leafCount, mono }: Made, briefs: Float64Array): readonly [Buffer, Buffer] {
    const from = this.#to;
    this.#from = this.#to = this.#unfinished = to;
    this.#leafCount = leafCount;
    this.#mono = mono;
    this.#note(briefs);
    return [this.#block.subarray(from, inFile), this.#block.subarray(inFile, to)];
  }

  /** What stands between the values of the lines of such a statement, whose command tag begins like that. */
  spelling(body: StatementBody, tag: string): Spelling {
    const { origin, boot } = this.#at;
    return spelling(body, tag, { seq: 0, prev: this.#blank, ts: 0, mono: 0, node: origin, boot });
  }

  /** The lines that were not taken yet. */
  take(): Taken {
    this.#settle();
    const taken = { bytes: this.#pieced(), records: this.#records };
    this.#records = 0;
    return taken;
  }

  /** Puts what was taken back in front. */
  giveBack({ bytes, records }: Taken): void {
    this.#pieces.unshift(bytes);
    this.#records += records;
  }

  #pieced(): Buffer {
    const last = this.#block.subarray(this.#from, this.#to);
    this.#from = this.#to;
    if (this.#pieces.length === 0) return last;
    const pieces = [...this.#pieces, last];
    this.#pieces = [];
    return Buffer.concat(pieces);
  }

  /** Makes the lines that wait, and writes into all what they lack. */
  #settle(): void {
    this.#setDown();
    this.#finish();
  }

  /** Makes the lines that wait. */
  #setDown(): void {
    const count = this.#waiting.length;
    if (count === 0) return;
    let text = '';
    let seq = this.#size - count;
    for (const waiting of this.#waiting) {
      const isLine = typeof waiting === 'string';
      text += `${isLine ? waiting : this.#line(waiting.body, seq, waiting.ts, waiting.mono, nothingKept)}\n`;
      seq += 1;
    }
    this.#waiting.length = 0;
    this.#waitingLength = 0;
    // Three bytes a UTF-16 unit at most.
    const isShort = text.length * 3 <= this.#block.length - this.#to;
    if (!isShort) this.#makeRoom(Buffer.byteLength(text));
    this.#to += this.#block.write(text, this.#to, 'utf8');
    this.#unfinishedCount += count;
  }

  /** Writes into lines what they lack, and takes their hashes. */
  #finish(): void {
    const count = this.#unfinishedCount;
    if (count === 0) return;
    if (this.#leafCount + count > this.#leaves.length / hashBytes) this.#grow();
    if (count > this.#leaves.length / hashBytes) this.#leaves = Buffer.alloc(count * hashBytes);
    const from = this.#unfinished;
    finish.finish(this.#block, from, this.#to, this.#blankBytes, this.#head, this.#leaves, this.#leafCount);
    this.#leafCount += count;
    this.#records += count;
    this.#unfinished = this.#to;
    this.#unfinishedCount = 0;
  }

  /** Sees to it that the block has room for so many bytes. */
  #makeRoom(bytes: number): void {
    if (bytes <= this.#block.length - this.#to) return;
    this.#finish();
    if (this.#from < this.#to) this.#pieces.push(this.#block.subarray(this.#from, this.#to));
    this.#blocks.giveBack(this.#block, this.#size);
    this.#block = this.#blocks.take(bytes);
    this.#from = 0;
    this.#to = 0;
    this.#unfinished = 0;
  }

  #line(
    body: RecordBody,
    seq: number,
    ts: number,
    mono: number,
    keep: (blobs: readonly Blob[]) => void,
  ): string {
    const { origin, boot } = this.#at;
    const stamp = { seq, prev: this.#blank, ts, mono, node: origin, boot };
    const line = encodeRecord(body, stamp);
    if (line.length <= surelyShort || Buffer.byteLength(line) <= lineBytesMax) return line;
    const { line: short, blobs } = shorten(body, (shorter) => encodeRecord(shorter, stamp));
    keep(blobs);
    return short;
  }

  /** The tree with everything in it. */
  #grown(): CompactTree {
    this.#settle();
    this.#grow();
    return this.#tree.compact();
  }

  #grow(): void {
    this.#tree.append(this.#leaves, this.#leafCount);
    this.#leafCount = 0;
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
