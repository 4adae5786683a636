// The demonstration's database: an embedded PostgreSQL in the data folder that holds the shop. Makes it at the first
// start and finds it again at the next. Knows the two passwords it made; refuses to know Holdpoint's sessions.

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { HoldpointError } from '../errors.ts';
import { canReach, foldersOutside, ownerAccount, serverAccount } from './account.ts';
import { embeddedBinaries } from './binaries.ts';
import { type Server, startServer } from './postgres.ts';

/** A running demonstration database. `url` is the owner's, for Holdpoint alone. */
export interface DemoDatabase {
  readonly url: string;
  /** Of the demonstration's agent, kept so that its URL stays the same over restarts. */
  readonly agentPassword: string;
  readonly server: Server;
  stop(): Promise<void>;
}

interface Secrets {
  readonly superuser: string;
  readonly owner: string;
  readonly agent: string;
}

/**
 * Starts the shop in `<dataDir>/postgres`. Throws HoldpointError with one sentence if the folder cannot be written, the
 * embedded server is not installed or another process runs it already.
 */
export async function startDemoDatabase(options: { dataDir: string }): Promise<DemoDatabase> {
  const binaries = embeddedBinaries();
  const secrets = await secretsIn(options.dataDir);
  const clusterDir = clusterIn(options.dataDir);
  const server = await startServer({ binaries, clusterDir, password: secrets.superuser });
  try {
    await makeShop(server, secrets);
  } catch (error) {
    await server.stop();
    throw error;
  }
  const url = `postgres://shop_owner:${secrets.owner}@${server.host}:${server.port}/shop?sslmode=disable`;
  return { url, agentPassword: secrets.agent, server, stop: () => server.stop() };
}

/** The SQL that fills an empty database with the shop. */
export function shopSql(): string {
  return readFileSync(new URL('./shop.sql', import.meta.url), 'utf8');
}

/** Also the proof that the data folder can be written, before anything else is made. */
async function secretsIn(dataDir: string): Promise<Secrets> {
  const path = join(dataDir, 'demo.json');
  const fail = (what: string, error: unknown) =>
    new HoldpointError(
      'bad-config',
      `cannot ${what}: ${(error as NodeJS.ErrnoException).code ?? 'it is damaged'}; make the data folder ${dataDir} yours and writable, or choose another dataDir`,
      { cause: error },
    );
  if (existsSync(path)) {
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as Secrets;
    } catch (error) {
      throw fail(`read ${path}`, error);
    }
  }
  const secret = () => randomBytes(18).toString('base64url');
  const secrets = { superuser: secret(), owner: secret(), agent: secret() };
  try {
    // As root the server's account has to pass through; what lies in it is closed file by file.
    await mkdir(dataDir, { recursive: true, mode: serverAccount() === undefined ? 0o700 : 0o711 });
    await writeFile(path, `${JSON.stringify(secrets)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw fail(`write in ${dataDir}`, error);
  }
  return secrets;
}

/**
 * `<dataDir>/postgres`. Where the server's account cannot reach it (root's home is closed to everyone, and a data folder
 * is to all but its owner), a link to a folder of the machine's lasting temporary folder stands there.
 */
function clusterIn(dataDir: string): string {
  const proper = join(dataDir, 'postgres');
  const account = ownerAccount(proper) ?? serverAccount();
  if (account === undefined) return proper;
  const found = lstatSync(proper, { throwIfNoEntry: false });
  if (found?.isSymbolicLink() !== true && canReach(proper, account)) return proper;
  const id = createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
  const outside = join(foldersOutside(`holdpoint-${id}`, true), 'postgres');
  if (found === undefined) {
    // The cluster of a data folder that was deleted since: its passwords are gone with it.
    rmSync(outside, { recursive: true, force: true });
    symlinkSync(outside, proper);
  }
  return outside;
}

async function makeShop(server: Server, secrets: Secrets): Promise<void> {
  const superuser = { host: server.host, port: server.port, user: 'postgres', password: secrets.superuser };
  await connected({ ...superuser, database: 'postgres' }, async (client) => {
    const roles = await client.query("SELECT 1 FROM pg_roles WHERE rolname = 'shop_owner'");
    const role = `ROLE shop_owner LOGIN PASSWORD ${client.escapeLiteral(secrets.owner)}`;
    await client.query(`${roles.rowCount === 0 ? 'CREATE' : 'ALTER'} ${role}`);
    const databases = await client.query("SELECT 1 FROM pg_database WHERE datname = 'shop'");
    if (databases.rowCount === 0) await client.query('CREATE DATABASE shop OWNER shop_owner');
  });
  const owner = { ...superuser, user: 'shop_owner', password: secrets.owner, database: 'shop' };
  await connected(owner, async (client) => {
    // The mark is of the first start, not the tables: whoever drops them on purpose finds them dropped.
    const { rows } = await client.query<{ mark: string | null }>(
      "SELECT shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname = 'shop'",
    );
    if (rows[0]?.mark != null) return;
    await client.query(`BEGIN; ${shopSql()}; COMMENT ON DATABASE shop IS 'filled'; COMMIT`);
  });
}

async function connected(config: pg.ClientConfig, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client(config);
  await client.connect().catch((error: Error) => {
    throw new HoldpointError(
      'bad-config',
      `the demonstration's database refuses its own password (${error.message}); move its data folder away and start again`,
      { cause: error },
    );
  });
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
