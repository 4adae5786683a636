// AuditLog: the log as the proxy writes it. Chains records, writes them once per turn of the event loop, seals and
// syncs them in groups, closes segments, changes keys. audit-approval §3.5 and §4.
// Refuses to know why something is recorded. While the disk or the signer fails or is silent nothing new is taken and
// everybody who waits hears of it; the log tries again by itself and goes on when it can (segments.ts says how).

import { HoldpointError } from '../errors.ts';
import { Aside } from './aside.ts';
import { isFull } from './ballast.ts';
import { Blobs } from './blobs.ts';
import { Chain, type Lines, type Made } from './chain.ts';
import type { Spelling } from './frequent.ts';
import { Groups } from './groups.ts';
import { type Borrower, Lending, type Lent } from './lending.ts';
import type { Blob } from './line.ts';
import type { LogHealth, LogListener, LogState } from './logstate.ts';
import { patient } from './patience.ts';
import type { RecordBody, StatementBody } from './record.ts';
import type { Sign } from './seal.ts';
import { Sealer } from './sealer.ts';
import { Segments } from './segments.ts';
import { Standing } from './standing.ts';
import * as trouble from './trouble.ts';
import { Turn } from './turn.ts';
import type { Kept, ValuesMode } from './values.ts';
import { Waiters, type Written } from './waiters.ts';

/** Bytes of a turn, more or less, that are written at once rather than at the turn's end. */
const turnBytesMax = 1 << 20;
/** Of `unconfirmedBytesMax`: then records are refused, whoever asks. */
const refusalFactor = 4;

/** The writer of one log. One per process and origin; `openLog` makes it. */
export class AuditLog {
  readonly values: ValuesMode;
  readonly origin: string;
  readonly boot: string;
  readonly #at: LogState;
  readonly #chain: Chain;
  readonly #blobs: Blobs;
  readonly #aside: Aside;
  readonly #segments: Segments;
  readonly #sealer: Sealer;
  readonly #waiters = new Waiters();
  readonly #listeners = new Set<LogListener>();

  readonly #turn = new Turn(() => this.#turnEnded());

  readonly #keep = (blobs: readonly Blob[]): void =>
    this.#beside('a long statement could not be written', () => this.#blobs.keep(blobs));

  readonly #groups: Groups;
  readonly #lending: Lending;

  // Whether records are taken, and what is done about it if not.
  readonly #standing: Standing;
  readonly #heartbeat: NodeJS.Timeout | undefined;
  #lastBeat = 0;
  #closing: Promise<void> | undefined;
  #isClosed = false;

  constructor(state: LogState) {
    this.#at = state;
    this.values = state.values;
    this.origin = state.origin;
    this.boot = state.boot;
    this.#chain = new Chain(state);
    this.#blobs = new Blobs(state.folder);
    this.#aside = new Aside(state.folder, state.side);
    this.#segments = new Segments(state.folder, state.manifest, state.segment);
    this.#standing = new Standing({
      mono: state.clock.mono,
      stallMs: state.stallMs,
      retryMs: state.retryMs,
      meter: state.meter,
      retry: () => void this.#groups.commit(),
      refuse: (error) => {
        this.#lending.takeBack();
        this.#lending.refused();
        this.#waiters.reject(error);
        if (this.#waiters.forFile) this.#turn.end();
      },
    });
    this.#sealer = new Sealer(state, {
      chain: this.#chain,
      blobs: this.#blobs,
      aside: this.#aside,
      segments: this.#segments,
      sign: this.#asking(state),
      takeBack: () => this.#lending.takeBack(),
      append: (body) => this.#append(body),
      flush: () => this.#flush(),
      brokeOff: (what, cause) => this.#brokeOff(what, cause),
      isEnding: () => this.#closing !== undefined,
      onDisk: (size) => this.#waiters.onDisk(size),
      sealed: (size, root) => {
        this.#standing.asks('disk');
        this.#waiters.sealed(size);
        for (const listener of this.#listeners) listener.sealed?.(size, root);
      },
      closed: (n) => {
        for (const listener of this.#listeners) listener.segmentClosed?.(n);
      },
    });
    this.#lending = new Lending(state, {
      chain: this.#chain,
      blobs: this.#blobs,
      segments: this.#segments,
      sealer: this.#sealer,
      keepValues: (seq, kept) => this.#keepValues(seq, kept),
      brokeOff: (what, cause) => this.#brokeOff(what, cause),
      keepPace: () => this.#groups.keepPace(),
    });
    this.#groups = new Groups(state, {
      sealer: this.#sealer,
      segments: this.#segments,
      standing: this.#standing,
      waiters: this.#waiters,
      turn: this.#turn,
      takeBack: () => this.#lending.takeBack(),
      offer: () => this.#lending.offer(),
      failure: (what, cause) => this.#failure(what, cause),
    });
    if (state.heartbeatMs > 0) {
      this.#heartbeat = setInterval(() => this.#beat(), state.heartbeatMs);
      this.#heartbeat.unref();
    }
  }

  /** Why nothing can be recorded now; undefined while all is well. */
  get failed(): HoldpointError | undefined {
    return this.#standing.refusal;
  }

  /** True while so much waits for the disk that clients should not be read: `written` does not call back meanwhile. */
  get congested(): boolean {
    return this.#unconfirmedBytes > this.#at.unconfirmedBytesMax;
  }

  /** Records appended so far. */
  get size(): number {
    this.#lending.takeBack();
    return this.#chain.size;
  }

  /** How many of them, from the first on, are sealed and on disk. */
  get sealed(): number {
    return this.#sealer.sealed;
  }

  get health(): LogHealth {
    this.#lending.takeBack();
    const { failed } = this;
    const { ballast } = this.#at;
    return {
      writable: failed === undefined && this.#closing === undefined,
      reason: failed?.message,
      warnings: ballast.isThere ? [] : [`there is no room to keep ${ballast.bytes} bytes in reserve for it`],
      records: this.#chain.size,
      sealed: this.#sealer.sealed,
      unsealedMs: this.#sealer.unsealedMs,
    };
  }

  /**
   * Chains a record and puts it into the current turn; returns its seq. Nothing is in the file yet: see `written` and
   * `durable`. Throws `log-unwritable` once the log is closed, and while it is stopped; an outcome is taken all the
   * same, because there is at most one for each statement that went on before. TypeError on a malformed body (the log
   * then goes on without it). `kept`: values of it to put aside for auditors.
   */
  append(body: RecordBody, kept?: readonly Kept[]): number {
    if (body.kind !== 'stmt' && body.kind !== 'outcome') this.#lending.revoke();
    this.#lending.takeBack();
    if (this.#closing !== undefined) throw trouble.closed(this.origin);
    const refusal = body.kind === 'outcome' ? undefined : this.#refusal();
    if (refusal !== undefined) throw refusal;
    // The log has ended this statement itself, and a statement has one outcome.
    if (this.#at.open.repeats(body)) return this.#chain.size - 1;
    if (kept === undefined) return this.#append(body);
    this.#beside('evidence could not be written', () => this.#aside.tokens(kept));
    const seq = this.#append(body);
    this.#keepValues(seq, kept);
    return seq;
  }

  /** As `append`, of a record that nobody waits for: it goes to the file with the next one, or by itself in a moment. */
  appendLate(body: RecordBody): void {
    this.#lending.takeBack();
    if (this.#closing !== undefined) throw trouble.closed(this.origin);
    if (!this.#at.open.repeats(body)) this.#append(body, true);
  }

  /** True while `adopt` takes statements as `append` would. Their outcomes are taken until the log is closed. */
  get takes(): boolean {
    return this.#closing === undefined && this.#refusal() === undefined && !this.congested;
  }

  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  /** True, once, if the log has ended statement `ref` itself, so that its outcome is not to be recorded. */
  hasEnded(ref: number): boolean {
    return this.#at.open.repeatsOf(ref);
  }

  /** As many `append`s, of records whose lines the caller makes; `kept`: values of each to put aside. Returns the first seq. */
  adopt(lines: Lines, kept: readonly (readonly Kept[] | undefined)[]): number {
    this.#lending.takeBack();
    const first = this.#chain.adopt(lines);
    for (const [at, values] of kept.entries()) if (values !== undefined) this.#keepValues(first + at, values);
    this.#appended(true);
    return first;
  }

  /** Lends its end, to write records to it until it is recalled. Undefined where that is not possible now. */
  lend(borrower: Borrower): Lent | undefined {
    return this.takes && !this.#isClosed ? this.#lending.lend(borrower) : undefined;
  }

  /** Takes back what it lent: these records were made meanwhile. `kept`: as of `adopt`. */
  settle(made: Made, briefs: Float64Array, kept: readonly (readonly Kept[] | undefined)[]): void {
    this.#lending.settle(made, briefs, kept);
  }

  /** Writes what was appended now. False where it cannot be known yet that all of it is in the file: see `written`. */
  writeNow(): boolean {
    this.#lending.takeBack();
    this.#flush();
    this.#groups.keepPace();
    const isTaking = !this.#segments.isBroken && this.#standing.stopped === undefined && !this.#isClosed;
    return isTaking && this.#chain.length === 0 && !this.congested;
  }

  /** What stands between the values of the lines of such a statement, for `adopt`. */
  spelling(body: StatementBody, tag: string): Spelling {
    return this.#chain.spelling(body, tag);
  }

  /**
   * Calls `done` once everything appended so far has been passed to write(2), always in a later turn of the event loop;
   * while the log is congested, once it is not. With an error, nothing that depends on those records may go on.
   */
  written(done: Written): void {
    this.#lending.takeBack();
    this.#waiters.written(done);
    this.#turn.end();
  }

  /**
   * Keeps a text beside the log, for a record that holds its digest. On disk when it returns. It may be removed later
   * without breaking the chain: what it proved is then unproved.
   */
  keepAside(sha256: string, text: string): void {
    const { failed } = this;
    if (failed !== undefined) throw failed;
    this.#beside('evidence could not be written', () => this.#aside.evidence(sha256, text));
  }

  /** Where it lies. */
  get path(): string {
    return this.#at.folder.path;
  }

  /** Lets `rewrite` put another file in the place of the values of a segment; none are written to it meanwhile. */
  replaceSide(n: number, rewrite: (path: string) => void): void {
    this.#aside.replace(n, rewrite);
  }

  /** How many records, from the first on, are on disk, sealed or not. */
  get onDisk(): number {
    return this.#segments.confirmed;
  }

  /** Settles when record `seq` is on disk; rejects with `log-unwritable` if that does not come in time. */
  synced(seq: number): Promise<void> {
    return this.#awaited(seq, this.#segments.confirmed, () => this.#waiters.disk(seq));
  }

  /** As `synced`, and once it is sealed. */
  durable(seq: number): Promise<void> {
    return this.#awaited(seq, this.#sealer.sealed, () => this.#waiters.seal(seq));
  }

  #awaited(seq: number, done: number, wait: () => Promise<void>): Promise<void> {
    this.#lending.takeBack();
    if (seq < done) return Promise.resolve();
    const { failed } = this;
    if (failed !== undefined) return Promise.reject(failed);
    if (seq >= this.#chain.size) return Promise.reject(new RangeError(`there is no record ${seq}`));
    const waited = wait();
    this.#groups.keepPace();
    return waited;
  }

  /** Has `listener` told from now on; returns what ends that. What is sealed already is in `health`. */
  listen(listener: LogListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Begins a new epoch now. Settles when the old key's last seal is on disk. */
  async changeKey(): Promise<void> {
    this.#lending.takeBack();
    await this.#groups.ended();
    this.#sealer.endEpoch();
    await this.#groups.commit();
    const { failed } = this;
    if (failed !== undefined) throw failed;
  }

  /** Writes `bye`, seals, syncs and lets go of the folder. A stopped log tries once more. Never rejects; see `failed`. */
  close(reason = 'shutdown'): Promise<void> {
    this.#lending.takeBack();
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  /** Lets go of the folder as a crash would, once what is in flight has ended. */
  abandon(): Promise<void> {
    this.#lending.takeBack();
    this.#closing ??= this.#letGo();
    return this.#closing;
  }

  async #close(reason: string): Promise<void> {
    clearInterval(this.#heartbeat);
    // Sessions that could not be heard out: nobody will say more of their statements than is known now.
    for (const body of this.#at.open.endings()) this.#append(body);
    const bye = this.#append({ kind: 'bye', reason });
    // A log that has stopped tries once more, and once more for the file that this may find broken.
    for (
      let tries = 0;
      tries < 3 && this.#sealer.sealed <= bye && this.#standing.stall === undefined;
      tries += 1
    ) {
      const settled = this.#waiters.seal(bye).catch(() => undefined);
      // What is in flight may be no group, and then has no seal.
      void this.#groups.ended().then(() => this.#groups.commit());
      await settled;
    }
    await this.#letGo();
  }

  async #letGo(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#heartbeat);
    this.#standing.close();
    this.#groups.stop();
    // What is in flight may still write: until it has ended, nobody else may.
    const gone = this.#groups.ended().then(() => {
      this.#aside.close();
      this.#segments.close();
      this.#at.lock.release();
    });
    // A disk that hangs is not waited for.
    if (this.#standing.stall === undefined) await gone;
  }

  #append(body: RecordBody, late = false): number {
    const seq = this.#chain.append(body, this.#keep);
    this.#appended(late);
    return seq;
  }

  #keepValues(seq: number, kept: readonly Kept[]): void {
    try {
      this.#aside.values(seq, kept);
    } catch (cause) {
      // The record stands; whoever waits for it hears of this.
      this.#standing.stop(this.#failure('a value could not be put aside', cause));
    }
  }

  #appended(late: boolean): void {
    this.#sealer.appended();
    if (this.#chain.length > turnBytesMax) this.#flush();
    if (late) this.#turn.endLate();
    else this.#turn.end();
  }

  #turnEnded(): void {
    this.#flush();
    this.#answerWriters();
    this.#groups.keepPace();
    this.#lending.offer();
  }

  #answerWriters(): void {
    if (this.#isClosed && this.#chain.length > 0) this.#waiters.inFile(trouble.closed(this.origin));
    else if (this.#standing.stopped !== undefined) this.#waiters.inFile(this.#standing.stopped);
    else if (this.#chain.length === 0 && !this.#segments.isBroken && !this.congested) this.#waiters.inFile();
    else if (this.#standing.stall !== undefined) this.#waiters.inFile(this.#standing.stall);
  }

  /** One write(2) with everything appended since the last, unless the file takes nothing now. */
  #flush(): void {
    const { isBroken, isFinished } = this.#segments;
    const isOurs = !this.#isClosed && !this.#at.lock.isLost;
    if (this.#chain.length === 0 || isBroken || isFinished || !isOurs) return;
    // A segment that closes ends with its seal: what comes meanwhile waits for the next one.
    if (this.#sealer.isClosing) return;
    const { bytes, records } = this.#chain.take();
    try {
      this.#segments.write(bytes);
    } catch (cause) {
      this.#brokeOff('a record could not be written', cause);
    }
    this.#at.meter.records?.(records);
  }

  /** The signer, asked until it answers; meanwhile it is what the log waits for. */
  #asking({ sign, stallMs, retryMs, meter }: LogState): Sign {
    const asked = patient(sign, {
      answerMs: stallMs,
      againMs: 10,
      againMsMax: retryMs,
      failed: (cause) => meter.failure?.(trouble.stoppedBy('the signer failed', cause, retryMs)),
      isOver: () => this.#isClosed,
    });
    return async (...question) => {
      this.#standing.asks('signer');
      const token = await asked(...question);
      this.#standing.asks('disk');
      return token;
    };
  }

  /** The file that is written is not used any more. Its last lines are written again by the group that follows. */
  #brokeOff(what: string, cause: unknown): void {
    this.#lending.takeBack();
    const error = this.#failure(what, cause);
    const from = this.#segments.confirmed;
    const to = this.#chain.size;
    this.#append({ kind: 'gap', reason: `${what}: ${trouble.spoken(cause)}`, from, to, count: to - from });
    const { ballast } = this.#at;
    if (isFull(cause) && ballast.giveUp()) {
      const full = trouble.full(cause, ballast.bytes);
      this.#groups.filledUp(full);
      // What was kept in reserve is for the end of the log, not for more statements.
      this.#standing.stop(full);
      void this.#groups.commit();
    } else if (this.#standing.stopped !== undefined || this.#sealer.mendedLately) this.#standing.stop(error);
    this.#groups.keepPace();
  }

  /** Writes something that a record needs before there is the record. */
  #beside(what: string, write: () => void): void {
    try {
      write();
    } catch (cause) {
      throw this.#failure(what, cause);
    }
  }

  #failure(what: string, cause: unknown): HoldpointError {
    const error = cause instanceof HoldpointError ? cause : trouble.stoppedBy(what, cause, this.#at.retryMs);
    this.#at.meter.failure?.(error);
    return error;
  }

  #refusal(): HoldpointError | undefined {
    const bytes = this.#unconfirmedBytes;
    if (bytes > this.#at.unconfirmedBytesMax * refusalFactor) return trouble.behind(bytes);
    return this.#standing.refusal;
  }

  get #unconfirmedBytes(): number {
    return this.#chain.length + this.#segments.unconfirmedBytes + this.#blobs.unconfirmedBytes;
  }

  #beat(): void {
    this.#lending.takeBack();
    // Only where nothing else happened: any sealed record says as much.
    if (this.failed === undefined && this.#closing === undefined && this.#chain.size === this.#lastBeat)
      this.#append({ kind: 'hb' });
    this.#lastBeat = this.#chain.size;
  }
}
