// Settings: what changing a configuration parameter may do to the guard. Knows names and values as the text gives them;
// what the session's value is, nobody here knows. Sources: wire.md 1.4, 3.1, 3.2; pg_settings of PostgreSQL 13 to 18.

import type { Effect } from './statement.ts';

export type SettingEffect = Extract<
  Effect,
  'setting' | 'guard-setting' | 'parser-setting' | 'role' | 'custom-setting'
>;

/** A new value: a constant, the session's own default (RESET, DEFAULT), or not to be known from the text. */
export type SettingValue =
  | { readonly kind: 'constant'; readonly text: string }
  | { readonly kind: 'default' }
  | { readonly kind: 'unknown' };

/** What a session may set as it likes: planner, formats, timeouts, what it is told. */
const harmless = new Set(
  `application_name backend_flush_after bytea_output client_connection_check_interval client_min_messages
  commit_delay commit_siblings compute_query_id constraint_exclusion createrole_self_grant cursor_tuple_fraction
  datestyle deadlock_timeout debug_discard_caches debug_logical_replication_streaming debug_parallel_query
  debug_pretty_print debug_print_parse debug_print_plan debug_print_rewritten default_statistics_target
  default_table_access_method default_tablespace default_text_search_config default_toast_compression
  default_transaction_deferrable default_transaction_isolation effective_cache_size effective_io_concurrency
  escape_string_warning exit_on_error extra_float_digits file_copy_method force_parallel_mode from_collapse_limit
  geqo gin_fuzzy_search_limit gin_pending_list_limit hash_mem_multiplier icu_validation_level
  idle_in_transaction_session_timeout idle_session_timeout intervalstyle io_combine_limit jit join_collapse_limit
  lc_messages lc_monetary lc_numeric lc_time lock_timeout logical_decoding_work_mem maintenance_io_concurrency
  maintenance_work_mem max_parallel_maintenance_workers max_parallel_workers max_parallel_workers_per_gather
 min_parallel_index_scan_size min_parallel_table_scan_size operator_precedence_warning
  parallel_leader_participation parallel_setup_cost parallel_tuple_cost plan_cache_mode quote_all_identifiers
  random_page_cost recursive_worktable_factor row_security seed seq_page_cost statement_timeout
  stats_fetch_consistency synchronize_seqscans synchronous_commit temp_buffers temp_tablespaces timezone
  timezone_abbreviations trace_notify trace_sort track_io_timing transaction_deferrable transaction_isolation
  transaction_timeout vacuum_truncate wal_sender_timeout wal_skip_threshold work_mem xmlbinary xmloption
  password_encryption scram_iterations md5_password_warnings`.split(/\s+/),
);
/** Not what the compiler leaves behind: files in the data directory, hooks of debuggers. */
const harmlessFamilies =
  /^(enable_|geqo_|jit_(?!provider|dump_bitcode|debugging_support|profiling_support)|cpu_|tcp_|vacuum_)/;

/**
 * Settings that change how later text is read. Each has one value that is ours: setting it again is harmless, and most
 * drivers and every dump do so. RESET goes back to what the connection was started with, which is that value too.
 */
const pinned = new Map(
  Object.entries({
    standard_conforming_strings: /^(on|tr?u?e?|ye?s?|1)$/i,
    client_encoding: /^(utf-?8|unicode)$/i,
    backslash_quote: /^(safe_encoding|off)$/i,
  }),
);

/** Guards of the session that may be put up by anyone, and taken down only with a release. */
const guards = new Map(
  Object.entries({
    default_transaction_read_only: /^(on|tr?u?e?|ye?s?|1)$/i,
    transaction_read_only: /^(on|tr?u?e?|ye?s?|1)$/i,
    check_function_bodies: /^(on|tr?u?e?|ye?s?|1)$/i,
    session_replication_role: /^origin$/i,
    transform_null_equals: /^(off|fa?l?s?e?|no?|0)$/i,
    array_nulls: /^(on|tr?u?e?|ye?s?|1)$/i,
    restrict_nonsystem_relation_kind: /view.*foreign-table|foreign-table.*view/i,
  }),
);

/**
 * Settings of extensions that audit, confine or stop statements, and of languages, where they change what a body means
 * (plpgsql.variable_conflict, check_asserts) or name code to run first: what they are set to, nobody here can judge.
 */
const guardExtensions =
  /^(pgaudit|safeupdate|sepgsql|set_user|supautils|anon|pg_stat_statements|session_exec|plpgsql|plperlu?|pltclu?|plv8|pljava|plr)\./;

/** The server's spelling of a name: case does not matter; a dash is written for an underscore in startup options. */
export function settingName(name: string): string {
  return name.toLowerCase().replaceAll('-', '_');
}

export function effectOfSetting(rawName: string, value: SettingValue): SettingEffect {
  const name = settingName(rawName);
  if (name === 'role' || name === 'session_authorization') return 'role';
  const pin = pinned.get(name);
  if (pin !== undefined) return isValue(value, pin) ? 'setting' : 'parser-setting';
  // Its default is read-write, whatever BEGIN said.
  if (name === 'transaction_read_only' && value.kind === 'default') return 'guard-setting';
  const guard = guards.get(name);
  if (guard !== undefined) return isValue(value, guard) ? 'setting' : 'guard-setting';
  if (name === 'search_path') return hidesBuiltins(value) ? 'guard-setting' : 'setting';
  if (guardExtensions.test(name)) return value.kind === 'default' ? 'setting' : 'guard-setting';
  if (name.includes('.')) return 'custom-setting';
  if (harmless.has(name) || harmlessFamilies.test(name)) return 'setting';
  // A parameter that none of the versions we know has, or one for superusers.
  return 'guard-setting';
}

function isValue(value: SettingValue, wanted: RegExp): boolean {
  return value.kind === 'default' || (value.kind === 'constant' && wanted.test(value.text.trim()));
}

/**
 * pg_catalog is searched first unless the path names it; a path that names it later lets user functions and operators
 * take the place of builtin ones. A value that is not a constant may do so.
 */
function hidesBuiltins(value: SettingValue): boolean {
  if (value.kind === 'default') return false;
  if (value.kind === 'unknown') return true;
  const schemas = value.text.split(',').map((part) => part.trim().replaceAll('"', '').toLowerCase());
  return schemas.indexOf('pg_catalog') > 0;
}
