// Approvals that cover statements of the same shape, over real sockets against a real server: what the approver signed for
// passes without asking again, and nothing else does. audit-approval §16.6, invariant B20.

import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Scope } from '../../src/approval/scope.ts';
import { decideRequest, revokeGrant } from '../../src/cli/requests.ts';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { findLogs } from '../../verify/src/source.ts';
import { verifyLog } from '../../verify/src/verify.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { recordsOf } from '../support/log.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type RawClient, transcript } from '../support/raw.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
});

beforeEach(async () => {
  // Each test has a desk of its own: a grant of another must not cover anything here.
  guard = await startGuard({ url: database.url, hold: { waitMs: 300 }, catalog: { pollMs: 200 } });
  await direct.query('drop table if exists t, other; drop schema if exists evil cascade');
  await direct.query('create table t (a int, b text); create table other (a int, b text)');
  await direct.query(
    "insert into t select n, 'x' from generate_series(1, 100) n; insert into other select * from t",
  );
});

afterAll(async () => {
  await direct?.end();
  await database?.drop();
});

async function rows(table = 't'): Promise<number> {
  return (await direct.query(`select count(*)::int as n from ${table}`)).rows[0].n;
}

async function ask(client: RawClient, ...frames: Buffer[]): Promise<string[]> {
  client.send(...frames);
  return transcript(await client.until('Z'), 'N123nT');
}

const held = /still waiting for approval/;

/** A session of an agent whose `delete from t where a = 1` was approved with a grant, and ran. */
async function granted(
  change: Partial<Extract<Scope, { kind: 'fingerprint' }>> = {},
  sql = 'delete from t where a = 1',
) {
  const client = await guard.connect();
  expect((await ask(client, query(sql)))[0]).toMatch(held);
  const [waiting] = await guard.pending(1);
  const { draft } = await guard.show(waiting!.id);
  const scope: Scope = {
    kind: 'fingerprint',
    until: draft!.nbf + 600_000,
    usesMax: 10,
    rowsMax: 50,
    ...change,
  };
  await guard.decide(waiting!.id, 'approve', '', { scope });
  return { client, rid: waiting!.id, first: await ask(client, query(sql)) };
}

describe('a statement of the approved shape', () => {
  test('passes in this session and in others, counted and recorded, until the uses are spent', async () => {
    const { client, rid, first } = await granted({ usesMax: 4 });
    expect(first).toEqual(['C DELETE 1', 'Z I']);
    expect(await ask(client, query('delete from t where a = 2'))).toEqual(['C DELETE 1', 'Z I']);
    expect(await ask(client, query('/* again */ DELETE from t where a = -7 -- x'))).toEqual([
      'C DELETE 0',
      'Z I',
    ]);
    const other = await guard.connect();
    expect(await ask(other, query('delete from t where a = 3'))).toEqual(['C DELETE 1', 'Z I']);
    expect((await ask(other, query('delete from t where a = 4')))[0]).toMatch(held);
    const told = recordsOf(guard).filter((record) => record.rid === rid);
    const uses = told.filter(({ kind }) => kind === 'grant_use');
    expect(uses.map(({ use, rowsMax }) => [use, rowsMax])).toEqual([
      [undefined, 50],
      [2, 49],
      [3, 48],
      [4, 48],
    ]);
    expect(told.filter(({ kind }) => kind === 'intent').map(({ rowsMax }) => rowsMax)).toEqual([
      50, 49, 48, 48,
    ]);
    expect(told.find(({ kind }) => kind === 'grant')).toMatchObject({ uses: 4, rows: 50 });
    for (const { ref } of uses) {
      const outcome = recordsOf(guard).find((record) => record.kind === 'outcome' && record.ref === ref);
      expect(outcome).toMatchObject({ st: 'ok' });
    }
    const report = await verifyLog(findLogs(guard.auditDir)[0]!, { live: true });
    expect(report).toMatchObject({ ok: true, releases: { proved: 4 } });
    client.destroy();
    other.destroy();
    await guard.close();
  });

  test('passes with parameters of the same types, in a transaction, and in a pipeline', async () => {
    const client = await guard.connect();
    const frames = (value: string, oid = 23) => [
      parse('', 'delete from t where a = $1', [oid]),
      bind('', '', [Buffer.from(value)]),
      execute(''),
    ];
    expect((await ask(client, ...frames('1'), sync()))[0]).toMatch(held);
    const [waiting] = await guard.pending(1);
    const { draft } = await guard.show(waiting!.id);
    const scope: Scope = { kind: 'fingerprint', until: draft!.nbf + 60_000, usesMax: 9, rowsMax: 9 };
    await guard.decide(waiting!.id, 'approve', '', { scope });
    expect(await ask(client, ...frames('1'), sync())).toEqual(['C DELETE 1', 'Z I']);
    expect(await ask(client, query('begin'))).toEqual(['C BEGIN', 'Z T']);
    expect(await ask(client, ...frames('2'), ...frames('3'), sync())).toEqual([
      'C DELETE 1',
      'C DELETE 1',
      'Z T',
    ]);
    expect(await ask(client, query('rollback'))).toEqual(['C ROLLBACK', 'Z I']);
    expect(await rows()).toBe(99);
    expect((await ask(client, ...frames('2', 20), sync()))[0]).toMatch(held);
    client.destroy();
    await guard.close();
  });
});

describe('B20: a grant is not stretched', () => {
  test.each([
    ['a literal of another type', "delete from t where a = '2'"],
    ['a bigger literal', 'delete from t where a = 20000000000'],
    ['another operator', 'delete from t where a > 2'],
    ['one condition more', 'delete from t where a = 2 or a = 3'],
    ['a WITH query', 'with gone as (select 1) delete from t where a = 2'],
    ['a WITH query that changes rows', 'with gone as (delete from other) delete from t where a = 2'],
    ['RETURNING', 'delete from t where a = 2 returning *'],
    ['another table', 'delete from other where a = 2'],
    ['the same table by its schema', 'delete from public.t where a = 2'],
    ['a function', 'delete from t where a = 2 and b = (select pg_read_file($$x$$))'],
    ['two statements', 'delete from t where a = 2; delete from t where a = 3'],
  ])('to %s', async (_, sql) => {
    const { client } = await granted();
    const [answer] = await ask(client, query(sql));
    expect(answer).toMatch(/still waiting for approval|denied by rule/);
    expect([await rows(), await rows('other')]).toEqual([99, 100]);
    client.destroy();
    await guard.close();
  });

  test('to a table of the same name that another search_path finds first', async () => {
    await direct.query(
      'create schema evil; create table evil.t (a int, b text); insert into evil.t select * from t',
    );
    const { client } = await granted();
    const elsewhere = await guard.connect({ search_path: 'evil, public' });
    expect((await ask(elsewhere, query('delete from t where a = 2')))[0]).toMatch(held);
    await ask(client, query('set search_path = evil, public'));
    expect((await ask(client, query('delete from t where a = 3')))[0]).toMatch(held);
    expect(await rows('evil.t')).toBe(100);
    client.destroy();
    elsewhere.destroy();
    await guard.close();
  });

  test('to a table that has taken its name, nor past a trigger that was added', async () => {
    const { client } = await granted();
    await direct.query(`
      create function f() returns trigger language plpgsql as $$ begin delete from other; return old; end $$;
      create trigger late before delete on t for each row execute function f()`);
    expect((await ask(client, query('delete from t where a = 2')))[0]).toMatch(held);
    expect(await rows('other')).toBe(100);
    await direct.query(
      'drop trigger late on t; drop function f; alter table t rename to was; alter table other rename to t',
    );
    expect((await ask(client, query('delete from t where a = 3')))[0]).toMatch(held);
    await direct.query('alter table t rename to other; alter table was rename to t');
    client.destroy();
    await guard.close();
  });

  test('to more rows in sum: what exceeds them is undone, and a person is asked', async () => {
    await direct.query("insert into t select 7, 'x' from generate_series(1, 40)");
    const { client, rid } = await granted({ rowsMax: 20 });
    expect(await ask(client, query('delete from t where a = 2'))).toEqual(['C DELETE 1', 'Z I']);
    const before = await rows();
    expect((await ask(client, query('delete from t where a = 7')))[0]).toMatch(held);
    expect(await rows()).toBe(before);
    const [waiting] = await guard.pending(1);
    const { policy } = JSON.parse((await guard.show(waiting!.id)).request);
    expect(policy.reason).toContain(
      '(held again: it would change 41 rows, more than the 18 that were approved)',
    );
    // What was undone counts for nothing.
    expect(await ask(client, query('delete from t where a = 3'))).toEqual(['C DELETE 1', 'Z I']);
    expect(
      recordsOf(guard)
        .filter((record) => record.rid === rid && record.kind === 'grant_use')
        .at(-1),
    ).toMatchObject({
      rowsMax: 18,
    });
    client.destroy();
    await guard.close();
  });

  test('past its end', async () => {
    const client = await guard.connect();
    await ask(client, query('delete from t where a = 1'));
    const [waiting] = await guard.pending(1);
    const { draft } = await guard.show(waiting!.id);
    const until = draft!.nbf + 1500;
    const scope: Scope = { kind: 'fingerprint', until, usesMax: 9, rowsMax: 9 };
    await guard.decide(waiting!.id, 'approve', '', { scope });
    expect(await ask(client, query('delete from t where a = 1'))).toEqual(['C DELETE 1', 'Z I']);
    await expect.poll(() => Date.now(), { timeout: 5000 }).toBeGreaterThan(until);
    expect((await ask(client, query('delete from t where a = 2')))[0]).toMatch(held);
    client.destroy();
    await guard.close();
  });
});

describe('a grant ends', () => {
  test('when an approver revokes it on the command line', async () => {
    const { client, rid } = await granted();
    const said: string[] = [];
    const output = { out: (text: string) => said.push(text), err: (text: string) => said.push(text) };
    const who = { url: guard.http, as: 'dba', key: join(guard.dataDir, 'dba.jwk') };
    expect(await revokeGrant(rid, { ...who, reason: 'enough' }, output)).toBe(0);
    expect((await ask(client, query('delete from t where a = 2')))[0]).toMatch(held);
    expect(recordsOf(guard).find(({ kind }) => kind === 'revoke')).toMatchObject({
      rid,
      by: 'dba',
      reason: 'enough',
    });
    expect(await revokeGrant(rid, who, output)).toBe(1);
    client.destroy();
    await guard.close();
  });

  test('never by the agent, by a link or by a stranger', async () => {
    const { client, rid } = await granted();
    const basic = Buffer.from(`${guard.agent}:${guard.password}`).toString('base64');
    const link = new URL(guard.links[0]!).hash.slice(1);
    for (const authorization of [`Basic ${basic}`, `Bearer ${link}`, 'Bearer x', '']) {
      const answer = await fetch(`${guard.http}/api/requests/${rid}/revocations`, {
        method: 'POST',
        headers: { Authorization: authorization, 'Content-Type': 'application/json' },
        body: '{}',
      });
      expect([401, 403]).toContain(answer.status);
    }
    expect(await ask(client, query('delete from t where a = 2'))).toEqual(['C DELETE 1', 'Z I']);
    client.destroy();
    await guard.close();
  });
});

describe('a grant is refused when it is signed, for', () => {
  test.each([
    ['DROP', 'drop table other'],
    ['TRUNCATE', 'truncate other'],
    ['GRANT', 'grant select on other to current_user'],
    ['a definition', 'alter table other add c int'],
    ['an UPDATE of every row', 'update other set a = 1'],
    ['code', 'do $$ begin end $$'],
    ['several statements', 'delete from other; delete from t'],
  ])('%s', async (_, sql) => {
    const client = await guard.connect();
    await ask(client, query(sql));
    const [waiting] = await guard.pending(1);
    const { draft } = await guard.show(waiting!.id);
    const scope: Scope = { kind: 'fingerprint', until: draft!.nbf + 60_000, usesMax: 9, rowsMax: 9 };
    await expect(guard.decide(waiting!.id, 'approve', '', { scope })).rejects.toThrow(
      'covers no other statement',
    );
    expect((await guard.show(waiting!.id)).state).toBe('pending');
    client.destroy();
    await guard.close();
  });
});

test('the command line signs for similar statements only with all their limits', async () => {
  const client = await guard.connect();
  await ask(client, query('delete from t where a = 1'));
  const [waiting] = await guard.pending(1);
  const said: string[] = [];
  const output = { out: (text: string) => said.push(text), err: (text: string) => said.push(text) };
  const who = { url: guard.http, as: 'dba', key: join(guard.dataDir, 'dba.jwk') };
  expect(await decideRequest('approve', waiting!.id, { ...who, similar: 5 }, output)).toBe(1);
  expect(said.join('')).toContain('--similar needs --uses-max and --rows-max');
  expect(
    await decideRequest('approve', waiting!.id, { ...who, similar: 16, usesMax: 2, rowsMax: 2 }, output),
  ).toBe(1);
  expect(said.at(-1)).toContain('15 minutes at most');
  expect(
    await decideRequest('approve', waiting!.id, { ...who, similar: 5, usesMax: 2, rowsMax: 2 }, output),
  ).toBe(0);
  expect(await ask(client, query('delete from t where a = 1'))).toEqual(['C DELETE 1', 'Z I']);
  expect(await ask(client, query('delete from t where a = 2'))).toEqual(['C DELETE 1', 'Z I']);
  expect((await ask(client, query('delete from t where a = 3')))[0]).toMatch(held);
  client.destroy();
  await guard.close();
});
