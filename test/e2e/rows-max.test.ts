// Approvals that bound the rows of their statement, over real sockets against a real server: what the approver signed is
// what can happen, whatever has become of the table since they looked. audit-approval §16.6, invariant B5.

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  bind,
  describe as describing,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../../src/wire/messages/frontend.ts';
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
  await direct.query('create table t (a int, b int default 0); create table kept (a int)');
  guard = await startGuard({ url: database.url });
});

beforeEach(async () => {
  await direct.query('truncate t, kept; insert into t select generate_series(1, 20)');
});

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

async function rows(table = 't'): Promise<number> {
  return (await direct.query(`select count(*)::int as n from ${table}`)).rows[0].n;
}

async function ask(client: RawClient, ...frames: Buffer[]): Promise<string[]> {
  client.send(...frames);
  return lines(client);
}

async function lines(client: RawClient): Promise<string[]> {
  return transcript(await client.until('Z'), 'N123nT');
}

/** The one request that waits, and is not `other`. */
async function held(other = ''): Promise<string> {
  let found: string | undefined;
  await expect
    .poll(async () => {
      found = (await guard.pending(1)).find(({ id }) => id !== other)?.id;
      return found;
    })
    .toBeDefined();
  return found!;
}

async function reasonOf(rid: string): Promise<string> {
  return JSON.parse((await guard.show(rid)).request).policy.reason;
}

const approved = (rid: string, rowsMax: number) => guard.decide(rid, 'approve', '', { rowsMax });

test('B5: rows inserted between the count and the approval: it is undone and held again with the true count', async () => {
  const client = await guard.connect();
  client.send(query('delete from t where a <= 10'));
  const first = await held();
  await direct.query('insert into t select 5 from generate_series(1, 90)');
  await approved(first, 10);
  const second = await held(first);
  expect(await rows()).toBe(110);
  expect(await reasonOf(second)).toContain(
    '(held again: it would change 100 rows, more than the 10 that were approved)',
  );
  const ended = await guard.show(first);
  expect(ended.state).toBe('failed');
  expect(ended.ending?.reason).toBe('undone: it would change 100 rows, more than the 10 that were approved');
  await approved(second, 100);
  expect(await lines(client)).toEqual(['C DELETE 100', 'Z I']);
  expect(await rows()).toBe(10);
  const told = recordsOf(guard).filter(
    ({ rid, kind }) => rid === first && !['view', 'notify'].includes(kind),
  );
  expect(told.map(({ kind }) => kind)).toEqual(['hold', 'decision', 'grant_use', 'intent']);
  expect(told.slice(2)).toMatchObject([{ rowsMax: 10 }, { rowsMax: 10 }]);
  const { ref } = told[3]!;
  expect(recordsOf(guard).find((record) => record.kind === 'outcome' && record.ref === ref)).toMatchObject({
    st: 'canceled',
    tags: ['DELETE 100', 'ROLLBACK'],
  });
  client.destroy();
});

describe('a statement within its bound', () => {
  test('runs as it would have without one, by itself and by the extended protocol', async () => {
    const client = await guard.connect();
    client.send(query('delete from t where a <= 3'));
    await approved(await held(), 3);
    expect(await lines(client)).toEqual(['C DELETE 3', 'Z I']);
    client.send(
      parse('', 'delete from t where a <= $1 returning a', [23]),
      describing('S', ''),
      bind('', '', [Buffer.from('5')]),
      execute(''),
      sync(),
    );
    await approved(await held(), 2);
    expect(await lines(client)).toEqual(['t', 'D 4', 'D 5', 'C DELETE 2', 'Z I']);
    expect(await rows()).toBe(15);
    client.destroy();
  });

  test('stays in the transaction of the client, and goes with it', async () => {
    const client = await guard.connect();
    expect(await ask(client, query('begin'))).toEqual(['C BEGIN', 'Z T']);
    client.send(query('delete from t where a <= 3'));
    await approved(await held(), 3);
    expect(await lines(client)).toEqual(['C DELETE 3', 'Z T']);
    expect(await ask(client, query('rollback'))).toEqual(['C ROLLBACK', 'Z I']);
    expect(await rows()).toBe(20);
    client.destroy();
  });
});

describe('a statement beyond its bound', () => {
  test('in a block leaves what the block did before, and the block goes on', async () => {
    const client = await guard.connect();
    await ask(client, query('begin'));
    await ask(client, query('insert into kept values (1)'));
    client.send(
      parse('', 'delete from t where a > $1', [23]),
      bind('', '', [Buffer.from('0')]),
      execute(''),
      sync(),
    );
    const first = await held();
    await approved(first, 19);
    const second = await held(first);
    await guard.decide(second, 'reject', 'too many');
    const answer = await lines(client);
    expect(answer[0]).toContain('statement rejected by dba: too many');
    expect(answer.at(-1)).toBe('Z E');
    await ask(client, query('rollback'));
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('in a pipeline takes nothing of what came before it along, approved again', async () => {
    const client = await guard.connect();
    client.send(
      parse('', 'insert into kept values (1)'),
      bind('', ''),
      execute(''),
      parse('', 'delete from t where a > -1'),
      bind('', ''),
      execute(''),
      sync(),
    );
    const first = await held();
    await approved(first, 5);
    const second = await held(first);
    expect(await rows('kept')).toBe(0);
    await approved(second, 20);
    expect(await lines(client)).toEqual(['C INSERT 0 1', 'C DELETE 20', 'Z I']);
    expect([await rows(), await rows('kept')]).toEqual([0, 1]);
    client.destroy();
  });

  test('is undone although the server still worked on the statement before it when it was approved', async () => {
    const client = await guard.connect();
    client.send(query('select pg_sleep(1)'), query('delete from t where a > -2'));
    const first = await held();
    await approved(first, 5);
    const second = await held(first);
    expect(await rows()).toBe(20);
    await guard.decide(second, 'reject', 'no');
    await client.until('Z');
    await client.until('Z');
    client.destroy();
  });

  test('does not run where the proxy cannot tell which transaction it would be undone in', async () => {
    const client = await guard.connect();
    const step = (sql: string) => [parse('', sql), bind('', ''), execute('')];
    client.send(...step('begin'), ...step('commit'), ...step('delete from t where a > -3'), sync());
    const first = await held();
    await approved(first, 100);
    const second = await held(first);
    expect(await rows()).toBe(20);
    expect(await reasonOf(second)).toContain(
      'the approval bounds its rows, and it comes in one batch with commands',
    );
    await guard.decide(second, 'reject', 'no');
    await client.until('Z');
    client.destroy();
  });

  test('whose portal is executed later does not run, and says why', async () => {
    const client = await guard.connect();
    client.send(parse('', 'delete from t where a > -4'), bind('', ''), flush());
    await approved(await held(), 5);
    await client.until('2');
    const answer = await ask(client, execute(''), sync());
    expect(answer[0]).toContain('would change 20 rows, more than the 5 that were approved');
    expect(await rows()).toBe(20);
    client.destroy();
  });

  test('does not run in the retry that uses an approval given while nobody waited', async () => {
    const hasty = await startGuard({ url: database.url, hold: { waitMs: 150 } });
    const client = await hasty.connect();
    expect((await ask(client, query('delete from t where a > -5')))[0]).toContain(
      'still waiting for approval',
    );
    const [waiting] = await hasty.pending(1);
    await hasty.decide(waiting!.id, 'approve', '', { rowsMax: 19 });
    expect((await ask(client, query('delete from t where a > -5')))[0]).toContain(
      'still waiting for approval',
    );
    expect(await rows()).toBe(20);
    expect((await hasty.show(waiting!.id)).state).toBe('failed');
    client.destroy();
    await hasty.close();
  });

  test('whose client leaves before it is executed has its outcome in the log', async () => {
    const client = await guard.connect();
    client.send(parse('', 'delete from t where a > -6'), bind('', ''));
    const rid = await held();
    await approved(rid, 5);
    await expect
      .poll(() => recordsOf(guard).some(({ kind, rid: of }) => kind === 'intent' && of === rid))
      .toBe(true);
    client.destroy();
    const { ref } = recordsOf(guard).find(({ kind, rid: of }) => kind === 'intent' && of === rid)!;
    await expect
      .poll(() => recordsOf(guard).find((record) => record.kind === 'outcome' && record.ref === ref))
      .toMatchObject({ st: 'skipped' });
    expect(await rows()).toBe(20);
  });
});

describe('a bound is refused, before anything is signed for, on', () => {
  const unbounded = [
    ['several statements in one text', 'delete from t; delete from kept', 'several statements'],
    ['TRUNCATE', 'truncate kept', 'TRUNCATE changes no rows that the server counts'],
    ['a definition', 'drop table kept', 'DROP TABLE changes no rows that the server counts'],
    ['code', 'do $$ begin delete from t; end $$', 'DO changes no rows that the server counts'],
    [
      'rows that no tag counts',
      'with gone as (delete from t returning 1), more as (delete from kept) select 1',
      'counts',
    ],
  ] as const;
  for (const [what, sql, why] of unbounded) {
    test(what, async () => {
      const client = await guard.connect();
      client.send(query(sql));
      const rid = await held();
      await expect(approved(rid, 1)).rejects.toThrow(why);
      expect((await guard.show(rid)).state).toBe('pending');
      await guard.decide(rid, 'reject', 'no');
      await lines(client);
      client.destroy();
    });
  }
});
