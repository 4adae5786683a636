// Keys: the foreign keys by which a change of rows reaches other tables, and theirs in turn: a graph, read once from the
// rows that are changed, and walked over by whoever counts. Refuses to know rows. Source: the manual, 5.5.5 and
// pg_constraint; what a partition has of its parent's constraints is a copy of them and counts once.

import { flag, number, type Row, text, texts } from '../catalog/row.ts';
import { type Asker, oids } from './asker.ts';
import { type Member, memberColumns, memberOf } from './relations.ts';

/** What becomes of the referencing rows. */
export type KeyAction = 'CASCADE' | 'SET NULL' | 'SET DEFAULT' | 'RESTRICT' | 'NO ACTION';

/** One foreign key, seen from the table that it refers to. */
export interface Key {
  readonly oid: number;
  readonly constraint: string;
  /** The referencing table. */
  readonly child: Member;
  /** OID of the referenced one. */
  readonly parent: number;
  /** The constraint of which this one is a partition's copy; 0: none. */
  readonly copyOf: number;
  readonly onDelete: KeyAction;
  readonly onUpdate: KeyAction;
  /** Referencing columns, referenced ones, and the operators between them (referenced to referencing), in order. */
  readonly childColumns: readonly string[];
  readonly parentColumns: readonly string[];
  readonly operators: readonly string[];
  /** It may be violated until the transaction ends. */
  readonly deferrable: boolean;
  /** Over periods (18): more than a comparison of columns. */
  readonly temporal: boolean;
}

export interface KeyGraph {
  readonly keys: readonly Key[];
  /** Partitions by their parents, of all tables that a key reaches. */
  readonly parts: ReadonlyMap<number, readonly Member[]>;
  /** There were more keys than are read. */
  readonly cut: boolean;
}

const keysMax = 1000;

const actions: Readonly<Record<string, KeyAction>> = {
  a: 'NO ACTION',
  r: 'RESTRICT',
  c: 'CASCADE',
  n: 'SET NULL',
  d: 'SET DEFAULT',
};

const columns = (relation: string, numbers: string): string => `(
  SELECT pg_catalog.json_agg(a.attname ORDER BY u.at)
  FROM pg_catalog.unnest(${numbers}) WITH ORDINALITY u(attnum, at)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = ${relation} AND a.attnum = u.attnum)`;

/** The keys that lead on: those that take rows along or change them, or all of them for TRUNCATE. */
const leadingOn = (all: boolean): string =>
  all ? 'true' : "(k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))";

// No index leads from a table to the keys that refer to it, so all of them are read, once a round.
const graphQuestion = (from: readonly number[], all: boolean, version: number): string => {
  const enforced = version >= 18 ? ' AND k.conenforced' : '';
  const reached = `
WITH RECURSIVE reached(oid) AS (
  SELECT pg_catalog.unnest(${oids(from)})
  UNION
  SELECT s.oid FROM reached r JOIN (
    SELECT k.confrelid AS parent, k.conrelid AS oid FROM pg_catalog.pg_constraint k
    WHERE k.contype = 'f' AND ${leadingOn(all)}${enforced}
    UNION ALL
    SELECT i.inhparent, i.inhrelid FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhparent
  ) s ON s.parent = r.oid
)`;
  return `${reached}
SELECT k.oid, k.conname, k.confrelid, k.conparentid, k.confdeltype, k.confupdtype,
  ${columns('k.conrelid', 'k.conkey')}, ${columns('k.confrelid', 'k.confkey')}, (
    SELECT pg_catalog.json_agg(pg_catalog.format('OPERATOR(%I.%s)', y.nspname, o.oprname) ORDER BY u.at)
    FROM pg_catalog.unnest(k.conpfeqop) WITH ORDINALITY u(operator, at)
    JOIN pg_catalog.pg_operator o ON o.oid = u.operator JOIN pg_catalog.pg_namespace y ON y.oid = o.oprnamespace),
  k.condeferrable, ${version >= 18 ? 'k.conperiod' : 'false'}, ${memberColumns}
FROM reached r
JOIN pg_catalog.pg_constraint k ON k.contype = 'f' AND k.confrelid = r.oid${enforced}
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname, k.conname, k.oid LIMIT ${keysMax + 1};
${reached}, parts(parent, oid) AS (
  SELECT 0::pg_catalog.oid, k.conrelid FROM reached r
  JOIN pg_catalog.pg_constraint k ON k.contype = 'f' AND k.confrelid = r.oid
  UNION
  SELECT i.inhparent, i.inhrelid FROM parts t
  JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.oid
  JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
)
SELECT i.parent, ${memberColumns}
FROM parts i
JOIN pg_catalog.pg_class c ON c.oid = i.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.parent <> 0 ORDER BY n.nspname, c.relname LIMIT ${10 * keysMax}`;
};

/** The keys that refer to any of the relations, or to what those lead to. `all`: as TRUNCATE … CASCADE follows them. */
export async function keyGraph(
  asker: Asker,
  from: readonly number[],
  all: boolean,
  version: number,
): Promise<KeyGraph> {
  if (from.length === 0) return { keys: [], parts: new Map(), cut: false };
  const [keys = [], parts = []] = await asker.ask(graphQuestion(from, all, version));
  const byParent = new Map<number, Member[]>();
  for (const [parent, ...row] of parts) {
    const known = byParent.get(number(parent)) ?? [];
    byParent.set(number(parent), [...known, memberOf(row)]);
  }
  return { keys: keys.slice(0, keysMax).map(keyOf), parts: byParent, cut: keys.length > keysMax };
}

function keyOf(row: Row): Key {
  const [oid, constraint, parent, copyOf, onDelete, onUpdate, child, referenced, operators, ...rest] = row;
  const [deferrable, temporal, ...member] = rest;
  return {
    oid: number(oid),
    constraint: text(constraint),
    child: memberOf(member),
    parent: number(parent),
    copyOf: number(copyOf),
    onDelete: actions[text(onDelete)] ?? 'NO ACTION',
    onUpdate: actions[text(onUpdate)] ?? 'NO ACTION',
    childColumns: texts(child),
    parentColumns: texts(referenced),
    operators: texts(operators),
    deferrable: flag(deferrable),
    temporal: flag(temporal),
  };
}

/** The keys that refer to one of these relations, each once, whatever partitions have copies of it. */
export function keysTo(graph: KeyGraph, relations: ReadonlySet<number>): Key[] {
  const keys = graph.keys.filter(({ parent }) => relations.has(parent));
  const own = new Set(keys.map(({ oid }) => oid));
  return keys.filter(({ copyOf }) => !own.has(copyOf));
}

/** A table with its partitions. */
export function withParts(graph: KeyGraph, member: Member): Member[] {
  const found = [member];
  for (let at = 0; at < found.length; at += 1) found.push(...(graph.parts.get(found[at]!.oid) ?? []));
  return found;
}
