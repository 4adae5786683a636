// The log proves it: what ran, who allowed it, what came of it; verified offline from the files alone, by the command an
// auditor would use; and what must never be in it is not.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verify } from '../../src/cli/audit.ts';
import { who } from '../../src/cli/audit-who.ts';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase({ shop: true });
  guard = await startGuard({ url: database.url });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
});

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

type Line = Record<string, unknown> & { kind: string; seq: number };

function folder(of: Guard): string {
  return join(of.auditDir, readdirSync(of.auditDir)[0]!);
}

function segment(of: Guard): string {
  return join(folder(of), 'seg-00000000.jsonl');
}

function records(of: Guard): Line[] {
  return readFileSync(segment(of), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

/** The record of the text and its outcome. */
async function story(sql: string): Promise<{ stmt: Line; outcome: Line }> {
  const find = () => {
    const all = records(guard);
    const stmt = all.findLast((record) => record.kind === 'stmt' && record.sql === sql);
    const outcome = all.find((record) => record.kind === 'outcome' && record.ref === stmt?.seq);
    return stmt !== undefined && outcome !== undefined ? { stmt, outcome } : undefined;
  };
  await expect.poll(find).toBeDefined();
  return find()!;
}

async function verified(
  dir: string,
  flags: Record<string, unknown> = {},
): Promise<{ code: number; text: string }> {
  let text = '';
  const output = { out: (more: string) => (text += more), err: (more: string) => (text += more) };
  const code = await verify(dir, { gaps: true, ...flags } as never, output as never);
  return { code, text };
}

describe('every statement has a record and one outcome', () => {
  test('a read, a write, an error, a refusal', async () => {
    const client = await guard.connect();
    for (const sql of [
      'select count(*) from orders',
      "update products set title = 'new' where id = 1",
      'select 1/0',
      "load 'plpgsql'",
    ]) {
      client.send(query(sql));
      await client.until('Z');
    }
    const read = await story('select count(*) from orders');
    expect(read.stmt).toMatchObject({
      agent: 'claude',
      target: 'shop',
      cls: 'read',
      dec: 'pass',
      proto: 'Q',
      cmd: ['SELECT'],
    });
    expect(read.outcome).toMatchObject({ st: 'ok', tags: ['SELECT 1'], rows: 1 });
    expect(read.outcome.dur_us).toBeGreaterThan(0);
    expect((await story("update products set title = 'new' where id = 1")).outcome).toMatchObject({
      st: 'ok',
      rows: 1,
    });
    expect((await story('select 1/0')).outcome).toMatchObject({ st: 'error', sqlstate: '22012' });
    const denied = await story("load 'plpgsql'");
    expect(denied.stmt).toMatchObject({ dec: 'deny', rule: expect.any(String) });
    expect(denied.outcome).toMatchObject({ st: 'refused', sqlstate: '42501' });
    client.destroy();
  });

  test('texts that differ in one value each have their own', async () => {
    const client = await guard.connect();
    const texts = Array.from({ length: 30 }, (_, at) => `select title from products where id = ${at}`);
    for (const [at, sql] of texts.entries()) {
      if (at % 2 === 0) client.send(query(sql));
      else client.send(parse('', sql), bind('', ''), execute(''), sync());
      await client.until('Z');
    }
    for (const sql of texts) expect((await story(sql)).stmt).toMatchObject({ len: sql.length, dec: 'pass' });
    // A text that was seen as one of these is not taken for them where its words are others.
    client.send(query("select title from products where id = 1 and 'a' = $1"));
    expect((await client.until('Z')).map(({ letter }) => letter)).toContain('E');
    client.destroy();
  });

  test('of a pipeline that failed, what was rolled back and what was skipped say so', async () => {
    const client = await guard.connect();
    const run = (sql: string) => [parse('', sql), bind('', ''), execute('')];
    const first = "insert into coupons values ('PIPE', 5, '2027-01-01')";
    client.send(...run(first), ...run('select 2/0'), ...run("select 'never'"), sync());
    await client.until('Z');
    expect((await story(first)).outcome).toMatchObject({ st: 'error', sqlstate: '22012' });
    expect((await story('select 2/0')).outcome).toMatchObject({ st: 'error', sqlstate: '22012' });
    expect((await story("select 'never'")).outcome).toMatchObject({ st: 'skipped' });
    client.destroy();
  });

  test('what was running when the server went away is unknown', async () => {
    const client = await guard.connect();
    client.send(query("select pg_sleep(20), 'lost'"));
    const active = `select pid from pg_stat_activity where state = 'active' and query like '%lost%' and pid <> pg_backend_pid()`;
    await expect.poll(async () => (await direct.query(active)).rowCount).toBe(1);
    client.destroy();
    // A read is not heard out: the proxy closes its connection to the server, and nobody will know what came of it.
    expect((await story("select pg_sleep(20), 'lost'")).outcome).toMatchObject({ st: 'unknown' });
  });
});

test('an approved DROP is a chain: statement, hold, decision, grant, intent, outcome', async () => {
  await direct.query('create table doomed (a int)');
  const client = await guard.connect();
  client.send(query('drop table doomed'));
  const rid = await guard.approveNext();
  await client.until('Z');
  const { stmt, outcome } = await story('drop table doomed');
  const all = records(guard);
  const hold = all.find((record) => record.kind === 'hold' && record.rid === rid)!;
  const decision = all.find((record) => record.kind === 'decision' && record.rid === rid)!;
  const grant = all.find((record) => record.kind === 'grant_use' && record.rid === rid)!;
  const intent = all.find((record) => record.kind === 'intent' && record.rid === rid)!;
  expect(hold.ref).toBe(stmt.seq);
  expect(JSON.parse(decision.D as string)).toMatchObject({
    approver: 'dba',
    verdict: 'approve',
    rd: hold.rd,
  });
  expect(grant.decisions).toEqual([decision.seq]);
  expect(intent.wire).toBe(JSON.parse(hold.R as string).wire);
  expect(outcome).toMatchObject({ st: 'ok', tags: ['DROP TABLE'] });
  const order = [stmt, hold, decision, grant, intent, outcome].map((record) => record.seq);
  expect(order).toEqual([...order].sort((a, b) => a - b));

  let text = '';
  const output = { out: (more: string) => (text += more), err: () => undefined };
  // The newest record may be under no seal yet.
  const told = () => {
    text = '';
    return who(guard.auditDir, { request: rid }, output as never);
  };
  await expect.poll(told).toBe(0);
  expect(text).toContain('dba');
  expect(text).toContain('drop table doomed');
  client.destroy();
});

test.each([
  (secret: string) => `alter role postgres password '${secret}'`,
  (secret: string) => `create role someone login password '${secret}'`,
  (secret: string) => `create role other password '${secret}' nologinn`,
  (secret: string) => `alter role x passwort '${secret}`,
  (secret: string) => `do $$ begin execute 'alter role postgres password ''${secret}'''; end $$`,
  (secret: string) => `create user mapping for public server s options (password '${secret}')`,
  (secret: string) => `select dblink_connect('host=x password=${secret}')`,
  (secret: string) => `select 1; /* note */ alter user postgres with encrypted password '${secret}'`,
])('no password in what Holdpoint writes, shows or reports: %s', async (text) => {
  const secret = `canary${Math.random().toString(36).slice(2)}`;
  const client = await guard.connect();
  client.send(query(text(secret)));
  const replies = await client.take(1);
  if (replies[0]!.letter === 'N') {
    const [waiting] = await guard.pending(1);
    expect((await guard.show(waiting!.id)).request.includes(secret)).toBe(false);
    await guard.decide(waiting!.id, 'reject', 'no');
  }
  await client.until('Z');
  const written = readdirSync(folder(guard), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
  expect(written.some((each) => each.includes('"kind":"stmt"'))).toBe(true);
  expect([...written, ...guard.reports].some((each) => each.includes(secret))).toBe(false);
  client.destroy();
});

describe('verified offline', () => {
  test('the whole log holds; a flipped byte, a dropped, swapped or doubled line does not, and is named', async () => {
    const own = await startGuard({ url: database.url });
    const client = await own.connect();
    for (const n of [1, 2, 3, 4, 5]) {
      client.send(query(`select ${n}`));
      await client.until('Z');
    }
    client.destroy();
    const good = await (async () => {
      await expect.poll(() => records(own).filter((record) => record.kind === 'outcome').length).toBe(5);
      await expect.poll(async () => (await verified(own.auditDir, { live: true })).code).toBe(0);
      return readFileSync(segment(own), 'utf8');
    })();
    const lines = good.trimEnd().split('\n');
    const at = lines.findIndex((line) => line.includes('select 3'));
    // A seal may stand between two records; behind which of them hides nothing.
    const next = lines.findIndex((line, index) => index > at && line.startsWith('{'));
    const tampered: [string, string[]][] = [
      ['a flipped byte', lines.with(at, lines[at]!.replace('select 3', 'select 7'))],
      ['a dropped line', lines.toSpliced(at, 1)],
      ['swapped lines', lines.with(at, lines[next]!).with(next, lines[at]!)],
      ['a doubled line', lines.toSpliced(at, 0, lines[at]!)],
    ];
    for (const [what, changed] of tampered) {
      writeFileSync(segment(own), `${changed.join('\n')}\n`);
      const found = await verified(own.auditDir, { live: true });
      expect(found.code, what).toBeGreaterThanOrEqual(10);
      expect(found.text, what).toMatch(/seg-00000000\.jsonl line \d+/);
    }
    writeFileSync(segment(own), good);
    await own.close();
  });
});
