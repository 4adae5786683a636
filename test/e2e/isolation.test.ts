// A target and the server it means: two real servers, and a port that leads now to the one and now to the other. What a
// target was found to mean is kept in the data folder, so that each Holdpoint here is started again on the same one.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { assemble, type Running } from '../../src/cli/assembly.ts';
import { parseConfig } from '../../src/config.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { type Forwarder, startForwarder } from '../support/forwarder.ts';
import { startPostgres, type TestServer } from '../support/postgres.ts';
import { RawClient, type ServerError, transcript } from '../support/raw.ts';

/** A server, an ordinary role in it, and its system identifier. */
interface Place {
  readonly server: TestServer;
  readonly admin: pg.Client;
  readonly id: string;
}

const role = 'owner';
let a: Place;
let b: Place;
let way: Forwarder;
let dataDir: string;
const running: Running[] = [];
const reports: string[] = [];

async function place(password?: string): Promise<Place> {
  const server = await startPostgres({ user: role });
  const admin = new pg.Client({ connectionString: server.url() });
  await admin.connect();
  const { rows } = await admin.query('select system_identifier::text as id from pg_control_system()');
  if (password !== undefined) await admin.query(`alter role ${role} password ${pg.escapeLiteral(password)}`);
  return { server, admin, id: rows[0].id };
}

beforeAll(async () => {
  a = await place();
  b = await place(a.server.password);
});

afterAll(async () => {
  for (const each of [a, b]) {
    await each?.admin.end();
    await each?.server.stop();
  }
});

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'holdpoint-isolation-'));
  way = await startForwarder(a.server);
  reports.length = 0;
});

afterEach(async () => {
  for (const each of running.splice(0)) await each.close();
  await way.close();
  rmSync(dataDir, { recursive: true });
});

function url(port: number, database = 'postgres', user = role): string {
  return `postgres://${user}:${encodeURIComponent(a.server.password)}@127.0.0.1:${port}/${database}`;
}

type TargetYaml = { url: string; environment: string; systemIdentifier?: string; server?: string };

function production(change: Partial<TargetYaml> = {}): TargetYaml {
  return { url: url(way.port), environment: 'production', ...change };
}

function staging(change: Partial<TargetYaml> = {}): TargetYaml {
  return { url: url(way.port), environment: 'staging', ...change };
}

/** Starts on the data folder of this test, after ending the one before. */
async function start(targets: Record<string, TargetYaml>): Promise<Running> {
  for (const each of running.splice(0)) await each.close();
  const text = stringify({
    listen: { postgres: '127.0.0.1:0', http: '127.0.0.1:0' },
    dataDir,
    targets,
    agents: { claude: { password: 'secret', targets: Object.keys(targets) } },
    approvers: {
      dba: { key: { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' } },
    },
    hold: { waitMs: 100 },
    limits: { drainMs: 0 },
    audit: { values: 'none' },
  });
  const started = await assemble({
    config: parseConfig(text, { file: join(dataDir, 'holdpoint.yaml'), env: {} }),
    version: 'test',
    report: (level, message, fields) => reports.push(`${level} ${message} ${JSON.stringify(fields)}`),
  });
  running.push(started);
  return started;
}

async function connect(database: string): Promise<RawClient> {
  const client = await RawClient.connect('127.0.0.1', running[0]!.postgresPort);
  await client.login({ user: 'claude', password: 'secret', database });
  return client;
}

async function refusal(database: string): Promise<ServerError> {
  return connect(database).then(
    () => Promise.reject(new Error('it was served')),
    (error: ServerError) => error,
  );
}

/** The identifier of the server behind a session. */
async function served(database: string): Promise<string | undefined> {
  const client = await connect(database);
  client.send(query('select system_identifier from pg_control_system()'));
  const row = (await client.until('Z')).find(({ letter }) => letter === 'D');
  client.destroy();
  return row?.summary;
}

async function readyz(): Promise<{
  status: number;
  body: { failing: { name: string; problem: string }[]; warnings: { name: string; warning: string }[] };
}> {
  const answer = await fetch(`${running[0]!.config.publicUrl}/readyz`);
  return { status: answer.status, body: (await answer.json()) as never };
}

describe('a production target', () => {
  test('refuses another server in the place of its own, says why, and serves again when its own is back', async () => {
    await start({ shop: production() });
    const before = await connect('shop');
    way.lead(b.server);
    const error = await refusal('shop');
    expect(error.sqlstate).toBe('08004');
    expect(error.fields.get('V')).toBe('FATAL');
    expect(error.message).toMatch(
      new RegExp(`^target shop is production and means server ${a.id}, .* it now leads to server ${b.id}$`),
    );
    expect([...error.fields.values()].join()).not.toContain('systemIdentifier');
    const mend = `set targets.shop.systemIdentifier: "${b.id}"`;
    expect(reports.join('\n')).toContain(mend.replaceAll('"', '\\"'));
    const log = readFileSync(join(dataDir, 'audit', 'holdpoint', 'seg-00000000.jsonl'), 'utf8');
    const refused = log.split('\n').find((line) => line.includes('"ok":false'));
    expect(JSON.parse(refused ?? '{}')).toMatchObject({
      kind: 'auth',
      agent: 'claude',
      target: 'shop',
      reason: error.message,
    });
    // What was connected before stays where it was.
    before.send(query('select 1'));
    expect(transcript(await before.until('Z'), 'TS')).toEqual(['D 1', 'C SELECT 1', 'Z I']);
    before.destroy();
    const { status, body } = await readyz();
    expect(status).toBe(503);
    expect(body.failing).toEqual([{ name: 'target shop', problem: expect.stringContaining(mend) }]);
    way.lead(a.server);
    expect(await served('shop')).toBe(a.id);
  });

  test('is refused from the start when its server is another than before the restart', async () => {
    await start({ shop: production() });
    way.lead(b.server);
    await start({ shop: production() });
    expect(reports.join('\n')).toContain('error the target is refused');
    expect((await refusal('shop')).sqlstate).toBe('08004');
  });

  test('serves the other server once its configuration names it, and then no more the first', async () => {
    await start({ shop: production() });
    way.lead(b.server);
    await start({ shop: production({ systemIdentifier: b.id }) });
    expect(await served('shop')).toBe(b.id);
    await start({ shop: production() });
    expect(await served('shop')).toBe(b.id);
    way.lead(a.server);
    expect((await refusal('shop')).message).toContain(`means server ${b.id}`);
  });

  test('that cannot be reached at the start means the server of its first session', async () => {
    way.lead({ host: '127.0.0.1', port: 1 });
    await start({ shop: production() });
    expect(reports.join('\n')).toContain('warn the target cannot be reached yet');
    way.lead(a.server);
    expect(await served('shop')).toBe(a.id);
    way.lead(b.server);
    expect((await refusal('shop')).sqlstate).toBe('08004');
  });
});

describe('a staging target', () => {
  test('that leads to the production server is refused, also when it is listed first and after production is gone', async () => {
    await start({ stage: staging(), shop: production() });
    expect(reports.filter((each) => each.startsWith('error the target is refused'))).toEqual([
      expect.stringContaining('"target":"stage"'),
    ]);
    expect(await served('shop')).toBe(a.id);
    const said = `target stage is staging, but it leads to server ${a.id}, which is pinned as production by target shop`;
    expect((await refusal('stage')).message).toBe(said);
    expect((await readyz()).body.failing.map(({ name }) => name)).toEqual(['target stage']);
    await start({ stage: staging() });
    expect((await refusal('stage')).message).toBe(said);
  });

  test('that is led to the production server while it runs is refused from then on', async () => {
    way.lead(b.server);
    await start({ shop: production({ url: url(a.server.port) }), stage: staging() });
    expect(await served('stage')).toBe(b.id);
    way.lead(a.server);
    expect((await refusal('stage')).message).toContain('pinned as production by target shop');
  });

  test('that names the production server in its configuration shares it', async () => {
    await start({ shop: production(), stage: staging({ systemIdentifier: a.id }) });
    expect(await served('stage')).toBe(a.id);
  });

  test('whose server is made anew is served, and that is said', async () => {
    await start({ stage: staging() });
    way.lead(b.server);
    expect(await served('stage')).toBe(b.id);
    expect(reports.join('\n')).toContain(
      `target stage leads to another server than before: ${b.id}, no longer ${a.id}`,
    );
  });
});

test('what is known of the names on one server is not believed of another in its place', async () => {
  const reads = 'select count(*) from kept';
  const deletes = 'with gone as (delete from kept returning 1) select count(*) from gone';
  for (const [{ admin }, here, there] of [
    [a, reads, deletes],
    [b, deletes, reads],
  ] as const) {
    await admin.query('create table kept as select 1 as n; grant all on kept to public');
    await admin.query(`create function peek() returns bigint language sql as '${here}'`);
    await admin.query(`create function poke() returns bigint language sql as '${there}'`);
  }
  await start({ stage: staging() });
  const ask = async (client: RawClient, text: string): Promise<string | undefined> => {
    client.send(query(text));
    return transcript(await client.until('Z'), 'TSNC')[0];
  };
  const first = await connect('stage');
  expect(await ask(first, 'select peek()')).toBe('D 1');
  way.lead(b.server);
  const second = await connect('stage');
  expect(await ask(second, 'select peek()')).toContain('E ERROR 42501');
  expect(await ask(second, 'select poke()')).toBe('D 1');
  // One watch cannot know two servers: the session that was there before may not rely on what the new one tells.
  for (const text of ['select peek()', 'select poke()'])
    expect(await ask(first, text)).toContain('E ERROR 42501');
  for (const { admin } of [a, b])
    expect((await admin.query('select count(*)::int as n from kept')).rows).toEqual([{ n: 1 }]);
  for (const client of [first, second]) client.destroy();
});

test('a fork of PostgreSQL is refused until its target accepts it', async () => {
  await a.admin.query('create database forked');
  const inside = new pg.Client({ connectionString: a.server.url('forked') });
  await inside.connect();
  const words = 'PostgreSQL 12.12 (Greenplum Database 7.0.0 build commit:0a7a3566) on x86_64-pc-linux-gnu';
  await inside.query(
    `create or replace function pg_catalog.version() returns text language sql as $$ select '${words}' $$`,
  );
  await inside.end();
  const forked = { url: url(a.server.port, 'forked'), environment: 'production' };
  await start({ shop: forked });
  expect((await refusal('shop')).message).toContain('says it is Greenplum, not community PostgreSQL');
  const { status, body } = await readyz();
  expect([status, body.failing[0]?.problem]).toEqual([503, expect.stringContaining('server: patched')]);
  await start({ shop: { ...forked, server: 'patched' } });
  expect(await served('shop')).toBe(a.id);
  expect((await readyz()).body.warnings[0]?.warning).toContain('the server is Greenplum');
});

test('a client sees nothing of what the server was asked about itself', async () => {
  await start({ shop: production() });
  const client = await RawClient.connect('127.0.0.1', running[0]!.postgresPort);
  const greeting = await client.login({ user: 'claude', password: 'secret', database: 'shop' });
  const letters = greeting.map(({ letter }) => letter).join('');
  expect(letters).toMatch(/^S+KZ$/);
  const direct = await RawClient.connect('127.0.0.1', a.server.port);
  await direct.login({ user: role, password: a.server.password, database: 'postgres' });
  expect(client.parameters).toEqual(direct.parameters);
  client.send(query('select 1'));
  expect(transcript(await client.until('Z'), 'T')).toEqual(['D 1', 'C SELECT 1', 'Z I']);
  for (const each of [client, direct]) each.destroy();
});

test('a request for approval names the server that it is for', async () => {
  await start({ shop: production() });
  const client = await connect('shop');
  client.send(query('drop table no_such_table'));
  await client.until('Z');
  client.destroy();
  const log = readFileSync(join(dataDir, 'audit', 'holdpoint', 'seg-00000000.jsonl'), 'utf8');
  const held = log.split('\n').filter((line) => line.includes('"kind":"hold"'));
  expect(held).toHaveLength(1);
  expect(JSON.parse(JSON.parse(held[0]!).R).db).toMatchObject({ target: 'shop', systemId: a.id });
});

describe('what is beyond Holdpoint is said at the start and by /readyz, which stays ready', () => {
  test('of a superuser', async () => {
    await start({ shop: production({ url: url(a.server.port, 'postgres', 'postgres') }) });
    const { status, body } = await readyz();
    expect(status).toBe(200);
    expect(body.warnings).toEqual([
      { name: 'target shop', warning: expect.stringContaining('role postgres is a superuser') },
    ]);
    expect(reports.join('\n')).toContain('role postgres is a superuser');
  });

  test('of an ordinary role nothing', async () => {
    await start({ shop: production() });
    expect((await readyz()).body).toEqual({ status: 'ready', failing: [], warnings: [] });
    expect(reports.filter((each) => each.startsWith('warn'))).toEqual([]);
  });

  test('of a server that keeps its identifier to itself, which is served as long as it was not pinned', async () => {
    await a.admin.query('revoke execute on function pg_control_system() from public');
    try {
      await start({ shop: production() });
      expect((await readyz()).body.warnings[0]?.warning).toContain('target shop cannot be pinned');
      (await connect('shop')).destroy();
      await start({ shop: production({ systemIdentifier: a.id }) });
      expect((await refusal('shop')).message).toContain('does not say which one it is');
    } finally {
      await a.admin.query('grant execute on function pg_control_system() to public');
    }
  });

  test('of a database in SQL_ASCII', async () => {
    await a.admin.query("create database ascii template template0 encoding 'SQL_ASCII' locale 'C'");
    await start({ shop: production({ url: url(a.server.port, 'ascii') }) });
    expect((await readyz()).body.warnings[0]?.warning).toContain('server_encoding is SQL_ASCII');
  });
});
