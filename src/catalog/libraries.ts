// Libraries: what the C functions of well-known extensions do, by library and symbol, and which symbols of internal
// functions are not named like a builtin. A C function can do anything and only superusers can make one, so what stands
// here is trusted as far as the superuser put the library of that name into the server's own directory ($libdir). What
// stands nowhere here is not known. Read from the sources of contrib 13 to 18 and of the projects named.

import type { Effect } from '../sql/statement.ts';

type Table = readonly (readonly [symbols: RegExp, effects: readonly Effect[]])[];

const any = /^/;
const harmless: Table = [[any, []]];

/** By the name of the library in $libdir, a version after a dash left out; the first line that matches counts. */
const libraries = new Map<string, Table>(
  Object.entries({
    amcheck: [
      // They evaluate the expressions of the index that they check.
      [/^bt_index_|^gin_index_/, ['maintain', 'code']],
      [any, []],
    ],
    autoinc: [[any, ['sequence']]],
    dblink: [
      [/^dblink_(build_sql|current_query|error_message|get_pkey|fdw_validator|get_connections)/, []],
      [any, ['remote']],
    ],
    lo: [[any, ['large-object', 'delete']]],
    pg_buffercache: [
      [/evict|mark_dirty/, ['administer']],
      [any, []],
    ],
    pg_cron: [[any, ['code']]],
    pg_net: [[any, ['remote']]],
    http: [[any, ['remote']]],
    pg_prewarm: [
      [/^autoprewarm/, ['administer']],
      [any, []],
    ],
    pg_repack: [[any, ['administer']]],
    pg_stat_statements: [
      [/reset/, ['administer']],
      [any, []],
    ],
    pg_surgery: [[any, ['administer', 'delete']]],
    pg_visibility: [
      [/truncate/, ['administer']],
      [any, []],
    ],
    pgrouting: [[any, ['code']]],
    libpgrouting: [[any, ['code']]],
    pgxml: [
      [/^xpath_table/, ['code']],
      [/^xslt/, ['os']],
      [any, []],
    ],
    postgis_topology: [[any, ['insert', 'update', 'delete']]],
    postgres_fdw: [
      [/disconnect/, ['remote']],
      [any, []],
    ],
    refint: [
      [/^check_foreign_key/, ['delete', 'update']],
      [any, []],
    ],
    tablefunc: [
      [/^normal_rand/, []],
      [any, ['code']],
    ],
    tcn: [[any, ['notify']]],
    temporal_tables: [[any, ['insert']]],
    adminpack: [[any, ['os']]],
  } satisfies Record<string, Table>),
);
for (const name of `_int bloom bool_plperl btree_gin btree_gist citext cube dict_int dict_xsyn earthdistance file_fdw
  fuzzystrmatch hstore insert_username isn ltree moddatetime pageinspect pg_freespacemap pg_logicalinspect pg_trgm
  pg_walinspect pgcrypto pgrowlocks pgstattuple seg sslinfo tsm_system_rows tsm_system_time unaccent uuid-ossp old_snapshot
  intagg test_decoding address_standardizer h3 halfvec hll ip4r pg_bigm pg_uuidv7 postgis postgis_raster prefix q3c roaringbitmap
  rtpostgis rum semver tdigest uint vector`.split(/\s+/)) {
  libraries.set(name, harmless);
}

/** Effects of a C function; undefined if the library is not known. An empty list: harmless. */
export function effectsOfSymbol(library: string | undefined, symbol: string): readonly Effect[] | undefined {
  // A path elsewhere may hold a library of any name.
  const name = /^\$libdir\/([\w-]+?)(\.so)?$/.exec(library ?? '')?.[1];
  if (name === undefined) return undefined;
  const table = libraries.get(name) ?? libraries.get(name.replace(/-[\d.]+$/, ''));
  return table?.find(([symbols]) => symbols.test(symbol))?.[1];
}

/** Harmless symbols of LANGUAGE internal that no builtin function is named by; contrib and CREATE TYPE make functions of them. */
const symbols = new Set(
  `aggregate_dummy array_unnest booltext network_show rtrim1 ltrim1 btrim1 text_substr range_constructor2 range_constructor3
  multirange_constructor0 multirange_constructor1 multirange_constructor2`.split(/\s+/),
);

export function isHarmlessSymbol(symbol: string): boolean {
  return symbols.has(symbol);
}
