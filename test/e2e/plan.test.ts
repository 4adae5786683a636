// Plans, over real sockets and HTTP against a real server: handed in with the agent's own password, approved once, and then
// let through statement by statement, in that order, until something differs. audit-approval §16.6.

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { planStatus, submitPlan } from '../../src/cli/plan.ts';
import { bind, execute, flush, parse, query, sync } from '../../src/wire/messages/frontend.ts';
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
  guard = await startGuard({ url: database.url, hold: { waitMs: 400 }, catalog: { pollMs: 200 } });
});

beforeEach(async () => {
  await direct.query(
    'drop table if exists t, fresh cascade; create table t (a int unique deferrable initially deferred)',
  );
  await direct.query('insert into t select generate_series(1, 20)');
});

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

async function rows(table = 't'): Promise<number> {
  return (await direct.query(`select count(*)::int as n from ${table}`)).rows[0].n;
}

interface Answer {
  status: number;
  body: {
    id: string;
    state: string;
    detail: string;
    ending: { by: string; reason: string } | null;
    plan: { statements: { command: string; sql: string }[]; root: string };
  };
}

async function post(body: unknown, of: Guard = guard, password = of.password): Promise<Answer> {
  const answer = await fetch(`${of.http}/api/plans`, {
    method: 'POST',
    headers: {
      Authorization: `Basic ${Buffer.from(`${of.agent}:${password}`).toString('base64')}`,
      'Content-Type': 'application/json',
    },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: (await answer.json()) as Answer['body'] };
}

async function status(rid: string): Promise<Answer['body']> {
  const headers = {
    Authorization: `Basic ${Buffer.from(`${guard.agent}:${guard.password}`).toString('base64')}`,
  };
  return (await (await fetch(`${guard.http}/api/plans/${rid}`, { headers })).json()) as Answer['body'];
}

/** A plan that is approved. */
async function approved(...statements: string[]): Promise<string> {
  const { status: code, body } = await post({ target: 'shop', statements });
  expect(body.detail ?? '').toBe('');
  expect(code).toBe(201);
  await guard.decide(body.id, 'approve');
  return body.id;
}

async function ask(client: RawClient, ...frames: Buffer[]): Promise<string[]> {
  client.send(...frames);
  return transcript(await client.until('Z'), 'N123nT');
}

/** A person is asked, or was and said no a moment ago. */
const notLet = /still waiting for approval|statement rejected by/;

const step = (sql: string): Buffer[] => [parse('', sql), bind('', ''), execute('')];

async function ended(rid: string): Promise<{ state: string; reason: string }> {
  await expect.poll(async () => (await status(rid)).state).toMatch(/^(executed|failed)$/);
  const { state, ending } = await status(rid);
  return { state, reason: ending?.reason ?? '' };
}

describe('an approved plan', () => {
  test('passes statement by statement, in its order, with a record of each', async () => {
    const rid = await approved(
      'begin',
      'create table fresh (a int)',
      'insert into fresh select a from t',
      'delete from t where a > 5',
      'drop table fresh',
      'commit',
    );
    const client = await guard.connect();
    expect(await ask(client, query('begin'))).toEqual(['C BEGIN', 'Z T']);
    expect(await ask(client, query('select count(*) from t'))).toEqual(['D 20', 'C SELECT 1', 'Z T']);
    expect(await ask(client, query('create table fresh (a int);'))).toEqual(['C CREATE TABLE', 'Z T']);
    expect(await ask(client, query('insert into fresh select a from t'))).toEqual(['C INSERT 0 20', 'Z T']);
    expect(await ask(client, query('  delete from t where a > 5 ; '))).toEqual(['C DELETE 15', 'Z T']);
    expect(await ask(client, query('drop table fresh'))).toEqual(['C DROP TABLE', 'Z T']);
    expect(await ask(client, query('commit'))).toEqual(['C COMMIT', 'Z I']);
    expect(await rows()).toBe(5);
    expect(await ended(rid)).toEqual({ state: 'executed', reason: 'every statement succeeded' });
    const told = recordsOf(guard).filter((record) => record.rid === rid);
    expect(told.filter(({ kind }) => kind === 'grant_use').map(({ steps }) => steps)).toEqual([
      [1],
      [2],
      [3],
      [4],
      [5],
      [6],
    ]);
    expect(told.filter(({ kind }) => kind === 'intent')).toHaveLength(6);
    client.destroy();
  });

  test('leaves a log that proves who approved what ran', async () => {
    const report = await verifyLog(findLogs(guard.auditDir)[0]!, { live: true });
    expect(report).toMatchObject({ ok: true, releases: { proved: 6 } });
  });

  test('passes once: its statements are held again when they come a second time', async () => {
    const rid = await approved('delete from t where a = 1', 'delete from t where a = 2');
    const client = await guard.connect();
    const other = await guard.connect();
    expect(await ask(client, query('delete from t where a = 1'))).toEqual(['C DELETE 1', 'Z I']);
    expect((await ask(other, query('delete from t where a = 1')))[0]).toMatch(notLet);
    expect((await ask(other, query('delete from t where a = 2')))[0]).toMatch(notLet);
    expect(await ask(client, query('delete from t where a = 2'))).toEqual(['C DELETE 1', 'Z I']);
    expect((await ended(rid)).state).toBe('executed');
    expect((await ask(client, query('delete from t where a = 2')))[0]).toContain(
      'still waiting for approval',
    );
    expect(await rows()).toBe(18);
    for (const { id } of await guard.pending()) await guard.decide(id, 'reject');
    client.destroy();
    other.destroy();
  });

  test('passes by texts of several statements, by pipelines and by both mixed', async () => {
    const rid = await approved(
      'begin',
      'delete from t where a = 1',
      'delete from t where a = 2',
      'delete from t where a = 3',
      'delete from t where a = 4',
      'commit',
    );
    const client = await guard.connect();
    expect(await ask(client, query('begin; delete from t where a = 1;'))).toEqual([
      'C BEGIN',
      'C DELETE 1',
      'Z T',
    ]);
    expect(
      await ask(client, ...step('delete from t where a = 2'), ...step('delete from t where a = 3'), sync()),
    ).toEqual(['C DELETE 1', 'C DELETE 1', 'Z T']);
    expect(await ask(client, query('delete from t where a = 4; commit'))).toEqual([
      'C DELETE 1',
      'C COMMIT',
      'Z I',
    ]);
    expect((await ended(rid)).state).toBe('executed');
    client.destroy();
  });

  test('passes from a file that psql runs, comments and all', async () => {
    const sql = `-- a migration
begin;
/* the table */ create table fresh (a int);
-- two of them
create index on fresh (a); -- and on

delete from t -- why
 where a = 7;
commit;
`;
    const file = join(guard.dataDir, 'migration.sql');
    writeFileSync(file, sql);
    process.env.PLAN_PASSWORD = guard.password;
    const said: string[] = [];
    const output = { out: (text: string) => said.push(text), err: (text: string) => said.push(text) };
    const options = { url: guard.http, agent: guard.agent, passwordEnv: 'PLAN_PASSWORD' };
    const submitted = submitPlan(
      file,
      { ...options, target: 'shop', reason: 'ticket 4711', wait: true },
      output,
      20,
    );
    const [waiting] = await guard.pending(1);
    const view = await guard.show(waiting!.id);
    expect(view.plan?.texts.map(({ lines }) => lines.join('\n'))).toEqual([
      'begin',
      'create table fresh (a int)',
      'create index on fresh (a)',
      'delete from t -- why\n where a = 7',
      'commit',
    ]);
    await guard.decide(waiting!.id, 'approve');
    expect(await submitted).toBe(0);
    await promisify(execFile)('psql', ['-X', '-v', 'ON_ERROR_STOP=1', '-f', file, guard.url]);
    expect((await ended(waiting!.id)).state).toBe('executed');
    expect(await rows()).toBe(19);
    expect(await planStatus(waiting!.id, options, output)).toBe(0);
    expect(said.at(-1)).toContain('executed by server: every statement succeeded');
  });
});

describe('a plan stops', () => {
  const cases: Record<string, { send: Buffer[][]; reason: string; left: number }> = {
    'at a statement that is not the next': {
      send: [[query('begin')], [query('delete from t where a = 2')], [query('delete from t where a = 1')]],
      reason: 'stopped at statement 2 of 4: DELETE came in its place',
      left: 20,
    },
    'at the same statement with other blanks in it': {
      send: [[query('begin')], [query('delete from t where  a = 1')]],
      reason: 'stopped at statement 2 of 4: DELETE came in its place',
      left: 20,
    },
    'at a statement that the rules would let pass': {
      send: [[query('begin')], [query('insert into t values (99)')], [query('delete from t where a = 1')]],
      reason: 'stopped at statement 2 of 4: INSERT came in its place',
      left: 20,
    },
    'when it is rolled back': {
      send: [[query('begin')], [query('delete from t where a = 1')], [query('rollback')]],
      reason: 'stopped at statement 3 of 4: ROLLBACK came in its place',
      left: 20,
    },
    'at a text that holds the next statement and another': {
      send: [[query('begin')], [query('delete from t where a = 1; delete from t where a = 3')]],
      reason: 'stopped at statement 2 of 4: DELETE; DELETE came in its place',
      left: 20,
    },
    'at a syntax error': {
      send: [[query('begin')], [query('delet from t')], [query('delete from t where a = 1')]],
      reason: 'stopped at statement 2 of 4: a statement was refused: syntax error at or near "delet"',
      left: 20,
    },
    'at a statement that was bound and not executed': {
      send: [
        [query('begin')],
        [parse('', 'delete from t where a = 1'), bind('', ''), sync()],
        [query('delete from t where a = 2')],
      ],
      reason: 'stopped at statement 3 of 4: the one before it did not run to its end',
      left: 20,
    },
    'when its session sets a search_path of its own': {
      send: [[query('begin')], [query('set search_path = pg_temp')], [query('delete from t where a = 1')]],
      reason: 'stopped at statement 2 of 4: SET came in its place',
      left: 20,
    },
  };
  for (const [what, { send, reason, left }] of Object.entries(cases)) {
    test(what, async () => {
      const rid = await approved('begin', 'delete from t where a = 1', 'delete from t where a = 2', 'commit');
      const client = await guard.connect();
      for (const frames of send) await ask(client, ...frames);
      expect(await ended(rid)).toEqual({ state: 'failed', reason });
      expect(recordsOf(guard).find((record) => record.kind === 'revoke' && record.rid === rid)).toMatchObject(
        {
          by: 'holdpoint',
          reason,
        },
      );
      client.destroy();
      await expect.poll(() => rows()).toBe(left);
      for (const { id } of await guard.pending()) await guard.decide(id, 'reject');
    });
  }

  test('at a statement that fails, and holds what comes behind it', async () => {
    const rid = await approved('insert into t values (1 / 0)', 'delete from t where a = 2');
    const client = await guard.connect();
    const answers = await ask(client, ...step('insert into t values (1 / 0)'), sync());
    expect(answers[0]).toContain('division by zero');
    expect(await ended(rid)).toEqual({
      state: 'failed',
      reason: 'stopped at statement 1 of 2: it failed with 22012',
    });
    expect((await ask(client, query('delete from t where a = 2')))[0]).toContain(
      'still waiting for approval',
    );
    for (const { id } of await guard.pending()) await guard.decide(id, 'reject');
    client.destroy();
  });

  test('at a COMMIT that fails', async () => {
    const rid = await approved('begin', 'insert into t values (1)', 'commit', 'delete from t');
    const client = await guard.connect();
    await ask(client, query('begin'));
    expect(await ask(client, query('insert into t values (1)'))).toEqual(['C INSERT 0 1', 'Z T']);
    expect((await ask(client, query('commit')))[0]).toContain('duplicate key');
    expect((await ask(client, query('delete from t')))[0]).toMatch(notLet);
    expect((await ended(rid)).reason).toBe('stopped at statement 3 of 4: it failed with 23505');
    expect(await rows()).toBe(20);
    for (const { id } of await guard.pending()) await guard.decide(id, 'reject');
    client.destroy();
  });

  test('at the end of an implicit transaction that fails, although a pipeline has gone on', async () => {
    const rid = await approved('insert into t values (1)', 'delete from t where a = 2', 'delete from t');
    const client = await guard.connect();
    const answers = await ask(
      client,
      ...step('insert into t values (1)'),
      ...step('delete from t where a = 2'),
      sync(),
    );
    expect(answers.at(-2)).toContain('duplicate key');
    expect((await ended(rid)).reason).toBe('stopped at statement 1 of 3: it failed with 23505');
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('when its session ends', async () => {
    const rid = await approved('delete from t where a = 1', 'delete from t where a = 2');
    const client = await guard.connect();
    await ask(client, query('delete from t where a = 1'));
    client.destroy();
    expect((await ended(rid)).reason).toBe('stopped at statement 2 of 2: its session ended');
    const other = await guard.connect();
    expect((await ask(other, query('delete from t where a = 2')))[0]).toMatch(notLet);
    for (const { id } of await guard.pending()) await guard.decide(id, 'reject');
    other.destroy();
  });

  test('when a table in it is replaced by another of the same name', async () => {
    const rid = await approved('begin', 'delete from t where a = 1', 'commit');
    const client = await guard.connect();
    await ask(client, query('begin'));
    await direct.query('alter table t rename to was; create table t (a int); insert into t values (1), (1)');
    expect((await ask(client, query('delete from t where a = 1')))[0]).toContain(
      'still waiting for approval',
    );
    expect((await ended(rid)).reason).toBe('stopped at statement 2 of 3: t, or code behind it, was changed');
    expect(await rows()).toBe(2);
    client.destroy();
    for (const { id } of await guard.pending()) await guard.decide(id, 'reject');
    await direct.query('drop table was');
  });
});

describe('a plan is not taken', () => {
  test('inside a transaction, and with another search_path', async () => {
    const rid = await approved('delete from t where a = 1');
    const client = await guard.connect();
    await ask(client, query('begin'));
    expect((await ask(client, query('delete from t where a = 1')))[0]).toContain(
      'still waiting for approval',
    );
    client.destroy();
    const elsewhere = await guard.connect({ search_path: 'pg_temp, public' });
    expect((await ask(elsewhere, query('delete from t where a = 1')))[0]).toContain(
      'still waiting for approval',
    );
    elsewhere.destroy();
    expect((await status(rid)).state).toBe('approved');
    for (const { id } of await guard.pending()) await guard.decide(id, 'reject');
    const right = await guard.connect();
    expect(await ask(right, query('delete from t where a = 1'))).toEqual(['C DELETE 1', 'Z I']);
    right.destroy();
  });

  test('before it is approved, nor once it is rejected', async () => {
    const { body } = await post({ target: 'shop', statements: ['delete from t where a = 11'] });
    const client = await guard.connect();
    expect((await ask(client, query('delete from t where a = 11')))[0]).toContain(
      'still waiting for approval',
    );
    await guard.decide(body.id, 'reject', 'no');
    expect((await ask(client, query('delete from t where a = 11')))[0]).toContain(
      'still waiting for approval',
    );
    expect(await rows()).toBe(20);
    expect(await status(body.id)).toMatchObject({ state: 'rejected', ending: { by: 'dba', reason: 'no' } });
    for (const { id } of await guard.pending()) await guard.decide(id, 'reject');
    client.destroy();
  });

  test('with parameters', async () => {
    await approved('delete from t where a = 12');
    const client = await guard.connect();
    client.send(parse('', 'delete from t where a = $1', [23]), bind('', '', [Buffer.from('12')]), flush());
    await guard.pending(1);
    client.destroy();
    await expect.poll(async () => (await guard.pending()).length).toBe(0);
    const other = await guard.connect();
    expect(await ask(other, query('delete from t where a = 12'))).toEqual(['C DELETE 1', 'Z I']);
    other.destroy();
  });
});

describe('a plan is refused as a whole', () => {
  const wrong: [string, unknown, number, string][] = [
    [
      'for a command of psql, with its line',
      { target: 'shop', sql: 'begin;\n\\set x 1\ncommit;' },
      400,
      'line 2: \\set is a command of psql',
    ],
    [
      'for a syntax error, with its line',
      { target: 'shop', sql: 'begin;\n\ndelet from t;' },
      400,
      'line 3: syntax error at or near "delet"',
    ],
    [
      'for a statement that the rules deny',
      { target: 'shop', statements: ['begin', "copy t to program 'cat'"] },
      403,
      'statement 2 (COPY) is denied by rule',
    ],
    [
      'for data that come from the client',
      { target: 'shop', sql: 'copy t from stdin' },
      400,
      'statement 1 (COPY) takes data from the client',
    ],
    [
      'for names that belong to a session',
      { target: 'shop', statements: ['begin', 'execute x'] },
      400,
      'statement 2 (EXECUTE) uses the name',
    ],
    [
      'for another search_path',
      { target: 'shop', sql: 'set search_path = public; delete from t' },
      400,
      'statement 1 (SET) changes search_path',
    ],
    ['for a secret', { target: 'shop', sql: "create role r password 'x'" }, 400, 'carries a secret'],
    ['for a target of others', { target: 'other', sql: 'select 1' }, 404, 'there is no target other'],
    ['without a statement', { target: 'shop', sql: ' -- nothing' }, 400, 'holds no statement'],
    [
      'with members that plans do not have',
      { target: 'shop', sql: 'select 1', force: true },
      400,
      'has a member "force"',
    ],
  ];
  for (const [what, body, code, detail] of wrong) {
    test(what, async () => {
      const answer = await post(body);
      expect(answer.body.detail).toContain(detail);
      expect(answer.status).toBe(code);
      expect(await guard.pending()).toEqual([]);
    });
  }

  test('without the password of the agent', async () => {
    expect((await post({ target: 'shop', sql: 'select 1' }, guard, 'wrong')).status).toBe(401);
  });

  test('beyond the requests that an agent may have pending', async () => {
    const narrow = await startGuard({ url: database.url, hold: { pendingMax: 1 } });
    expect((await post({ target: 'shop', sql: 'delete from t' }, narrow)).status).toBe(201);
    expect((await post({ target: 'shop', sql: 'delete from t' }, narrow)).status).toBe(429);
    await narrow.close();
  });
});
