// Ship configuration: where the log is carried to, checked and with paths and addresses read. Refuses to know how.

import { readFileSync } from 'node:fs';
import { HoldpointError } from './errors.ts';
import type { ShipShape } from './ship-shape.ts';
import { type RedisAddress, readStoreUrl } from './store-url.ts';

/** Whether /readyz fails while a destination is away, and nothing is pruned that it has not got. */
interface Required {
  readonly required: boolean;
}

/** Where the log is carried to; undefined: not there. */
export interface ShipConfig {
  readonly s3: ShipShape['s3'];
  readonly otlp: ShipShape['otlp'];
  readonly syslog:
    | (Required & {
        readonly host: string;
        readonly port: number;
        readonly transport: 'tls' | 'tcp' | 'udp';
        /** PEM. */
        readonly ca: string | undefined;
        readonly facility: number;
        readonly enterprise: number;
      })
    | undefined;
  readonly redis: (Required & { readonly address: RedisAddress; readonly lengthMax: number }) | undefined;
}

/** Reads `audit.ship`. `fail` makes the error for a key under it; `path` resolves a path of the file. */
export function shipConfigOf(
  shape: ShipShape,
  path: (relative: string) => string,
  fail: (keys: readonly string[], text: string) => Error,
): ShipConfig {
  const { s3, otlp, syslog, redis } = shape;
  return {
    s3: s3 && { ...s3, prefix: s3.prefix.replace(/\/$/, '') },
    otlp,
    syslog: syslog && {
      ...syslog,
      ...hostOf(syslog.to, fail),
      ca: syslog.ca === undefined ? undefined : readCa(path(syslog.ca), fail),
    },
    redis: redis && {
      required: redis.required,
      lengthMax: redis.lengthMax,
      address: redisOf(redis.url, fail),
    },
  };
}

type Fail = Parameters<typeof shipConfigOf>[2];

function hostOf(text: string, fail: Fail): { host: string; port: number } {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  if (port < 1 || port > 65_535) throw fail(['syslog', 'to'], `${port} is not a port; it is 1 to 65535`);
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port };
}

function readCa(path: string, fail: Fail): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw fail(['syslog', 'ca'], `${path} cannot be read: ${(error as Error).message}`);
  }
}

function redisOf(url: string, fail: Fail): RedisAddress {
  try {
    const address = readStoreUrl(url);
    if (address.kind === 'memory') throw new HoldpointError('bad-config', 'must be the URL of a Redis');
    return address;
  } catch (error) {
    throw fail(['redis', 'url'], (error as Error).message);
  }
}
