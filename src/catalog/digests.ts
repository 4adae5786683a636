// Digests: one small row a catalog, which is another as soon as a row of that catalog is. A row that was made or changed
// has the xmin of the transaction that did it, so the number of rows and the sum of their xmins tell one state of a server
// from the next without a hash and without an index; between two servers they say nothing. Rows of the server's own and
// of temporary objects do not count. Pure text and arithmetic; refuses to know connections.
// Source: the manual, "System Columns" and "Transaction ID and Snapshot Information Functions".

import { type CatalogName, type SectionName, sections, temporarySchemas } from './queries.ts';
import { type Row, text } from './row.ts';

export type Digests = ReadonlyMap<CatalogName, string>;

const owned = 'oid >= 16384';
/** Not as it was when the cluster was made: such rows have this age for ever. */
const changed = 'pg_catalog.age(xmin) < 2147483647';
const permanent = (relation: string) =>
  `${relation} >= 16384 AND ${relation} NOT IN (SELECT oid FROM temporary)`;
const permanentSchema = (schema: string) => `${owned} AND ${schema} NOT IN ${temporarySchemas}`;

/** Which rows of a catalog count. */
const counted: Readonly<Record<Exclude<CatalogName, 'pg_class'>, string>> = {
  // `public` is one of the server's own.
  pg_namespace: `${changed} AND nspname !~ '^pg_(toast_)?temp_'`,
  pg_attribute: 'attnum > 0 AND attrelid >= 16384',
  pg_type: permanentSchema('typnamespace'),
  pg_range: 'rngtypid >= 16384',
  // Also what a superuser has replaced among the server's own.
  pg_proc: `${changed} AND pronamespace NOT IN ${temporarySchemas}`,
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
  pg_inherits: permanent('inhrelid'),
  pg_policy: permanent('polrelid'),
  pg_statistic_ext: permanent('stxrelid'),
  pg_event_trigger: owned,
  pg_depend: `refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'e' AND objid >= 16384`,
  pg_extension: owned,
  pg_db_role_setting: `setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
    AND setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user))`,
};

const names = Object.keys(counted) as (keyof typeof counted)[];
const temporaryColumns = 'temporary columns';

/**
 * Rows of (catalog, number of rows, sum of the rows' ages), none counted twice: pg_attribute, by far the longest, is
 * summed up whole, and what belongs to temporary relations comes as a row of its own to be taken away. Ages grow with every
 * transaction; see `digestsOf`.
 */
export const digestsQuery = `
WITH classes AS MATERIALIZED (
  SELECT pg_catalog.count(*) FILTER (WHERE lasting) AS rows, pg_catalog.sum(age) FILTER (WHERE lasting) AS ages,
    pg_catalog.array_agg(oid) FILTER (WHERE relpersistence = 't') AS temporary
  FROM (
    SELECT oid, pg_catalog.age(xmin) AS age, relpersistence, relpersistence <> 't' AND relkind <> 't' AS lasting
    FROM pg_catalog.pg_class WHERE oid >= 16384
  ) c
), temporary AS MATERIALIZED (SELECT pg_catalog.unnest(temporary) AS oid FROM classes)
SELECT 'pg_class', rows, ages FROM classes
${names.map((name) => `UNION ALL SELECT '${name}', pg_catalog.count(*), pg_catalog.sum(pg_catalog.age(xmin)) FROM pg_catalog.${name} WHERE ${counted[name]}`).join('\n')}
UNION ALL SELECT '${temporaryColumns}', pg_catalog.count(*), pg_catalog.sum(pg_catalog.age(xmin))
FROM pg_catalog.pg_attribute WHERE attnum > 0 AND attrelid IN (SELECT oid FROM temporary)`;

/** `epochAge`: the age of a fixed transaction, asked for in the same transaction, against which the ages are set. */
export function digestsOf(rows: readonly Row[], epochAge: number): Digests {
  const sums = new Map(
    rows.map(([name, count, ages]) => {
      const rowCount = BigInt(count ?? 0);
      return [text(name), { rowCount, sum: rowCount * BigInt(epochAge) - BigInt(ages ?? 0) }];
    }),
  );
  const temporary = sums.get(temporaryColumns)!;
  sums.delete(temporaryColumns);
  const columns = sums.get('pg_attribute')!;
  columns.rowCount -= temporary.rowCount;
  columns.sum -= temporary.sum;
  return new Map(
    Array.from(sums, ([name, { rowCount, sum }]) => [name as CatalogName, `${rowCount}.${sum}`]),
  );
}

/** Sections that rest on a catalog whose digest is another now. */
export function outdated(before: Digests, now: Digests): SectionName[] {
  const changed = new Set(
    [...now].filter(([name, digest]) => before.get(name) !== digest).map(([name]) => name),
  );
  return (Object.keys(sections) as SectionName[]).filter((name) =>
    sections[name].catalogs.some((catalog) => changed.has(catalog)),
  );
}
