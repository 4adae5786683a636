// What goes over several statements on one session: transactions, savepoints, cursors, prepared statements, temporary
// tables, settings, row security by tenant. Data only.

import { type Everyday, together } from './corpus.ts';

export const sessions: readonly Everyday[] = [
  together(
    'BEGIN',
    'UPDATE accounts SET balance = balance - 5 WHERE id = 1',
    'UPDATE accounts SET balance = balance + 5 WHERE id = 2',
    'COMMIT',
  ),
  together(
    'BEGIN',
    "INSERT INTO tree_labels VALUES ('Gone', 'ok')",
    'ROLLBACK',
    "SELECT count(*) FROM tree_labels WHERE label = 'Gone'",
  ),
  together(
    'START TRANSACTION ISOLATION LEVEL SERIALIZABLE',
    'SELECT count(*) FROM accounts',
    'SAVEPOINT a',
    "INSERT INTO tree_labels VALUES ('Alpha', 'ok')",
    'ROLLBACK TO SAVEPOINT a',
    'RELEASE SAVEPOINT a',
    "INSERT INTO tree_labels VALUES ('Delta', 'ok')",
    'COMMIT AND CHAIN',
    'SHOW transaction_isolation',
    'COMMIT',
  ),
  together('BEGIN READ ONLY', 'SELECT rows_in($$orders$$)', 'SELECT full_price(3)', 'COMMIT'),
  together(
    'BEGIN; SELECT 1; SELECT 2; COMMIT',
    "SELECT 1; SELECT 'two'",
    "INSERT INTO jobs (queue) VALUES ('many'); UPDATE jobs SET attempts = 1 WHERE id = 2; SELECT 3",
  ),
  together('BEGIN', 'SELECT 1 / 0', 'SELECT 1', 'ROLLBACK', 'SELECT 2'),
  // Cursors
  together(
    'BEGIN',
    'DECLARE c NO SCROLL CURSOR FOR SELECT id, full_price(price) FROM products ORDER BY id',
    'FETCH 2 FROM c',
    'FETCH FORWARD 3 FROM c',
    'MOVE 5 IN c',
    'FETCH NEXT FROM c',
    'CLOSE c',
    'COMMIT',
  ),
  together(
    'DECLARE "_django_curs_1" NO SCROLL CURSOR WITH HOLD FOR SELECT id FROM customers ORDER BY id',
    'FETCH 3 FROM "_django_curs_1"',
    'CLOSE "_django_curs_1"',
  ),
  together(
    'BEGIN',
    'DECLARE u CURSOR FOR SELECT * FROM accounts WHERE id < 3 ORDER BY id FOR UPDATE',
    'FETCH 1 FROM u',
    'UPDATE accounts SET owner = $$by cursor$$ WHERE CURRENT OF u',
    'COMMIT',
  ),
  // Prepared statements
  together(
    'PREPARE by_id (bigint) AS SELECT id, name FROM customers WHERE id = $1',
    'EXECUTE by_id(5)',
    'EXECUTE by_id(6)',
    'EXPLAIN (COSTS off) EXECUTE by_id(7)',
    'DEALLOCATE by_id',
  ),
  together(
    'PREPARE put (text, mood) AS INSERT INTO tree_labels VALUES ($1, $2)',
    "EXECUTE put('Prepared', 'ok')",
    'DEALLOCATE ALL',
  ),
  together(
    'PREPARE price AS SELECT full_price(price) FROM products WHERE id = $1',
    'EXECUTE price(3)',
    'DISCARD PLANS',
    'EXECUTE price(4)',
  ),
  // Temporary tables
  together(
    'CREATE TEMP TABLE picked (id bigint PRIMARY KEY, note text DEFAULT upper($$n$$))',
    'INSERT INTO picked (id) SELECT id FROM customers WHERE id < 5',
    { sql: 'COPY picked (id) FROM STDIN', copy: ['100', '101'] },
    'SELECT p.id, c.name, p.note FROM picked p LEFT JOIN customers c USING (id) ORDER BY p.id',
    'UPDATE picked SET note = $$x$$ WHERE id = 1',
    'CREATE INDEX ON pg_temp.picked (note)',
    'SELECT count(*) FROM picked',
    'DROP TABLE pg_temp.picked',
  ),
  together(
    'BEGIN',
    'CREATE TEMPORARY TABLE totals ON COMMIT DROP AS SELECT status, count(*) AS n FROM orders GROUP BY status',
    'SELECT * FROM totals ORDER BY status',
    'COMMIT',
    'SELECT * FROM totals',
  ),
  together(
    'CREATE TEMP TABLE IF NOT EXISTS log (LIKE audit_log INCLUDING DEFAULTS)',
    'SELECT count(*) FROM log',
    'SELECT count(*) FROM orders',
    'DISCARD TEMP',
  ),
  together(
    'SELECT id, title INTO TEMP cheap FROM products WHERE price < 30',
    'SELECT count(*) FROM cheap',
    'SELECT count(*) FROM products',
  ),
  together(
    'CREATE TEMP VIEW names AS SELECT id, name FROM customers WHERE id < 4',
    'SELECT * FROM names ORDER BY id',
  ),
  // Settings
  together(
    'SET search_path TO geo, public',
    'SELECT length(at), as_text(at) FROM places ORDER BY id LIMIT 2',
    'SELECT at <-> ROW(1, 1)::point2d FROM places ORDER BY 1 LIMIT 2',
    'SELECT a.id FROM places a, places b WHERE a.at::box2d && b.at::box2d AND b.id = 3 ORDER BY 1 LIMIT 2',
    'SELECT extent(at) FROM places',
    "SELECT length('text'), ARRAY[1] && ARRAY[2]",
    'RESET search_path',
  ),
  together(
    'SET search_path TO geo, public',
    "SELECT length('text'), point '(1,1)' <-> point '(2,2)', box '(0,0),(1,1)' && box '(1,1),(2,2)'",
    'SELECT count(*) FROM orders',
    'RESET search_path',
  ),
  together(
    "SET LOCAL statement_timeout = '5s'",
    "SET statement_timeout = '10s'",
    'SHOW statement_timeout',
    'RESET statement_timeout',
  ),
  together(
    "SET TIME ZONE 'Europe/Berlin'",
    "SELECT timestamptz '2026-01-01 00:00+00'",
    "SET datestyle TO 'German'",
    "SELECT date '2026-02-01'",
    'RESET ALL',
    "SELECT date '2026-02-01'",
  ),
  together(
    "SET application_name TO 'my app'",
    'SHOW application_name',
    "SET bytea_output = 'escape'",
    "SELECT 'a'::bytea",
    'SET extra_float_digits = 0',
    'SELECT 0.1::float8 * 3',
    'DISCARD ALL',
  ),
  together(
    "SET app.tenant = 't1'",
    'SELECT id, tenant FROM tenants ORDER BY id',
    "UPDATE tenants SET secret = 's' WHERE id = 1 RETURNING id, tenant",
    "INSERT INTO tenants VALUES (200, 't1', 'x')",
    "INSERT INTO tenants VALUES (201, 't2', 'x')",
    'RESET app.tenant',
  ),
  together('BEGIN', "SELECT set_config('app.tenant', 't2', true)", 'SELECT count(*) FROM tenants', 'COMMIT'),
  together(
    'SET default_transaction_read_only = on',
    'SELECT 1',
    'INSERT INTO jobs DEFAULT VALUES',
    'DISCARD ALL',
  ),
  together(
    "SET enable_seqscan = off; SET work_mem = '16MB'",
    'EXPLAIN (COSTS off) SELECT id FROM customers WHERE id = 5',
    'RESET ALL',
  ),
  // Messages
  together('LISTEN channel', "NOTIFY channel, 'to myself'", 'SELECT 1', 'UNLISTEN *'),
  together('BEGIN', "SELECT pg_advisory_xact_lock(hashtext('job'))", 'SELECT 1', 'COMMIT'),
  together('BEGIN', 'LOCK TABLE accounts IN ACCESS SHARE MODE', 'SELECT count(*) FROM accounts', 'COMMIT'),
  together('SET CONSTRAINTS ALL DEFERRED', 'BEGIN', 'SET CONSTRAINTS ALL IMMEDIATE', 'COMMIT'),
  // The extended protocol, as drivers use it
  together(
    { sql: 'BEGIN', values: [] },
    { sql: 'SELECT balance FROM accounts WHERE id = $1 FOR UPDATE', values: ['5'] },
    { sql: 'UPDATE accounts SET balance = $1 WHERE id = $2', values: ['42', '5'] },
    { sql: 'COMMIT', values: [] },
  ),
  together(
    { sql: 'SELECT rows_in($1)', values: ['products'] },
    { sql: 'SELECT * FROM revenue($1)', values: ['2025-09-01'] },
    { sql: 'SELECT slug($1), fibonacci($2)', values: ['A B', '10'] },
  ),
  together(
    'BEGIN',
    "INSERT INTO jobs (queue) VALUES ('inside')",
    "SELECT rows_in('jobs')",
    "UPDATE jobs SET attempts = attempts + 1 WHERE queue = 'inside'",
    "SELECT count(*), max(attempts) FROM jobs WHERE queue = 'inside'",
    'COMMIT',
  ),
];
