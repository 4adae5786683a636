// Which rows a statement is about, cut out of its text: pieces that mean in a SELECT what they mean in it, or nothing.

import { describe, expect, test } from 'vitest';
import type { RowsAim } from '../../src/sql/aim.ts';
import { aimsOf } from '../../src/sql/aims.ts';
import { analyzer } from './facts.ts';

function rowsOf(sql: string): RowsAim[] {
  const found = aimsOf(Buffer.from(sql), analyzer) ?? [];
  return found.flatMap(({ aims }) => aims.filter((aim) => aim.kind === 'rows'));
}

/** `WITH | FROM | WHERE` of each part that changes rows. */
function pieces(sql: string): string[] {
  return rowsOf(sql).map(({ rows }) => {
    if (typeof rows !== 'object') return String(rows);
    return [rows.with, rows.using ?? '', rows.where ?? ''].join('|');
  });
}

describe('the pieces are cut at the words of the statement', () => {
  test.each<[string, string]>([
    ['DELETE FROM t', '||'],
    ['DELETE FROM t WHERE a = 1', '||a = 1'],
    ['DELETE FROM t WHERE a = 1 RETURNING b', '||a = 1'],
    ['DELETE FROM t WHERE a = 1 -- and no more', '||a = 1'],
    ['DELETE FROM t WHERE /* one */ a = 1 /* two */ AND b', '||a = 1 /* two */ AND b'],
    ['DELETE FROM ONLY (t) WHERE a', '||a'],
    ['DELETE FROM t USING u JOIN v USING (id) WHERE t.a = v.b', '|u JOIN v USING (id)|t.a = v.b'],
    ['DELETE FROM public.where WHERE (x).where > 1', '||(x).where > 1'],
    ['DELETE FROM t AS "WHERE" WHERE "WHERE".a RETURNING "WHERE".*', '||"WHERE".a'],
    ["DELETE FROM t WHERE a = ' WHERE ' AND b = $$ RETURNING $$", "||a = ' WHERE ' AND b = $$ RETURNING $$"],
    [
      'DELETE FROM t WHERE EXISTS (SELECT FROM u WHERE u.a = t.a)',
      '||EXISTS (SELECT FROM u WHERE u.a = t.a)',
    ],
    ['DELETE FROM t WHERE a[1] = ANY (ARRAY[1, 2])', '||a[1] = ANY (ARRAY[1, 2])'],
    ['UPDATE t SET a = 1', '||'],
    ['UPDATE t SET a = b IS DISTINCT FROM c WHERE d', '||d'],
    ['UPDATE t SET a = b IS DISTINCT FROM c FROM u WHERE d', '|u|d'],
    ['UPDATE t SET a = (SELECT 1 FROM v WHERE w), b = extract(year FROM c) FROM u WHERE d', '|u|d'],
    ['UPDATE "set" SET "from" = 1 FROM "where" WHERE true', '|"where"|true'],
    [
      'WITH q AS (SELECT 1 AS a) DELETE FROM t WHERE a IN (SELECT a FROM q)',
      'WITH q AS (SELECT 1 AS a) ||a IN (SELECT a FROM q)',
    ],
    ['WITH delete AS (SELECT 1) DELETE FROM t USING delete', 'WITH delete AS (SELECT 1) |delete|'],
    ['WITH q AS (SELECT 1) DELETE FROM t WHERE a', '||a'],
    ['MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE', '|u|t.a = u.a'],
    [
      'MERGE INTO t USING u JOIN v ON u.x = v.x ON t.a = CASE WHEN u.b THEN 1 WHEN matched THEN 2 END WHEN NOT MATCHED THEN DO NOTHING WHEN MATCHED THEN DELETE',
      '|u JOIN v ON u.x = v.x|t.a = CASE WHEN u.b THEN 1 WHEN matched THEN 2 END',
    ],
  ])('%s', (sql, expected) => {
    expect(pieces(sql)).toEqual([expected]);
  });

  test('for each part of a statement that changes rows', () => {
    expect(
      pieces('WITH a AS (DELETE FROM t WHERE x RETURNING *), b AS (UPDATE u SET y = 1) SELECT 1'),
    ).toEqual(['||x', '||']);
    expect(pieces('UPDATE a SET b = 1 WHERE c; DELETE FROM d WHERE e;')).toEqual(['||c', '||e']);
  });
});

describe('there are none where they would mean something else in a SELECT', () => {
  test.each([
    // What another part has changed is a WITH query, and may be a table too.
    'WITH gone AS (DELETE FROM t RETURNING *) DELETE FROM u WHERE a IN (SELECT a FROM gone)',
    'WITH one AS (SELECT 1), two AS (DELETE FROM u WHERE a IN (SELECT a FROM one)) SELECT 1',
  ])('%s', (sql) => {
    const last = rowsOf(sql).find(({ relation }) => relation.name === 'u');
    const rows = last?.rows;
    expect(rows === undefined || (typeof rows === 'object' && /DELETE/.test(rows.with))).toBe(true);
  });

  test('at a cursor it is one row at most, of which the SELECT would know nothing', () => {
    expect(pieces('DELETE FROM t WHERE CURRENT OF c')).toEqual(['cursor']);
  });
});

test('a piece that is not what stands in the statement is none', () => {
  const text = Buffer.from('DELETE FROM t WHERE a = 1 AND b');
  const cut = (count: number) => {
    const reader = {
      syntax: (sql: Buffer) => analyzer.syntax(sql),
      scan: (sql: Buffer) => analyzer.scan(sql)?.slice(0, count),
    };
    const [aim] = aimsOf(text, reader)?.[0]?.aims ?? [];
    return aim?.kind === 'rows' ? aim.rows : undefined;
  };
  expect(cut(99)).toMatchObject({ where: 'a = 1 AND b' });
  // `a = 1`, which is an expression too.
  expect(cut(7)).toBeUndefined();
});

test('parameters are those in the pieces', () => {
  const [update] = rowsOf('UPDATE t SET a = $1, b = $4 FROM f($3) x WHERE c = $2 OR d = $2 RETURNING $5');
  expect(update?.rows).toMatchObject({ parameters: [2, 3] });
});

test('a MERGE may leave out rows that it looks at unless every clause takes them', () => {
  const most = (clauses: string) => rowsOf(`MERGE INTO t USING u ON t.a = u.a ${clauses}`)[0]?.atMost;
  expect(most('WHEN MATCHED THEN DELETE')).toBe(false);
  expect(most('WHEN MATCHED AND u.b THEN DELETE')).toBe(true);
  expect(most('WHEN MATCHED THEN DELETE WHEN NOT MATCHED AND u.b THEN INSERT DEFAULT VALUES')).toBe(false);
  expect(most('WHEN MATCHED AND u.b THEN DO NOTHING WHEN MATCHED THEN DELETE')).toBe(true);
});
