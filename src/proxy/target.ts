// Target address: a libpq connection URL as facts about how to reach one PostgreSQL. Reads the text; refuses to know
// sockets and files. Source: the manual, "Connection URIs" and "SSL Support" (sslmode).

import { HoldpointError } from '../errors.ts';

export type SslMode = 'disable' | 'require' | 'verify-ca' | 'verify-full';

export interface TargetAddress {
  /** A host name, an IP address, or the folder of a Unix-domain socket (beginning with a slash). */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly sslmode: SslMode;
  /** Path of a PEM file with the certificate authorities to trust; the system's where undefined. */
  readonly sslrootcert: string | undefined;
  readonly sslcert: string | undefined;
  readonly sslkey: string | undefined;
}

const known = new Set([
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'host',
  'port',
  'user',
  'password',
  'dbname',
]);
const accepted = new Set([
  'application_name',
  'connect_timeout',
  'target_session_attrs',
  'channel_binding',
  'schema',
]);

/** Reads a `postgres://` URL. Throws `bad-config` with what is wrong and no part of the password. */
export function parseTargetUrl(text: string): TargetAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw bad('is not a URL; write postgres://USER:PASSWORD@HOST:PORT/DATABASE', cause);
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:')
    throw bad(`begins with ${url.protocol}//; write postgres://USER:PASSWORD@HOST:PORT/DATABASE`);
  for (const name of url.searchParams.keys())
    if (!known.has(name) && !accepted.has(name))
      throw bad(`has the parameter "${name}", which is not supported`);
  const get = (name: string): string | undefined => url.searchParams.get(name) ?? undefined;
  const host = get('host') ?? decodeURIComponent(url.hostname.replace(/^\[(.*)\]$/, '$1'));
  const user = get('user') ?? decodeURIComponent(url.username);
  if (host === '') throw bad('names no host');
  if (user === '') throw bad('names no user');
  const port = Number(get('port') ?? (url.port === '' ? '5432' : url.port));
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw bad('has a port that is not a number up to 65535');
  return {
    host,
    port,
    user,
    password: get('password') ?? decodeURIComponent(url.password),
    database: get('dbname') ?? (decodeURIComponent(url.pathname.slice(1)) || user),
    sslmode: sslMode(get('sslmode'), host),
    sslrootcert: get('sslrootcert'),
    sslcert: get('sslcert'),
    sslkey: get('sslkey'),
  };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host) || host.startsWith('/');
}

/** Never a mode that falls back to plaintext: an attacker on the wire would choose it (wire.md §1.1). */
function sslMode(given: string | undefined, host: string): SslMode {
  switch (given) {
    case undefined:
      return isLoopback(host) ? 'disable' : 'require';
    case 'disable':
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return given;
    case 'allow':
    case 'prefer':
      throw bad(
        `has sslmode=${given}, which may fall back to plaintext; write disable, require, verify-ca or verify-full`,
      );
    default:
      throw bad(`has sslmode=${given}; write disable, require, verify-ca or verify-full`);
  }
}

function bad(what: string, cause?: unknown): HoldpointError {
  return new HoldpointError('bad-config', `the database URL ${what}`, cause === undefined ? {} : { cause });
}
