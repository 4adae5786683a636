// What our grammar, that of 18, reads in a text, and what older servers make of it: where one of them reads something
// else instead of refusing it, the facts must say from which version on they hold (wire.md §3.3).

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Analyzer } from '../../src/sql/parse.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';

const versions = [13, 14, 15, 16, 17, 18];

/** Ordinary functions under the names that later versions made syntax of; each says that it was called. */
const functions = [
  ['json_value', 'text, text'],
  ['json_query', 'text, text'],
  ['json_exists', 'text, text'],
  ['json_scalar', 'text'],
  ['json_serialize', 'text'],
  ['json', 'integer'],
  ['merge_action', ''],
  ['json_array', 'integer, integer'],
  ['json_object', ''],
  ['json_table', 'text, text'],
] as const;

/** Each with the version from which it is read as here; undefined: any version that takes it reads it so. */
const texts: readonly (readonly [sql: string, since: number | undefined])[] = [
  ['select 0x1F', 16],
  ['select 0o17', 16],
  ['select 0b1', 16],
  ['select 1_000', 16],
  ['select 1e1_0', 16],
  ['select 1.5_0', 16],
  ["select json_value('{\"a\": 1}', '$.a')", 17],
  ["select json_query('{\"a\": 1}', '$.a')", 17],
  ["select json_exists('{\"a\": 1}', '$.a')", 17],
  ["select json_scalar('x')", 17],
  ["select json_serialize('1')", 17],
  ['select json(1)', 17],
  ['select merge_action()', 17],
  ['select json_array(1, 2)', 16],
  ['select json_object()', 16],
  ['select json_arrayagg(n) from (values (1), (2)) v (n)', 16],
  ['select system_user from (values (1)) v ("system_user")', 16],
  ["select json_object('{a,1}')", undefined],
  ["select json_object('k': 1)", 16],
  ["select json_objectagg('k' value 1)", 16],
  ["select '{}' is json", undefined],
  ["select * from json_table('[1]', '$[*]' columns (n int path '$'))", undefined],
  ['select json_array(select 1)', undefined],
  ["select json_value('{}', '$.a' default 1 on empty)", 17],
  ['select t1_0.n from (values (1)) t1_0 (n)', undefined],
  ["select '0x1F', E'1_000', 1e10, .5", undefined],
  ["select extract(day from date '2026-01-02')::int", undefined],
  ["select timestamp '2026-01-01' at local is null", undefined],
  ['select n from (values (1)) v (n) group by distinct n', undefined],
];

let analyzer: Analyzer;
const servers = new Map<number, { server: TestServer; client: pg.Client }>();

beforeAll(async () => {
  analyzer = await Analyzer.load();
  for (const version of versions) {
    const server = await startPostgres({ version });
    const client = new pg.Client({ connectionString: server.connectionString });
    await client.connect();
    for (const [name, types] of functions) {
      await client.query(
        `create function "${name}"(${types}) returns text language sql as $$ select 'called' $$`,
      );
    }
    await client.query(
      `create function joined(a text, n int) returns text language sql as $$ select 'called' $$;
       create aggregate "json_arrayagg"(int) (sfunc = joined, stype = text)`,
    );
    servers.set(version, { server, client });
  }
});
afterAll(async () => {
  for (const { client, server } of servers.values()) {
    await client.end();
    await server.stop();
  }
  await analyzer.close();
});

/** The rows, or `refused` where the server's grammar does. */
async function answerOf(version: number, sql: string): Promise<string> {
  try {
    const { rows } = await servers.get(version)!.client.query({ text: sql, rowMode: 'array' });
    return JSON.stringify(rows);
  } catch (error) {
    const { code } = error as { code?: string };
    return code === '42601' ? 'refused' : `error ${code}`;
  }
}

async function sinceOf(sql: string): Promise<number | undefined> {
  const analysis = await analyzer.analyze(Buffer.from(sql));
  return analysis.kind === 'statements' ? analysis.statements[0]?.since : undefined;
}

test.each(texts)('%s: what 18 reads, others read or refuse, unless the facts say so', async (sql, since) => {
  expect(await sinceOf(sql)).toBe(since);
  const answers = new Map<number, string>();
  for (const version of versions) answers.set(version, await answerOf(version, sql));
  const newest = answers.get(18)!;
  for (const [version, answer] of answers) {
    if (version >= (since ?? 0)) expect([newest, 'refused'], `on ${version}`).toContain(answer);
  }
});

test('every doubt is one: some server reads each of these as something else', async () => {
  for (const [sql, since] of texts) {
    if (since === undefined || sql.includes("'k'") || sql.includes('default 1')) continue;
    const older = await Promise.all(versions.filter((v) => v < since).map((v) => answerOf(v, sql)));
    const newest = await answerOf(18, sql);
    expect(
      older.some((answer) => answer !== 'refused' && answer !== newest),
      sql,
    ).toBe(true);
  }
});
