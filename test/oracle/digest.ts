// Digests of a database, taken from the server itself and never through Holdpoint: what is defined, which rows there
// are, and what a single statement may have left. Compares them in words. Refuses to know what was sent and why.

import type pg from 'pg';
import type { Ground } from './schema.ts';

/** Name of a part to the digest of its content. */
export type Digest = ReadonlyMap<string, string>;

/** Everything the oracle watches, at a moment at which no guarded transaction is open. */
export interface Standing {
  /** Definitions, roles, settings, slots, large objects, files, the other database: no everyday statement changes them. */
  readonly definitions: Digest;
  /** The rows of each table, and where each sequence stands. */
  readonly contents: Digest;
  /** The marks of all rows; the same object as before where the contents are the same. */
  readonly marks: ReadonlySet<string>;
}

const permanent = `n.nspname !~ '^pg_(toast_)?temp_'`;

/** Of the rows of a catalog, those that a person would call a definition. `t` is the row. */
const catalogs: Readonly<Record<string, string>> = {
  pg_namespace: `SELECT t::text FROM pg_namespace t JOIN pg_namespace n USING (oid) WHERE ${permanent}`,
  // Without what planning and vacuum keep there.
  pg_class: `SELECT concat_ws(',', t.oid, t.relname, t.relnamespace, t.relkind, t.relowner, t.relacl::text, t.reloptions::text,
      t.relrowsecurity, t.relforcerowsecurity, t.relfilenode, t.reltablespace, t.relpersistence, t.relispartition)
    FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE ${permanent}`,
  pg_attribute: `SELECT t::text FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= 16384 AND ${permanent}`,
  pg_attrdef: `SELECT t::text FROM pg_attrdef t JOIN pg_class c ON c.oid = t.adrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${permanent}`,
  pg_constraint: `SELECT t::text FROM pg_constraint t JOIN pg_namespace n ON n.oid = t.connamespace WHERE ${permanent}`,
  pg_index: `SELECT t::text FROM pg_index t JOIN pg_class c ON c.oid = t.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${permanent}`,
  pg_type: `SELECT t::text FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE ${permanent}`,
  pg_proc: `SELECT t::text FROM pg_proc t JOIN pg_namespace n ON n.oid = t.pronamespace WHERE ${permanent}`,
  pg_rewrite: `SELECT t::text FROM pg_rewrite t JOIN pg_class c ON c.oid = t.ev_class
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= 16384 AND ${permanent}`,
  pg_trigger: `SELECT t::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${permanent}`,
  pg_inherits: `SELECT t::text FROM pg_inherits t JOIN pg_class c ON c.oid = t.inhrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${permanent}`,
  pg_sequence: `SELECT t::text FROM pg_sequence t JOIN pg_class c ON c.oid = t.seqrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${permanent}`,
  pg_database: `SELECT concat_ws(',', t.oid, t.datname, t.datdba, t.datacl::text, t.datconnlimit, t.datallowconn, t.datistemplate)
    FROM pg_database t`,
  pg_settings: `SELECT concat_ws(',', name, setting) FROM pg_settings
    WHERE source IN ('configuration file', 'database', 'user', 'database user', 'command line')`,
  pg_replication_slots: `SELECT concat_ws(',', slot_name, plugin, slot_type, temporary) FROM pg_replication_slots`,
  'the other database': `SELECT concat_ws(',', id, a) FROM public.far`,
  pg_prepared_xacts: `SELECT gid FROM pg_prepared_xacts`,
  pg_largeobject: `SELECT concat_ws(',', loid, pageno, data::text) FROM pg_largeobject`,
  files: `SELECT concat_ws(',', name, (pg_stat_file(name)).size, (pg_stat_file(name)).modification)
    FROM unnest(ARRAY['postgresql.auto.conf', 'postgresql.conf', 'pg_hba.conf']) AS name`,
  'configuration loaded': `SELECT pg_conf_load_time()::text`,
  'statistics reset': `SELECT stats_reset::text FROM pg_stat_database WHERE datname = current_database()`,
};

/** Catalogs of which every row counts, as a whole. */
const whole =
  `pg_aggregate pg_am pg_amop pg_amproc pg_auth_members pg_authid pg_cast pg_collation pg_conversion
  pg_db_role_setting pg_default_acl pg_description pg_enum pg_event_trigger pg_extension pg_foreign_data_wrapper
  pg_foreign_server pg_foreign_table pg_language pg_largeobject_metadata pg_opclass pg_operator pg_opfamily
  pg_partitioned_table pg_policy pg_publication pg_publication_rel pg_range pg_replication_origin pg_seclabel
  pg_shdescription pg_shseclabel pg_statistic_ext pg_subscription pg_tablespace pg_transform pg_ts_config
  pg_ts_dict pg_ts_parser pg_ts_template pg_user_mapping`.split(/\s+/);

const definitionsSql = [
  ...Object.entries(catalogs),
  ...whole.map((name): [string, string] => [name, `SELECT t::text FROM ${name} t`]),
]
  .map(
    ([name, sql]) =>
      `SELECT '${name}' AS part, md5(string_agg(md5(line), '' ORDER BY md5(line))) AS digest FROM (${sql}) AS x(line)`,
  )
  .join(' UNION ALL ');

const tablesSql = `SELECT c.oid::regclass::text AS name, EXISTS (SELECT FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attname = 'row_mark') AS marked, c.relkind = 'S' AS sequence
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm', 'S') AND c.oid >= 16384 AND c.relispopulated AND ${permanent}
    AND n.nspname <> 'information_schema' ORDER BY 1`;

/** The client must be of the superuser, in the database that is watched, with search_path = pg_catalog. */
export async function standing(
  client: pg.Client,
  ground: Pick<Ground, 'traces'>,
  before?: Standing,
): Promise<Standing> {
  const defined = await client.query<{ part: string; digest: string | null }>(definitionsSql);
  const definitions = new Map(defined.rows.map(({ part, digest }) => [part, digest ?? '']));
  definitions.set('files of programs', ground.traces());
  const { rows: tables } = await client.query<{ name: string; marked: boolean; sequence: boolean }>(
    tablesSql,
  );
  const parts = tables.map(({ name, sequence }) => {
    const line = sequence ? 'last_value::text || is_called::text' : 't::text';
    return `SELECT ${client.escapeLiteral(name)} AS part, count(*) || ' ' ||
      coalesce(md5(string_agg(md5(${line}), '' ORDER BY md5(${line}))), '') AS digest FROM ONLY ${name} t`;
  });
  const kept = await client.query<{ part: string; digest: string }>(parts.join(' UNION ALL '));
  const contents = new Map(kept.rows.map(({ part, digest }) => [part, digest]));
  if (before !== undefined && changes(before.contents, contents).length === 0)
    return { definitions, contents, marks: before.marks };
  const marked = tables.filter((table) => table.marked);
  const marks = marked.map(
    ({ name }) => `SELECT ${client.escapeLiteral(name)} || ' ' || row_mark AS mark FROM ONLY ${name}`,
  );
  const found = await client.query<[string]>({ text: marks.join(' UNION ALL '), rowMode: 'array' });
  return { definitions, contents, marks: new Set(found.rows.map(([mark]) => mark)) };
}

/** The parts that differ, sorted. */
export function changes(before: Digest, after: Digest): string[] {
  const parts = new Set([...before.keys(), ...after.keys()]);
  return [...parts].filter((part) => before.get(part) !== after.get(part)).sort();
}

/** The tables that rows are gone from, with how many. A row that moved to another partition counts as gone from one. */
export function gone(before: Standing, after: Standing): string[] {
  if (before.marks === after.marks) return [];
  const left = new Set([...after.marks].map(markOf));
  const counts = new Map<string, number>();
  for (const mark of before.marks) {
    if (left.has(markOf(mark))) continue;
    const table = mark.slice(0, mark.lastIndexOf(' '));
    counts.set(table, (counts.get(table) ?? 0) + 1);
  }
  return [...counts].map(([table, count]) => `${count} of ${table}`);
}

function markOf(mark: string): string {
  return mark.slice(mark.lastIndexOf(' ') + 1);
}

/**
 * What one statement cannot do without being seen: a transaction that wrote (finished, or still open in the backend
 * `pid`), a sequence that moved, a slot, a session ended. One cheap query; equal texts mean that nothing of it happened.
 */
export async function pulse(client: pg.Client, pid: number, sequences: readonly string[]): Promise<string> {
  const moved = sequences.map((name) => `(SELECT last_value::text || is_called FROM ${name})`).join(', ');
  const { rows } = await client.query<{ pulse: string }>({
    name: `pulse ${sequences.length}`,
    text: `SELECT concat_ws(' ', pg_snapshot_xmax(pg_current_snapshot()),
      (SELECT backend_xid FROM pg_stat_get_activity($1)),
      (SELECT count(*) FROM pg_get_replication_slots()), (SELECT count(*) FROM pg_stat_get_activity(NULL)
        WHERE application_name = 'bystander'), ${moved}) AS pulse`,
    values: [pid],
  });
  return rows[0]!.pulse;
}
