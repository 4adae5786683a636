// Scan: reads one segment as its bytes come, in constant memory. audit-approval §3.1, §12.
// Cuts lines, hands them to the walk, pairs statements with outcomes, counts, and tells of the records that concern more
// than the chain: releases, keys, boots, gaps. Most are reads and their outcomes, of which nothing is kept. Pure: the same
// whether the segment is read in its turn or by another thread ahead of it.

import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { prevOf, type Walk } from './chain.ts';
import { leafHash, lineBytesMax } from './leaf.ts';
import { Offence, type OffenceKind, type Place } from './offence.ts';
import type { Statements } from './statements.ts';

/** A record that concerns more than the chain. */
export interface Told {
  readonly line: number;
  readonly text: string;
}

/** How far behind a record that does not fit its successor is looked for. */
const lookaheadBytesMax = 1 << 20;
/** Kinds that are counted by name; hostile records may have more. */
const kindsMax = 1000;
/** Of these nothing is told but their number. */
const quiet = new Set(['hb', 'view', 'notify', 'auth']);

/** Thrown to ask for more bytes before the line in hand can be judged. */
const needMore = Symbol('more bytes');

/** The reading of one segment. `push` and `end` throw Offence. */
export class SegmentScan {
  readonly walk: Walk;
  readonly statements: Statements;
  readonly file: string;
  /** Records by kind. */
  readonly kinds = new Map<string, number>();
  /** Records to be told, in order; the reader empties it. */
  told: Told[] = [];
  /** Characters of everything that was put into `told`. */
  toldCharacters = 0;
  /** Records so far, and the boot and monotonic time of the first. */
  records = 0;
  first: { readonly boot: string; readonly mono: number } | undefined;
  last: { readonly kind: string; readonly boot: string; readonly line: number } | undefined;
  /** Roots of the tree at the sizes that were asked for, base64url. */
  readonly roots = new Map<number, string>();
  bytes = 0;
  readonly #sha = createHash('sha256');
  readonly #sizes: ReadonlySet<number>;
  // The bytes of the line in hand and of what follows, from offset 1: the byte before a line is scratch.
  #work = Buffer.alloc(1 << 21);
  #filled = 1;
  #isText = true;
  #line = 0;
  #start = 0;
  #lf = 0;
  #ended = false;
  readonly #vouch = () => this.#vouched();

  /** `sizes`: the sizes of the log at which its root is wanted. */
  constructor(walk: Walk, statements: Statements, file: string, sizes: ReadonlySet<number> = new Set()) {
    this.walk = walk;
    this.statements = statements;
    this.file = file;
    this.#sizes = sizes;
  }

  /** The SHA-256 of all bytes so far, hex. Once. */
  sha256(): string {
    return this.#sha.digest('hex');
  }

  /** Takes the next bytes; they are copied. */
  push(chunk: Uint8Array): void {
    this.#sha.update(chunk);
    this.bytes += chunk.length;
    const filled = this.#filled + chunk.length;
    if (filled > this.#work.length) {
      const larger = Buffer.alloc(filled * 2);
      this.#work.copy(larger, 0, 0, this.#filled);
      this.#work = larger;
    }
    this.#work.set(chunk, this.#filled);
    this.#filled = filled;
    this.#lines();
  }

  /** The segment has no more bytes. */
  end(): void {
    this.#ended = true;
    this.#lines();
    if (this.#filled === 1) return;
    this.#line += 1;
    throw this.#offence('torn', 'the file ends in the middle of this line');
  }

  #lines(): void {
    const view = this.#work.subarray(0, this.#filled);
    const whole = view.lastIndexOf(10);
    this.#isText = whole < 0 || isUtf8(view.subarray(1, whole));
    let at = 1;
    for (let lf = view.indexOf(10, at); lf >= 0; lf = view.indexOf(10, at)) {
      if (!this.#takes(view, at, lf)) break;
      at = lf + 1;
    }
    this.#work.copyWithin(1, at, this.#filled);
    this.#filled -= at - 1;
    if (this.#filled > lineBytesMax + 1 && this.#work.subarray(1, this.#filled).indexOf(10) < 0) {
      this.#line += 1;
      throw this.#offence('form', `a line of more than ${lineBytesMax} bytes; no line is longer`);
    }
  }

  /** Takes a line, or returns false where it must see more of what follows. */
  #takes(view: Buffer, start: number, lf: number): boolean {
    this.#line += 1;
    if (lf === start) throw this.#offence('form', 'a blank line');
    if (lf - start > lineBytesMax)
      throw this.#offence('form', `a line of ${lf - start} bytes; no line is longer than ${lineBytesMax}`);
    const first = view[start];
    if (first !== 0x7b && first !== 0x65)
      throw this.#offence('form', 'the line is neither a record nor a seal');
    if (!this.#isText && !isUtf8(view.subarray(start, lf)))
      throw this.#offence('form', 'the line is not UTF-8');
    if (first === 0x65) {
      this.walk.seal(view.toString('latin1', start, lf), this.#place());
      return true;
    }
    this.#start = start;
    this.#lf = lf;
    try {
      this.walk.take(view, start, lf, this.file, this.#line, this.#vouch);
    } catch (error) {
      if (error !== needMore) throw error;
      this.#line -= 1;
      return false;
    }
    this.#note(view, start, lf);
    return true;
  }

  #note(view: Buffer, start: number, lf: number): void {
    const { form, size } = this.walk;
    const { kind, boot, ref } = form;
    if (this.records === 0) this.first = { boot, mono: form.mono };
    this.records += 1;
    this.last = { kind, boot, line: this.#line };
    this.#count(kind);
    if (this.#sizes.has(size)) this.roots.set(size, this.walk.snapshot().root);
    let isTold = form.hasBlobs;
    if (kind === 'stmt') {
      this.statements.begin(form.seq, this.file, this.#line, !form.passes);
      isTold ||= !form.passes;
    } else if (kind === 'outcome') {
      isTold = this.statements.end(form.seq, ref, this.#place()) || isTold;
    } else if (!quiet.has(kind)) {
      isTold = true;
      if (kind !== 'boot' && ref >= 0) this.statements.tell(ref);
    }
    if (!isTold) return;
    this.toldCharacters += lf - start;
    this.told.push({ line: this.#line, text: view.toString('utf8', start, lf) });
  }

  #count(kind: string): void {
    const counted = this.kinds.get(kind);
    if (counted === undefined && this.kinds.size >= kindsMax) this.#count('(other)');
    else this.kinds.set(kind, (counted ?? 0) + 1);
  }

  /** Whether the next record line names the hash of the line in hand; undefined if there is none near. */
  #vouched(): boolean | undefined {
    const view = this.#work.subarray(0, this.#filled);
    for (let at = this.#lf + 1; ; ) {
      const lf = view.indexOf(10, at);
      if (lf < 0) {
        if (this.#ended || this.#filled - this.#lf > lookaheadBytesMax) return undefined;
        throw needMore;
      }
      const isRecord = view[at] === 0x7b;
      if (lf - at > lineBytesMax || !(isRecord || view[at] === 0x65)) return undefined;
      if (isRecord)
        return (
          prevOf(view.toString('utf8', at, lf)) === leafHash(view.toString('utf8', this.#start, this.#lf))
        );
      at = lf + 1;
    }
  }

  #place(): Place {
    return { file: this.file, line: this.#line };
  }

  #offence(kind: OffenceKind, message: string): Offence {
    return new Offence(kind, this.#place(), message);
  }
}
