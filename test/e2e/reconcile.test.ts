// The server's own log against Holdpoint's, both of them real: what went through the proxy is accounted for to the last
// statement, in csvlog and in jsonlog, and what ran around it is named.

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { reconcile } from '../../src/cli/reconcile.ts';
import type { Reconciled } from '../../src/cli/reconcile-text.ts';
import { bind, execute, parse, sync } from '../../src/wire/messages/frontend.ts';
import { everydayLists } from '../everyday/corpus.ts';
import { answers, freshDatabase, known, makeTemplate, owner } from '../everyday/run.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';

let server: TestServer;
let guard: Guard;
let logs: string;
let folder: string;
const formats = ['csv', 'json'] as const;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-reconcile-'));
  server = await startPostgres({
    user: owner,
    settings: {
      logging_collector: 'on',
      log_destination: 'csvlog,jsonlog',
      log_statement: 'all',
      log_connections: 'on',
      log_directory: 'log',
      log_filename: 'postgresql.log',
      log_rotation_age: '0',
    },
  });
  await makeTemplate(server);
  await freshDatabase(server);
  const { rows } = await directly("select current_setting('data_directory') as folder");
  logs = join(rows[0].folder, 'log');
  guard = await startGuard({
    url: server.url('everyday', owner),
    hold: { waitMs: 30_000 },
    audit: { values: 'none' },
  });
});

afterAll(async () => {
  await guard?.close();
  await server?.stop();
  if (folder) rmSync(folder, { recursive: true });
});

/** Around the proxy, as psql would. */
async function directly(sql: string, database = 'postgres') {
  const client = new pg.Client({ connectionString: server.url(database), application_name: 'psql' });
  await client.connect();
  try {
    return await client.query(sql);
  } finally {
    await client.end();
  }
}

const fileOf = (format: 'csv' | 'json') => join(logs, `postgresql.${format}`);

/** How far the server's log has come. What is asked for in between is the test's own. */
function mark(): Record<(typeof formats)[number], number> {
  return { csv: readFileSync(fileOf('csv')).length, json: readFileSync(fileOf('json')).length };
}

let serial = 0;

/** What the server's log has got since, once `last` stands in it, as a file of its own. */
async function since(from: ReturnType<typeof mark>, format: 'csv' | 'json', last: string): Promise<string> {
  await vi.waitFor(() =>
    expect(readFileSync(fileOf(format)).subarray(from[format]).includes(last)).toBe(true),
  );
  serial += 1;
  const path = join(folder, `${serial}.${format}`);
  writeFileSync(path, readFileSync(fileOf(format)).subarray(from[format]));
  return path;
}

async function compare(pgLog: readonly string[], dir = guard.auditDir, target?: string) {
  let out = '';
  const output = { out: (text: string) => (out += text), err: (text: string) => (out += text) };
  const flags = { pgLog, dir: [dir], lines: 20, ...(target === undefined ? {} : { target }) };
  const code = await reconcile({ ...flags, json: true }, output);
  const found = JSON.parse(out) as Reconciled & { error?: string };
  out = '';
  expect(await reconcile(flags, output)).toBe(code);
  return { code, found, text: out };
}

test('everything that tools and applications send all day is accounted for, to the last statement', async () => {
  const from = mark();
  const client = await guard.connect();
  let steps = 0;
  for (const everyday of Object.values(everydayLists).flatMap((list) => known(list, 18))) {
    if (client.closed) throw new Error('the session was closed');
    await answers(client, everyday);
    steps += everyday.steps.length;
  }
  client.destroy();
  const agent = new pg.Client({ connectionString: guard.url });
  await agent.connect();
  await agent.query("select 'the last one'");
  await agent.end();
  for (const format of formats) {
    const { code, found } = await compare([await since(from, format, 'the last one')]);
    expect(found.around).toEqual([]);
    expect(found.holes).toEqual([]);
    expect(code).toBe(0);
    expect(found.counts.recorded).toBeGreaterThan(steps * 0.9);
    expect(found.unmet).toEqual({ count: 0, first: undefined, sessions: 0 });
  }
});

test('held statements count once they are released, pieces of a portal once, bounded ones with what is put around them', async () => {
  const from = mark();
  const agent = new pg.Client({ connectionString: guard.url });
  await agent.connect();
  const rejected = agent.query('delete from customers where id = 7').catch((error: Error) => error.message);
  const [first] = await guard.pending(1);
  await guard.decide(first!.id, 'reject');
  expect(await rejected).toContain('reject');
  const released = agent.query({ name: 'gone', text: 'delete from customers where id = $1', values: [-1] });
  await guard.approveNext();
  await released;
  await agent.query('show holdpoint.requests');
  await agent.query("set holdpoint.reason = 'why not'");
  await agent.query('selec 1').catch(() => undefined);
  await agent.end();
  const raw = await guard.connect({ application_name: 'holdpoint catalog' });
  raw.send(parse('s: x', 'select n from generate_series(1, 5) n'), bind('p', 's: x', []), execute('p', 2));
  raw.send(execute('p', 2), execute('p', 2), sync());
  await raw.until('Z');
  raw.destroy();
  await finished("the portal's");
  for (const format of formats) {
    const { code, found } = await compare([await since(from, format, "the portal's")]);
    expect([...found.around, ...found.holes]).toEqual([]);
    expect(code).toBe(0);
    expect(found.unmet.count).toBe(0);
  }
});

/** A last statement through the proxy. */
async function finished(name: string): Promise<void> {
  const agent = new pg.Client({ connectionString: guard.url });
  await agent.connect();
  await agent.query(`select '${name.replaceAll("'", "''")}'`);
  await agent.query(`select "${name}" from (values (1)) x("${name}")`);
  await agent.end();
}

test('a deletion around the proxy is named: when, who, from where, in which database, what', async () => {
  const from = mark();
  await finished('before it');
  await directly('delete from orders where id < 0 -- \u001b[2J', 'everyday');
  await directly('select 1', 'postgres');
  for (const format of formats) {
    const path = await since(from, format, '"statement: select 1"'.slice(1, -1));
    const { code, found, text } = await compare([path]);
    expect(code).toBe(1);
    expect(found.holes).toEqual([]);
    expect(found.counts).toMatchObject({ around: 2, holes: 0 });
    const day = new Date().toISOString().slice(0, 10);
    expect(found.around[0]).toEqual({
      time: expect.stringMatching(new RegExp(`^${day} \\d\\d:\\d\\d:\\d\\d\\.\\d{3} `)),
      user: 'postgres',
      database: 'everyday',
      client: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      application: 'psql',
      session: expect.stringMatching(/^[0-9a-f]+\.[0-9a-f]+$/),
      statement: 'delete from orders where id < 0 -- \u001b[2J',
    });
    expect(text).toMatch(
      /^AROUND HOLDPOINT {2}.* postgres on everyday from 127\.0\.0\.1:\d+ \(psql\), session /,
    );
    expect(text).toContain('delete from orders where id < 0 -- \\u{1b}[2J');
    expect(text).toContain('2 statements ran AROUND HOLDPOINT');
    // Of one target only what ran in its database.
    const ofTarget = await compare([path], guard.auditDir, 'shop');
    expect(ofTarget.found.around.map(({ database }) => database)).toEqual(['everyday']);
    await expect(compare([path], guard.auditDir, 'other')).resolves.toMatchObject({ code: 2 });
  }
});

test('a statement in a session of ours that the log has no record of is a hole, and so is one more than it has', async () => {
  const from = mark();
  const agent = new pg.Client({ connectionString: guard.url });
  await agent.connect();
  for (const n of [1, 2, 3]) await agent.query(`update customers set id = id where id = -${n}`);
  await agent.end();
  await finished('all of them');
  const path = await since(from, 'csv', '"all of them"'.replaceAll('"', '""'));
  expect((await compare([path])).code).toBe(0);
  const copy = mkdtempSync(join(folder, 'log-'));
  cpSync(guard.auditDir, copy, { recursive: true });
  const [node] = readdirSync(copy);
  const segment = join(copy, node!, 'seg-00000000.jsonl');
  const lines = readFileSync(segment, 'utf8').split('\n');
  const isOne = (line: string) =>
    line.includes('"kind":"stmt"') && line.includes('update customers set id = id');
  writeFileSync(segment, lines.toSpliced(lines.findLastIndex(isOne), 1).join('\n'));
  const { code, found, text } = await compare([path], copy);
  expect(code).toBe(1);
  expect(found.counts).toMatchObject({ holes: 1, around: 0 });
  expect(found.holes).toMatchObject([
    { agent: 'claude', target: 'shop', statement: 'update customers set id = id where id = -3' },
  ]);
  expect(text).toContain('NOT RECORDED');
  expect(text).toContain('1 statement in its sessions has NO RECORD');
  // Without its login, all of a session is around.
  const login = lines.findLastIndex((line) => line.includes('"kind":"auth"'));
  writeFileSync(segment, lines.toSpliced(login, 1).join('\n'));
  const around = await compare([path], copy);
  expect(around.found.around.map(({ statement }) => statement).at(-1)).toContain('all of them');
  expect(around.found.counts).toMatchObject({ holes: 0, around: 5 });
});

test('the files may be compressed and rotated; what is missing in them is said', async () => {
  const from = mark();
  await finished('rotated');
  const path = await since(from, 'csv', '""rotated""');
  const whole = readFileSync(path, 'utf8');
  const ends = [...whole.matchAll(/,"client backend",,-?\d+\n/g)].map(
    (match) => match.index + match[0].length,
  );
  const middle = ends[Math.floor(ends.length / 2)]!;
  writeFileSync(`${path}.1.gz`, gzipSync(whole.slice(0, middle)));
  writeFileSync(`${path}.2`, whole.slice(middle));
  expect((await compare([`${path}.1.gz`, `${path}.2`])).found).toMatchObject({
    ok: true,
    server: { missing: { entries: 0 } },
  });
  const dropped = ends.findIndex((end) => end > whole.indexOf("statement: select 'rotated'"));
  writeFileSync(`${path}.1.gz`, gzipSync(whole.slice(0, ends[dropped - 1])));
  writeFileSync(`${path}.2`, `${whole.slice(ends[dropped]!)}${whole.slice(0, 40)}`);
  const { code, found, text } = await compare([`${path}.1.gz`, `${path}.2`]);
  expect(code).toBe(0);
  expect(found.server.missing).toEqual({ entries: 1, places: 1 });
  expect(found.unmet.count).toBe(1);
  expect(found.files[1]).toMatchObject({ cut: true });
  expect(text).toContain("not in the server's log");
  expect(text).toContain('ends within an entry');
});

test('what cannot be compared is said with what to set, and is no success', async () => {
  const from = mark();
  await finished('nothing');
  const path = await since(from, 'csv', '""nothing""');
  const stderr = join(folder, 'stderr.log');
  writeFileSync(stderr, '2026-11-30 17:00:00.000 UTC [42] LOG:  statement: select 1\n');
  const silent = join(folder, 'silent.csv');
  writeFileSync(silent, readFileSync(path, 'utf8').replaceAll('"statement: ', '"note: '));
  const wrong: [string, string, string][] = [
    [stderr, guard.auditDir, "set log_destination = 'csvlog'"],
    [silent, guard.auditDir, "set log_statement = 'all'"],
    [join(folder, 'none.csv'), guard.auditDir, 'there is no such file'],
    [path, folder, 'there is no log in'],
  ];
  for (const [file, dir, sentence] of wrong) {
    const { code, found, text } = await compare([file], dir);
    expect(code).toBe(2);
    expect(found.error).toContain(sentence);
    expect(text).toContain(sentence);
  }
});
