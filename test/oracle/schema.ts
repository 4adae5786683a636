// The databases that the oracle works on: the shop, what is nasty and what is harmless in one template, and another
// database that the first can reach. Knows nothing of statements and of Holdpoint.

import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { shopSql } from '../../src/demo/shop.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';

/** The ordinary role of a server: it may read and write every table, and row security applies to it. */
export const worker = 'worker';

/**
 * How much of what is nasty stands beside a statement. A user's cast or operator on the server's own types makes nearly
 * every statement doubtful, so that the rest is tried without them too: `overloads` has no such casts and operators,
 * `named` no overloads of builtins either.
 */
export type Variant = 'everything' | 'overloads' | 'named';

const withoutCasts = `
  DROP CAST (integer AS date); DROP CAST (integer AS mood); DROP EVENT TRIGGER on_ddl;
  DROP OPERATOR = (integer, text); DROP OPERATOR >= (integer, text); DROP OPERATOR <= (integer, text);
  DROP OPERATOR ~~ (integer, text); DROP OPERATOR + (text, integer);`;
const withoutOverloads = `
  DROP FUNCTION md5(varchar) CASCADE; DROP FUNCTION upper(varchar); DROP FUNCTION round(integer);
  DROP FUNCTION date_trunc(text, date); DROP FUNCTION concat(integer, text); DROP FUNCTION generate_series(integer, text);
  DROP AGGREGATE sum(boolean); DROP AGGREGATE min(varchar);`;
const variants: Readonly<Record<Variant, string>> = {
  everything: '',
  overloads: withoutCasts,
  named: withoutCasts + withoutOverloads,
};

export interface Ground {
  readonly server: TestServer;
  /** Where programs and files that a statement starts or writes would leave a trace. */
  readonly scratch: string;
  /** A fresh copy of everything, as the superuser; all copies are of the same rows. The name of the database. */
  fresh(variant: Variant): Promise<string>;
  /** The names and sizes of what lies in `scratch`. */
  traces(): string;
  stop(): Promise<void>;
}

/** A server of its own, so that nobody else's transactions are in it; about three seconds. */
export async function prepareGround(version = 18): Promise<Ground> {
  const scratch = mkdtempSync(join(tmpdir(), 'holdpoint-oracle-'));
  chmodSync(scratch, 0o777);
  const server = await startPostgres({
    version,
    user: worker,
    settings: {
      autovacuum: 'off',
      max_prepared_transactions: '4',
      wal_level: 'logical',
      checkpoint_timeout: '1d',
      max_wal_size: '4GB',
      // What a generated statement may take at most; nothing else here waits.
      statement_timeout: '4s',
      lock_timeout: '1s',
      jit: 'off',
    },
  });
  let count = 0;
  let last: string | undefined;
  try {
    await makeTemplate(server, scratch);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    server,
    scratch,
    async fresh(variant) {
      count += 1;
      const name = `ground_${count}`;
      await inDatabase(server.url(), async (client) => {
        if (last !== undefined) await client.query(`DROP DATABASE IF EXISTS ${last} WITH (FORCE)`);
        await client.query(`CREATE DATABASE ${name} TEMPLATE nasty`);
        await client.query('DROP DATABASE IF EXISTS elsewhere WITH (FORCE)');
        await client.query('CREATE DATABASE elsewhere TEMPLATE far');
        await restoreShared(client);
      });
      await inDatabase(server.url(name), (client) => client.query(variants[variant]));
      for (const file of readdirSync(scratch)) rmSync(join(scratch, file));
      last = name;
      return name;
    },
    traces: () =>
      readdirSync(scratch)
        .sort()
        .map((file) => `${file}:${statSync(join(scratch, file)).size}`)
        .join(' '),
    async stop() {
      await server.stop();
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

async function makeTemplate(server: TestServer, scratch: string): Promise<void> {
  await inDatabase(server.url(), async (client) => {
    await client.query('CREATE DATABASE nasty');
    await client.query('CREATE DATABASE far');
    await client.query('CREATE ROLE bystander');
  });
  await inDatabase(server.url('far'), (client) => client.query(part('far.sql')));
  await inDatabase(server.url('nasty'), async (client) => {
    await client.query('SET oracle.calm = on; SET check_function_bodies = off');
    await client.query(shopSql());
    const nasty = part('nasty.sql')
      .replaceAll('{host}', server.host)
      .replaceAll('{port}', String(server.port))
      .replaceAll('{scratch}', scratch)
      .replaceAll('{password}', client.escapeLiteral(server.password));
    await client.query(nasty);
    await client.query(part('geo.sql'));
    await client.query(markRows);
    await client.query(`
      GRANT USAGE ON SCHEMA hidden, geo TO ${worker};
      GRANT ALL ON ALL TABLES IN SCHEMA public, geo, hidden TO ${worker};
      GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ${worker};
      GRANT USAGE ON FOREIGN SERVER loop, files TO ${worker}`);
    await client.query('VACUUM (FREEZE, ANALYZE)');
  });
}

/** What all databases of the server share, as it was: a statement that slipped past may have changed it. */
async function restoreShared(client: pg.Client): Promise<void> {
  const { rows: slots } = await client.query('SELECT slot_name FROM pg_replication_slots WHERE NOT active');
  for (const { slot_name } of slots) await client.query('SELECT pg_drop_replication_slot($1)', [slot_name]);
  const { rows: settings } = await client.query<{ of: string }>(
    `SELECT CASE WHEN setrole = 0 THEN format('DATABASE %I', datname) ELSE format('ROLE %I', setrole::regrole::text) END AS of
     FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase`,
  );
  for (const { of } of settings) await client.query(`ALTER ${of} RESET ALL`);
  const { rows: roles } = await client.query<{ rolname: string }>(
    `SELECT rolname FROM pg_roles WHERE oid >= 16384 AND rolname NOT IN ('${worker}', 'bystander')`,
  );
  for (const { rolname } of roles) await client.query(`DROP ROLE ${client.escapeIdentifier(rolname)}`);
  await client.query('DROP DATABASE IF EXISTS more');
  await client.query('ALTER ROLE bystander NOSUPERUSER NOCREATEROLE NOLOGIN');
  await client.query(`REVOKE postgres FROM ${worker}`);
  await client.query('ALTER SYSTEM RESET ALL');
  await client.query('SELECT pg_reload_conf()');
}

/**
 * Every row gets a mark that no generated statement names, so that a row whose key was changed can be told from one that
 * is gone. A builtin default, which hides nothing from the guard that was not there before.
 */
const markRows = `
  DO $$
  DECLARE t regclass;
  BEGIN
    FOR t IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('public', 'geo', 'hidden')
               AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
    LOOP
      EXECUTE format('ALTER TABLE %s ADD COLUMN row_mark uuid NOT NULL DEFAULT gen_random_uuid()', t);
    END LOOP;
  END $$`;

function part(file: string): string {
  return readFileSync(join(import.meta.dirname, file), 'utf8');
}

async function inDatabase<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
