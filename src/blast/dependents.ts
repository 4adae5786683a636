// Dependents: what a DROP pulls down beside what it names, by pg_depend, as the server itself would find it: what is a part
// of a dropped object goes with it silently, everything else is why a DROP without CASCADE is refused. Refuses to know
// rows. Source: the manual, 5.15 "Dependency Tracking" and pg_depend; src/backend/catalog/dependency.c.

import { number, text } from '../catalog/row.ts';
import type { DropAim } from '../sql/aim.ts';
import { type Asker, jsonRows, literal } from './asker.ts';
import { type Found, findMembers, type Member } from './relations.ts';

/** An object's address in pg_depend. `sub`: a column's number; 0: the whole object. */
interface Address {
  readonly c: string;
  readonly o: number;
  readonly s: number;
}

export interface Dropped {
  /** Objects that were found of those that are named. */
  readonly roots: number;
  /** For people, such as `view public.report`, without what is a part of a dropped object. */
  readonly dependents: readonly string[];
  /** Relations with rows that go as parts of what is named, and with CASCADE those that depend on it. */
  readonly relations: readonly Member[];
  /** Tables that lose a constraint, a trigger or a rule by CASCADE, and so are locked. */
  readonly losing: readonly Member[];
}

const dependentsMax = 10_000;

const relationWords = /^(table|view|materialized view|index|sequence|foreign table)$/;

/** Kinds of objects of which the dependents can be found. */
export function isTraced({ what }: DropAim): boolean {
  return relationWords.test(what) || what in byName || what === 'column' || what === 'constraint';
}

/** True if the words of a DROP name relations. */
export function namesRelations({ what }: DropAim): boolean {
  return relationWords.test(what);
}

const inPath = (schema: string): string =>
  `(w.s = ${schema}.nspname OR w.s IS NULL AND ${schema}.nspname IN (SELECT p.s FROM path p))`;
const routine = `
SELECT 'pg_proc', x.oid, 0 FROM wanted w JOIN pg_catalog.pg_proc x ON x.proname = w.r
JOIN pg_catalog.pg_namespace n ON n.oid = x.pronamespace WHERE ${inPath('n')}`;
const type = `
SELECT 'pg_type', x.oid, 0 FROM wanted w JOIN pg_catalog.pg_type x ON x.typname = w.r
JOIN pg_catalog.pg_namespace n ON n.oid = x.typnamespace WHERE ${inPath('n')}`;

/** Questions for the addresses of objects by their names; `wanted` and `path` are what they are asked of. */
const byName: Readonly<Record<string, string>> = {
  schema: `
SELECT 'pg_namespace', x.oid, 0 FROM wanted w JOIN pg_catalog.pg_namespace x ON x.nspname = w.r`,
  extension: `
SELECT 'pg_extension', x.oid, 0 FROM wanted w JOIN pg_catalog.pg_extension x ON x.extname = w.r`,
  type,
  domain: type,
  function: routine,
  procedure: routine,
  routine,
  aggregate: routine,
};

const ofRelation: Readonly<Record<string, (relation: number) => string>> = {
  column: (relation) => `
SELECT 'pg_class', x.attrelid, x.attnum FROM wanted w
JOIN pg_catalog.pg_attribute x ON x.attname = w.r AND x.attrelid = ${relation} AND NOT x.attisdropped`,
  constraint: (relation) => `
SELECT 'pg_constraint', x.oid, 0 FROM wanted w
JOIN pg_catalog.pg_constraint x ON x.conname = w.r AND x.conrelid = ${relation}`,
};

async function rootsOf(
  asker: Asker,
  aim: DropAim,
  found: readonly Found[],
  path: readonly string[],
): Promise<Address[]> {
  if (namesRelations(aim)) return found.map(({ oid }) => ({ c: 'pg_class', o: oid, s: 0 }));
  const of = aim.of === undefined ? undefined : found[0];
  const question = of === undefined ? byName[aim.what] : ofRelation[aim.what]?.(of.oid);
  if (question === undefined) return [];
  const wanted = aim.names.map((words) => ({ s: words.at(-2) ?? null, r: words.at(-1) ?? '' }));
  const [rows = []] = await asker.ask(`
WITH wanted AS (SELECT * FROM pg_catalog.json_to_recordset(${jsonRows(wanted)}) AS w(s pg_catalog.text, r pg_catalog.text)),
path AS (SELECT * FROM pg_catalog.json_to_recordset(${jsonRows(path.map((s) => ({ s })))}) AS p(s pg_catalog.text))
${question}`);
  return rows.map(([c, o, s]) => ({ c: text(c), o: number(o), s: number(s) }));
}

/**
 * An object that is a part of another one (deptype i, e) pulls that one down; what depends on it automatically (a, i, P, S,
 * e) goes with it silently. A row is told of if none of the latter leads to it.
 */
const closure = (roots: readonly Address[]): string => `
WITH RECURSIVE roots AS (
  SELECT ('pg_catalog.' || r.c)::pg_catalog.regclass::pg_catalog.oid AS c, r.o, r.s
  FROM pg_catalog.json_to_recordset(${jsonRows(roots)}) AS r(c pg_catalog.text, o pg_catalog.oid, s pg_catalog.int4)
), found(c, o, s) AS (
  SELECT c, o, s FROM roots
  UNION
  SELECT e.c, e.o, e.s FROM found f CROSS JOIN LATERAL (
    SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend d
    WHERE d.refclassid = f.c AND d.refobjid = f.o AND (f.s = 0 OR d.refobjsubid = f.s) AND d.deptype <> 'p'
    UNION ALL
    SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_catalog.pg_depend d
    WHERE d.classid = f.c AND d.objid = f.o AND d.objsubid IN (0, f.s) AND d.deptype IN ('i', 'e')
  ) e(c, o, s)
), told AS (
  SELECT f.* FROM found f WHERE NOT EXISTS (SELECT FROM roots r WHERE r.c = f.c AND r.o = f.o AND r.s IN (0, f.s))
    AND (f.s = 0 OR NOT EXISTS (SELECT FROM found w WHERE w.c = f.c AND w.o = f.o AND w.s = 0))
    AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend d JOIN found g ON g.c = d.refclassid AND g.o = d.refobjid AND g.s IN (0, d.refobjsubid)
      WHERE d.classid = f.c AND d.objid = f.o AND d.objsubid IN (0, f.s) AND d.deptype NOT IN ('n', 'p', 'x'))
)`;

const toldQuestion = (roots: readonly Address[]): string => `${closure(roots)}
SELECT pg_catalog.pg_describe_object(t.c, t.o, t.s) FROM told t ORDER BY 1 LIMIT ${dependentsMax}`;

/** Of the same closure the relations: those with rows, and those that lose something. */
const relationsQuestion = (roots: readonly Address[]): string => `${closure(roots)}
SELECT c.oid, CASE WHEN EXISTS (SELECT FROM told t WHERE t.c = f.c AND t.o = f.o AND t.s = 0) THEN 'falls' ELSE 'rows' END
FROM found f JOIN pg_catalog.pg_class c ON c.oid = f.o
WHERE f.c = 'pg_catalog.pg_class'::pg_catalog.regclass AND f.s = 0 AND c.relkind IN ('r', 'p', 'm', 'f')
  AND NOT EXISTS (SELECT FROM roots r WHERE r.c = f.c AND r.o = f.o)
UNION
SELECT l.oid, 'loses' FROM told f CROSS JOIN LATERAL (
  SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE f.c = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = f.o
  UNION ALL
  SELECT t.tgrelid FROM pg_catalog.pg_trigger t WHERE f.c = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = f.o
  UNION ALL
  SELECT w.ev_class FROM pg_catalog.pg_rewrite w WHERE f.c = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = f.o
) l(oid) WHERE l.oid <> 0
LIMIT ${dependentsMax}`;

/** `found`: the relations that the aim names, or the one that it takes something from. */
export async function traceDrop(
  asker: Asker,
  aim: DropAim,
  found: readonly Found[],
  path: readonly string[],
): Promise<Dropped> {
  const roots = await rootsOf(asker, aim, found, path);
  if (roots.length === 0) return { roots: 0, dependents: [], relations: [], losing: [] };
  const [told = []] = await asker.ask(toldQuestion(roots));
  const [relations = []] = await asker.ask(relationsQuestion(roots));
  const members = await findMembers(asker, [...new Set(relations.map(([oid]) => number(oid)))]);
  const those = (role: string): Member[] => {
    const numbers = new Set(relations.filter(([, is]) => is === role).map(([oid]) => number(oid)));
    return [...members.values()].filter(({ oid }) => numbers.has(oid));
  };
  return {
    roots: roots.length,
    dependents: told.map(([words]) => text(words)),
    relations: aim.cascade ? [...those('rows'), ...those('falls')] : those('rows'),
    losing: aim.cascade ? those('loses') : [],
  };
}

/** A whole database: its bytes on disk, and the sessions in it; undefined if there is none of that name. */
export async function findDatabase(
  asker: Asker,
  name: string,
): Promise<{ bytes: number; sessions: number } | undefined> {
  const [[row] = []] = await asker.ask(`
SELECT pg_catalog.pg_database_size(d.oid), (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)
FROM pg_catalog.pg_database d WHERE d.datname = ${literal(name)}`);
  return row === undefined ? undefined : { bytes: number(row[0]), sessions: number(row[1]) };
}
