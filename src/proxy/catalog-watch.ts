// Catalog watch: the catalog of one target while sessions use it. Keeps a snapshot true by polling digests on a side
// connection, reads again what has changed, and says nothing rather than something old. Opens with the first session and
// forgets after the last, so that a database which sleeps when nobody is connected can. Refuses to know what a snapshot is
// worth (the Reacher that is made of it) and whom its reports go to.

import type { Reacher } from '../catalog/names.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import { HoldpointError } from '../errors.ts';
import { revokeRounds } from '../hop/lanes.ts';
import type { ServerIdentity } from '../server-pins.ts';
import { sameDatabase, type WatchedCatalog } from './catalog-of.ts';
import { type Reading, readCatalog, SettingsChanged } from './catalog-read.ts';
import { Side, SideError } from './side.ts';
import type { Upstream } from './upstream.ts';

export interface CatalogTimes {
  /** Between two looks at the digests. */
  readonly pollMs: number;
  /** How long a snapshot is believed after the last look that succeeded; by default as long as three take. */
  readonly staleMs: number;
  /** statement_timeout of the side connection. */
  readonly statementMs: number;
  /** How long the connection and the snapshot are kept after the last session. */
  readonly lingerMs: number;
  /** How long statements wait for a reading before names are unknown to them. */
  readonly pendingMs: number;
}

const timesDefault: Omit<CatalogTimes, 'staleMs'> = {
  pollMs: 2_000,
  statementMs: 15_000,
  lingerMs: 15_000,
  pendingMs: 10_000,
};
/** A look that takes this long is still in time. */
const lookMs = 4_000;

/** Longest pause between two attempts to connect, as a multiple of pollMs. */
const backOffPollsMax = 8;

/** What an SRE sees of a watch. */
export interface CatalogMetrics {
  /** A reading that asked for at least one section took so long. */
  readSeconds(seconds: number): void;
  /** A look that found nothing changed took so long. */
  pollSeconds(seconds: number): void;
}

export interface CatalogWatchOptions {
  /** Opens a connection to the target with the settings given, as `connectUpstream` does. */
  readonly connect: (settings: readonly (readonly [string, string])[]) => Promise<Upstream>;
  readonly reacher: (snapshot: Snapshot) => Reacher;
  /** A sentence for the operator when the catalog becomes unreadable, and one when it is readable again. */
  readonly report: (sentence: string) => void;
  readonly metrics?: CatalogMetrics;
  readonly times?: Partial<CatalogTimes>;
}

/** Beyond the server's own limit, for a server that does not answer at all. */
const answerGraceMs = 2_000;

interface Pending {
  readonly promise: Promise<void>;
  readonly settle: () => void;
}

export class CatalogWatch implements WatchedCatalog {
  readonly #options: CatalogWatchOptions;
  readonly #times: CatalogTimes;
  #sessions = 0;
  #side: Side | undefined;
  /** Where `#reacher` was read. */
  #database: ServerIdentity | undefined;
  #reading: Reading | undefined;
  #reacher: Reacher | undefined;
  /** `performance.now()` of the beginning of the last look that succeeded. */
  #seenAt = Number.NEGATIVE_INFINITY;
  /** Counts what makes an earlier look worthless. */
  #generation = 0;
  #seenGeneration = -1;
  /** Counts how often everything was forgotten: what was begun before is of no use. */
  #lifetime = 0;
  #looking: Promise<void> | undefined;
  #pending: Pending | undefined;
  #failures = 0;
  #reported = false;
  #pollTimer: NodeJS.Timeout | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;

  constructor(options: CatalogWatchOptions) {
    this.#options = options;
    const times = { ...timesDefault, ...options.times };
    this.#times = { staleMs: 3 * times.pollMs + lookMs, ...times };
  }

  get reach(): Reacher | undefined {
    if (this.#seenGeneration !== this.#generation || this.#stale()) return undefined;
    return this.#reacher;
  }

  get pending(): Promise<void> | undefined {
    return this.#pending?.promise;
  }

  /** The snapshot behind `reach`. */
  get snapshot(): Snapshot | undefined {
    return this.reach === undefined ? undefined : this.#reading?.snapshot;
  }

  /** Seconds since the catalog was last seen to be as `reach` says; undefined while nothing is watched or known. */
  get ageSeconds(): number | undefined {
    if (this.#sessions === 0 || !Number.isFinite(this.#seenAt)) return undefined;
    return (performance.now() - this.#seenAt) / 1000;
  }

  get database(): ServerIdentity | undefined {
    return this.#database;
  }

  /** A session in that database begins. Call `leave` once when it has ended. */
  enter(database?: ServerIdentity): void {
    this.#sessions += 1;
    const elsewhere = this.#database !== undefined && database !== undefined;
    const moved = elsewhere && !sameDatabase(this.#database!, database);
    if (moved) this.#part();
    else if (this.#sessions > 1) return;
    clearTimeout(this.#lingerTimer);
    // Nobody looked while nobody was there.
    this.changed();
  }

  leave(): void {
    this.#sessions -= 1;
    if (this.#sessions > 0) return;
    clearTimeout(this.#pollTimer);
    this.#lingerTimer = setTimeout(() => this.#forget(), this.#times.lingerMs);
    this.#lingerTimer.unref();
  }

  /** Resolves when the catalog is known, or cannot be for now. Never rejects. */
  async ready(): Promise<void> {
    await this.#pending?.promise;
  }

  changed(): void {
    this.#generation += 1;
    revokeRounds();
    if (this.#sessions === 0) return;
    this.#await();
    void this.#look();
  }

  async refresh(): Promise<boolean> {
    if (this.#sessions === 0) return false;
    // A look that is under way may have begun before what the caller wants to see.
    await this.#looking;
    await this.#look();
    return this.#failures === 0;
  }

  /** Ends the watch at once, sessions or not. */
  close(): void {
    clearTimeout(this.#lingerTimer);
    this.#sessions = 0;
    this.#failures = 0;
    this.#forget();
  }

  #stale(): boolean {
    return performance.now() - this.#seenAt > this.#times.staleMs;
  }

  /** Statements wait from now on, until a look that begins later has succeeded, or until it is too long. */
  #await(): void {
    revokeRounds();
    if (this.#pending !== undefined) return;
    let settle: () => void = () => undefined;
    const promise = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const pending = { promise, settle };
    const timer = setTimeout(() => this.#settle(pending), this.#times.pendingMs);
    this.#pending = pending;
    promise.then(() => clearTimeout(timer));
  }

  #settle(pending: Pending | undefined): void {
    if (pending === undefined) return;
    if (this.#pending === pending) this.#pending = undefined;
    pending.settle();
  }

  /** One look at a time; whoever asks during one gets the same. Afterwards the next is due in pollMs. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookUntilCurrent();
    return this.#looking;
  }

  async #lookUntilCurrent(): Promise<void> {
    clearTimeout(this.#pollTimer);
    let generation: number;
    do {
      generation = this.#generation;
      await this.#lookOnce(generation);
    } while (generation !== this.#generation && this.#sessions > 0);
    // From here on in one go, so that no change falls between the last look and its end.
    this.#looking = undefined;
    // Whether it could be read or not: what cannot be read now is not waited for.
    this.#settle(this.#pending);
    this.#schedule();
  }

  async #lookOnce(generation: number): Promise<void> {
    const lifetime = this.#lifetime;
    const begun = performance.now();
    const old = this.#side;
    try {
      const side = await this.#connected();
      const outdated = () => {
        this.#seenGeneration = -1;
        this.#await();
      };
      const { statementMs } = this.#times;
      const reading = await readCatalog(side, this.#reading, { statementMs, outdated });
      if (lifetime !== this.#lifetime) return;
      this.#take(reading, generation, begun);
      this.#database = side.identity;
    } catch (error) {
      if (lifetime !== this.#lifetime) return;
      if (error instanceof SettingsChanged) {
        this.#seenGeneration = -1;
        this.#await();
      } else if (old === undefined || old !== this.#side || !old.lost) {
        this.#failed(error);
        return;
      }
      // The server ended a connection of earlier looks: that shows when it is asked, and says nothing of the catalog.
      this.#disconnect();
      await this.#lookOnce(generation);
    }
  }

  #take(reading: Reading, generation: number, begun: number): void {
    const seconds = (performance.now() - begun) / 1000;
    const same = reading.tables === this.#reading?.tables && reading.facts === this.#reading.facts;
    if (same) this.#options.metrics?.pollSeconds(seconds);
    else this.#options.metrics?.readSeconds(seconds);
    if (this.#reading?.snapshot.epoch !== reading.snapshot.epoch || this.#reacher === undefined)
      this.#reacher = this.#options.reacher(reading.snapshot);
    revokeRounds();
    this.#reading = reading;
    this.#seenAt = begun;
    this.#seenGeneration = generation;
    this.#failures = 0;
    if (!this.#reported) return;
    this.#reported = false;
    this.#options.report('the catalog of the database is read again: names are explained');
  }

  async #connected(): Promise<Side> {
    if (this.#side?.open === true) return this.#side;
    this.#disconnect();
    const lifetime = this.#lifetime;
    const upstream = await this.#options.connect([
      ['client_encoding', 'UTF8'],
      ['standard_conforming_strings', 'on'],
      ['application_name', 'holdpoint catalog'],
    ]);
    const side = new Side(upstream, this.#times.statementMs + answerGraceMs);
    if (lifetime === this.#lifetime) this.#side = side;
    else side.close();
    return side;
  }

  /** What was read on another connection may be of another server. */
  #disconnect(): void {
    this.#side?.close();
    this.#side = undefined;
    this.#reading = undefined;
  }

  #failed(error: unknown): void {
    this.#failures += 1;
    const known = this.reach !== undefined;
    if (known || this.#reported) return;
    this.#reported = true;
    const cause =
      error instanceof SideError || error instanceof HoldpointError
        ? error.message
        : 'an error of the proxy itself';
    this.#options.report(
      `the catalog of the database cannot be read (${cause}): what a name stands for is not known, so statements that name anything are held`,
    );
  }

  #schedule(): void {
    clearTimeout(this.#pollTimer);
    if (this.#sessions === 0) return;
    const polls = Math.min(2 ** Math.max(0, this.#failures - 1), backOffPollsMax);
    this.#pollTimer = setTimeout(() => void this.#look(), this.#times.pollMs * polls);
    this.#pollTimer.unref();
  }

  /** A look that is under way counts for nothing any more. */
  #part(): void {
    this.#lifetime += 1;
    this.#generation += 1;
    revokeRounds();
    this.#disconnect();
  }

  #forget(): void {
    clearTimeout(this.#pollTimer);
    this.#part();
    this.#reacher = undefined;
    this.#database = undefined;
    this.#seenAt = Number.NEGATIVE_INFINITY;
    this.#settle(this.#pending);
  }
}
