// The server that everything stands in front of, with a disk that is waited for, pgbench's tables in it, and what is
// copied in and out.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from '../../test/support/postgres.ts';
import type { Address } from '../subjects/subject.ts';
import { client } from './pgbench.ts';
import { type Bulk, scriptsFor } from './workloads.ts';

export interface Database {
  readonly address: Address;
  readonly version: string;
  readonly bulk: Bulk;
  stop(): Promise<void>;
}

export interface DatabaseOptions {
  readonly folder: string;
  readonly scale: number;
  readonly copyMb: number;
  /** Whether anything is copied. */
  readonly copies: boolean;
  readonly tls: boolean;
  /** Sessions that may be open at once, of all subjects together. */
  readonly sessionsMax: number;
}

/** What test servers leave out for speed, and room enough that a checkpoint seldom falls into one subject's turn. */
const settings = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  shared_buffers: '512MB',
  max_wal_size: '4GB',
  checkpoint_timeout: '30min',
};
const user = 'app';
const database = 'bench';
const copiedRowBytes = 100;

export async function startDatabase(options: DatabaseOptions): Promise<Database> {
  const { folder, scale, copyMb, copies, tls, sessionsMax } = options;
  const server = await startPostgres({
    user,
    tls,
    settings: { ...settings, max_connections: String(sessionsMax) },
  });
  const { host, port, password, version, stop } = server;
  try {
    await query(server.connectionString, `CREATE DATABASE ${database} OWNER ${user}`);
    const address = { host, port, user, password, database };
    await client('pgbench', ['-i', '-q', '-s', String(scale)], address);
    mkdirSync(folder, { recursive: true });
    const url = server.url(database, user);
    const file = join(folder, 'bulk.copy');
    if (copies) await makeBulk(url, address, file, copyMb);
    for (const [name, text] of Object.entries(scriptsFor(scale)))
      writeFileSync(join(folder, `${name}.sql`), text);
    await query(server.url(database), 'CHECKPOINT');
    const bulk: Bulk = {
      megabytes: copyMb,
      file: () => file,
      script: (name) => join(folder, `${name}.sql`),
      emptySink: () => query(url, 'TRUNCATE sink'),
    };
    return { address, version, bulk, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Rows of a hundred bytes, a table to copy from, an empty one to copy to, and the file in between. */
async function makeBulk(url: string, address: Address, file: string, megabytes: number): Promise<void> {
  const rows = Math.ceil((megabytes * 1_000_000) / copiedRowBytes);
  // Eight digits, a tab, and a line's end are the rest of a row.
  const filler = copiedRowBytes - 10;
  await query(
    url,
    'CREATE UNLOGGED TABLE bulk (id int, filler text); CREATE UNLOGGED TABLE sink (LIKE bulk)',
  );
  await query(
    url,
    `INSERT INTO bulk SELECT 10000000 + n, repeat('x', ${filler}) FROM generate_series(1, ${rows}) n`,
  );
  await client('psql', ['-X', '-q', '-c', `\\copy bulk TO '${file}'`], address);
}

async function query(connectionString: string, text: string): Promise<void> {
  const session = new pg.Client({ connectionString });
  await session.connect();
  try {
    await session.query(text);
  } finally {
    await session.end();
  }
}
