// How long does the catalog of a large database take: 20,000 functions, 50,000 relations? Makes one on a server of its own
// (some minutes), then prints the time of a first reading, of one after a change, of a poll that compares digests and of
// one that need not, with the longest stall of the event loop and the heap that the snapshot holds.
// Run: node --expose-gc bench/catalog.ts [relations] [functions]

import { monitorEventLoopDelay } from 'node:perf_hooks';
import pg from 'pg';
import { type Reading, readCatalog } from '../src/proxy/catalog-read.ts';
import { Side } from '../src/proxy/side.ts';
import { connectUpstream } from '../src/proxy/upstream.ts';
import { readTargetUrl } from '../src/target-url.ts';
import { startPostgres } from '../test/support/postgres.ts';

const [relations = 50_000, functions = 20_000] = process.argv.slice(2).map(Number);
const tables = Math.round(relations * 0.9);
const views = relations - tables;
const batch = 500;
const statementMs = 60_000;

/** Every second table has a key, so that there are relations enough that no statement names. */
const fill = `
CREATE SCHEMA app;
CREATE PROCEDURE fill() LANGUAGE plpgsql AS $fill$
BEGIN
  FOR i IN 1..${functions} LOOP
    IF i % 2 = 0 THEN
      EXECUTE format('CREATE FUNCTION app.sql_%s(a integer, b text DEFAULT %L) RETURNS bigint LANGUAGE sql STABLE AS %L', i, 'x',
        'SELECT count(*) FROM pg_class WHERE relname = b AND oid::int8 > a -- ' || repeat('x', 200));
    ELSE
      EXECUTE format('CREATE FUNCTION app.plpgsql_%s(a integer, b text) RETURNS bigint LANGUAGE plpgsql AS %L', i,
        'BEGIN IF a > 3 THEN RETURN 1; END IF; PERFORM 1 FROM pg_class WHERE relname = b; RETURN a; END -- ' || repeat('y', 300));
    END IF;
    IF i % ${batch} = 0 THEN COMMIT; END IF;
  END LOOP;
  FOR i IN 1..${tables} LOOP
    EXECUTE format('CREATE TABLE app.table_%s (id bigint %s, customer_id integer NOT NULL, created_at timestamptz DEFAULT now(),
      amount numeric(10,2) CHECK (amount > 0), note varchar(100), state varchar(20), open boolean)', i,
      CASE WHEN i % 2 = 0 THEN 'PRIMARY KEY' END);
    IF i % ${batch} = 0 THEN COMMIT; END IF;
  END LOOP;
  FOR i IN 1..${views} LOOP
    EXECUTE format('CREATE VIEW app.view_%1$s AS SELECT t.id, t.customer_id,
      sum(u.amount) OVER (PARTITION BY t.customer_id ORDER BY t.created_at) AS total, coalesce(t.note, u.note, ''none'') AS note,
      CASE WHEN t.amount > 10 THEN lower(t.state) ELSE upper(u.state) END AS state, date_trunc(''day'', t.created_at) AS day
      FROM app.table_%1$s t LEFT JOIN app.table_%2$s u ON u.id = t.id
      WHERE t.customer_id IN (1, 2, 3) AND u.note LIKE ''a%%'' AND EXISTS (SELECT FROM app.table_%2$s w WHERE w.id = t.id)', i, i + 1);
    IF i % ${batch} = 0 THEN COMMIT; END IF;
  END LOOP;
END $fill$`;

const server = await startPostgres({
  settings: { shared_buffers: '1GB', max_locks_per_transaction: '1024', autovacuum: 'off' },
});
const client = new pg.Client({ connectionString: server.url() });
try {
  await client.connect();
  await client.query(fill);
  await client.query('CALL fill()');
  await client.query('VACUUM ANALYZE');
  const counted = await client.query(
    'SELECT (SELECT count(*) FROM pg_proc) AS pg_proc, (SELECT count(*) FROM pg_class) AS pg_class, (SELECT count(*) FROM pg_attribute) AS pg_attribute',
  );
  console.log('rows', counted.rows[0]);
  await measure(client);
} finally {
  await client.end();
  await server.stop();
}

async function measure(client: pg.Client): Promise<void> {
  const address = readTargetUrl(server.url(), { baseDir: '/', strict: false });
  const pins = [
    ['client_encoding', 'UTF8'],
    ['standard_conforming_strings', 'on'],
  ] as const;
  const upstream = await connectUpstream(address, pins, async () => []);
  const side = new Side(upstream, statementMs);
  globalThis.gc?.();
  const heapBytes = process.memoryUsage().heapUsed;
  let reading = await timed('first reading', side, undefined);
  globalThis.gc?.();
  console.log(
    `heap of the snapshot: ${((process.memoryUsage().heapUsed - heapBytes) / 2 ** 20).toFixed(0)} MiB`,
  );
  for (let look = 0; look < 3; look += 1) {
    await client.query('SELECT pg_current_xact_id()');
    reading = await timed('poll after other transactions', side, reading);
  }
  reading = await timed('poll when there were none', side, reading);
  await client.query(
    "CREATE OR REPLACE FUNCTION app.sql_2(a integer, b text DEFAULT 'x') RETURNS bigint LANGUAGE sql AS $$SELECT 1$$",
  );
  reading = await timed('reading after CREATE OR REPLACE FUNCTION', side, reading);
  await client.query('CREATE TABLE app.one_more (id integer PRIMARY KEY)');
  reading = await timed('reading after CREATE TABLE', side, reading);
  const begun = performance.now();
  const hiding = [...reading.snapshot.relations()].length;
  console.log(
    `${hiding} relations that hide code put together in ${(performance.now() - begun).toFixed(0)} ms`,
  );
  side.close();
}

async function timed(what: string, side: Side, before: Reading | undefined): Promise<Reading> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const reading = await readCatalog(side, before, { statementMs, outdated: () => undefined });
  const ms = performance.now() - begun;
  const { user, system } = process.cpuUsage(cpu);
  delay.disable();
  console.log(
    `${what}: ${ms.toFixed(0)} ms, of which ${((user + system) / 1000).toFixed(0)} ms of this process; longest stall ${(delay.max / 1e6).toFixed(0)} ms`,
  );
  return reading;
}
