// Redis link: the connections to a shared store, in its three shapes: one server, the primary that Sentinels name, a
// Cluster. One client for commands, and one connection that listens for announcements and is made anew whenever it ends.
// Refuses to know what is stored. A command whose answer is lost is never sent a second time: its caller is told that it
// failed, and has to live with its having happened.

import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { HoldpointError } from '../errors.ts';
import type { RedisAddress } from '../store-url.ts';

const connectMs = 5_000;
const commandMs = 3_000;
const retryMsMax = 2_000;
/** How often the listening connection is asked whether it still is one: a cut wire says nothing by itself. */
const aliveMs = 5_000;

/** A script that runs whole on the server. `keys` of its arguments name keys, all in one hash slot. */
export interface Script {
  readonly name: string;
  readonly keys: number;
  readonly lua: string;
}

export interface Announcements {
  readonly channel: string;
  heard(message: string): void;
  /** Announcements are heard again, and some may have been missed. */
  resumed(): void;
}

/** `close` ends every connection; everything under way then fails. */
export class RedisLink {
  readonly #address: RedisAddress;
  readonly #client: Redis | Cluster;
  readonly #announcements: Announcements;
  #listener: Redis | undefined;
  /** Why there is no connection, as the last attempt at one told. */
  #trouble = noConnection;
  #closed = false;

  private constructor(address: RedisAddress, scripts: readonly Script[], announcements: Announcements) {
    this.#address = address;
    this.#announcements = announcements;
    this.#client = redisClient(address);
    for (const { name, keys, lua } of scripts) this.#client.defineCommand(name, { numberOfKeys: keys, lua });
    // Without a listener ioredis prints every failed attempt; each command says for itself that it failed.
    for (const event of ['error', 'node error']) {
      this.#client.on(event, (error: unknown) => {
        this.#trouble = reasonOf(error);
      });
    }
    this.#client.on('ready', () => {
      this.#trouble = noConnection;
    });
  }

  /** Connected, or connected to other servers than before: what was announced in between was missed. */
  #followTopology(): void {
    const events = this.#client instanceof Cluster ? ['+node', '-node', 'ready'] : ['ready'];
    for (const event of events) this.#client.on(event, () => this.#announcements.resumed());
  }

  /** Resolves when commands are answered and announcements heard. Rejects with `store-unreachable`. */
  static async open(
    address: RedisAddress,
    scripts: readonly Script[],
    announcements: Announcements,
  ): Promise<RedisLink> {
    const link = new RedisLink(address, scripts, announcements);
    try {
      await soon(link.#client.connect(), connectMs);
      if (link.#client instanceof Cluster) await Promise.all(link.#client.nodes('master').map(answers));
      const listener = await link.#listen();
      void link.#keepListening(listener);
      link.#followTopology();
    } catch (cause) {
      link.close();
      throw link.#unreachable(cause);
    }
    return link;
  }

  /** Runs a script of those given to `open`. Rejects with `store-unreachable`, at once while there is no connection. */
  async run(
    { name }: Script,
    keys: readonly string[],
    ...args: readonly (string | number)[]
  ): Promise<unknown> {
    if (this.#client.status !== 'ready') throw unreachable(new Error(this.#trouble), this.#trouble);
    const command = Reflect.get(this.#client, name) as (...all: string[]) => Promise<unknown>;
    try {
      return await soon(command.apply(this.#client, [...keys, ...args.map(String)]), commandMs);
    } catch (cause) {
      throw unreachable(cause, this.#trouble);
    }
  }

  /** Rejects, naming the store, when any part of it does not answer. For operators. */
  async ping(): Promise<void> {
    try {
      if (this.#client.status !== 'ready') throw new Error(this.#trouble);
      if (this.#client instanceof Cluster) await Promise.all(this.#client.nodes('master').map(answers));
      else await this.#client.ping();
    } catch (cause) {
      throw this.#unreachable(cause);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.disconnect();
    this.#listener?.disconnect();
  }

  async #listen(): Promise<Redis> {
    const listener = this.#newListener();
    this.#listener = listener;
    listener.on('error', () => {});
    listener.on('message', (_channel, message) => this.#announcements.heard(message));
    try {
      await soon(listener.connect(), connectMs);
      await listener.subscribe(this.#announcements.channel);
    } catch (cause) {
      listener.disconnect();
      throw cause;
    }
    if (this.#closed) listener.disconnect();
    return listener;
  }

  /** Until closed: when the listening connection ends, another is made, and whoever listens is told of the hole. */
  async #keepListening(first: Redis): Promise<void> {
    let listener: Redis | undefined = first;
    for (let times = 0; !this.#closed; times += 1) {
      if (listener !== undefined) {
        await ended(listener);
        times = 0;
      }
      await pause(Math.min(times * 100, retryMsMax));
      if (this.#closed) return;
      listener = await this.#listen().catch(() => undefined);
      if (listener !== undefined) this.#announcements.resumed();
    }
  }

  /** In a Cluster any node will do: what is announced on one is heard on all. */
  #newListener(): Redis {
    const own = { retryStrategy: null, lazyConnect: true } as const;
    if (!(this.#client instanceof Cluster)) return new Redis({ ...serverOptions(this.#address), ...own });
    const nodes = this.#client.nodes('all').map(({ options }) => options);
    const known = nodes.length > 0 ? nodes : this.#address.hosts;
    const { host, port } = known[Math.floor(Math.random() * known.length)]!;
    return new Redis({
      ...commonOptions(this.#address),
      ...own,
      host: host ?? '127.0.0.1',
      port: port ?? 6379,
    });
  }

  /** For operators: names the store, without its secrets. */
  #unreachable(cause: unknown): HoldpointError {
    const reason = reasonOf(cause, this.#trouble);
    return new HoldpointError(
      'store-unreachable',
      `the store ${this.#address.shown} cannot be reached (${reason}); start it, or correct store: in the configuration`,
      { cause: new Error(reason) },
    );
  }
}

/** Replies are mapped as ioredis does by default; its constructors do not take that member as possibly undefined. */
type ServerOptions = Omit<RedisOptions, 'replyMapping'>;

/** A client for commands alone, not connected yet; whoever makes it ends it. */
export function redisClient(address: RedisAddress): Redis | Cluster {
  return address.mode === 'cluster' ? clusterClient(address) : serverClient(address);
}

function commonOptions(address: RedisAddress): ServerOptions {
  return {
    ...(address.username !== undefined && { username: address.username }),
    ...(address.password !== undefined && { password: address.password }),
    ...(address.tls && { tls: {} }),
    db: address.db,
    connectionName: 'holdpoint',
    connectTimeout: connectMs,
    commandTimeout: commandMs,
    // A command for a server that is away fails now: the caller has a person or a client waiting. And one whose answer
    // was lost has perhaps happened; sent again, it could happen twice.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  };
}

function serverOptions(address: RedisAddress): ServerOptions {
  const common = commonOptions(address);
  if (address.mode === 'standalone') return { ...common, ...address.hosts[0]! };
  return {
    ...common,
    sentinels: address.hosts.map((host) => ({ ...host })),
    name: address.primary,
    ...(address.sentinel.username !== undefined && { sentinelUsername: address.sentinel.username }),
    ...(address.sentinel.password !== undefined && { sentinelPassword: address.sentinel.password }),
    enableTLSForSentinelMode: address.tls,
    ...(address.tls && { sentinelTLS: {} }),
  };
}

function serverClient(address: RedisAddress): Redis {
  return new Redis({
    ...serverOptions(address),
    lazyConnect: true,
    retryStrategy: (times) => Math.min(times * 100, retryMsMax),
    ...(address.mode === 'sentinel' && {
      sentinelRetryStrategy: (times) => Math.min(times * 100, retryMsMax),
      failoverDetector: true,
    }),
    // What was the primary is a replica now: the next connection asks where the primary is.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
}

function clusterClient(address: RedisAddress): Cluster {
  return new Cluster(
    address.hosts.map((host) => ({ ...host })),
    {
      lazyConnect: true,
      redisOptions: commonOptions(address),
      clusterRetryStrategy: (times) => Math.min(times * 100, retryMsMax),
      // Where the Cluster knows that it refused, ioredis asks elsewhere. Where a connection broke, nobody knows.
      retryDelayOnFailover: 0,
      slotsRefreshTimeout: connectMs,
    },
  );
}

async function answers(node: Redis): Promise<void> {
  await soon(node.ping(), commandMs);
}

/** Resolves when the connection is over, which it also is when it stops answering. */
async function ended(listener: Redis): Promise<void> {
  await new Promise<void>((resolve) => {
    const asking = setInterval(() => {
      listener.ping().catch(() => listener.disconnect());
    }, aliveMs).unref();
    const over = (): void => {
      clearInterval(asking);
      resolve();
    };
    listener.once('end', over);
    if (listener.status === 'end') over();
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

/** Rejects when there is no answer in time; one that comes later is not heard. */
async function soon<T>(answer: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(noAnswer)), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
    answer.catch(() => {});
  }
}

/** For agents and people: where the store is, is none of their business. */
function unreachable(cause: unknown, otherwise: string): HoldpointError {
  const reason = reasonOf(cause, otherwise);
  return new HoldpointError(
    'store-unreachable',
    `the store cannot be reached (${reason}); statements that need approval are refused until it can`,
    { cause: new Error(reason) },
  );
}

const noConnection = 'no connection';
const noAnswer = 'no answer';

/**
 * What went wrong, in a few words that hold no address, no text of ours and no secret: ioredis puts the arguments of a
 * failed command, a password among them, into its errors, so none of those is passed on. `otherwise`: if it does not say.
 */
function reasonOf(cause: unknown, otherwise: string = noConnection): string {
  const { code, message = '' } = cause as { code?: unknown; message?: string };
  if (typeof code === 'string') return code;
  const said = /^(?:-?|.*Last error: (?:\w+: )?)([A-Z]{4,})\b/.exec(message)?.[1];
  if (said !== undefined) return said;
  return message === noAnswer || message.includes('timed out') ? noAnswer : otherwise;
}
