// Real PostgreSQL servers for the tests, of any version 13 to 18: one shared by the whole run with a fresh database for
// each file, and others with settings of their own. Every server goes when the process that started it does.

import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { inject, type ProvidedContext } from 'vitest';
import { foldersOutside, serverAccount } from '../../src/demo/account.ts';
import { binariesIn, embeddedBinaries } from '../../src/demo/binaries.ts';
import { startServer } from '../../src/demo/postgres.ts';
import { shopSql } from '../../src/demo/shop.ts';

export interface TestServer {
  readonly host: string;
  readonly port: number;
  /** The superuser `postgres`, and its password; every role of `user` has the same. */
  readonly user: string;
  readonly password: string;
  /** Such as `15.18`. */
  readonly version: string;
  /** URL of `database` (default `postgres`) as `user` (default the superuser). */
  url(database?: string, user?: string): string;
  /** `url()` of the superuser's own database. */
  readonly connectionString: string;
  /** The postmaster, to signal it. */
  readonly pid: number;
  stop(): Promise<void>;
}

export interface TestServerOptions {
  /** Major version; default 18. The others are installed by scripts/test-versions.ts. */
  readonly version?: number;
  readonly settings?: Readonly<Record<string, string>>;
  /** A role to make besides the superuser: login, owner of nothing, with the server's password. */
  readonly user?: string;
  /** Offers TLS with test/fixtures/tls. */
  readonly tls?: boolean;
  /** pg_hba.conf lines instead of SCRAM for everyone on loopback. */
  readonly hba?: readonly string[];
}

export interface TestDatabase {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly url: string;
  drop(): Promise<void>;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** The server that all test files share. */
    sharedPostgres: { host: string; port: number; password: string };
  }
}

const versionDefault = 18;
const root = join(import.meta.dirname, '..', '..');
/** Where scripts/test-versions.ts installs the other servers. */
export const versionsDir = join(root, '.cache', 'postgres');

/** Paths of the certificates in test/fixtures/tls. The server's is for localhost, 127.0.0.1 and ::1. */
export const tlsFixture = {
  ca: join(root, 'test/fixtures/tls/ca.crt'),
  cert: join(root, 'test/fixtures/tls/server.crt'),
  key: join(root, 'test/fixtures/tls/server.key'),
} as const;

/** Starts a server of its own: about a second, nearly all of it initdb. */
export async function startPostgres(options: TestServerOptions = {}): Promise<TestServer> {
  const { settings, hba, tls, user } = options;
  const password = `it's ${randomBytes(9).toString('base64url')}`;
  const folder = temporaryFolder();
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const server = await startServer({
      binaries: binariesOf(options.version ?? versionDefault),
      clusterDir: join(folder, 'data'),
      password,
      ephemeral: true,
      settings: { max_connections: '200', ...settings },
      ...(hba ? { hba } : {}),
      ...(tls
        ? { tls: { cert: readFileSync(tlsFixture.cert, 'utf8'), key: readFileSync(tlsFixture.key, 'utf8') } }
        : {}),
    });
    const { host, port, pid, version } = server;
    const url = urlOf({ host, port, password });
    const stop = async () => {
      await server.stop();
      remove();
    };
    if (user !== undefined) {
      await asSuperuser({ host, port, password }, (client) =>
        client.query(`CREATE ROLE ${pg.escapeIdentifier(user)} LOGIN PASSWORD ${pg.escapeLiteral(password)}`),
      ).catch(async (error) => {
        await stop();
        throw error;
      });
    }
    return { host, port, user: 'postgres', password, version, url, connectionString: url(), pid, stop };
  } catch (error) {
    remove();
    throw error;
  }
}

/**
 * A fresh database on the shared server, with the shop of the demonstration if asked, or a copy of one that nobody is
 * connected to, in which every OID is the same. Made from a template, so about 50 ms. Drop it in afterAll; the server ends
 * with the run anyway.
 */
export async function createDatabase(
  options: { shop?: boolean; template?: string } = {},
): Promise<TestDatabase> {
  const shared = inject('sharedPostgres');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const template = options.template ?? (options.shop ? 'shop_template' : 'template1');
  await asSuperuser(shared, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  const { host, port, password } = shared;
  return {
    name,
    host,
    port,
    user: 'postgres',
    password,
    url: urlOf(shared)(name),
    async drop() {
      await asSuperuser(shared, (client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    },
  };
}

/** Starts the shared server and makes the shop's template. Called once a run, by test/support/global.ts. */
export async function startShared(): Promise<{
  context: ProvidedContext['sharedPostgres'];
  stop(): Promise<void>;
}> {
  const server = await startPostgres();
  const { host, port, password } = server;
  const template = new pg.Client({ connectionString: server.url('shop_template') });
  try {
    await asSuperuser(server, (client) => client.query('CREATE DATABASE shop_template'));
    await template.connect();
    await template.query(shopSql());
    await template.end();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { context: { host, port, password }, stop: server.stop };
}

function binariesOf(version: number) {
  const found =
    version === versionDefault ? undefined : join(versionsDir, 'node_modules', `postgres-${version}`);
  if (found === undefined) return embeddedBinaries();
  if (existsSync(found)) return binariesIn(found);
  throw new Error(
    `PostgreSQL ${version} is not installed for the tests; run npm run test:versions, which does it`,
  );
}

/** A folder that the server's account can pass through; what the server puts there is closed. */
function temporaryFolder(): string {
  if (serverAccount() === undefined) return mkdtempSync(join(tmpdir(), 'holdpoint-test-'));
  const folder = mkdtempSync(join(foldersOutside('holdpoint-tests', false), 'pg-'));
  chmodSync(folder, 0o711);
  return folder;
}

function urlOf(server: { host: string; port: number; password: string }) {
  return (database = 'postgres', user = 'postgres'): string =>
    `postgres://${encodeURIComponent(user)}:${encodeURIComponent(server.password)}@${server.host}:${server.port}/${encodeURIComponent(database)}`;
}

async function asSuperuser<T>(
  server: { host: string; port: number; password: string },
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: urlOf(server)() });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
