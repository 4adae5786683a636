// Groups: the group commit of a log, one in flight: when the next is due, whether it seals or only has the disk confirm, and
// what the log's standing is when it has ended. audit-approval §3.5. Refuses to know what a group does.

import type { HoldpointError } from '../errors.ts';
import type { LogState } from './logstate.ts';
import { Pace } from './pace.ts';
import type { Sealer } from './sealer.ts';
import type { Segments } from './segments.ts';
import type { Standing } from './standing.ts';
import type { Turn } from './turn.ts';
import type { Waiters } from './waiters.ts';

/** Groups are so many times rarer when nobody waits for one. */
const idleFactor = 10;

/** Whom it looks at, and whom it tells. */
export interface GroupsParts {
  readonly sealer: Pick<Sealer, 'hasWork' | 'group' | 'sync'>;
  readonly segments: Pick<Segments, 'isBroken'>;
  readonly standing: Standing;
  readonly waiters: Waiters;
  readonly turn: Turn;
  /** The log's end is about to be used. */
  takeBack(): void;
  /** What a group does with the log's end is done, or goes on without it. */
  offer(): void;
  failure(what: string, cause: unknown): HoldpointError;
}

export class Groups {
  readonly #at: LogState;
  readonly #parts: GroupsParts;
  readonly #pace: Pace;
  #current: Promise<void> | undefined;
  #full: HoldpointError | undefined;
  #isOver = false;

  constructor(state: LogState, parts: GroupsParts) {
    this.#at = state;
    this.#parts = parts;
    this.#pace = new Pace(state.clock.mono, () => void this.#due());
  }

  /** Settles with the one in flight, if there is one. */
  async ended(): Promise<void> {
    await this.#current;
  }

  /** None is begun by itself any more. */
  stop(): void {
    this.#isOver = true;
    this.#pace.stop();
  }

  /** The log has used up what it kept in reserve: this is why it stops once the next group has been written with it. */
  filledUp(why: HoldpointError): void {
    this.#full = why;
  }

  /**
   * Sees to it that what is unsealed gets its group: soon if somebody waits for it. Whoever waits for the file and has not
   * been answered when a turn has ended waits for a group too: the file takes nothing now, or too much waits for the disk.
   */
  keepPace(): void {
    const { standing, segments, sealer, waiters } = this.#parts;
    if (this.#current !== undefined || this.#isOver || standing.stopped !== undefined) return;
    if (segments.isBroken) this.#pace.within(0);
    else if (sealer.hasWork) {
      if (waiters.forDisk) this.#pace.soon();
      else this.#pace.within(this.#betweenSeals);
    }
  }

  /** A group. One at a time: whoever comes while one is in flight gets that one's end. */
  commit(): Promise<void> {
    if (this.#current === undefined) this.#pace.begin();
    return this.#work(() => this.#parts.sealer.group());
  }

  /** Least time between the beginnings of two groups. */
  get #betweenSeals(): number {
    const { waiters } = this.#parts;
    const isAwaited = waiters.forSeal || waiters.forFile;
    return isAwaited ? this.#at.sealMs : this.#at.sealMs * idleFactor;
  }

  /** Who waits for the disk alone does not wait for a seal as well, unless there is to be one now. */
  #due(): Promise<void> {
    const { waiters, segments, sealer } = this.#parts;
    const isForDisk = waiters.forDisk && !segments.isBroken;
    if (!isForDisk || this.#pace.isDue(this.#betweenSeals)) return this.commit();
    return this.#work(() => sealer.sync());
  }

  #work(work: () => Promise<void>): Promise<void> {
    if (this.#current !== undefined) return this.#current;
    const { standing, segments, waiters, turn, takeBack, offer, failure } = this.#parts;
    takeBack();
    this.#pace.stop();
    standing.asks('disk');
    // Not before the log has said what it needed the room for.
    if (this.#full !== undefined && !segments.isBroken && this.#at.ballast.makeAgain())
      this.#full = undefined;
    this.#current = work()
      .then(() => {
        // A file that broke is mended by the next group, which follows at once.
        if (this.#full !== undefined) standing.stop(this.#full);
        else if (!segments.isBroken) standing.goOn();
      })
      .catch((cause: unknown) => standing.stop(failure('the log could not be written', cause)))
      .then(() => {
        this.#current = undefined;
        standing.rests();
        standing.tryLater();
        // The end of the turn keeps the pace, when it is known whether those who wait for the file need a group for it.
        if (waiters.forFile) turn.end();
        else this.keepPace();
      });
    offer();
    return this.#current;
  }
}
