// The parser's footing (threats C; wire.md §0.2, §0.3, §0.14, §0.16, §3.1, §3.2): two settings change how the server reads
// text. Every route found to change one, and texts that do harm only where it was changed. Used on 18 and on older servers.

import { bind, execute, parse, query, sync } from '../../../src/wire/messages/frontend.ts';
import { type RawClient, type Reply, transcript } from '../../support/raw.ts';

export interface Footing {
  readonly setting: string;
  readonly pinned: string;
  /** A Query, and the text of one statement, that a server reads as harmful with the other value only. */
  readonly trick: string;
  readonly single: string;
  /** Must be refused before they are forwarded. */
  readonly routes: readonly string[];
  /** Go back to our own value: pass. */
  readonly harmless: readonly string[];
}

function routesOf(setting: string, value: string): string[] {
  const [head, ...tail] = setting.split('_');
  const dashed = `${head}' || '_${tail.join('_')}`;
  return [
    `SET ${setting} = ${value}`,
    `SET ${setting} TO ${value}`,
    `SET LOCAL ${setting} = ${value}`,
    `BEGIN; SET LOCAL ${setting} = ${value}`,
    `SET SESSION ${setting} = ${value}`,
    `SET ${setting.toUpperCase()} = ${value}`,
    `SET "${setting}" = ${value}`,
    `SET U&"\\00${setting.charCodeAt(0).toString(16)}${setting.slice(1)}" = ${value}`,
    `SET work_mem = '4MB'; SET ${setting} = ${value}`,
    `SELECT set_config('${setting}', '${value}', false)`,
    `SELECT set_config('${setting}', '${value}', true)`,
    `SELECT pg_catalog.set_config('${setting.toUpperCase()}', '${value}', false)`,
    `SELECT "set_config"('${dashed}', '${value}', false)`,
    `SELECT U&"set\\005fconfig"('${setting}', '${value}', false)`,
    `SELECT set_config('${setting}'::text, '${value}', false)`,
    `SELECT set_config(E'\\x${setting.charCodeAt(0).toString(16)}${setting.slice(1)}', '${value}', false)`,
    `SELECT set_config((SELECT '${setting}'), '${value}', false)`,
    `SELECT set_config(setting_name => '${setting}', new_value => '${value}', is_local => false)`,
    `SELECT set_config(is_local => false, new_value => '${value}', setting_name => '${setting}')`,
    `SELECT set_config('${setting}', is_local => false, new_value => '${value}')`,
    `SELECT * FROM set_config('${setting}', '${value}', false)`,
    `SELECT * FROM ROWS FROM (set_config('${setting}', '${value}', false)) AS x`,
    `SELECT 1 FROM t, LATERAL set_config('${setting}', '${value}', false)`,
    `SELECT set_config(name, '${value}', false) FROM pg_settings WHERE name = '${setting}'`,
    `SELECT set_config(n, v, false) FROM (VALUES ('${setting}', '${value}')) AS x (n, v)`,
    `WITH x AS (SELECT set_config('${setting}', '${value}', false)) SELECT * FROM x`,
    `SELECT CASE WHEN true THEN set_config('${setting}', '${value}', false) END`,
    `SELECT 1 WHERE set_config('${setting}', '${value}', false) IS NOT NULL`,
    `SELECT 1 ORDER BY set_config('${setting}', '${value}', false)`,
    `INSERT INTO a (n) VALUES (set_config('${setting}', '${value}', false))`,
    `COPY (SELECT set_config('${setting}', '${value}', false)) TO STDOUT`,
    `EXPLAIN ANALYZE SELECT set_config('${setting}', '${value}', false)`,
    `PREPARE w AS SELECT set_config('${setting}', '${value}', false); EXECUTE w`,
    `PREPARE w (text) AS SELECT set_config($1, '${value}', false); EXECUTE w ('${setting}')`,
    `BEGIN; DECLARE c CURSOR FOR SELECT set_config('${setting}', '${value}', false); FETCH c; COMMIT`,
    `UPDATE pg_settings SET setting = '${value}' WHERE name = '${setting}'`,
    `UPDATE pg_catalog.pg_settings AS s SET setting = '${value}' FROM t WHERE s.name = '${setting}'`,
    `WITH u AS (UPDATE pg_settings SET setting = '${value}' WHERE name = '${setting}') SELECT 1`,
    `CREATE TEMP VIEW knobs AS SELECT * FROM pg_settings; UPDATE knobs SET setting = '${value}' WHERE name = '${setting}'`,
    `DO $$ BEGIN PERFORM set_config('${setting}', '${value}', false); END $$`,
    `DO $$ BEGIN SET ${setting} = ${value}; END $$`,
    `ALTER ROLE postgres SET ${setting} = ${value}`,
    `ALTER ROLE ALL SET ${setting} = ${value}`,
    `ALTER ROLE ALL IN DATABASE postgres SET ${setting} = ${value}`,
    `ALTER ROLE CURRENT_USER SET ${setting} TO ${value}`,
    `ALTER USER postgres SET ${setting} = ${value}`,
    `ALTER DATABASE postgres SET ${setting} = ${value}`,
    `ALTER SYSTEM SET ${setting} = ${value}`,
    `ALTER FUNCTION f() SET ${setting} = ${value}`,
    `ALTER ROUTINE f() SET ${setting} = ${value}`,
    `CREATE FUNCTION g() RETURNS int LANGUAGE sql SET ${setting} = ${value} AS 'select 1'`,
  ];
}

export const footings: readonly Footing[] = [
  {
    setting: 'standard_conforming_strings',
    pinned: 'on',
    trick: "SELECT '\\', '; DELETE FROM customers; --'",
    single: "SELECT '\\', ' || purge() --'",
    routes: routesOf('standard_conforming_strings', 'off'),
    harmless: [
      'SET standard_conforming_strings = on',
      'SET standard_conforming_strings TO DEFAULT',
      'RESET standard_conforming_strings',
      "SELECT set_config('standard_conforming_strings', 'on', false)",
      'RESET ALL',
      'DISCARD ALL',
    ],
  },
  {
    setting: 'client_encoding',
    pinned: 'UTF8',
    // The second byte of Ł and the backslash are one character in SJIS: the quote behind them ends the string.
    trick: "SELECT E'Ł\\'; DELETE FROM customers; --'",
    single: "SELECT E'Ł\\' || purge() --'",
    routes: [
      ...routesOf('client_encoding', 'SJIS').map((route) => route.replace(/(=|TO) SJIS/g, "$1 'SJIS'")),
      "SET NAMES 'SJIS'",
      "SET client_encoding = 'SQL_ASCII'",
      "SET client_encoding TO 'shift_jis'",
    ],
    harmless: [
      "SET NAMES 'UTF8'",
      'SET NAMES DEFAULT',
      'SET client_encoding = utf8',
      'RESET client_encoding',
      'RESET ALL',
      'DISCARD ALL',
    ],
  },
];

/** The route and the trick in one TCP segment, as Queries: what came back, and then what the setting is. */
export async function byQuery(client: RawClient, { trick, setting }: Footing, route: string): Promise<Fate> {
  client.send(query(route), query(trick));
  const replies = await client.until('Z', 2);
  return {
    route: fateOf(
      replies.slice(
        0,
        replies.findIndex(({ letter }) => letter === 'Z'),
      ),
    ),
    now: await shown(client, setting),
  };
}

/** The same by the extended protocol, once in one segment of its own and once with a Sync between the two. */
export async function byPipeline(
  client: RawClient,
  footing: Footing,
  route: string,
  synced: boolean,
): Promise<Fate> {
  const run = (text: string): Buffer[] => [parse('', text), bind('', ''), execute('')];
  client.send(...run(route), ...(synced ? [sync()] : []), ...run(footing.single), sync());
  const replies = await client.until('Z', synced ? 2 : 1);
  return { route: fateOf(replies), now: await shown(client, footing.setting) };
}

export interface Fate {
  /** What the route was answered: an error's line, or `passed`, or `ended` if nothing came. */
  readonly route: string;
  /** The setting afterwards; undefined if the session has ended. */
  readonly now: string | undefined;
}

function fateOf(replies: readonly Reply[]): string {
  const [last] = replies.slice(-1);
  if (last === undefined) return 'ended';
  return transcript(replies).find((line) => line.startsWith('E ')) ?? 'passed';
}

async function shown(client: RawClient, setting: string): Promise<string | undefined> {
  if (client.closed) return undefined;
  client.send(query('ROLLBACK'), query(`SHOW ${setting}`));
  const row = (await client.until('Z', 2)).find(({ letter }) => letter === 'D');
  client.destroy();
  return row?.summary;
}

/** Bytes that are not UTF-8, each with what PostgreSQL calls it. */
export const badBytes: readonly (readonly [string, Buffer])[] = [
  ['a lone continuation byte', Buffer.from([0x80])],
  ['half a character', Buffer.from([0xc5])],
  ['an overlong quote', Buffer.from([0xc0, 0xa7])],
  ['an overlong NUL', Buffer.from([0xc0, 0x80])],
  ['an overlong backslash in three bytes', Buffer.from([0xe0, 0x81, 0x9c])],
  ['a surrogate', Buffer.from([0xed, 0xa0, 0x80])],
  ['a character beyond U+10FFFF', Buffer.from([0xf4, 0x90, 0x80, 0x80])],
  ['a backslash in SJIS', Buffer.from([0x95, 0x5c])],
  ['0xFF', Buffer.from([0xff])],
];
