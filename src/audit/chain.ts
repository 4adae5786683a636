// Chain: the records of a log as they are appended, ahead of the file by what waits to be written. Gives each record its
// seq, the hash of the one before, its time, and its place in the tree. audit-approval §3. What is in the chain stays in
// it, whatever becomes of the disk: it is written later, or again, as the same bytes. Refuses to know files.

import { hash } from 'node:crypto';
import { leafOf, lineBytesMax } from '../../verify/src/leaf.ts';
import type { CompactTree } from '../../verify/src/merkle.ts';
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
  #head: string;

  constructor(state: ChainState) {
    this.#at = state;
    this.#head = state.head;
    this.#confirmedOpen = state.open.copy();
    this.#monoStart = state.clock.mono();
  }

  /** Records so far; the seq of the next. */
  get size(): number {
    return this.#at.tree.size;
  }

  get start(): SegmentStart {
    return { first: this.size, head: this.#head, range: this.#at.tree.range };
  }

  get snapshot(): Snapshot {
    const { tree } = this.#at;
    return { size: tree.size, root: tree.root().toString('base64url'), head: this.#head };
  }

  /**
   * Where the log stands now, as the end of a segment whose last seal line has the hash `psh`. What was open there is
   * known once it is confirmed.
   */
  end(psh: string): SegmentEnd {
    const { tree } = this.#at;
    return { size: tree.size, head: this.#head, range: tree.range, psh, open: this.#confirmedOpen };
  }

  /** The disk has the first `size` records: what was open behind them is taken on to there. */
  confirm(size: number): void {
    const first = this.size - this.#unconfirmed.length;
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
   * Chains a record; returns its line, without LF. Texts too long for a line are handed to `keep` before anything is
   * chained. Throws what that throws, and TypeError on a malformed body; the chain then goes on without it.
   */
  append(body: RecordBody, keep: (blobs: readonly Blob[]) => void): string {
    const { origin, boot, open, tree } = this.#at;
    const { ts, mono } = this.times();
    const stamp = { seq: tree.size, prev: this.#head, ts, mono, node: origin, boot };
    let line = encodeRecord(body, stamp);
    if (line.length > surelyShort && Buffer.byteLength(line) > lineBytesMax) {
      const { line: short, blobs } = shorten(body, (shorter) => encodeRecord(shorter, stamp));
      keep(blobs);
      line = short;
    }
    const leaf = leafOf(line);
    this.#head = hash('sha256', leaf, 'base64url');
    tree.append(Buffer.from(this.#head, 'base64url'));
    open.note(body, stamp.seq);
    this.#unconfirmed.push(body);
    // To hash it joined the pieces that the line is made of; as a part of that it is not joined once more to be written.
    return leaf.slice(1);
  }
}

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
