// Live: the snapshot of a real database and a reacher over it, without a watch: every section is asked once.

import pg from 'pg';
import { Bodies } from '../../src/catalog/bodies.ts';
import type { NameContext } from '../../src/catalog/names.ts';
import { type SectionName, sections } from '../../src/catalog/queries.ts';
import { SnapshotReacher } from '../../src/catalog/reach.ts';
import type { Table } from '../../src/catalog/row.ts';
import type { Snapshot } from '../../src/catalog/snapshot.ts';
import { emptyTables, storedSnapshot, type Tables } from '../../src/catalog/stored.ts';
import type { Statement } from '../../src/sql/statement.ts';
import { analyzer, factsOf } from '../sql/facts.ts';

const asText = { getTypeParser: () => (value: string) => value };

/** As the superuser of the tests sees it, with a path of `public`. */
export async function snapshotOf(url: string): Promise<Snapshot> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('SET search_path TO pg_catalog, pg_temp');
    const version = Math.trunc(
      Number((await client.query('SHOW server_version_num')).rows[0].server_version_num) / 10_000,
    );
    const tables: Partial<Record<SectionName, Table>> = {};
    for (const name of Object.keys(sections) as SectionName[]) {
      const table: Table = emptyTables[name]();
      const { rows } = await client.query({
        text: sections[name].text(version),
        rowMode: 'array',
        types: asText,
      });
      for (const row of rows) table.add(row);
      tables[name] = table;
    }
    const role = { name: 'postgres', superuser: true, powers: ['SUPERUSER'] };
    const facts = { serverVersion: version, role, searchPath: ['public'], temporaryNames: new Set<string>() };
    return storedSnapshot(tables as Tables, facts, 'epoch');
  } finally {
    await client.end();
  }
}

export const publicPath: NameContext = {
  path: ['public'],
  temporary: new Map(),
  shadowed: false,
  changed: false,
};

export interface Explainer {
  readonly reacher: SnapshotReacher;
  typeOid(name: string): number;
  explain(sql: string, context?: Partial<NameContext>, types?: readonly number[]): Statement;
}

export function explainerOf(snapshot: Snapshot): Explainer {
  const reacher = new SnapshotReacher(snapshot, new Bodies(analyzer));
  return {
    reacher,
    typeOid: (name) => snapshot.typesNamed(name)[0]?.oid ?? 0,
    explain: (sql, context = {}, types = []) =>
      reacher.explain(factsOf(sql), { ...publicPath, ...context }, types),
  };
}
