// The URL of a target -> where and how to connect. Knows libpq's connection URI and the parameters that make sense
// between a proxy and its server; refuses to know sockets, TLS contexts and what the target is called.
// Source: PostgreSQL manual, "Connection URIs" and "SSL Support"; defaults are libpq's except where said.

import { isIP } from 'node:net';
import { isAbsolute, resolve } from 'node:path';
import { HoldpointError } from './errors.ts';
import { didYouMean } from './policy/nearest.ts';

/** libpq's modes less `allow` and `prefer`, which let the network choose plaintext. */
export const sslModes = ['disable', 'require', 'verify-ca', 'verify-full'] as const;
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
  /** From `verify-ca` on the certificate is checked. Nothing falls back to plaintext. */
  readonly sslMode: SslMode;
  /** Absolute path of a file with CA certificates; `system` or absent: those that Node.js ships. */
  readonly sslRootCert: string | undefined;
  readonly connectTimeoutMs: number;
}

const parameters = ['sslmode', 'sslrootcert', 'connect_timeout', 'host'];
const connectTimeoutMsDefault = 10_000;

/**
 * Reads a `postgres://` URL. Relative file names are taken from `baseDir`. Without sslmode: `disable` on this machine;
 * for other hosts `verify-full` where `strict` is set, else `require`.
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
    sslMode: sslModeOf(url.searchParams.get('sslmode')) ?? sslModeWithout(host, options.strict),
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

function sslModeWithout(host: string, strict: boolean): SslMode {
  if (isLoopback(host)) return 'disable';
  return strict ? 'verify-full' : 'require';
}

function sslModeOf(text: string | null): SslMode | undefined {
  if (text === null) return undefined;
  const mode = sslModes.find((known) => known === text);
  if (mode !== undefined) return mode;
  if (text === 'prefer' || text === 'allow')
    throw bad(`has sslmode=${text}, which may fall back to plaintext; choose one of ${sslModes.join(', ')}`);
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
