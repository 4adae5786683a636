// The proxy is killed again and again under a workload of mixed clients, at moments that nobody chose: a real process and
// SIGKILL, a real server that writes down every statement it is given. What the server was given is in the log, each as
// often as it ran; what is committed has its record; the log is taken up, verifies, and has one outcome for each.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type TestServer } from '../support/postgres.ts';
import type { RawClient } from '../support/raw.ts';
import { type Line, records, verified } from '../support/trail.ts';
import { startVictim, type Victim } from '../support/victims.ts';
import { tables, work, works, written } from '../support/workload.ts';

/** Kills of a run; more on request. */
const kills = Number(process.env.HOLDPOINT_KILLS ?? 4);
/** How long it lives at most, once its clients are connected; every second time once each has done its work. */
const lifeMs = 600;

let server: TestServer;
let direct: pg.Client;
let dataDir: string;
let victim: Victim | undefined;

beforeAll(async () => {
  server = await startPostgres({
    settings: {
      logging_collector: 'on',
      log_destination: 'jsonlog',
      log_statement: 'all',
      // One file, also of hundreds of kills: it is read from where it was read before.
      log_rotation_size: '0',
      log_rotation_age: '0',
    },
  });
  direct = new pg.Client({ connectionString: server.url() });
  await direct.connect();
  await direct.query(tables);
  dataDir = mkdtempSync(join(tmpdir(), 'holdpoint-killed-'));
});

afterAll(async () => {
  victim?.child.kill('SIGKILL');
  await direct?.end();
  await server?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

/** A statement and its parameters, as both logs tell of it. */
const key = (sql: string, params: readonly unknown[]): string => JSON.stringify([sql, params]);

/** What the server was given by the clients from byte `from` of its log on, less what Holdpoint asks it for itself. */
async function given(from: number): Promise<{ statements: string[]; size: number }> {
  const { file, size } = (
    await direct.query(
      `select f as file, (pg_stat_file(f)).size::int as size from pg_current_logfile('jsonlog') as f`,
    )
  ).rows[0];
  const { text } = (await direct.query('select pg_read_file($1, $2, $3) as text', [file, from, size - from]))
    .rows[0];
  const statements: string[] = [];
  for (const line of (text as string).split('\n').filter((each) => each.startsWith('{'))) {
    const { application_name, message = '', detail = '' } = JSON.parse(line);
    const said = /^(?:statement|execute (\S+)): (.*)$/s.exec(message);
    if (application_name !== 'worker' || said === null) continue;
    if (said[1]?.startsWith('holdpoint_') || said[2]!.includes('pg_catalog.')) continue;
    const values = [...detail.matchAll(/\$\d+ = '([^']*)'/g)].map(([, value]) => value);
    statements.push(key(said[2]!, values));
  }
  return { statements, size };
}

/** Every client works until the process is gone. */
async function worked(round: number, of: Victim): Promise<void> {
  const names = Object.keys(works);
  const clients: RawClient[] = await Promise.all(names.map(() => of.connect({ application_name: 'worker' })));
  const rounds = names.map(() => 0);
  const working = names.map((name, at) => {
    let nth = 0;
    const tag = (): string => {
      nth += 1;
      return `tag-${round}-${at}-${nth}`;
    };
    return work(name, clients[at]!, tag, (done) => {
      rounds[at] = done;
      return false;
    });
  });
  if (round % 2 === 0) await expect.poll(() => Math.min(...rounds), { timeout: 20_000 }).toBeGreaterThan(0);
  await new Promise((resolve) => setTimeout(resolve, Math.random() * lifeMs));
  await of.kill();
  await Promise.all(working);
  const open = `select count(*)::int as n from pg_stat_activity where application_name = 'worker'`;
  await expect.poll(async () => (await direct.query(open)).rows[0].n, { timeout: 20_000 }).toBe(0);
}

test(
  `after each of ${kills} kills the records have all that the server was given, and all that is committed`,
  async () => {
    let from = (await given(0)).size;
    let seen = -1;
    let statements = 0;
    for (let round = 1; round <= kills; round += 1) {
      victim = await startVictim(
        { url: server.url(), dataDir, audit: { segmentBytesMax: 1 << 18 } },
        'never',
      );
      await worked(round, victim);
      const there = await given(from);
      from = there.size;
      const fresh = records(join(dataDir, 'audit')).filter(({ seq }) => seq > seen);
      seen = fresh.at(-1)?.seq ?? seen;
      const recorded = new Map<string, number>();
      for (const stmt of fresh.filter(({ kind }) => kind === 'stmt')) {
        const known = key(String(stmt.sql), (stmt.params as unknown[] | undefined) ?? []);
        recorded.set(known, (recorded.get(known) ?? 0) + 1);
      }
      const missing = there.statements.filter((each) => {
        const left = recorded.get(each) ?? 0;
        recorded.set(each, left - 1);
        return left <= 0;
      });
      expect(missing, `round ${round}`).toEqual([]);
      statements += there.statements.length;
      const committed: string[] = (await direct.query(written)).rows.map(({ name }) => name);
      expect(
        committed.filter((tag) => !tagged(fresh).has(tag)),
        `round ${round}`,
      ).toEqual([]);
      await direct.query(`truncate t; update u set note = ''`);
    }
    expect(statements).toBeGreaterThan(Math.floor(kills / 2) * Object.keys(works).length);
    victim = await startVictim({ url: server.url(), dataDir, audit: { segmentBytesMax: 1 << 18 } }, 'never');
    await victim.kill();
    expect(await verified(join(dataDir, 'audit'), { live: true })).toMatchObject({ code: 0 });
    expect(uneven(records(join(dataDir, 'audit')))).toEqual([]);
  },
  60_000 + kills * 20_000,
);

/** Tags in the records. */
function tagged(log: readonly Line[]): Set<string> {
  const texts = log
    .filter(({ kind }) => kind === 'stmt')
    .flatMap(({ sql, params = [] }) => [String(sql), ...(params as string[])]);
  return new Set(texts.flatMap((text) => text.match(/tag-[\w-]+/g) ?? []));
}

/** Statements that have no outcome, or more than one. */
function uneven(log: readonly Line[]): string[] {
  const outcomes = new Map<number, number>();
  for (const { kind, seq, ref } of log) {
    if (kind === 'stmt') outcomes.set(seq, 0);
    else if (kind === 'outcome') outcomes.set(Number(ref), (outcomes.get(Number(ref)) ?? 1) + 1);
  }
  return [...outcomes].filter(([, count]) => count !== 1).map(([seq, count]) => `${seq} has ${count}`);
}
