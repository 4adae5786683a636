// The servers of the matrix themselves: each is of its version, and takes the shop.

import pg from 'pg';
import { expect, test } from 'vitest';
import { shopSql } from '../../src/demo/shop.ts';
import { startPostgres } from '../support/postgres.ts';

test.each([13, 14, 15, 16, 17, 18])(
  'PostgreSQL %i starts, speaks SCRAM and TLS, and takes the shop',
  async (version) => {
    const server = await startPostgres({ version, tls: true });
    const client = new pg.Client({ connectionString: `${server.url()}?sslmode=no-verify` });
    try {
      await client.connect();
      await client.query(shopSql());
      const { rows } = await client.query(
        `SELECT current_setting('server_version_num')::int / 10000 AS version, ssl,
         (SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = current_user) AS scram,
         (SELECT count(*)::int FROM order_totals) AS orders
       FROM pg_stat_ssl WHERE pid = pg_backend_pid()`,
      );
      expect(rows).toEqual([{ version, ssl: true, scram: true, orders: 2000 }]);
    } finally {
      await client.end();
      await server.stop();
    }
  },
);
