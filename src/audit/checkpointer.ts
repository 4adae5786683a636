// Checkpointer: says of the log at what size it is and what its root is, signed, at most once in `checkpointMs` while
// anything is written, and gives that to those who keep it outside. audit-approval §5.
// Runs behind the log and never in its way; whoever must not go on before a record is vouched for outside waits for
// `anchored`. What goes wrong is said and tried again; a conflict is said and stays.

import { checkpointText, type GoodSignature, noteOf } from '../../verify/src/note.ts';
import type { HoldpointError } from '../errors.ts';
import { type Anchor, type LogCheckpoint, notOutside, type Outside } from './anchor.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import type { LogListener } from './logstate.ts';
import type { NoteSigner } from './note-signer.ts';
import type { Remembered } from './remembered.ts';
import type { Standing, Wake } from './wake.ts';

/** An anchor that fails is tried again after this time, twice as long each time, up to the second. */
const againMs = 1_000;
const againMsMax = 30_000;
/** How long the last checkpoint of a log that is closed may take to get outside. */
const farewellMs = 3_000;

/** What the checkpointer tells metrics and the operator. Must not throw. */
export interface CheckpointEvents {
  /** A checkpoint was signed. */
  made?(size: number): void;
  /** An anchor keeps the first `size` records, `seconds` after they were on disk. */
  kept?(anchor: string, size: number, seconds: number): void;
  /** An anchor did not keep one; `isNew`: it did the one before. */
  failed?(anchor: string, error: Error, isNew: boolean): void;
  /** No checkpoint could be made. */
  broken?(error: Error): void;
}

export interface CheckpointerOptions {
  readonly log: { readonly origin: string; listen(listener: LogListener): () => void };
  readonly wake: Wake;
  readonly signer: NoteSigner;
  readonly files: CheckpointFiles;
  readonly memory: Remembered;
  readonly anchors: readonly Anchor[];
  /** Of how many witnesses a checkpoint needs cosignatures. */
  readonly quorum: number;
  readonly checkpointMs: number;
  /** How long `anchored` waits. */
  readonly anchorMs: number;
  readonly now: () => number;
  readonly events?: CheckpointEvents | undefined;
}

interface Keeper {
  readonly anchor: Anchor;
  kept: number;
  /** When it was last given one. */
  givenAt: number;
  busy: boolean;
  failures: number;
  error: Error | undefined;
}

interface Waiter {
  readonly seq: number;
  readonly where: Outside;
  readonly resolve: () => void;
  readonly reject: (error: HoldpointError) => void;
  readonly timer: NodeJS.Timeout;
}

interface Made {
  readonly checkpoint: LogCheckpoint;
  readonly text: string;
  readonly lines: string[];
  cosignatures: number;
}

/** Makes the checkpoints of one log. */
export class Checkpointer {
  readonly #options: CheckpointerOptions;
  readonly #keepers: readonly Keeper[];
  readonly #waiters = new Set<Waiter>();
  /** What the writer said last. */
  #told: { readonly size: number; readonly root: string } | undefined;
  #newest: Made | undefined;
  #making: Promise<void> | undefined;
  #filing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #lastAt = Number.NEGATIVE_INFINITY;
  #closing = false;
  readonly #stopListening: () => void;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#keepers = options.anchors.map((anchor) => ({
      anchor,
      kept: 0,
      givenAt: Number.NEGATIVE_INFINITY,
      busy: false,
      failures: 0,
      error: undefined,
    }));
    this.#stopListening = options.log.listen({
      sealed: (size, root) => {
        this.#told = { size, root };
        this.#soon(this.#pause());
      },
    });
    this.#soon(0);
  }

  /**
   * Settles once record `seq`, which is durable, is kept outside. Rejects with `log-unwritable` if that takes longer
   * than `anchorMs`.
   */
  anchored(seq: number, where: Outside): Promise<void> {
    if (this.#reached(where) > seq) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { anchorMs } = this.#options;
    const timer = setTimeout(() => {
      this.#waiters.delete(waiter);
      reject(notOutside(where, anchorMs, this.#reasons(where)));
    }, anchorMs);
    const waiter: Waiter = { seq, where, resolve, reject, timer };
    this.#waiters.add(waiter);
    this.#soon(0);
    return promise;
  }

  /** Makes a checkpoint now, and gives it to every anchor that is free. Never rejects. */
  make(): Promise<void> {
    this.#making ??= this.#make()
      .catch((error: Error) => this.#options.events?.broken?.(error))
      .finally(() => {
        this.#making = undefined;
      });
    return this.#making;
  }

  /** The last checkpoint, of the closed log. Those who do not take it in time go without. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#stopListening();
    clearTimeout(this.#timer);
    await this.#making;
    await this.make();
    const patience = Promise.withResolvers<void>();
    const timer = setTimeout(patience.resolve, farewellMs);
    const outside = async (): Promise<void> => {
      while (this.#keepers.some(({ busy }) => busy)) await this.#idle();
    };
    await Promise.race([outside(), patience.promise]);
    clearTimeout(timer);
    await this.#filing;
    for (const { timer, reject, where } of this.#waiters) {
      clearTimeout(timer);
      reject(notOutside(where, this.#options.anchorMs, ['Holdpoint is shutting down']));
    }
    this.#waiters.clear();
  }

  async #make(): Promise<void> {
    const { wake, signer, log, memory, now, events } = this.#options;
    this.#lastAt = now();
    const standing = await this.#standing();
    if (standing === undefined) return;
    const { size } = standing;
    if (size !== this.#newest?.checkpoint.size) {
      const text = checkpointText({ origin: log.origin, size, root: standing.root, extensions: [] });
      const line = signer.sign(text);
      const root = standing.root.toString('base64url');
      const checkpoint = { origin: log.origin, size, root, note: noteOf(text, [line]), at: now() };
      this.#newest = { checkpoint, text, lines: [line], cosignatures: 0 };
      if (this.#keepers.length > 0) wake.remember(new Set([size, ...this.#keepers.map(({ kept }) => kept)]));
      memory.stand({ size, root });
      events?.made?.(size);
      this.#file(this.#newest);
    }
    for (const keeper of this.#keepers) this.#offer(keeper);
    if (this.#keepers.every(({ anchor }) => anchor.kind !== 'witness')) await memory.write();
  }

  /**
   * What there is to vouch for. Outside goes only what is on disk, read again; a note beside the log says no more than the
   * seal in it does, and to read all of the log for that would cost as much as to write it.
   */
  async #standing(): Promise<Standing | undefined> {
    if (this.#keepers.length > 0) return this.#options.wake.advance();
    return this.#told && { size: this.#told.size, root: Buffer.from(this.#told.root, 'base64url') };
  }

  /** Gives the newest checkpoint to an anchor that has nothing in hand. */
  #offer(keeper: Keeper): void {
    const made = this.#newest;
    if (made === undefined || keeper.busy || keeper.kept >= made.checkpoint.size) return;
    if (this.#rests(keeper)) return;
    keeper.busy = true;
    keeper.givenAt = this.#options.now();
    keeper.anchor
      .keep(made.checkpoint)
      .then(
        (signatures) => this.#kept(keeper, made, signatures),
        (error: Error) => this.#missed(keeper, error),
      )
      .finally(() => this.#wake());
  }

  /** Whether an anchor is left alone for now. The last checkpoint of a log, and one that is waited for, it gets. */
  #rests({ anchor, givenAt }: Keeper): boolean {
    const left = givenAt + (anchor.restMs ?? 0) - this.#options.now();
    if (left <= 0 || this.#closing) return false;
    for (const { where } of this.#waiters) if (where === anchor.kind) return false;
    this.#soon(left);
    return true;
  }

  #kept(keeper: Keeper, made: Made, signatures: readonly GoodSignature[]): void {
    const { events, now } = this.#options;
    const { size, at } = made.checkpoint;
    keeper.busy = false;
    keeper.kept = size;
    keeper.failures = 0;
    keeper.error = undefined;
    events?.kept?.(keeper.anchor.name, size, (now() - at) / 1000);
    if (signatures.length > 0) {
      made.lines.push(...signatures.map(({ line }) => line));
      made.cosignatures += 1;
      this.#file(made);
    }
    for (const waiter of this.#waiters) {
      if (this.#reached(waiter.where) <= waiter.seq) continue;
      clearTimeout(waiter.timer);
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
    // The last checkpoint of a log may have been made while this one was on its way.
    if (this.#closing) this.#offer(keeper);
    // What came meanwhile: at once for whoever waits, else at its time.
    this.#soon(this.#waiters.size > 0 ? 0 : this.#pause());
  }

  #missed(keeper: Keeper, error: Error): void {
    keeper.busy = false;
    keeper.error = error;
    this.#options.events?.failed?.(keeper.anchor.name, error, keeper.failures === 0);
    this.#soon(Math.min(againMs * 2 ** Math.min(keeper.failures, 10), againMsMax));
    keeper.failures += 1;
  }

  #file({ checkpoint, text, lines, cosignatures }: Made): void {
    const { files, quorum, now, events } = this.#options;
    const note = noteOf(text, lines);
    this.#filing = this.#filing
      .then(() => files.put(checkpoint.size, note, cosignatures, quorum, now(), this.#closing))
      .catch((error: Error) => events?.broken?.(error));
  }

  /** How many records are kept outside, by as many as count for that. */
  #reached(where: Outside): number {
    const sizes = this.#keepers
      .filter(({ anchor }) => anchor.kind === where)
      .map(({ kept }) => kept)
      .sort((a, b) => b - a);
    return sizes[where === 'witness' ? this.#options.quorum - 1 : 0] ?? 0;
  }

  #reasons(where: Outside): string[] {
    return this.#keepers
      .filter(({ anchor, error }) => anchor.kind === where && error !== undefined)
      .map(({ error }) => error!.message);
  }

  /** What is left of `checkpointMs` since the last. */
  #pause(): number {
    return Math.max(0, this.#lastAt + this.#options.checkpointMs - this.#options.now());
  }

  #soon(ms: number): void {
    const at = this.#options.now() + ms;
    if (this.#closing || at >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = at;
    this.#timer = setTimeout(() => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      void this.make();
    }, ms);
    this.#timer.unref();
  }

  #waking: (() => void)[] = [];

  #idle(): Promise<void> {
    return new Promise((resolve) => this.#waking.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waking.splice(0)) resolve();
  }
}
