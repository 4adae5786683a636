// Effects on older servers: what is measured of statements of every kind is what 18 has, wherever they know the statement.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kinds, read, shopSql } from '../blast/shop.ts';
import { type Measurer, measurerOf } from '../support/blast.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';

describe.each([13, 14, 15, 16, 17])('PostgreSQL %i', (version) => {
  let server: TestServer;
  let measurer: Measurer;

  beforeAll(async () => {
    server = await startPostgres({ version });
    const client = new pg.Client({ connectionString: server.connectionString });
    await client.connect();
    await client.query(shopSql);
    await client.end();
    measurer = await measurerOf(server.connectionString);
  });

  afterAll(async () => {
    measurer?.close();
    await server?.stop();
  });

  test.each(kinds.filter(({ since = 13 }) => since <= version))('$sql', async ({ sql, effect }) => {
    expect(read(await measurer.measure(sql))).toEqual(effect);
  });

  test('a transaction and who waits for it', async () => {
    const [held, waiting] = await Promise.all(
      [1, 2].map(async () => {
        const client = new pg.Client({ connectionString: server.connectionString });
        await client.connect();
        return client;
      }),
    );
    await held!.query('BEGIN; LOCK TABLE log IN EXCLUSIVE MODE');
    const { rows } = await held!.query('SELECT pg_backend_pid() AS pid');
    const locking = waiting!.query('BEGIN; LOCK TABLE log IN SHARE MODE');
    const pid: number = rows[0].pid;
    const effect = await untilBlocked(() =>
      measurer.measure('DELETE FROM notes', { pid, inTransaction: true }),
    );
    expect(effect.transaction).toMatchObject({ locks: ['EXCLUSIVE on public.log'], blocks: 1 });
    await held!.query('ROLLBACK');
    await locking.catch(() => undefined);
    await Promise.all([held!.end(), waiting!.end()]);
  });
});

/** The other session waits as soon as the server has come to its statement. */
async function untilBlocked<T extends { transaction?: { blocks: number } }>(
  measure: () => Promise<T>,
): Promise<T> {
  for (;;) {
    const effect = await measure();
    if (effect.transaction?.blocks !== 0) return effect;
  }
}
