// Store URL: where the shared state of several proxies is, from the text of `store:`. Four forms of one thing: one
// server, one server with TLS, the primary that Sentinels name, and a Cluster. Knows the text; connects to nothing, and
// no message of it quotes the text, which may carry a password. The scheme names are those of the Redis clients.

import { HoldpointError } from './errors.ts';

export interface StoreHost {
  readonly host: string;
  readonly port: number;
}

/** A Redis or Valkey. Secrets stand in `username`, `password` and `sentinel` only; `shown` names it without them. */
export interface RedisAddress {
  readonly kind: 'redis';
  readonly mode: 'standalone' | 'sentinel' | 'cluster';
  /** The server; or the Sentinels; or some nodes of the Cluster, from which the others are learned. At least one. */
  readonly hosts: readonly StoreHost[];
  /** What the Sentinels call the primary; empty in the other modes. */
  readonly primary: string;
  /** 0 in a Cluster. */
  readonly db: number;
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly sentinel: { readonly username: string | undefined; readonly password: string | undefined };
  readonly shown: string;
}

export type StoreAddress = { readonly kind: 'memory' } | RedisAddress;

const schemes: Readonly<
  Record<string, { mode: RedisAddress['mode']; tls: boolean; port: number; options: readonly string[] }>
> = {
  redis: { mode: 'standalone', tls: false, port: 6379, options: [] },
  rediss: { mode: 'standalone', tls: true, port: 6379, options: [] },
  'redis-sentinel': {
    mode: 'sentinel',
    tls: false,
    port: 26379,
    options: ['tls', 'sentinelUsername', 'sentinelPassword'],
  },
  'redis-cluster': { mode: 'cluster', tls: false, port: 6379, options: ['tls'] },
};

const form =
  'memory, redis://HOST:PORT/DB, rediss://…, redis-sentinel://HOST,HOST/NAME/DB or redis-cluster://HOST,HOST';

/** Reads the text of `store:`. Throws `bad-config` with what is wrong; the message holds nothing of the text. */
export function readStoreUrl(text: string): StoreAddress {
  if (text === 'memory') return { kind: 'memory' };
  const parts = /^([a-z-]+):\/\/(?:([^@/?#]*)@)?([^@/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(text);
  const scheme = parts === null ? undefined : schemes[parts[1] ?? ''];
  if (parts === null || scheme === undefined) {
    throw wrong(`must be ${form}; characters such as @ / # in a password are written %40 %2F %23`);
  }
  const [, name = '', user, hostList = '', path = '', query = ''] = parts;
  const hosts = hostList.split(',').map((host) => hostOf(host, scheme.port));
  if (scheme.mode === 'standalone' && hosts.length > 1) {
    throw wrong('names several hosts; for those use redis-sentinel:// or redis-cluster://');
  }
  const options = optionsOf(query, scheme.options);
  const { primary, db } = placeOf(scheme.mode, path);
  const [username, password] = (user ?? '').split(/:(.*)/s, 2).map(decoded);
  return {
    kind: 'redis',
    mode: scheme.mode,
    hosts,
    primary,
    db,
    tls: scheme.tls || options.get('tls') === 'true',
    username: username || undefined,
    password: password || undefined,
    sentinel: {
      username: options.get('sentinelUsername'),
      password: options.get('sentinelPassword'),
    },
    shown: `${name}://${hosts.map(shownHost).join(',')}${path}`,
  };
}

function hostOf(text: string, port: number): StoreHost {
  const parts = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
  const given = parts?.[2] === undefined ? port : Number(parts[2]);
  if (parts === null || given < 1 || given > 65_535) {
    throw wrong('names a host that is not HOST or HOST:PORT; several are separated by commas');
  }
  return { host: parts[1]!.replace(/^\[|\]$/g, ''), port: given };
}

function placeOf(mode: RedisAddress['mode'], path: string): { primary: string; db: number } {
  const steps = path.split('/').slice(1);
  if (steps.at(-1) === '') steps.pop();
  const primary = mode === 'sentinel' ? decoded(steps.shift() ?? '') : '';
  if (mode === 'sentinel' && primary === '') {
    throw wrong('needs the name by which the Sentinels know the primary: redis-sentinel://HOST,HOST/NAME');
  }
  if (mode === 'cluster' && steps.length > 0 && steps.join('/') !== '0') {
    throw wrong('names a database, but a Cluster has only database 0');
  }
  if (steps.length > 1 || !/^\d{0,5}$/.test(steps[0] ?? '')) {
    throw wrong('must end with the number of a database, such as /0');
  }
  return { primary, db: Number(steps[0] ?? 0) };
}

function optionsOf(query: string, known: readonly string[]): Map<string, string> {
  const options = new Map<string, string>();
  for (const pair of query === '' ? [] : query.split('&')) {
    const [key = '', value = ''] = pair.split(/=(.*)/s, 2).map(decoded);
    if (!known.includes(key)) {
      const may = known.length === 0 ? 'takes no options after ?' : `takes ${known.join(', ')} after ?`;
      throw wrong(`has an option that is not known here; this form ${may}`);
    }
    options.set(key, value);
  }
  return options;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong('has a % that is not followed by two hexadecimal digits; write %25 for a % itself');
  }
}

function shownHost({ host, port }: StoreHost): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function wrong(what: string): HoldpointError {
  return new HoldpointError('bad-config', what);
}
