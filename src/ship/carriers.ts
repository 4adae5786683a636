// Carriers: every destination of one log under way side by side, each at its own pace; what one of them suffers, the
// others do not notice. Builds them from their settings. Runs in the shipping thread; a test runs it where it likes.

import { join } from 'node:path';
import { folderName } from '../../verify/src/names.ts';
import { Bucket } from './bucket.ts';
import { Cursor } from './cursor.ts';
import type { Position } from './feed.ts';
import { type Destination, Follower } from './follower.ts';
import { Manifest } from './manifest.ts';
import { otlpDestination } from './otlp.ts';
import { Retry } from './retry.ts';
import type { DestinationName, DestinationState, ThreadData } from './settings.ts';
import { streamDestination } from './stream.ts';
import { syslogDestination } from './syslog.ts';
import { Vault, type VaultState } from './vault.ts';

export interface CarrierEvents {
  /** A destination went away (with the reason) or came back. */
  readonly said: (name: DestinationName, problem: string | undefined) => void;
  readonly lost: (name: DestinationName, from: number, to: number) => void;
  readonly refused: (name: DestinationName, records: number, why: string) => void;
}

/** How often the files are looked at while nothing is new. */
const idleMs = 250;
const finishPollMs = 20;
/** One batch; and one object, which may be a segment of a gigabyte on a slow line. */
const batchMs = 30_000;
const objectMs = 15 * 60_000;

interface Way {
  readonly round: (signal: AbortSignal) => Promise<boolean>;
  /** Records there, segments there whole, and when the last of them was written (µs since 1970), if known. */
  readonly progress: () => { records: number; segment: number; ts: number | undefined };
  readonly close: () => Promise<void>;
}

/** One destination under way. */
class Carrier {
  readonly name: DestinationName;
  readonly #way: Way;
  readonly #durable: () => number;
  readonly #retry: Retry;
  #failures = 0;
  #bytes = 0;
  #problem: string | undefined;
  /** Since when there has been something that is not there, and what was there then. */
  #behind: { readonly since: number; readonly records: number } | undefined;

  constructor(
    name: DestinationName,
    way: Way,
    roundMs: number,
    durable: () => number,
    said: CarrierEvents['said'],
  ) {
    this.name = name;
    this.#way = way;
    this.#durable = durable;
    this.#retry = new Retry({
      round: (signal) => way.round(signal),
      idleMs,
      roundMs,
      random: Math.random,
      outcome: (why) => {
        if (why !== undefined) this.#failures += 1;
        if ((why === undefined) !== (this.#problem === undefined)) said(name, why);
        this.#problem = why;
      },
    });
  }

  sent(bytes: number): void {
    this.#bytes += bytes;
  }

  wake(): void {
    this.#retry.wake();
  }

  state(nowMs: number): DestinationState {
    const { records, segment, ts } = this.#way.progress();
    if (records >= this.#durable()) this.#behind = undefined;
    else this.#behind ??= { since: nowMs, records };
    const { name } = this;
    return {
      name,
      records,
      segment,
      lagMs: Math.max(0, nowMs - this.#since(records, ts, nowMs)),
      failures: this.#failures,
      bytes: this.#bytes,
      problem: this.#problem,
    };
  }

  async close(): Promise<void> {
    await this.#retry.close();
    await this.#way.close();
  }

  /** When the oldest record was written that is not there: about when the last was that is, where one came since. */
  #since(records: number, ts: number | undefined, nowMs: number): number {
    if (this.#behind === undefined) return nowMs;
    return records > this.#behind.records && ts !== undefined ? ts / 1000 : this.#behind.since;
  }
}

/** All destinations of one log. */
export class Carriers {
  readonly #carriers: Carrier[] = [];
  readonly #durable: () => number;
  #vault: Vault | undefined;

  constructor(data: ThreadData, events: CarrierEvents) {
    const { settings } = data;
    const counter = new BigInt64Array(data.durable);
    const durable = () => Number(Atomics.load(counter, 0));
    this.#durable = durable;
    const manifest = () => new Manifest(data.folder);
    const cursor = <T extends object>(name: string, place: string) =>
      new Cursor<T>(join(data.cursors, `${name}.json`), place);
    const add = (
      name: DestinationName,
      roundMs: number,
      way: (sent: (bytes: number) => void) => Way,
    ): void => {
      const carrier: Carrier = new Carrier(
        name,
        way((bytes) => carrier.sent(bytes)),
        roundMs,
        durable,
        events.said,
      );
      this.#carriers.push(carrier);
    };
    const follow = (name: DestinationName, destination: Destination): void =>
      add(name, batchMs, (sent) => {
        const follower = new Follower({
          folder: data.folder,
          manifest: manifest(),
          destination,
          cursor: cursor<Position>(name, destination.place),
          durable,
          sent,
          lost: (from, to) => events.lost(name, from, to),
          refused: (records, why) => events.refused(name, records, why),
        });
        const progress = () => ({
          records: follower.at?.seq ?? 0,
          segment: follower.at?.segment ?? 0,
          ts: follower.ts,
        });
        return { round: (signal) => follower.round(signal), progress, close: () => follower.close() };
      });

    const { s3, otlp, syslog, redis } = settings;
    if (s3 !== undefined) {
      const prefix = `${s3.prefix === '' ? '' : `${s3.prefix}/`}${folderName(data.origin)}/`;
      add('s3', objectMs, (sent) => {
        const vault = new Vault({
          folder: data.folder,
          bucket: new Bucket(s3.place),
          prefix,
          lock: s3.lock,
          cursor: cursor<VaultState>('s3', `${s3.place.endpoint ?? ''} ${s3.place.bucket} ${prefix}`),
          manifest: manifest(),
          durable,
          packed: data.packed,
          pieceMs: s3.everyMs,
          now: Date.now,
          mono: () => performance.now(),
          put: sent,
        });
        this.#vault = vault;
        const progress = () => ({
          records: vault.state?.at.seq ?? 0,
          segment: vault.state?.closed ?? 0,
          ts: vault.ts,
        });
        return { round: (signal) => vault.round(signal), progress, close: () => vault.close() };
      });
    }
    if (otlp !== undefined) follow('otlp', otlpDestination(otlp, data));
    if (syslog !== undefined) follow('syslog', syslogDestination(syslog, data));
    if (redis !== undefined) follow('redis', streamDestination(redis, data.origin));
  }

  /** Settles once the bucket keeps the checkpoint and all that it covers. Rejects if there is no bucket. */
  keep(size: number, note: string): Promise<void> {
    if (this.#vault === undefined) return Promise.reject(new Error('there is no bucket'));
    const kept = this.#vault.keep(size, note);
    this.wake();
    return kept;
  }

  /** Something new is there. */
  wake(): void {
    for (const carrier of this.#carriers) carrier.wake();
  }

  states(nowMs: number): DestinationState[] {
    return this.#carriers.map((carrier) => carrier.state(nowMs));
  }

  /** Sends what is there; resolves when all of it is, or after `ms`. */
  async finish(ms: number): Promise<void> {
    this.#vault?.flush();
    this.wake();
    const deadline = performance.now() + ms;
    while (
      performance.now() < deadline &&
      this.states(Date.now()).some(({ records }) => records < this.#durable())
    )
      await new Promise((resolve) => setTimeout(resolve, finishPollMs));
  }

  async close(): Promise<void> {
    await Promise.all(this.#carriers.map((carrier) => carrier.close()));
  }
}
