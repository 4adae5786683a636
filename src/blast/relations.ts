// Relations: the tables, views and indexes that a text names, as one connection finds them: what kind they are, what is
// part of them, how large they are, and what fires when their rows change. Names are looked up as the session would look
// them up. Refuses to know rows and locks. Source: the manual, 5.10.3 and "System Catalogs"; servers from 13 to 18.

import { flag, number, type Row, text, texts } from '../catalog/row.ts';
import type { Named, RowEvent } from '../sql/aim.ts';
import { type Asker, jsonRows, oids } from './asker.ts';

/** One relation, by itself. */
export interface Member {
  readonly oid: number;
  /** pg_class.relkind. */
  readonly kind: string;
  readonly schema: string;
  readonly name: string;
  /** Rows by the last VACUUM or ANALYZE; negative: never. */
  readonly rows: number;
  /** Pages at that time. */
  readonly pages: number;
  /** Row-level security applies to the role that asks. */
  readonly guarded: boolean;
}

/** A relation that a text names, with what is read and written together with it, itself first. */
export interface Found extends Member {
  readonly members: readonly Member[];
  /** The table of an index. */
  readonly table: Member | undefined;
}

const kinds: Readonly<Record<string, string>> = {
  r: 'table',
  p: 'partitioned table',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
  S: 'sequence',
  i: 'index',
  I: 'partitioned index',
  c: 'composite type',
  t: 'TOAST table',
};

/** In the manual's words. */
export function kindOf({ kind }: Member): string {
  return kinds[kind] ?? 'relation';
}

export function nameOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${schema}.${name}`;
}

/** The columns of a Member, `c` being pg_class and `n` its schema. */
export const memberColumns = `c.oid, c.relkind, n.nspname, c.relname, c.reltuples::pg_catalog.int8, c.relpages,
  pg_catalog.row_security_active(c.oid)`;

export function memberOf(row: Row): Member {
  const [oid, kind, schema, name, rows, pages, guarded] = row;
  return {
    oid: number(oid),
    kind: text(kind),
    schema: text(schema),
    name: text(name),
    rows: number(rows),
    pages: number(pages),
    guarded: flag(guarded),
  };
}

/** `path`: schemas of unqualified names, in order. */
const findQuestion = (names: readonly Named[], path: readonly string[]): string => `
WITH RECURSIVE asked AS (
  SELECT w.n, w.o, f.oid
  FROM pg_catalog.json_to_recordset(${jsonRows(names.map(({ schema = null, name, only }, n) => ({ n, s: schema, r: name, o: only })))})
    AS w(n pg_catalog.int4, s pg_catalog.text, r pg_catalog.text, o pg_catalog.bool)
  CROSS JOIN LATERAL (
    SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.json_to_recordset(${jsonRows(withCatalog(path).map((s, at) => ({ s, at })))})
      AS p(s pg_catalog.text, at pg_catalog.int4) ON p.s = n.nspname
    WHERE c.relname = w.r AND c.relpersistence <> 't' AND CASE WHEN w.s IS NOT NULL THEN n.nspname = w.s
      ELSE p.at IS NOT NULL AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') END
    ORDER BY p.at LIMIT 1
  ) f
), tree(n, oid, depth) AS (
  SELECT n, oid, 0 FROM asked
  UNION ALL
  SELECT t.n, i.inhrelid, t.depth + 1 FROM tree t
  JOIN asked a ON a.n = t.n AND NOT a.o JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
)
SELECT t.n, ${memberColumns}, x.indrelid
FROM (SELECT n, oid, min(depth) AS depth FROM tree GROUP BY n, oid) t
JOIN pg_catalog.pg_class c ON c.oid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid AND t.depth = 0
ORDER BY t.n, t.depth, n.nspname, c.relname`;

function withCatalog(path: readonly string[]): readonly string[] {
  return path.includes('pg_catalog') ? path : ['pg_catalog', ...path];
}

/** In the order of the names; undefined where there is none. Temporary relations are not found. */
export async function findRelations(
  asker: Asker,
  names: readonly Named[],
  path: readonly string[],
): Promise<(Found | undefined)[]> {
  if (names.length === 0) return [];
  const [rows = []] = await asker.ask(findQuestion(names, path));
  const members: Member[][] = names.map(() => []);
  const tableOf = new Map<number, number>();
  for (const [n, ...row] of rows) {
    const member = memberOf(row);
    members[number(n)]?.push(member);
    if (row[7] !== null && row[7] !== undefined) tableOf.set(member.oid, number(row[7]));
  }
  const tables = await findMembers(asker, [...new Set(tableOf.values())]);
  return members.map(([first, ...rest]) => {
    if (first === undefined) return undefined;
    const table = tables.get(tableOf.get(first.oid) ?? 0);
    return { ...first, members: [first, ...rest], table };
  });
}

/** By OID. */
export async function findMembers(
  asker: Asker,
  numbers: readonly number[],
): Promise<ReadonlyMap<number, Member>> {
  if (numbers.length === 0) return new Map();
  const [rows = []] = await asker.ask(`
SELECT ${memberColumns} FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (${oids(numbers)}) ORDER BY n.nspname, c.relname`);
  return new Map(rows.map((row) => [number(row[0]), memberOf(row)]));
}

export interface Size {
  /** With indexes and TOAST. */
  readonly bytes: number;
  /** Of the rows alone. */
  readonly pages: number;
}

/** By OID; those without anything on disk are left out. Waits for whoever locks everybody out of one of them. */
export async function sizesOf(asker: Asker, members: Iterable<Member>): Promise<ReadonlyMap<number, Size>> {
  const stored = [...members].filter(({ kind }) => /^[rmtSiI]$/.test(kind)).map(({ oid }) => oid);
  if (stored.length === 0) return new Map();
  const [rows = []] = await asker.ask(`
SELECT o, pg_catalog.pg_total_relation_size(o),
  pg_catalog.pg_relation_size(o) / pg_catalog.current_setting('block_size')::pg_catalog.int8
FROM pg_catalog.unnest(${oids(stored)}) o`);
  // NULL: it has been dropped since.
  const sizes = rows.filter(([, bytes]) => bytes !== null);
  return new Map(
    sizes.map(([oid, bytes, pages]) => [number(oid), { bytes: number(bytes), pages: number(pages) }]),
  );
}

/** A trigger or a rule of a relation. */
export interface Firing {
  readonly relation: number;
  readonly events: readonly (RowEvent | 'truncate')[];
  /** Fires once a statement, if the relation is the one that it names. */
  readonly statement: boolean;
  /** UPDATE OF these columns only; empty: of any. */
  readonly columns: readonly string[];
  /** For people. */
  readonly words: string;
}

// A trigger of a partitioned table has a copy on each partition, which counts where the partition is what is named.
const firingQuestion = (numbers: readonly number[]): string => `
SELECT t.tgrelid, t.tgtype, t.tgname, pn.nspname, p.proname, (
  SELECT pg_catalog.json_agg(a.attname) FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::pg_catalog.int2[])), t.tgdeferrable
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
WHERE t.tgrelid = ANY (${oids(numbers)}) AND t.tgenabled IN ('O', 'A') AND (NOT t.tgisinternal OR t.tgparentid <> 0)
  AND NOT (p.oid < 16384 AND p.proname ~ '^(RI_FKey_|unique_key_recheck$)')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger o WHERE o.oid = t.tgparentid AND o.tgrelid = ANY (${oids(numbers)}))
ORDER BY t.tgname, t.oid;
SELECT r.ev_class, r.ev_type, r.rulename, r.is_instead
FROM pg_catalog.pg_rewrite r WHERE r.ev_class = ANY (${oids(numbers)}) AND r.rulename <> '_RETURN' AND r.ev_enabled IN ('O', 'A')
ORDER BY r.rulename`;

const ruleEvents: Readonly<Record<string, RowEvent>> = { 2: 'update', 3: 'insert', 4: 'delete' };

/** What fires for changes of rows of these relations. */
export async function firingsOf(asker: Asker, numbers: readonly number[]): Promise<Firing[]> {
  if (numbers.length === 0) return [];
  const [triggers = [], rules = []] = await asker.ask(firingQuestion(numbers));
  return [
    ...triggers.map(triggerOf),
    ...rules.map(([relation, event, name, instead]): Firing => {
      const on = ruleEvents[text(event)];
      return {
        relation: number(relation),
        events: on === undefined ? [] : [on],
        statement: false,
        columns: [],
        words: `rule ${name}${flag(instead) ? ' (INSTEAD)' : ''}`,
      };
    }),
  ];
}

/** pg_trigger.tgtype: see the TRIGGER_TYPE_ bits in catalog/pg_trigger.h. */
const typeBits = { row: 1, before: 2, insert: 4, delete: 8, update: 16, truncate: 32, instead: 64 } as const;

function triggerOf([relation, type, name, schema, routine, columns, deferrable]: Row): Firing {
  const has = (bit: keyof typeof typeBits): boolean => (number(type) & typeBits[bit]) !== 0;
  const when = has('instead') ? 'INSTEAD OF' : has('before') ? 'BEFORE' : 'AFTER';
  const each = has('row') ? 'each row' : 'once';
  const deferred = flag(deferrable) ? ', deferrable' : '';
  return {
    relation: number(relation),
    events: (['insert', 'update', 'delete', 'truncate'] as const).filter(has),
    statement: !has('row'),
    columns: texts(columns),
    words: `trigger ${name} (${when}, ${each}${deferred}) → ${schema}.${routine}()`,
  };
}

/** Event triggers that fire for a statement that drops, alters or creates. */
export async function eventTriggers(asker: Asker, drops: boolean): Promise<string[]> {
  const [rows = []] = await asker.ask(`
SELECT e.evtname, e.evtevent, n.nspname, p.proname FROM pg_catalog.pg_event_trigger e
JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE e.evtenabled IN ('O', 'A') AND e.evtevent <> 'login' ORDER BY e.evtname`);
  return rows
    .filter(([, event]) => drops || event !== 'sql_drop')
    .map(([name, event, schema, routine]) => `event trigger ${name} (${event}) → ${schema}.${routine}()`);
}

/** The words of those that fire for `events` on a relation and its members. `assigns`: columns that an UPDATE assigns. */
export function firing(
  all: readonly Firing[],
  found: { readonly oid: number; readonly members: readonly { readonly oid: number }[] },
  events: readonly (RowEvent | 'truncate')[],
  assigns: readonly string[] = [],
): string[] {
  const members = new Set(found.members.map(({ oid }) => oid));
  const words = all.filter(({ relation, events: on, statement, columns }) => {
    if (statement ? relation !== found.oid : !members.has(relation)) return false;
    const applied = on.filter((event) => events.includes(event));
    if (applied.some((event) => event !== 'update')) return true;
    return applied.length > 0 && (columns.length === 0 || columns.some((column) => assigns.includes(column)));
  });
  return [...new Set(words.map((each) => each.words))];
}
