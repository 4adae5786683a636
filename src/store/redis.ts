// Redis store: the port of store.ts in a Redis or Valkey that several proxies share. Every step that could race is one
// script on the server. Redis replicates asynchronously, so a failover may forget a step it had confirmed: that is why
// no row is an authority, and why the node that releases remembers what it has released. Refuses to know any of that.

import { Redis } from 'ioredis';
import { HoldpointError } from '../errors.ts';
import * as scripts from './redis-scripts.ts';
import type { Ending, ListFilter, RequestState, Store, StoredRequest, Vote, VoteResult } from './store.ts';

/** How long a row stays readable after the end of its time. */
const keptMs = 7 * 24 * 3_600_000;

const connectMs = 5_000;
const commandMs = 3_000;
const retryMsMax = 2_000;

type Fixed = Pick<StoredRequest, 'rid' | 'request' | 'nonce' | 'target' | 'created'>;
type WholeRow = [string[], string[]];

/** Two connections: one for commands, one that listens for changes. `close` ends both. */
export class RedisStore implements Store {
  readonly #commands: Redis;
  readonly #listener: Redis;
  readonly #watchers = new Set<(rid: string) => void>();

  private constructor(commands: Redis, listener: Redis) {
    this.#commands = commands;
    this.#listener = listener;
  }

  /** Connects to `redis://` or `rediss://`. Rejects with `store-unreachable` if it cannot. */
  static async open(url: string): Promise<RedisStore> {
    const make = () =>
      new Redis(url, {
        lazyConnect: true,
        connectTimeout: connectMs,
        commandTimeout: commandMs,
        maxRetriesPerRequest: 1,
        // A command for a server that is away fails now: the caller has a person or a client waiting.
        enableOfflineQueue: false,
        retryStrategy: (times) => Math.min(times * 100, retryMsMax),
      });
    const store = new RedisStore(make(), make());
    // Without listeners ioredis prints every failed attempt; each command says for itself that it failed.
    store.#commands.on('error', () => {});
    store.#listener.on('error', () => {});
    try {
      await Promise.all([store.#commands.connect(), store.#listener.connect()]);
      await store.#listen();
    } catch (cause) {
      await store.close();
      throw unreachable(cause);
    }
    return store;
  }

  async create(row: StoredRequest, pendingMax: number, now: number): Promise<'created' | 'too-many'> {
    const { rid, request, nonce, target, created } = row;
    const fixed: Fixed = { rid, request, nonce, target, created };
    const keepMs = Math.max(0, row.exp - now) + keptMs;
    const made = await this.#run(
      scripts.create,
      rid,
      JSON.stringify(fixed),
      row.rd,
      row.agent,
      row.match,
      row.quorum,
      row.exp,
      row.state,
      row.holder,
      row.values,
      pendingMax,
      now,
      keepMs,
    );
    if (made === -1) throw new HoldpointError('conflict', `request ${rid} exists already`);
    return made === 1 ? 'created' : 'too-many';
  }

  async get(rid: string): Promise<StoredRequest | undefined> {
    return rowOf(await this.#run(scripts.get, rid));
  }

  async list(filter: ListFilter): Promise<StoredRequest[]> {
    return rowsOf(
      await this.#run(scripts.list, filter.states?.[0] ?? '', filter.agent ?? '', filter.rowsMax),
    );
  }

  async findFree(agent: string, match: string, state: 'pending' | 'approved', now: number) {
    return rowOf(await this.#run(scripts.findFree, agent, match, state, now));
  }

  async hold(rid: string, from: string, to: string): Promise<boolean> {
    return (await this.#run(scripts.hold, rid, from, to)) === 1;
  }

  async vote(rid: string, rd: string, vote: Vote): Promise<VoteResult> {
    const ending: Ending = { by: vote.approver, reason: vote.reason, at: vote.at };
    const [what, ...rest] = (await this.#run(
      scripts.vote,
      rid,
      rd,
      vote.approver,
      vote.verdict,
      JSON.stringify(vote),
      JSON.stringify(ending),
      keptMs * 2,
    )) as [string, ...unknown[]];
    if (what === 'counted') return { counted: true, row: rowOf(rest) as StoredRequest };
    if (what === 'settled') return { counted: false, why: 'settled', state: rest[0] as RequestState };
    return { counted: false, why: what as 'missing' | 'digest' | 'voted' };
  }

  async consume(rid: string, rd: string, holder: string): Promise<boolean> {
    return (await this.#run(scripts.consume, rid, rd, holder)) === 1;
  }

  async end(rid: string, from: readonly RequestState[], to: RequestState, ending: Ending): Promise<boolean> {
    return (await this.#run(scripts.finish, rid, to, JSON.stringify(ending), ...from)) === 1;
  }

  async rejected(): Promise<StoredRequest | undefined> {
    throw new HoldpointError('not-supported', 'not in this store yet');
  }

  async open(): Promise<StoredRequest[]> {
    throw new HoldpointError('not-supported', 'not in this store yet');
  }

  async grant(): Promise<boolean> {
    throw new HoldpointError('not-supported', 'not in this store yet');
  }

  async grants(): Promise<StoredRequest[]> {
    throw new HoldpointError('not-supported', 'not in this store yet');
  }

  async spend(): Promise<{ uses: number; rows: number } | undefined> {
    throw new HoldpointError('not-supported', 'not in this store yet');
  }

  async revoke(): Promise<boolean> {
    throw new HoldpointError('not-supported', 'not in this store yet');
  }

  async once(): Promise<boolean> {
    throw new HoldpointError('not-supported', 'not in this store yet');
  }

  async overdue(now: number, rowsMax: number): Promise<StoredRequest[]> {
    return rowsOf(await this.#run(scripts.overdue, now, rowsMax));
  }

  watch(changed: (rid: string) => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  async ping(): Promise<void> {
    try {
      await this.#commands.ping();
    } catch (cause) {
      throw unreachable(cause);
    }
  }

  async close(): Promise<void> {
    this.#watchers.clear();
    this.#commands.disconnect();
    this.#listener.disconnect();
  }

  async #listen(): Promise<void> {
    this.#listener.on('message', (_channel, rid) => this.#announce(rid));
    await this.#listener.subscribe(scripts.channel);
    // What was announced while the connection was away is lost, so everything open is looked at again.
    this.#listener.on('ready', () => {
      this.#commands
        .zrange(`${scripts.prefix}open`, '0', '-1')
        .then((rids) => rids.forEach((rid) => void this.#announce(rid)))
        .catch(() => {});
    });
  }

  #announce(rid: string): void {
    for (const changed of this.#watchers) changed(rid);
  }

  async #run(script: string, ...args: (string | number)[]): Promise<unknown> {
    try {
      // The one key names the slot in a cluster; all keys of the script are in it.
      return await this.#commands.eval(script, 1, `${scripts.prefix}all`, ...args.map(String));
    } catch (cause) {
      throw unreachable(cause);
    }
  }
}

function rowsOf(found: unknown): StoredRequest[] {
  return (found as WholeRow[]).map((one) => rowOf(one)).filter((row) => row !== undefined);
}

function rowOf(found: unknown): StoredRequest | undefined {
  if (found === null) return undefined;
  const [flat, votes] = found as WholeRow;
  // By position: a value may be the same text as the name of a field.
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(flat[at] as string, flat[at + 1] as string);
  const field = (name: string): string => fields.get(name) ?? '';
  const fixed = JSON.parse(field('fixed')) as Fixed;
  const ending = field('ending');
  return {
    ...fixed,
    rd: field('rd'),
    values: field('values'),
    agent: field('agent'),
    match: field('match'),
    quorum: Number(field('quorum')),
    exp: Number(field('exp')),
    state: field('state') as RequestState,
    holder: field('holder'),
    votes: votes.map((text) => JSON.parse(text) as Vote),
    ending: ending === '' ? null : (JSON.parse(ending) as Ending),
    grant: null,
  };
}

function unreachable(cause: unknown): HoldpointError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new HoldpointError(
    'store-unreachable',
    `the store cannot be reached (${why}); statements that need approval are refused until it can`,
    {
      cause,
    },
  );
}
