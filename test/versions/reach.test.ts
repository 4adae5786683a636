// Reach on older servers: their catalogs tell the same of the same definitions.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Explainer, explainerOf, snapshotOf } from '../catalog/live.ts';
import { reads, vectorsSql, writes } from '../catalog/vectors.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';

describe.each([15, 16, 17])('PostgreSQL %i', (version) => {
  let server: TestServer;
  let explainer: Explainer;

  beforeAll(async () => {
    server = await startPostgres({ version });
    const client = new pg.Client({ connectionString: server.connectionString });
    await client.connect();
    await client.query(vectorsSql);
    await client.end();
    explainer = explainerOf(await snapshotOf(server.connectionString));
  }, 60_000);

  afterAll(async () => {
    await server.stop();
  });

  const effectsOf = (sql: string) => explainer.explain(sql).effects.join(' ');

  test.each(reads)('a read through %s shows the deletion', (_, harmless, writer, effects) => {
    expect(effectsOf(harmless)).toBe('read');
    expect(effectsOf(writer)).toBe(effects);
  });

  test.each(writes)('a write through %s shows what else it does', (_, harmless, same, writer, effects) => {
    expect(effectsOf(harmless)).toBe(same);
    expect(effectsOf(writer)).toBe(effects);
  });
});
