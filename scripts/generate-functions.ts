// Writes src/sql/functions-data.ts: every function, type and operator of pg_catalog by name, functions with the effect
// of calling them. Names come from live servers, effects from a list of reviewed ones; overloads take the worst.
// Usage: node scripts/generate-functions.ts volatile-functions.json postgres://… [postgres://…] > src/sql/functions-data.ts
// One server of the oldest and one of the newest supported version cover the names in between.

import { readFileSync } from 'node:fs';
import pg from 'pg';
import type { Effect } from '../src/sql/statement.ts';

interface Reviewed {
  functions: { name: string; category: string }[];
  other_majors_not_verified_here: { list: { name: string; category: string }[] };
}

/** By the reviewers' category; `function` is what nobody should call by hand or what runs code of any type. */
const effectOfCategory: Record<string, Effect> = {
  safe_volatile: 'read',
  info_other_sessions: 'read',
  resource_blocking: 'read',
  session_state: 'read',
  data_changing: 'large-object',
  dynamic_sql: 'code',
  calls_user_code: 'function',
  internal_only: 'function',
  admin_destructive: 'administer',
  file_os_access: 'os',
};

/** Finer than the category. The first pattern that matches says it. */
const effectOfName: readonly (readonly [RegExp, string])[] = [
  [/^nextval$/, 'sequence'],
  [/^setval$/, 'sequence-set'],
  [/^set_config$/, 'setting'],
  [/^pg_notify$/, 'notify'],
  [/^pg_(try_)?advisory_/, 'advisory-lock'],
  [/^pg_(terminate|cancel)_backend$/, 'sessions'],
  [/^lo_unlink$/, 'delete'],
  [/^lo_import$/, 'large-object os'],
  [/^(txid_current|pg_current_xact_id)$/, 'read'],
  [/^pg_export_snapshot$/, 'transaction'],
  [/^(brin_|gin_clean)/, 'maintain'],
  [/^pg_logical_emit_message$/, 'replication'],
  [/^pg_replication_origin_(create|drop|advance|session_|xact_)/, 'replication'],
  [/^pg_(replication_slot_advance|sync_replication_slots|logical_slot_)/, 'replication'],
  [/^pg_(copy|create|drop)_.*replication_slot$/, 'replication'],
  // What psql, pg_dump and pgAdmin ask: a path or a time, no content.
  [/^pg_(conf_load_time|config|current_logfile|relation_filepath|tablespace_location)$/, 'read'],
  // Names to object identifiers; they look up and run nothing.
  [/^to_reg/, 'read'],
  // The row type comes with an argument or a column definition, which are looked at where they stand.
  [/^jsonb?_(populate|to)_record/, 'read'],
];

const reviewed = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Reviewed;
const effects = new Map<string, string>();
const types = new Set<string>();
const operators = new Set<string>();
const informationSchema = new Set<string>();
const setReturning = new Set<string>();

function effectOf(name: string, category: string): string {
  const finer = effectOfName.find(([pattern]) => pattern.test(name));
  const effect = finer?.[1] ?? effectOfCategory[category];
  if (effect === undefined)
    throw new Error(`${name} has the category ${category}, for which no effect is written down`);
  return effect;
}

for (const url of process.argv.slice(3)) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const names = async (sql: string): Promise<string[]> => {
    const result = await client.query<{ name: string }>(sql);
    return result.rows.map((row) => row.name);
  };
  const builtin = `oid < 16384 and %namespace = 'pg_catalog'::regnamespace`;
  for (const name of await names(
    `select distinct proname as name from pg_proc where ${builtin.replace('%', 'pro')}`,
  )) {
    effects.set(name, 'read');
  }
  for (const name of await names(
    `select distinct proname as name from pg_proc where proretset and ${builtin.replace('%', 'pro')}`,
  )) {
    setReturning.add(name);
  }
  for (const name of await names(`select typname as name from pg_type where ${builtin.replace('%', 'typ')}`))
    types.add(name);
  for (const name of await names(
    `select oprname as name from pg_operator where ${builtin.replace('%', 'opr')}`,
  )) {
    operators.add(name);
  }
  const helpers = `select proname as name from pg_proc where pronamespace = 'information_schema'::regnamespace
    union select typname from pg_type where typnamespace = 'information_schema'::regnamespace and typtype = 'd'`;
  for (const name of await names(helpers)) informationSchema.add(name);
  await client.end();
}

for (const entry of [...reviewed.other_majors_not_verified_here.list, ...reviewed.functions]) {
  const category = effectOfCategory[entry.category] === undefined ? 'file_os_access' : entry.category;
  for (const name of entry.name.match(/\w+/g) ?? []) {
    if (/^(extension|adminpack)$/.test(name)) continue;
    effects.set(name, effectOf(name, category));
  }
}
// Pseudo-types of column definitions, which the server turns into integers with a sequence.
for (const name of ['serial', 'serial2', 'serial4', 'serial8', 'bigserial', 'smallserial']) types.add(name);

const byEffect = Map.groupBy([...effects], ([, effect]) => effect);

/** Names in lines of at most 110 characters. */
function lines(names: Iterable<string>): string {
  const out: string[] = [];
  let line = '';
  for (const name of [...names].sort()) {
    if (line.length + name.length > 108) {
      out.push(line);
      line = '';
    }
    line += `${line === '' ? '' : ' '}${name}`;
  }
  return `\n${[...out, line].join('\n')}\n`.replaceAll('`', '\\`');
}

process.stdout.write(`// Names that PostgreSQL brings along, functions by the effect of calling them.
// Generated by scripts/generate-functions.ts: do not edit.

export const builtinFunctions: Readonly<Record<string, string>> = {
`);
for (const effect of [...byEffect.keys()].sort()) {
  const names = (byEffect.get(effect) ?? []).map(([name]) => name);
  process.stdout.write(`  '${effect}': \`${lines(names)}\`,\n`);
}
process.stdout.write(`};

export const builtinTypes = \`${lines(types)}\`;

export const builtinOperators = \`${lines(operators)}\`;

/** Functions of pg_catalog of which at least one overload returns a set. */
export const setReturning = \`${lines(setReturning)}\`;

/** Functions and domains of information_schema. */
export const informationSchema = \`${lines(informationSchema)}\`;
`);
