// Reading of a catalog: one transaction on a side connection in which the digests are looked at and what they show to be
// another is asked for again. The tables of an earlier reading are used on where nothing has changed. Knows the order of
// the questions; refuses to know when to ask and who waits. Source: wire.md §3.4, "Snapshot mechanics".

import { type Digests, digestsOf, digestsQuery, outdated } from '../catalog/digests.ts';
import { rulesWithoutText, type SectionName, sections } from '../catalog/queries.ts';
import { sameRelations } from '../catalog/relations.ts';
import type { Row, Table } from '../catalog/row.ts';
import { flag, number, text, texts } from '../catalog/row.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import { emptyTables, epochOf, type ServerFacts, storedSnapshot, type Tables } from '../catalog/stored.ts';
import { powersQuestion } from './role-powers.ts';
import { type Side, SideError } from './side.ts';

export interface Reading {
  readonly snapshot: Snapshot;
  readonly tables: Tables;
  /** Of the rows as they are, and of those that the epoch is of. */
  readonly digests: Digests;
  readonly defining: Digests;
  readonly facts: ServerFacts;
  /** pg_current_snapshot() where equal ones see equal rows; else undefined. */
  readonly seen: string | undefined;
}

/** What a session of this role gets by itself has changed: what is asked on this connection is no longer told of it. */
export class SettingsChanged extends Error {}

/**
 * The search path is that of a fresh session, so it is asked for before ours is set, by names that no schema can change
 * the meaning of. On a standby equal snapshots may see different rows.
 */
const opening = (statementMs: number) => `
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_catalog.to_json(pg_catalog.current_schemas(false));
SET LOCAL search_path TO pg_catalog, pg_temp;
SET LOCAL statement_timeout TO ${statementMs};
SET LOCAL lock_timeout TO ${lockMs};
SET LOCAL work_mem TO ${workKib};
SET LOCAL jit TO off;
SELECT pg_catalog.current_setting('server_version_num'), session_user,
  CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_snapshot() END, pg_catalog.age('3'::xid);
${powersQuestion}`;

const temporaryNamesQuery = `
SELECT relname FROM pg_catalog.pg_class WHERE relpersistence = 't'
UNION SELECT t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname ~ '^pg_temp_'`;

const lockNotAvailable = '55P03';
/** Catalogs are locked against reading only for a moment, if ever; the objects that a rule names may be for long. */
const lockMs = 1_000;
/** Enough to sort the columns of 50,000 relations in memory. */
const workKib = 65_536;

export interface ReadOptions {
  /** statement_timeout. */
  readonly statementMs: number;
  /** Gets to know, before sections are asked for, that the earlier reading is not true any more, or that there is none. */
  readonly outdated: () => void;
}

/**
 * The catalog as it is now. The same Reading again if nothing is another. Rejects with what the side connection
 * rejects with, and with SettingsChanged, after which the connection is to be closed.
 */
export async function readCatalog(
  side: Side,
  before: Reading | undefined,
  options: ReadOptions,
): Promise<Reading> {
  try {
    return await readOnce(side, before, options, true);
  } catch (error) {
    if (!(error instanceof SideError)) throw error;
    await side.ask('ROLLBACK', () => undefined);
    if (error.sqlstate !== lockNotAvailable) throw error;
    return await readOnce(side, before, options, false).catch(async (second: unknown) => {
      if (second instanceof SideError) await side.ask('ROLLBACK', () => undefined);
      throw second;
    });
  }
}

async function readOnce(
  side: Side,
  before: Reading | undefined,
  options: ReadOptions,
  ruleTexts: boolean,
): Promise<Reading> {
  const [path = [], server = [], roles = []] = await answers(side, opening(options.statementMs), 3);
  const [version, role, seen, epochAge] = server[0] ?? [];
  const serverVersion = Math.trunc(number(version) / 10_000);
  const searchPath = texts(path[0]?.[0]);
  const known = { serverVersion, role: roleOf(text(role), roles), searchPath };
  const sameFacts =
    before !== undefined && JSON.stringify(known) === JSON.stringify(withoutNames(before.facts));
  if (sameFacts && before.seen !== undefined && before.seen === seen) {
    await side.ask('COMMIT', () => undefined);
    return before;
  }
  const [rows = []] = await answers(side, digestsQuery, 1);
  const digests = digestsOf(rows, number(epochAge));
  const setting = 'pg_db_role_setting';
  if (before !== undefined && before.digests.get(setting) !== digests.get(setting))
    throw new SettingsChanged();
  const stale =
    before === undefined ? (Object.keys(sections) as SectionName[]) : outdated(before.digests, digests);
  if (sameFacts && stale.length === 0) {
    await side.ask('COMMIT', () => undefined);
    return { ...before, seen: seen ?? undefined };
  }
  options.outdated();
  const tables = {
    ...before?.tables,
    ...(await readSections(side, stale, serverVersion, ruleTexts)),
  } as Tables;
  const temporaryNames = new Set<string>();
  await side.ask(temporaryNamesQuery, ([name]) => temporaryNames.add(text(name)));
  await side.ask('COMMIT', () => undefined);
  const facts: ServerFacts = { ...known, temporaryNames };
  const defining = definingDigests(digests, tables, before);
  const snapshot = storedSnapshot(tables, facts, epochOf(defining, facts) + (ruleTexts ? '' : '-'));
  const reading = { snapshot, tables, digests, defining, facts, seen: seen ?? undefined };
  if (ruleTexts) return reading;
  // Rules without their texts are to be read again by the next reading, whatever it finds.
  return { ...reading, digests: new Map(digests).set('pg_rewrite', ''), seen: undefined };
}

/** TRUNCATE and GRANT change rows of pg_class and not what they define. */
function definingDigests(digests: Digests, tables: Tables, before: Reading | undefined): Digests {
  if (before === undefined || !sameRelations(before.tables.relations, tables.relations)) return digests;
  return new Map(digests).set('pg_class', before.defining.get('pg_class') ?? '');
}

async function readSections(
  side: Side,
  names: readonly SectionName[],
  version: number,
  ruleTexts: boolean,
): Promise<Partial<Tables>> {
  const read: Partial<Record<SectionName, Table>> = {};
  for (const name of names) {
    const table: Table = emptyTables[name]();
    const question = name === 'rules' && !ruleTexts ? rulesWithoutText : sections[name].text(version);
    await side.ask(question, (row) => table.add(row));
    read[name] = table;
  }
  return read as Partial<Tables>;
}

async function answers(side: Side, question: string, count: number): Promise<Row[][]> {
  const all: Row[][] = Array.from({ length: count }, () => []);
  await side.ask(question, (row, result) => all[result]?.push(row));
  return all;
}

function withoutNames({ temporaryNames: _, ...known }: ServerFacts): Omit<ServerFacts, 'temporaryNames'> {
  return known;
}

/** `rows`: as `powersQuestion` gives them, of the role itself and of roles that it may become. */
function roleOf(name: string, rows: readonly Row[]): ServerFacts['role'] {
  // A superuser is a member of every role, which says no more.
  if (rows.some(([, own, is]) => flag(own) && flag(is)))
    return { name, superuser: true, powers: ['SUPERUSER'] };
  const powers = rows.flatMap(([of, own, superuser, ...flags]) => {
    const words = flag(superuser) ? ['SUPERUSER'] : attributes.filter((_, at) => flag(flags[at]));
    if (flag(own)) return words;
    return words.length === 0 ? [text(of)] : words.map((word) => `${word} through ${of}`);
  });
  return { name, superuser: false, powers };
}

/** In the order of the question's columns. */
const attributes = ['CREATEROLE', 'CREATEDB', 'REPLICATION', 'BYPASSRLS'];
