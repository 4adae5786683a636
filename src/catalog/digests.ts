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

/**
 * Catalogs with rows for every relation or column, which are read whole: a condition costs as much as the rest of the
 * scan. What does not count is found by indexes and taken away: rows below 16384 in column `own`, and those that belong
 * to temporary relations and types.
 */
const long = {
  pg_class: { own: 'oid', relations: 'oid' },
  pg_attribute: { own: 'attrelid', relations: 'attrelid' },
  pg_type: { own: 'oid', types: 'oid' },
  pg_constraint: { own: 'oid', relations: 'conrelid', types: 'contypid' },
  pg_attrdef: { own: 'adrelid', relations: 'adrelid' },
  pg_index: { own: 'indrelid', relations: 'indrelid' },
} as const satisfies Partial<Record<CatalogName, { own: string; relations?: string; types?: string }>>;

/** Which rows of the others count. */
const short: Readonly<Record<Exclude<CatalogName, keyof typeof long>, string>> = {
  // `public` is one of the server's own.
  pg_namespace: `${changed} AND nspname !~ '^pg_(toast_)?temp_'`,
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

/** Rows of `catalog` for each row of `from`, found by an index whatever the planner takes their number for. */
const each = (from: string, columns: string, catalog: string, where: string) =>
  `${from} CROSS JOIN LATERAL (SELECT ${columns} FROM pg_catalog.${catalog} WHERE ${where} OFFSET 0)`;

/**
 * Temporary relations with their indexes and TOAST tables, and temporary types with their arrays, by way of what depends
 * on their schemas: usually nothing, and never a scan. One that were missed would be counted, and no harm done.
 */
const temporaries = `
members AS MATERIALIZED (
  SELECT DISTINCT d.* FROM ${each(`${temporarySchemas} s`, 'classid, objid', 'pg_depend', "refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = s.oid")} d
), tables AS MATERIALIZED (
  SELECT c.* FROM ${each('members m', 'oid, reltype, reltoastrelid', 'pg_class', 'oid = m.objid')} c
  WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
), heaps AS MATERIALIZED (
  SELECT oid, reltype FROM tables
  UNION ALL SELECT c.* FROM ${each('tables t', 'oid, reltype', 'pg_class', 'oid = t.reltoastrelid')} c
  UNION ALL SELECT c.* FROM ${each('members m', 'typrelid, oid', 'pg_type', 'oid = m.objid AND typrelid <> 0')} c
  WHERE m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
), temporary AS MATERIALIZED (
  SELECT oid FROM heaps UNION ALL SELECT i.* FROM ${each('heaps h', 'indexrelid', 'pg_index', 'indrelid = h.oid')} i
), temporary_types AS MATERIALIZED (
  SELECT a.oid FROM ${each(
    `(SELECT reltype AS oid FROM heaps
      UNION SELECT objid FROM members WHERE classid = 'pg_catalog.pg_type'::pg_catalog.regclass) w`,
    'oid, typarray',
    'pg_type',
    'oid = w.oid',
  )} t CROSS JOIN LATERAL (VALUES (t.oid), (t.typarray)) a (oid)
  WHERE a.oid <> 0
)`;

const numbers = 'pg_catalog.count(*) AS rows, pg_catalog.sum(pg_catalog.age(xmin)) AS ages';

function partsOf(name: string, at: { own: string; relations?: string; types?: string }): string[] {
  const less = (from: string, column: string) =>
    `SELECT '${name}', -pg_catalog.sum(x.rows), -pg_catalog.sum(x.ages) FROM ${each(`${from} t`, numbers, name, `${column} = t.oid`)} x`;
  return [
    `SELECT '${name}', ${numbers} FROM pg_catalog.${name}`,
    `SELECT '${name}', -x.rows, -x.ages FROM (SELECT ${numbers} FROM pg_catalog.${name} WHERE ${at.own} < 16384) x`,
    ...(at.relations === undefined ? [] : [less('temporary', at.relations)]),
    ...(at.types === undefined ? [] : [less('temporary_types', at.types)]),
  ];
}

/**
 * Rows of (catalog, number of rows, sum of the rows' ages), several a catalog, to be added up. Ages grow with every
 * transaction; see `digestsOf`.
 */
export const digestsQuery = `WITH ${temporaries}
${[
  ...Object.entries(long).flatMap(([name, at]) => partsOf(name, at)),
  ...Object.entries(short).map(
    ([name, where]) => `SELECT '${name}', ${numbers} FROM pg_catalog.${name} WHERE ${where}`,
  ),
].join('\nUNION ALL ')}`;

/** `epochAge`: the age of a fixed transaction, asked for in the same transaction, against which the ages are set. */
export function digestsOf(rows: readonly Row[], epochAge: number): Digests {
  const sums = new Map<CatalogName, { rowCount: bigint; sum: bigint }>();
  for (const [name, count, ages] of rows) {
    const rowCount = BigInt(count ?? 0);
    const sum = rowCount * BigInt(epochAge) - BigInt(ages ?? 0);
    const before = sums.get(text(name) as CatalogName) ?? { rowCount: 0n, sum: 0n };
    sums.set(text(name) as CatalogName, { rowCount: before.rowCount + rowCount, sum: before.sum + sum });
  }
  return new Map(Array.from(sums, ([name, { rowCount, sum }]) => [name, `${rowCount}.${sum}`]));
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
