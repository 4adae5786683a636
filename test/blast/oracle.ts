// What a statement really does, to compare an effect with: run in a transaction that is rolled back, the rows of every table
// counted before and behind it, and what the server says of objects that it drops along.

import type pg from 'pg';
import type { MeasuredEffect } from '../../src/approval/effect.ts';

export interface Outcome {
  /** SQLSTATE, if the server refused. */
  readonly refused: string | undefined;
  /** Rows that are missing afterwards, by table; of dropped tables all. */
  readonly missing: Readonly<Record<string, number>>;
  /** Objects that went along, as the server names them. */
  readonly fell: readonly string[];
}

async function rowsByTable(client: pg.Client): Promise<Record<string, number>> {
  const { rows: tables } = await client.query(`
SELECT n.nspname || '.' || c.relname AS name, format('%I.%I', n.nspname, c.relname) AS quoted
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname IN ('public', 'old') ORDER BY 1`);
  const counts: Record<string, number> = {};
  for (const { name, quoted } of tables) {
    const { rows } = await client.query(`SELECT count(*)::int AS n FROM ONLY ${quoted}`);
    counts[name] = rows[0].n;
  }
  return counts;
}

/** Of one text; nothing of it stays. `client` must have nothing open. */
export async function outcomeOf(client: pg.Client, sql: string): Promise<Outcome> {
  const fell: string[] = [];
  const listen = ({
    detail,
    message,
  }: {
    detail?: string | undefined;
    message?: string | undefined;
  }): void => {
    // One object is in the message, several in its DETAIL.
    for (const line of `${message ?? ''}\n${detail ?? ''}`.split('\n')) {
      const [, what] = /^drop cascades to (?!\d+ other objects)(.*)$/.exec(line) ?? [];
      if (what !== undefined) fell.push(what);
    }
  };
  client.on('notice', listen);
  await client.query('BEGIN');
  try {
    const before = await rowsByTable(client);
    await client.query(sql);
    await client.query('SET LOCAL search_path TO pg_catalog');
    const after = await rowsByTable(client);
    const missing = Object.entries(before).map(([name, rows]) => [name, rows - (after[name] ?? 0)] as const);
    return {
      refused: undefined,
      missing: Object.fromEntries(missing.filter(([, rows]) => rows > 0)),
      fell: fell.sort(),
    };
  } catch (error) {
    return { refused: (error as pg.DatabaseError).code, missing: {}, fell: [] };
  } finally {
    client.off('notice', listen);
    await client.query('ROLLBACK');
  }
}

const taking = /^(DELETE|TRUNCATE|DROP)$/;

/** Rows that an effect says will be missing, in all, of every table that it names. */
export function rowsTaken({ relations, cascades }: MeasuredEffect): number {
  const own = relations.filter(({ does }) => taking.test(does)).map(({ touched }) => touched?.rows ?? 0);
  const along = cascades
    .filter(({ action }) => action === 'CASCADE' || action === 'TRUNCATE')
    .map(({ touched }) => touched?.rows ?? 0);
  return [...own, ...along].reduce((sum, rows) => sum + rows, 0);
}
