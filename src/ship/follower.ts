// Follower: carries the records of a log to one destination, in order, each at least once. A destination that is slow or
// away only makes it lag: it holds one batch and no more, and the log does not know of it. Refuses to know the other
// side's protocol. audit-approval §5.

import type { Cursor } from './cursor.ts';
import { beginning, type Entry, Feed, FeedError, type Position } from './feed.ts';
import type { Manifest } from './manifest.ts';

/** What the other side made of a batch that it took. */
export interface Delivered {
  readonly bytes: number;
  /** Records that it will not have, however often they come. */
  readonly refused: number;
  readonly why?: string | undefined;
}

/** The other side. */
export interface Destination {
  /** Which place it is, for the cursor; holds no secret. */
  readonly place: string;
  /**
   * Resolves once the other side has taken all of them, as far as its protocol can tell. They may
   * come again. Rejects with RetryLater where the other side says when.
   */
  deliver(records: readonly Entry[], signal: AbortSignal): Promise<Delivered>;
  close(): Promise<void> | void;
}

export interface FollowerOptions {
  /** The log's folder. */
  readonly folder: string;
  readonly manifest: Manifest;
  readonly destination: Destination;
  readonly cursor: Cursor<Position>;
  /** Records that are sealed and on disk. */
  readonly durable: () => number;
  readonly sent: (bytes: number) => void;
  /** Told of records that the other side will not have. */
  readonly refused: (records: number, why: string) => void;
  /** Told of records that were pruned before they could be sent. */
  readonly lost: (from: number, to: number) => void;
}

const recordsMax = 500;
const bytesMax = 1 << 20;

/** One destination's way through the log, by rounds. */
export class Follower {
  readonly #with: FollowerOptions;
  #feed: Feed | undefined;
  #at: Position | undefined;
  #ts: number | undefined;

  constructor(options: FollowerOptions) {
    this.#with = options;
  }

  /** How far the destination has got; undefined before the first round. */
  get at(): Position | undefined {
    return this.#at;
  }

  /** µs since 1970 of the last record that was sent by this process. */
  get ts(): number | undefined {
    return this.#ts;
  }

  /** Sends the next batch. True if there may be more. */
  async round(signal: AbortSignal): Promise<boolean> {
    const { folder, manifest, durable, cursor, destination, sent } = this.#with;
    this.#at ??= await cursor.read(beginning);
    this.#feed ??= new Feed(folder, manifest, this.#at, durable);
    const entries = await this.#take(this.#feed);
    if (entries.length === 0) return false;
    try {
      const records = entries.filter(({ kind }) => kind === 'record');
      if (records.length > 0) {
        const { bytes, refused, why } = await destination.deliver(records, signal);
        sent(bytes);
        if (refused > 0) this.#with.refused(refused, why ?? 'it does not say why');
      }
      const { position } = this.#feed;
      await cursor.write(position);
      this.#at = position;
      this.#ts = (records.at(-1)?.members?.ts as number | undefined) ?? this.#ts;
    } catch (error) {
      await this.#feed.rewind(this.#at);
      throw error;
    }
    return true;
  }

  async close(): Promise<void> {
    await this.#feed?.close();
    await this.#with.destination.close();
  }

  async #take(feed: Feed): Promise<Entry[]> {
    try {
      return await feed.take(recordsMax, bytesMax);
    } catch (error) {
      if (!(error instanceof FeedError) || error.goOn === undefined) throw error;
      this.#with.lost(this.#at!.seq, error.goOn.seq);
      this.#at = error.goOn;
      await feed.rewind(error.goOn);
      return feed.take(recordsMax, bytesMax);
    }
  }
}
