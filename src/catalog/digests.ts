// Digests: one small row a catalog, which is another as soon as a row of that catalog is. A row that was made or changed
// has the xmin of the transaction that did it, so the number of rows and the sum of their xmins tell one state of a server
// from the next without a hash and without an index; between two servers they say nothing. Rows of the server's own and
// of temporary objects do not count. Pure text and arithmetic; refuses to know connections.
// Source: the manual, "System Columns" and "Transaction ID and Snapshot Information Functions".

import { type CatalogName, type SectionName, sections, temporarySchemas } from './queries.ts';
import type { Row } from './row.ts';

export type Digests = ReadonlyMap<CatalogName, string>;

const owned = 'oid >= 16384';
const permanent = (relation: string) =>
  `${relation} >= 16384 AND ${relation} NOT IN (SELECT oid FROM temporary)`;
const permanentSchema = (schema: string) => `${owned} AND ${schema} NOT IN ${temporarySchemas}`;

/** Which rows of a catalog count. */
const counted: Readonly<Record<CatalogName, string>> = {
  pg_namespace: `${owned} AND nspname !~ '^pg_(toast_)?temp_'`,
  pg_class: `${owned} AND relpersistence <> 't' AND relkind <> 't'`,
  pg_attribute: `attnum > 0 AND ${permanent('attrelid')}`,
  pg_type: permanentSchema('typnamespace'),
  pg_range: 'rngtypid >= 16384',
  // All: what a superuser replaces among the server's own must be seen too.
  pg_proc: `pronamespace NOT IN ${temporarySchemas}`,
  pg_aggregate: 'aggfnoid::oid >= 16384',
  pg_operator: permanentSchema('oprnamespace'),
  pg_cast: owned,
  pg_opclass: owned,
  pg_amproc: owned,
  pg_amop: owned,
  pg_rewrite: permanent('ev_class'),
  pg_trigger: `NOT tgisinternal AND ${permanent('tgrelid')}`,
  pg_constraint: `${permanentSchema('connamespace')} AND conrelid NOT IN (SELECT oid FROM temporary)`,
  pg_attrdef: permanent('adrelid'),
  pg_index: permanent('indrelid'),
  pg_partitioned_table: permanent('partrelid'),
  pg_inherits: permanent('inhparent'),
  pg_policy: permanent('polrelid'),
  pg_event_trigger: owned,
  pg_depend: `refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'e'`,
  pg_extension: owned,
  pg_db_role_setting: `setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
    AND setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user))`,
};

const names = Object.keys(counted) as CatalogName[];

/** Rows of (catalog, number of rows, sum of the rows' ages). Ages grow with every transaction; see `digestsOf`. */
export const digestsQuery = `
WITH temporary AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't')
${names.map((name) => `SELECT '${name}', pg_catalog.count(*), pg_catalog.sum(pg_catalog.age(xmin)) FROM pg_catalog.${name} WHERE ${counted[name]}`).join('\nUNION ALL ')}`;

/** `epochAge`: the age of a fixed transaction, asked for in the same transaction, against which the ages are set. */
export function digestsOf(rows: readonly Row[], epochAge: number): Digests {
  return new Map(
    rows.map(([name, count, ages]) => [
      name as CatalogName,
      `${count}.${BigInt(count ?? 0) * BigInt(epochAge) - BigInt(ages ?? 0)}`,
    ]),
  );
}

/** Sections that rest on a catalog whose digest is another now. */
export function outdated(before: Digests, now: Digests): SectionName[] {
  const changed = new Set(names.filter((name) => before.get(name) !== now.get(name)));
  return (Object.keys(sections) as SectionName[]).filter((name) =>
    sections[name].catalogs.some((catalog) => changed.has(catalog)),
  );
}
