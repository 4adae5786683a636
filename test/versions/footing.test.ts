// The parser's footing on every version: our startup values outrank what ALTER ROLE and ALTER DATABASE say and are what
// RESET goes back to; and every setting that those servers have is decided on, none by accident.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { effectOfSetting } from '../../src/sql/settings.ts';
import { footings } from '../e2e/attacks/lexer.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';
import { sent } from '../support/siege.ts';

/** What an ordinary user may set on some version and no agent may set as it likes. */
const decided: Readonly<Record<string, string>> = {
  standard_conforming_strings: 'parser-setting',
  client_encoding: 'parser-setting',
  backslash_quote: 'parser-setting',
  search_path: 'guard-setting',
  array_nulls: 'guard-setting',
  transform_null_equals: 'guard-setting',
  check_function_bodies: 'guard-setting',
  default_transaction_read_only: 'guard-setting',
  transaction_read_only: 'guard-setting',
  restrict_nonsystem_relation_kind: 'guard-setting',
  local_preload_libraries: 'guard-setting',
  log_parameter_max_length_on_error: 'guard-setting',
};

/** What only a superuser may set, and an agent with such a role may set as well. */
const privileged = new Set(
  'commit_delay deadlock_timeout lc_messages track_io_timing compute_query_id debug_discard_caches'.split(
    ' ',
  ),
);

describe.each([13, 14, 15, 16, 17, 18])('PostgreSQL %i', (version) => {
  let server: TestServer;
  let guard: Guard;

  beforeAll(async () => {
    server = await startPostgres({ version });
    const direct = new pg.Client({ connectionString: server.connectionString });
    await direct.connect();
    await direct.query(`alter role postgres set standard_conforming_strings = off;
      alter role postgres set backslash_quote = on;
      alter database postgres set client_encoding = 'LATIN1'`);
    await direct.end();
    guard = await startGuard({ url: server.connectionString, hold: { waitMs: 100 } });
  });

  afterAll(async () => {
    await guard?.close();
    await server?.stop();
  });

  test('what the role and the database are set to is outranked, also after every way back', async () => {
    const shown = "SHOW standard_conforming_strings; SHOW client_encoding; SHOW backslash_quote; SELECT '\\'";
    const ways = [
      ...footings.flatMap(({ harmless }) => harmless),
      'RESET backslash_quote',
      'SET backslash_quote TO DEFAULT',
    ];
    for (const way of ways) {
      const answer = await sent(await guard.connect(), way, shown);
      expect(answer.filter((line) => /^[DE]/.test(line)).slice(-4), way).toEqual([
        'D on',
        'D UTF8',
        'D safe_encoding',
        'D \\',
      ]);
    }
  });

  test('every setting of this server is decided on', async () => {
    const direct = new pg.Client({ connectionString: server.connectionString });
    await direct.connect();
    const { rows } = await direct.query(
      "select name, context from pg_settings where context in ('user', 'superuser', 'backend', 'superuser-backend')",
    );
    await direct.end();
    const otherwise = rows
      .map(({ name, context }) => [name, context, effectOfSetting(name, { kind: 'unknown' })])
      .filter(([name, context, effect]) => {
        const free = context === 'user' || privileged.has(name);
        return effect !== (decided[name] ?? (free ? 'setting' : 'guard-setting'));
      });
    expect(otherwise).toEqual([]);
  });
});
