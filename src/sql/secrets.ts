// Secrets: which settings, functions and options carry a password or a key by what they are, whatever their value is.
// By names in the syntax tree, never by the look of a value. Sources: the manuals of PostgreSQL 18, postgres_fdw, dblink,
// pgcrypto, pgsodium, supabase_vault, aws_s3 and azure_storage.

const secretName =
  /pass|pwd|secret|token|api_?key|private_?key|access_?key|credential|conninfo|authorization/i;

/** Settings whose values are no secrets though their names say so. */
const harmlessSettings =
  /^(password_encryption|md5_password_warnings|ssl_passphrase_command_supports_reload)$/;

/** True of a setting whose value nobody else may know: `app.api_token`, `primary_conninfo`. */
export function isSecretSetting(name: string): boolean {
  return secretName.test(name) && !harmlessSettings.test(name);
}

/** dblink takes connection strings; pgcrypto, pgsodium and the digests take keys and passwords; vaults take secrets. */
const takesSecret =
  /^(dblink|pgp_|crypto_|crypt$|gen_salt$|hmac$|digest$|md5$|sha(224|256|384|512)$|(en|de)crypt(_iv)?$|raw_(en|de)crypt|account_add$|sign_?in$|log_?in$|authenticate$|http_header$)|pass(word|wd|phrase)|secret|credential|api_?key|access_?key|private_?key|(^|_)(en|de)crypt|(^|_)(token|jwt|pwd)(_|$)|^create_user$|(^|_)set_pass/;

/** True of a function whose arguments may be secrets: `dblink_connect`, `pgp_sym_encrypt`, `set_password`. */
export function takesSecrets(name: string): boolean {
  return takesSecret.test(name);
}

/**
 * Options of servers, wrappers and foreign tables that tell where and how, not by which right. An option that is not among
 * them may be the password of a wrapper that nobody here has heard of.
 */
const harmlessOptions: ReadonlySet<string> = new Set(
  `host hostaddr port dbname user schema_name table_name schema table column_name database db address server servername
  service protocol fetch_size batch_size updatable truncatable async_capable use_remote_estimate fdw_startup_cost
  fdw_tuple_cost extensions keep_connections parallel_commit parallel_abort analyze_sampling sslmode sslcompression
  sslrootcert sslcrl ssl_min_protocol_version ssl_max_protocol_version gssencmode krbsrvname target_session_attrs
  application_name client_encoding connect_timeout keepalives keepalives_idle keepalives_interval keepalives_count
  tcp_user_timeout channel_binding load_balance_hosts format filename program header delimiter quote escape null encoding
  force_not_null force_null on_error default import_default import_collate import_generated import_not_null
  restore_stats partition_key readonly region bucket endpoint`.split(/\s+/),
);

/** True of an option whose value may be a secret. */
export function isSecretOption(name: string): boolean {
  return !harmlessOptions.has(name.toLowerCase());
}
