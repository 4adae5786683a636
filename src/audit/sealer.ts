// Sealer: the group commit of a log: snapshot, signature, seal, sync, and then the next key or the next segment where that
// is due; and the mending of a file that broke. audit-approval §3.5 and §4. Every step can be taken again after it threw.
// Refuses to know who waits, and when a group is due.

import { digest } from '../../verify/src/token.ts';
import type { Aside } from './aside.ts';
import type { Blobs } from './blobs.ts';
import type { Chain } from './chain.ts';
import { type Draft, draftOf } from './draft.ts';
import { Epochs } from './epochs.ts';
import type { LogState } from './logstate.ts';
import type { RecordBody } from './record.ts';
import type { Sign } from './seal.ts';
import { Displaced, type SegmentEnd } from './segment.ts';
import type { Segments } from './segments.ts';
import { taken } from './trouble.ts';

/** Runs of open statements that a manifest line tells of; older ones are ended as unknown when a segment closes. */
const openRunsMax = 1000;

/** What the sealer works on, and whom it tells. */
export interface SealerParts {
  readonly chain: Chain;
  readonly blobs: Blobs;
  readonly aside: Aside;
  readonly segments: Segments;
  /** Never rejects while the log is open. */
  readonly sign: Sign;
  /** The log's end is nobody else's any more, and the chain has all that was made meanwhile. */
  takeBack(): void;
  /** Chains a record of the log's own. */
  append(body: RecordBody): void;
  /** Writes what waits, if the file takes it. */
  flush(): void;
  /** The file must not be used any more. */
  brokeOff(what: string, cause: unknown): void;
  /** True once the log is being closed: its last record is there already. */
  isEnding(): boolean;
  /** The first `size` records are on disk, sealed or not. */
  onDisk(size: number): void;
  /** The first `size` records are sealed, under this root (base64url), and on disk. */
  sealed(size: number, root: string): void;
  /** Segment `n` is closed and listed. */
  closed(n: number): void;
}

export class Sealer {
  readonly #at: LogState;
  readonly #parts: SealerParts;
  readonly #epochs: Epochs;
  // The log as sealed and on disk.
  #sealed: number;
  #psh: string;
  #draft: Draft | undefined;
  #oldestUnsealed: number | undefined;
  #mendedAt = Number.NEGATIVE_INFINITY;

  constructor(state: LogState, parts: SealerParts) {
    this.#at = state;
    this.#parts = parts;
    this.#epochs = new Epochs(state);
    this.#sealed = state.sealed;
    this.#psh = state.psh;
  }

  /** How many records, from the first on, are sealed and on disk. */
  get sealed(): number {
    return this.#sealed;
  }

  /** True while the segment ends with the seal that is being made: nothing else is written to it. */
  get isClosing(): boolean {
    return this.#draft?.end !== undefined;
  }

  /** True if a group has something to do. */
  get hasWork(): boolean {
    return this.#draft !== undefined || this.#sealed < this.#parts.chain.size;
  }

  /** How long the oldest record has been waiting for its seal; 0 if none waits. */
  get unsealedMs(): number {
    const since = this.#draft?.since ?? this.#oldestUnsealed;
    return since === undefined ? 0 : this.#at.clock.mono() - since;
  }

  /** A disk that takes a new file and refuses it at once is not tried as fast as it refuses. */
  get mendedLately(): boolean {
    return this.#at.clock.mono() - this.#mendedAt < this.#at.retryMs;
  }

  /** A record was appended. */
  appended(): void {
    this.#oldestUnsealed ??= this.#at.clock.mono();
  }

  /** The next group changes the key. */
  endEpoch(): void {
    this.#epochs.end();
  }

  /**
   * One group; never two at a time. Rejects with what disk or signer say, and may then be called again: it begins with
   * what was left undone. After `brokeOff` it settles all the same, and the next one mends.
   */
  async group(): Promise<void> {
    if (!this.#at.lock.check()) throw taken(this.#at.origin);
    this.#epochs.forgetOthers();
    await this.#moveOn();
    if (this.#parts.segments.isBroken) {
      await this.#mend();
      await this.#moveOn();
    }
    if (this.#draft === undefined) await this.#begin();
    if (this.#draft !== undefined) await this.#complete(this.#draft);
  }

  /**
   * Has the disk confirm what was appended, without a seal; what was left undone comes first, as a group. As `group`, and
   * never while one is in flight.
   */
  async sync(): Promise<void> {
    const { aside, blobs, chain, segments } = this.#parts;
    if (!this.#at.lock.check()) throw taken(this.#at.origin);
    if (this.#draft !== undefined || segments.isBroken || segments.isFinished) return this.group();
    this.#parts.takeBack();
    this.#parts.flush();
    if (segments.isBroken) return;
    const values = aside.sync();
    blobs.sync();
    if (!(await this.#synced(chain.end(this.#psh)))) return;
    await values;
    this.#confirmed();
  }

  /** What the disk has confirmed. */
  #confirmed(): void {
    const { confirmed } = this.#parts.segments;
    this.#parts.chain.confirm(confirmed);
    this.#parts.onDisk(confirmed);
  }

  /** False if the file broke. */
  async #synced(end: SegmentEnd): Promise<boolean> {
    try {
      await this.#parts.segments.sync(end);
      return true;
    } catch (cause) {
      if (cause instanceof Displaced) throw cause;
      this.#parts.brokeOff('the disk did not keep what was written', cause);
      return false;
    }
  }

  /** Snapshot of everything appended; before it the next key's record, where a key or a segment has had its time. */
  async #begin(): Promise<void> {
    // Until its first seal a log has no key that could speak for another.
    const hasKey = this.#sealed > 0;
    const bytes = this.#parts.segments.bytes + this.#parts.chain.length;
    const isLong = hasKey && bytes >= this.#at.segmentBytesMax;
    const made =
      isLong || (hasKey && this.#epochs.isOver) ? await this.#epochs.next(this.#parts.sign) : undefined;
    if (isLong) await this.#parts.aside.prepare(this.#parts.segments.n + 1);
    this.#parts.takeBack();
    // Not at the end: `bye` is the last record.
    const next = this.#parts.isEnding() ? undefined : made;
    const closes = isLong && next !== undefined;
    if (closes) for (const body of this.#at.open.forgo(openRunsMax)) this.#parts.append(body);
    // Between the key record and the snapshot nothing may be appended: the old key's last seal ends with it.
    if (next !== undefined) this.#parts.append(next.record);
    if (this.#parts.chain.size === this.#sealed) return;
    const { origin, boot } = this.#at;
    const of = { origin, boot, epoch: this.#epochs.epoch, psh: this.#psh };
    const draft = draftOf(this.#parts.chain, of, { since: this.#oldestUnsealed, next, closes });
    this.#parts.flush();
    this.#draft = draft;
    this.#oldestUnsealed = undefined;
    try {
      draft.values = this.#parts.aside.sync();
    } finally {
      if (closes) draft.closeValues = this.#parts.aside.turnTo(this.#parts.segments.n + 1);
    }
  }

  /**
   * Sign, write the seal, sync, and only then answer those who wait for what the snapshot covers. Records appended while
   * the signature is made go to the file before the seal: a seal may stand later than it speaks.
   */
  async #complete(draft: Draft): Promise<void> {
    const line = await this.#signed(draft);
    const { values } = draft;
    // Asked once: what is lost of them is no harm to the log, and they have no second chance.
    draft.values = undefined;
    await values;
    // From here to the sync nothing waits: the file then holds what the chain does.
    this.#parts.takeBack();
    if (!this.#at.lock.check()) throw taken(this.#at.origin);
    this.#parts.flush();
    if (this.#parts.segments.isBroken) return;
    try {
      if (!draft.isWritten) {
        draft.isWritten = true;
        this.#parts.segments.write(Buffer.from(`${line}\n`, 'utf8'));
      }
    } catch (cause) {
      this.#parts.brokeOff('a seal could not be written', cause);
      return;
    }
    this.#parts.blobs.sync();
    const psh = digest(line);
    const end = draft.end === undefined ? this.#parts.chain.end(psh) : { ...draft.end, psh };
    if (!(await this.#synced(end))) return;
    this.#finish(draft, line);
    this.#epochs.forgetOthers();
    await this.#moveOn();
  }

  async #signed(draft: Draft): Promise<string> {
    draft.line ??= await this.#parts.sign(this.#epochs.key, 'holdpoint-seal+jws', draft.payload);
    return draft.line;
  }

  /** A seal is on disk with all that it covers. */
  #finish(draft: Draft, line: string): void {
    this.#draft = undefined;
    this.#psh = digest(line);
    this.#sealed = draft.size;
    this.#confirmed();
    if (draft.next !== undefined) this.#epochs.adopt(draft.next.key);
    if (draft.end !== undefined) this.#parts.segments.finish();
    draft.closeValues?.();
    const { meter, clock } = this.#at;
    if (draft.since !== undefined) meter.sealLag?.((clock.mono() - draft.since) / 1000);
    this.#parts.sealed(draft.size, draft.root);
  }

  /** Begins the next segment and lists the last, where that is due. */
  async #moveOn(): Promise<void> {
    const listed = await this.#parts.segments.moveOn(this.#parts.sign, this.#epochs.key, this.#epochs.epoch);
    if (listed !== undefined) this.#parts.closed(listed);
    // Only behind the list: the segment before the seal is listed by the key that the seal ends.
    if (this.#draft?.isConfirmed === true) this.#finish(this.#draft, this.#draft.line!);
  }

  /** Writes to the next segment what the disk has not confirmed in this one, and the rest. */
  async #mend(): Promise<void> {
    const draft = this.#draft;
    const line = draft === undefined ? undefined : await this.#signed(draft);
    // A seal over nothing but what the old segment keeps is that one's end; elsewhere it would cover what is not there.
    const isOld = draft !== undefined && draft.size <= this.#parts.segments.confirmed;
    const isIn = isOld || draft?.isWritten === true;
    const psh = isIn && line !== undefined ? digest(line) : this.#psh;
    const last = isOld ? { line: Buffer.from(`${line}\n`, 'utf8'), psh } : undefined;
    this.#parts.takeBack();
    // What the seal covers beside the chain, too, is on disk before it counts.
    this.#parts.blobs.sync();
    const taken = this.#parts.chain.take();
    try {
      await this.#parts.segments.mend(taken.bytes, this.#parts.chain.end(psh), last);
    } catch (error) {
      this.#parts.chain.giveBack(taken);
      throw error;
    }
    this.#confirmed();
    const closeValues = draft?.closeValues ?? this.#parts.aside.turnTo(this.#parts.segments.n);
    closeValues?.();
    if (draft !== undefined) draft.closeValues = undefined;
    this.#mendedAt = this.#at.clock.mono();
    this.#at.meter.records?.(taken.records);
    if (draft === undefined) return;
    // The old segment has ended without it.
    draft.end = undefined;
    draft.isConfirmed = isIn;
    if (isOld) this.#finish(draft, draft.line!);
  }
}
