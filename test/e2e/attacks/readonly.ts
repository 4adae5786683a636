// What a READ ONLY transaction lets through (wire.md §3.6), for a superuser, on 15 and 18: the reason why the rules must
// catch all of it first. Each text is tried directly in such a transaction, where it works, and through Holdpoint, inside
// BEGIN READ ONLY and outside, where it must not.

export interface Leak {
  readonly text: string;
  /** First and last major version on which READ ONLY lets it through; elsewhere it is only tried through Holdpoint. */
  readonly from?: number;
  readonly to?: number;
  /** Not inside a transaction block at all, or nothing to see by itself: not tried directly. */
  readonly untried?: true;
}

/** Made once, by the superuser. */
export const leakFixture = `
  create extension dblink;
  create function wipes() returns int language plpgsql as 'begin delete from t; return 1; end';
  create procedure lifts() language plpgsql as $$ begin commit; set transaction read write; delete from t; end $$;
`;

export const leaks: readonly Leak[] = [
  { text: 'SELECT lo_create(4711)', to: 15 },
  { text: 'SELECT lo_creat(-1)', to: 15 },
  { text: "SELECT lo_from_bytea(4712, '\\x00')", to: 15 },
  { text: 'SELECT lo_unlink(1)', to: 15 },
  { text: "SELECT lo_import('/etc/hostname')", to: 15 },
  { text: "SELECT lo_put(1, 0, '\\x02')", untried: true },
  { text: "SELECT lo_export(1, '{file}')" },
  { text: "COPY t TO '{file}'" },
  { text: "COPY (SELECT 1) TO PROGRAM 'cat > {file}'" },
  { text: 'LOCK TABLE t' },
  { text: 'LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT' },
  { text: 'ANALYZE t' },
  { text: "LOAD 'auto_explain'" },
  { text: 'PREPARE w AS DELETE FROM t; EXECUTE w', untried: true },
  { text: 'EXPLAIN ANALYZE DELETE FROM t', untried: true },
  { text: 'DO $$ BEGIN PERFORM 1; END $$' },
  { text: "SELECT pg_create_physical_replication_slot('evil')" },
  { text: "SELECT pg_drop_replication_slot('kept_slot')", untried: true },
  { text: "SELECT pg_replication_origin_create('evil')", untried: true },
  { text: "SELECT pg_replication_origin_drop('kept_origin')", untried: true },
  { text: 'SELECT pg_switch_wal()' },
  { text: "SELECT pg_create_restore_point('evil')", untried: true },
  { text: 'SELECT pg_reload_conf()' },
  { text: 'SELECT pg_rotate_logfile()' },
  { text: 'SELECT pg_stat_reset()' },
  { text: "SELECT pg_stat_reset_shared('bgwriter')" },
  { text: "SELECT pg_stat_reset_single_table_counters('t'::regclass)" },
  { text: 'SELECT pg_stat_reset_slru(NULL)' },
  { text: "SELECT pg_logical_emit_message(false, 'a', 'b')" },
  { text: "SELECT pg_import_system_collations('evil')", untried: true },
  { text: "SELECT set_config('session_replication_role', 'replica', false)" },
  { text: "SELECT set_config('role', 'postgres', false)" },
  { text: 'SET ROLE postgres' },
  { text: 'SET SESSION AUTHORIZATION postgres' },
  { text: 'SET session_replication_role = replica' },
  { text: 'SELECT pg_cancel_backend(1)' },
  { text: 'SELECT pg_terminate_backend(1)' },
  { text: 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND false' },
  { text: "SELECT pg_clear_relation_stats('public', 't')", from: 18 },
  {
    text: "SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', 't', 'reltuples', 5::real)",
    from: 18,
  },
  { text: "SELECT dblink_exec('{dsn}', 'DELETE FROM t')" },
  { text: "SELECT * FROM dblink('{dsn}', 'DELETE FROM t RETURNING id') AS x (id int)" },
  { text: "SELECT dblink_connect('{dsn}')" },
  { text: "SELECT pg_read_file('/etc/hostname')" },
  { text: "SELECT pg_ls_dir('.')" },
  { text: "SELECT query_to_xml('select 1', true, true, '')" },
  { text: 'VACUUM t', untried: true },
  { text: 'VACUUM FULL t', untried: true },
  { text: 'CLUSTER t USING t_pkey', untried: true },
  { text: 'REINDEX TABLE t', untried: true },
  { text: 'CHECKPOINT', untried: true },
  { text: "ALTER SYSTEM SET work_mem = '5MB'", untried: true },
  { text: 'ALTER SYSTEM RESET ALL', untried: true },
  { text: "PREPARE TRANSACTION 'evil'", untried: true },
  { text: "COMMIT PREPARED 'kept_transaction'", untried: true },
  { text: "ROLLBACK PREPARED 'kept_transaction'", untried: true },
  { text: 'CALL lifts()', untried: true },
  { text: 'DO $$ BEGIN COMMIT; SET TRANSACTION READ WRITE; DELETE FROM t; END $$', untried: true },
  { text: 'SET TRANSACTION READ WRITE', untried: true },
  { text: 'SET transaction_read_only = off', untried: true },
  { text: 'SET default_transaction_read_only = off' },
  { text: 'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE' },
  { text: 'RESET transaction_read_only', untried: true },
  { text: "SELECT set_config('transaction_read_only', 'off', false)", untried: true },
  { text: 'SELECT wipes()', untried: true },
];

/** Let through by READ ONLY, and by the rules on purpose: others are told or wait, or the session's own things change. */
export const permitted: readonly string[] = [
  'LISTEN events',
  'NOTIFY events',
  "SELECT pg_notify('events', 'x')",
  'UNLISTEN *',
  'DISCARD TEMP',
  'PREPARE w AS DELETE FROM t; DEALLOCATE w',
  'EXPLAIN DELETE FROM t',
  'SELECT pg_advisory_xact_lock(1)',
  'SELECT pg_try_advisory_lock(1), pg_advisory_unlock(1)',
  "SELECT set_config('work_mem', '8MB', false)",
  'SELECT txid_current() > 0',
  'SELECT pg_current_xact_id() IS NOT NULL',
  'SELECT pg_sleep(0)',
  'LOCK TABLE t IN ACCESS SHARE MODE',
];

/** Temporary tables: made before the transaction, written in it. */
export const temporary: readonly string[] = [
  'CREATE TEMP TABLE own (a int)',
  'BEGIN READ ONLY; INSERT INTO own VALUES (1); COMMIT',
  'SELECT a FROM own',
];
