// The URL of a target -> where and how to connect. Knows libpq's connection URI and the parameters that make sense
// between a proxy and its server; refuses to know sockets, TLS contexts and what the target is called.
// Source: PostgreSQL manual, "Connection URIs" and "SSL Support"; defaults are libpq's except where said.

import { isIP } from 'node:net';
import { isAbsolute, resolve } from 'node:path';
import { HoldpointError } from './errors.ts';
import { didYouMean } from './policy/nearest.ts';

export const sslModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof sslModes)[number];

/** Where a target is and with whose credentials. Never shown to a client, never logged. */
export interface TargetAddress {
  /** A name, an address, or the folder of a Unix socket when it begins with `/`. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Empty if the server asks for none. */
  readonly password: string;
  /** `prefer` takes plaintext if the server has no TLS; from `verify-ca` on the certificate is checked. */
  readonly sslMode: SslMode;
  /** Absolute path of a file with CA certificates; `system` or absent: those that Node.js ships. */
  readonly sslRootCert: string | undefined;
  readonly connectTimeoutMs: number;
}

const parameters = ['sslmode', 'sslrootcert', 'connect_timeout', 'host'];
const connectTimeoutMsDefault = 10_000;

/**
 * Reads a `postgres://` URL. Relative file names are taken from `baseDir`. Without sslmode: `prefer`, but `verify-full`
 * where `strict` is set and the host is not this machine, since `prefer` lets the network choose plaintext.
 * Throws HoldpointError('bad-config') with a sentence that never repeats the URL, which holds a password.
 */
export function readTargetUrl(text: string, options: { baseDir: string; strict: boolean }): TargetAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw bad('is not a URL; write postgres://USER:PASSWORD@HOST:5432/DATABASE with %-escapes', error);
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') {
    throw bad(`must begin with postgres://, not ${url.protocol}//`);
  }
  for (const name of url.searchParams.keys()) {
    if (!parameters.includes(name)) {
      throw bad(
        `has the parameter "${name}"${didYouMean(name, parameters)}, which Holdpoint does not know; known: ${parameters.join(', ')}`,
      );
    }
  }
  const user = decoded(url.username);
  if (user === '') throw bad('names no user; write postgres://USER:PASSWORD@HOST:5432/DATABASE');
  const host = (url.searchParams.get('host') ?? decoded(url.hostname)).replace(/^\[|\]$/g, '');
  if (host === '') throw bad('names no host; write postgres://USER:PASSWORD@HOST:5432/DATABASE');
  const rootCert = url.searchParams.get('sslrootcert');
  const onFile = rootCert !== null && rootCert !== 'system';
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    database: decoded(url.pathname.slice(1)) || user,
    user,
    password: decoded(url.password),
    sslMode: sslModeOf(url.searchParams.get('sslmode'), options.strict && !isLoopback(host)),
    sslRootCert:
      onFile && !isAbsolute(rootCert) ? resolve(options.baseDir, rootCert) : (rootCert ?? undefined),
    connectTimeoutMs: connectTimeoutOf(url.searchParams.get('connect_timeout')),
  };
}

/** True for this machine: `localhost`, 127.0.0.0/8, `::1` and Unix sockets. Names are not looked up. */
export function isLoopback(host: string): boolean {
  if (host.startsWith('/') || host.toLowerCase() === 'localhost' || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}

function sslModeOf(text: string | null, strict: boolean): SslMode {
  if (text === null) return strict ? 'verify-full' : 'prefer';
  const mode = sslModes.find((known) => known === text);
  if (mode !== undefined) return mode;
  throw bad(`has sslmode=${text}${didYouMean(text, sslModes)}, which is not one of ${sslModes.join(', ')}`);
}

function connectTimeoutOf(text: string | null): number {
  if (text === null) return connectTimeoutMsDefault;
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text) * 1000;
  throw bad('has a connect_timeout that is not a number of seconds between 1 and 9999');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw bad('has a broken %-escape; write % itself as %25', error);
  }
}

function bad(what: string, cause?: unknown): HoldpointError {
  return new HoldpointError('bad-config', `the target's url ${what}`, { cause });
}
