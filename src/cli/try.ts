// `holdpoint try`: plays an agent against a running Holdpoint, and prints what such a client is told. Knows an ordinary
// PostgreSQL client and nothing of Holdpoint but its address. The statement to be held harms nothing if it is released.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import pg from 'pg';
import { HoldpointError } from '../errors.ts';

/** One line for the person who watches. */
type Say = (line: string) => void;

interface Options {
  url?: string;
  dataDir: string;
}

export function register(program: Command): void {
  program
    .command('try')
    .description('play an agent: two reads, then a DROP TABLE that is held; shows what the agent sees')
    .option('--url <url>', "the agent's database URL (default: the demonstration's)")
    .option(
      '--data-dir <dir>',
      'where the demonstration keeps its data',
      process.env.HOLDPOINT_DATA_DIR ?? 'holdpoint-data',
    )
    .action(async (options: Options) => {
      const held = await play(options.url ?? demoUrl(options.dataDir), (line) =>
        process.stdout.write(`${line}\n`),
      );
      if (!held)
        throw new HoldpointError('denied', 'the DROP TABLE was not held; check the rules of this target');
    });
}

/** Runs the three statements. True if the last was held or refused, false if it went through as if unguarded. */
export async function play(url: string, say: Say): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, application_name: 'holdpoint try' });
  let held = false;
  client.on('notice', (notice) => {
    held ||= notice.message?.startsWith('statement held for approval') === true;
    tell(say, 'NOTICE', notice);
  });
  // A connection that is cut while nothing runs; while something runs, its promise tells.
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    throw new HoldpointError('upstream-unreachable', `cannot log in: ${reasonOf(error)}`, { cause: error });
  }
  try {
    const run = async (sql: string) => {
      say(`\nagent> ${sql}`);
      const result = await client.query(sql);
      for (const row of result.rows.slice(0, 5)) say(`  ${JSON.stringify(row)}`);
      say(`  ${result.command} ${result.rowCount ?? ''}`.trimEnd());
      return result.rows as Record<string, unknown>[];
    };
    await run('SELECT current_database() AS database, current_user AS "user"');
    const [found] = await run(
      "SELECT count(*)::int AS shop FROM information_schema.tables WHERE table_name IN ('orders', 'coupons')",
    );
    const shop = Number(found?.shop) > 0;
    if (shop) await run('SELECT status, count(*)::int AS orders FROM orders GROUP BY status ORDER BY status');
    say('\nNow something that destroys. The session waits until a person decides:');
    try {
      await run(`DROP TABLE IF EXISTS ${shop ? 'coupons' : 'holdpoint_try'}`);
      say(held ? '\nReleased: a person approved it.' : '');
      return held;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      tell(say, 'ERROR', error);
      say('\nNot executed.');
      return true;
    }
  } catch (error) {
    throw new HoldpointError('upstream-refused', `the session ended: ${reasonOf(error)}`, { cause: error });
  } finally {
    await client.end().catch(() => {});
  }
}

function tell(
  say: Say,
  severity: string,
  told: {
    code?: string | undefined;
    message?: string | undefined;
    detail?: string | undefined;
    hint?: string | undefined;
  },
): void {
  say(`  ${severity} ${told.code ?? ''}: ${told.message ?? ''}`);
  if (told.detail) say(`    DETAIL: ${told.detail}`);
  if (told.hint) say(`    HINT: ${told.hint}`);
}

function demoUrl(dataDir: string): string {
  const address = process.env.HOLDPOINT_LISTEN ?? '127.0.0.1:6432';
  try {
    const { agent } = JSON.parse(readFileSync(join(dataDir, 'demo.json'), 'utf8')) as { agent: string };
    return `postgres://agent:${agent}@${address}/shop`;
  } catch (error) {
    throw new HoldpointError(
      'not-found',
      `there is no demonstration in ${dataDir}; start one with npm start, or name an agent's URL with --url`,
      { cause: error },
    );
  }
}

/** pg gives an AggregateError without a message when every address of a name refuses. */
function reasonOf(error: unknown): string {
  const { message, code, errors } = error as { message?: string; code?: string; errors?: Error[] };
  return message || errors?.[0]?.message || code || String(error);
}
