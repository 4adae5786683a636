// The texts of the classifier's corpus as attacks on a server, by the row of the threat list. What default.yaml lets pass
// on purpose is left out: it writes, and may.

import type { Effect } from '../../../src/sql/statement.ts';
import { attackCorpus } from '../../sql/corpus/attacks.ts';

const permitted: ReadonlySet<Effect> = new Set<Effect>([
  'read',
  'insert',
  'update',
  'notify',
  'advisory-lock',
  'lock-rows',
]);

/** Held by their text alone; in this database the catalog shows that they do nothing. */
const harmlessHere: ReadonlySet<string> = new Set(['SELECT NULL::public.t']);

const guarded = attackCorpus.filter(
  ({ sql, effects }) => effects.some((effect) => !permitted.has(effect)) && !harmlessHere.has(sql),
);

/** `[row, texts]`: every text must be held or refused, and nothing may be another afterwards. */
export const attackRows: readonly (readonly [string, readonly string[]])[] = [
  ...new Set(guarded.map(({ row }) => row)),
].map((row) => [row, guarded.filter((attack) => attack.row === row).map(({ sql }) => sql)]);

/** Rows of which some text, run without a guard and then undone, changes what the siege compares. */
export const harmfulRows: ReadonlySet<string> = new Set(
  'A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 B1 B3 B9 B12 F5'.split(' '),
);

/** Must pass, and with the answer of a direct connection: a guard that cries wolf is switched off (A9, A13). */
export const harmless: readonly string[] = [
  '/* /* */ DELETE FROM t */ SELECT 1',
  '/* DROP TABLE t; */ SELECT 1 -- ; DELETE FROM t',
  "SELECT 'DROP TABLE x', $$; DELETE FROM t$$, E'\\'; DELETE FROM t; --'",
  'SELECT id AS delete, a AS "drop table t" FROM t ORDER BY id LIMIT 1',
  'WITH delete AS (SELECT 1 AS truncate) SELECT truncate FROM delete',
  'EXPLAIN (COSTS off) DELETE FROM t',
  'EXPLAIN (ANALYZE false, COSTS off) DELETE FROM t',
  'EXPLAIN (ANALYZE off, COSTS off) DELETE FROM t',
  'SELECT id FROM t WHERE id IN (1, 2) AND EXISTS (SELECT 1 FROM s WHERE s.id = 5) ORDER BY 1',
  'SELECT relname COLLATE pg_catalog.default FROM pg_catalog.pg_class WHERE relname OPERATOR(pg_catalog.~) $$^(t)$$ COLLATE pg_catalog.default',
  'COPY (SELECT id FROM t ORDER BY id) TO STDOUT',
  "SELECT count(*), max(name), string_agg(id::text, ',' ORDER BY id) FROM t",
  'SELECT U&"\\0069d" FROM t ORDER BY 1 LIMIT 1',
  "SELECT pg_catalog.set_config('search_path', 'public', false)",
  'BEGIN; SELECT count(*) FROM t; COMMIT',
  'PREPARE q (int) AS SELECT name FROM t WHERE id = $1; EXECUTE q (3); DEALLOCATE q',
  'BEGIN; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id; FETCH 2 FROM c; MOVE c; CLOSE c; COMMIT',
  'SHOW standard_conforming_strings',
  'VALUES (1), (2)',
  'TABLE a',
];
