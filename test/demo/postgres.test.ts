// The embedded server's life cycle, on real processes.

import pg from 'pg';
import { expect, test } from 'vitest';
import { createDatabase, startPostgres, tlsFixture } from '../support/postgres.ts';

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

test('a database with the shop holds orders whose items hang on them', async () => {
  const database = await createDatabase({ shop: true });
  const [counts] = await query(
    database.url,
    'SELECT (SELECT count(*)::int FROM customers) AS c, (SELECT count(*)::int FROM orders) AS o, (SELECT count(*)::int FROM order_items) AS i, (SELECT count(*)::int FROM order_totals) AS t',
  );
  expect(counts).toEqual({ c: 500, o: 2000, i: 4001, t: 2000 });
  await query(database.url, 'SELECT close_account(id) FROM customers WHERE id = 1');
  const [left] = await query(database.url, 'SELECT count(*)::int AS h FROM order_history');
  expect(left).toEqual({ h: 4 });
  await database.drop();
});

test('a server takes settings, a role and TLS, and is gone after stop', async () => {
  const server = await startPostgres({ settings: { work_mem: '5MB' }, user: 'reader', tls: true });
  const url = `${server.url('postgres', 'reader')}?sslmode=verify-full&sslrootcert=${tlsFixture.ca}`;
  const rows = await query(
    url,
    "SELECT current_setting('work_mem') AS mem, current_user AS who, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
  );
  expect(rows).toEqual([{ mem: '5MB', who: 'reader', ssl: true }]);
  await server.stop();
  expect(() => process.kill(server.pid, 0)).toThrow('ESRCH');
});
