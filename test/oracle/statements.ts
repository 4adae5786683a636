// Statements: whole texts grown by chance, and what is done to a text to make it look like another: wrapped into
// commands that run it, written with odd whitespace and escapes, torn and put together again.

import { builtins } from './builtins.ts';
import type { Chance } from './chance.ts';
import { destructive, everyday, loaded, session } from './commands.ts';
import { fill, type Place, query } from './phrases.ts';

/** What a run of scripts is to consist of. */
export interface Mood {
  /** How likely a phrase or a source is a trap. */
  readonly traps: number;
  /** False: nothing that an everyday rule lets write, so that whatever changes is a breach. */
  readonly writes: boolean;
}

/** One statement, or several in a text. */
export function statement(place: Place, mood: Mood): string {
  const { chance } = place;
  const text = chance.weighted<() => string>([
    [14, () => query(place)],
    [3, () => fill(place, chance.of(destructive))],
    [2, () => builtinCall(place)],
    [2, () => fill(place, chance.of(session))],
    [mood.writes ? 4 : 0, () => fill(place, chance.of(everyday))],
    [mood.writes ? 4 : 0, () => fill(place, chance.of(loaded))],
    [1, () => `${fill(place, query(place))}; ${query(place)}`],
    [1, () => `${query(place)}; ${fill(place, chance.of(chance.is(0.5) ? session : destructive))}`],
    [0.3, () => 'BEGIN; SAVEPOINT a; ROLLBACK TO a; COMMIT'],
  ])();
  const wrapped = chance.is(0.25) ? wrap(place, text) : text;
  return chance.is(0.25) ? mutate(chance, wrapped) : wrapped;
}

/** A command that contains the text, and perhaps runs it. */
export function wrap(place: Place, text: string): string {
  const { chance } = place;
  const id = chance.below(1000);
  return chance.of([
    () => `EXPLAIN ${text}`,
    () => `EXPLAIN ANALYZE ${text}`,
    () => `EXPLAIN (ANALYZE, COSTS off, TIMING off) ${text}`,
    () => `EXPLAIN (ANALYSE) ${text}`,
    () => `EXPLAIN (ANALYZE false, VERBOSE) ${text}`,
    () => `EXPLAIN (ANALYZE ${chance.of(['on', '1', 'true', 'off', '0'])}, FORMAT json) ${text}`,
    () => `COPY (${text}) TO STDOUT`,
    () => `COPY (${text}) TO STDOUT (FORMAT csv)`,
    () => `PREPARE w${id} AS ${text}; EXECUTE w${id}`,
    () => `BEGIN; DECLARE w${id} CURSOR FOR ${text}; FETCH ALL FROM w${id}; COMMIT`,
    () => `BEGIN; DECLARE w${id} CURSOR WITH HOLD FOR ${text}; COMMIT; FETCH 1 FROM w${id}; CLOSE w${id}`,
    () => `WITH w AS (${text}) SELECT count(*) FROM w`,
    () => `SELECT * FROM (${text}) AS w`,
    () => `SELECT (${text})`,
    () => `SELECT ARRAY(${text})`,
    () => `SELECT EXISTS (${text})`,
    () => `SELECT 1 WHERE EXISTS (${text})`,
    () => `SELECT 1 LIMIT (${text})`,
    () => `CREATE TEMP TABLE w${id} AS ${text}`,
    () => `EXPLAIN ANALYZE CREATE TEMP TABLE w${id} AS ${text}`,
    () => `CREATE TEMP VIEW w${id} AS ${text}; SELECT * FROM w${id}`,
    () => `BEGIN READ ONLY; ${text}; COMMIT`,
    () => `BEGIN; ${text}; ROLLBACK`,
    () => `SELECT query_to_xml(${literal(text)}, true, true, '')`,
    () => `DO ${quoted(`BEGIN PERFORM 1; ${text}; END`)}`,
    () => `SELECT * FROM dblink('loop', ${literal(text)}) AS w(a int)`,
    () => `SELECT * FROM crosstab(${literal(text)}) AS w(a int, b int)`,
    () => `${text}; ${text}`,
  ])();
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function quoted(text: string): string {
  return text.includes('$w$') ? literal(text) : `$w$${text}$w$`;
}

const values: readonly (readonly [RegExp, readonly string[]])[] = [
  [/query/, ["'select public.wipe()'", "'delete from victims'"]],
  [/bool/, ['true', 'false']],
  [/regclass/, ["'victims'", "'tickets'", "'v_wipe'"]],
  [/slot_name|plugin|^name$|_name$/, ["'holdpoint'", "'test_decoding'", "'public'", "'work_mem'"]],
  [/\[\]/, ["'{}'", "'{a,b}'"]],
  [/lsn/, ["'0/1'", 'pg_current_wal_lsn()']],
  [/bytea/, ["'x'::bytea"]],
  [/int|oid|xid|numeric|double/, ['1', '990003', '0', '{int}']],
  [/timestamp/, ['now()']],
  [/interval/, ["'1 day'"]],
  [/cursor/, ["'c'"]],
  [/json/, ['\'{"a": 1}\'']],
  [/text|cstring|char/, ["'victims'", "'select wipe()'", "'hidden'", '{text}', "'postgresql.conf'", "'.'"]],
];

function builtinCall(place: Place): string {
  const { chance } = place;
  const [, name, parameters] = /^(\w+)\((.*)\)$/.exec(
    chance.of(builtins[chance.of(Object.keys(builtins))]!),
  )!;
  const args = parameters === '' ? [] : parameters!.split(',');
  const given = args.map((type) =>
    chance.of(values.find(([pattern]) => pattern.test(type))?.[1] ?? ['NULL', '1', "'a'"]),
  );
  const call = fill(place, `${chance.is(0.2) ? 'pg_catalog.' : ''}${name}(${given.join(', ')})`);
  return chance.of([
    `SELECT ${call}`,
    `SELECT * FROM ${call} AS f`,
    `SELECT 1 WHERE ${call} IS NOT NULL`,
    `VALUES (${call})`,
  ]);
}

const tokens = /'(?:[^']|'')*'|"[^"]*"|\$\$.*?\$\$|\w+|\s+|[^\w\s]/gs;

/** The text written otherwise: mostly it means the same, at times something else or nothing. */
export function mutate(chance: Chance, text: string): string {
  const parts = text.match(tokens) ?? [text];
  const at = () => chance.below(parts.length);
  return chance.of([
    () =>
      parts
        .map((part) =>
          /^\s+$/.test(part)
            ? chance.of([' ', '\n', '\t', '/**/', ' /* ; */ ', ' -- x\n', '/*/**/*/'])
            : part,
        )
        .join(''),
    () =>
      parts.map((part) => (/^[a-z]+$/i.test(part) && chance.is(0.5) ? flip(chance, part) : part)).join(''),
    () =>
      parts
        .map((part) =>
          /^(wipe\w*|note|boom|victims|md5|round|v_\w+)$/.test(part) ? escaped(chance, part) : part,
        )
        .join(''),
    () =>
      `${chance.of(['-- read only\n', '/* SELECT 1 */ ', '/* /* nested */ */', ';', ' ', '\uFEFF', '\n\n'])}${text}`,
    () => `${text}${chance.of([';', ';;', ' -- ', ' /* open', '; -- DELETE', ';\n', '\\'])}`,
    () => parts.toSpliced(at(), 1).join(''),
    () => parts.toSpliced(at(), 0, parts[at()]!).join(''),
    () => parts.with(at(), parts[at()]!).join(''),
    () =>
      parts
        .with(
          at(),
          chance.of([
            'wipe',
            'victims',
            'DELETE',
            'FROM',
            '(',
            ')',
            ',',
            '$1',
            'AS',
            '::dm',
            '###',
            '.boom',
            ';',
            'NULL',
            '*',
            'v_wipe',
          ]),
        )
        .join(''),
    () => parts.slice(0, 1 + at()).join(''),
    () =>
      text.replace(
        /\bSELECT\b/i,
        chance.of(['SELECT ALL', 'select', 'SELECT/**/', '(SELECT', 'SELECT DISTINCT']),
      ),
  ])();
}

function flip(chance: Chance, word: string): string {
  return [...word].map((letter) => (chance.is(0.5) ? letter.toUpperCase() : letter.toLowerCase())).join('');
}

function escaped(chance: Chance, name: string): string {
  const code = name.charCodeAt(0).toString(16).padStart(4, '0');
  return chance.of([
    `"${name}"`,
    `U&"\\${code}${name.slice(1)}"`,
    `public.${name}`,
    `"public"."${name}"`,
    `U&"!${code}${name.slice(1)}" UESCAPE '!'`,
  ]);
}
