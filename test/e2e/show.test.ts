// SHOW holdpoint.requests through real clients and a real server: what an agent sees of its own requests, in every way
// of asking, and that the session is as it would be behind any SELECT.

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, type RawClient, type Reply } from '../support/raw.ts';
import { statements, verifies } from '../support/trail.ts';

const show = 'SHOW holdpoint.requests';
const names = ['id', 'state', 'created', 'expires', 'statement', 'approvals', 'reason'];

let database: TestDatabase;
let guard: Guard;
let agent: pg.Client;
let raw: RawClient;

beforeAll(async () => {
  database = await createDatabase();
  const direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query('create table kept as select generate_series(1, 3) as n');
  await direct.end();
});

beforeEach(async () => {
  await guard?.close();
  guard = await startGuard({ url: database.url, hold: { waitMs: 100, pendingMax: 1000 } });
  agent = new pg.Client({ connectionString: guard.url });
  agent.on('error', () => undefined);
  await agent.connect();
  raw = await guard.connect();
  return async () => {
    raw.destroy();
    await agent.end();
  };
});

afterAll(async () => {
  await guard?.close();
  await database?.drop();
});

/** Asks for a person, and does not wait for one. */
async function asks(sql: string): Promise<string> {
  const error = await agent.query(sql).then(
    () => undefined,
    (failed: pg.DatabaseError) => failed,
  );
  return JSON.parse(error?.detail ?? '{}').request;
}

async function list(): Promise<Record<string, unknown>[]> {
  return (await agent.query(show)).rows;
}

function lines(replies: readonly Reply[]): string[] {
  return replies.map(({ letter, summary }) => `${letter} ${summary}`.trim());
}

async function ask(...frames: Buffer[]): Promise<string[]> {
  raw.send(...frames);
  return lines(await raw.until('Z'));
}

describe('the list', () => {
  test('of an agent that has asked for nothing has its columns, with their types, and no rows', async () => {
    const { rows, fields } = await agent.query(show);
    expect(rows).toEqual([]);
    expect(fields.map(({ name, dataTypeID }) => [name, dataTypeID])).toEqual([
      ['id', 25],
      ['state', 25],
      ['created', 1184],
      ['expires', 1184],
      ['statement', 25],
      ['approvals', 23],
      ['reason', 25],
    ]);
  });

  test('is newest first, and says what became of each and what a person said', async () => {
    const rejected = await asks('delete from kept where n = 1');
    await guard.decide(rejected, 'reject', 'not\n today\u202e, "sorry"\'\\');
    const approved = await asks('delete from kept where n = 7');
    await guard.decide(approved, 'approve');
    const pending = await asks('delete from kept where n = 2');
    expect(await list()).toMatchObject([
      {
        id: pending,
        state: 'pending',
        statement: 'delete from kept where n = 2',
        approvals: 0,
        reason: null,
      },
      {
        id: approved,
        state: 'approved',
        statement: 'delete from kept where n = 7',
        approvals: 1,
        reason: null,
      },
      { id: rejected, state: 'rejected', approvals: 0, reason: 'not today, "sorry"\'\\' },
    ]);
    const [first] = await list();
    const expires = (await guard.show(pending)).expires;
    expect(first!.created).toBeInstanceOf(Date);
    expect((first!.expires as Date).toISOString()).toBe(expires);
    await agent.query('delete from kept where n = 7');
    await expect
      .poll(async () => (await list())[1])
      .toMatchObject({ id: approved, state: 'executed', reason: 'DELETE 0' });
  });

  test('shows a statement as data, up to 200 characters, and no secret of it', async () => {
    const text = `delete from kept /* '); drop table kept; -- \\ \u202e é 😀 */ where n = 9`;
    await asks(text);
    await asks(`delete from kept where n = 8 /* ${'x'.repeat(500)} */`);
    await asks(`alter role postgres password 'hunter2'`);
    const [secret, long, quoted] = (await list()).map(({ statement }) => statement as string);
    expect(quoted).toBe(text.replace('\u202e', '⟨U+202E⟩'));
    expect(long).toHaveLength(200);
    expect(secret).toMatch(/^alter role postgres password/i);
    expect(secret).not.toContain('hunter2');
  });

  test('is at most 50 long', async () => {
    for (let n = 1; n <= 52; n += 1) raw.send(query(`delete from kept where n = ${100 + n}`));
    await raw.until('Z', 52);
    const rows = await list();
    expect(rows).toHaveLength(50);
    expect(rows[0]).toMatchObject({ statement: 'delete from kept where n = 152' });
  }, 60_000);

  test('is this agent own, and in the log it is the read that it is', async () => {
    await list();
    const [read] = statements(guard.auditDir, show);
    expect(read?.stmt).toMatchObject({ cls: 'read', dec: 'pass', cmd: ['SHOW'] });
    await verifies(guard.auditDir);
  });
});

describe('asked by a simple query', () => {
  test.each(['show holdpoint.requests;', 'SHOW HoldPoint.REQUESTS', 'show "holdpoint"."requests" -- mine'])(
    'in whatever spelling: %s',
    async (text) => {
      const id = await asks('delete from kept where n = 1');
      expect((await agent.query(text)).rows).toMatchObject([{ id }]);
    },
  );

  test('among other statements it is refused, and nothing of the text runs', async () => {
    const replies = await ask(query(`insert into kept values (1000); ${show}`));
    expect(replies).toEqual([
      'E ERROR 0A000 SHOW holdpoint.requests cannot be one of several statements of a text',
      'Z I',
    ]);
    expect((await agent.query('select count(*)::int as n from kept where n = 1000')).rows).toEqual([
      { n: 0 },
    ]);
  });

  test('inside a transaction, and in a failed one as the server answers there', async () => {
    const id = await asks('delete from kept where n = 1');
    expect(await ask(query('begin'))).toEqual(['C BEGIN', 'Z T']);
    const [, row, ...rest] = await ask(query(show));
    expect(row).toContain(`D ${id}|pending|`);
    expect(rest).toEqual(['C SELECT 1', 'Z T']);
    await ask(query('select 1/0'));
    expect(await ask(query(show))).toEqual([
      'E ERROR 25P02 current transaction is aborted, commands ignored until end of transaction block',
      'Z E',
    ]);
    expect(await ask(query('rollback'))).toEqual(['C ROLLBACK', 'Z I']);
  });

  test('by a read-only agent too', async () => {
    const own = await startGuard({ url: database.url, access: 'read-only', hold: { waitMs: 100 } });
    const client = new pg.Client({ connectionString: own.url });
    await client.connect();
    expect((await client.query(show)).rows).toEqual([]);
    await client.end();
    await own.close();
  });

  test('under a search_path and a quoting style that would make other SQL something else', async () => {
    const id = await asks(`delete from kept where n = 1 /* \\' */`);
    await agent.query('create temp table text (a int)');
    await agent.query('set search_path = pg_temp, public');
    await agent.query("set datestyle = 'SQL, DMY'");
    await agent.query('set backslash_quote = off');
    const { rows } = await agent.query({ text: show, rowMode: 'array' });
    expect(rows[0]![0]).toBe(id);
    expect(rows[0]![4]).toContain("\\'");
  });
});

describe('asked by the extended protocol', () => {
  test('it is described before it runs, and a driver reads it in binary', async () => {
    const id = await asks('delete from kept where n = 1');
    raw.send(parse('s', show), describeMessage('S', 's'), sync());
    const described = await raw.until('Z');
    expect(described.map(({ letter }) => letter).join('')).toBe('1tTZ');
    expect(described[1]!.body.readUInt16BE(0)).toBe(0);
    for (const name of names) expect(described[2]!.body.toString('latin1')).toContain(`${name}\0`);
    raw.send(bind('p', 's', [], [], [1]), describeMessage('P', 'p'), execute('p'), sync());
    const ran = await raw.until('Z');
    expect(ran.map(({ letter }) => letter).join('')).toBe('2TDCZ');
    expect(ran[2]!.body.toString('latin1')).toContain(id);
    const { rows } = await agent.query({ text: show, values: [] });
    expect(rows).toMatchObject([{ id }]);
  });

  test('prepared once and executed again, it is the list of then', async () => {
    const prepared = { name: 'list', text: show };
    expect((await agent.query(prepared)).rows).toEqual([]);
    const first = await asks('delete from kept where n = 1');
    expect((await agent.query(prepared)).rows).toMatchObject([{ id: first, state: 'pending' }]);
    await guard.decide(first, 'reject', 'no');
    expect((await agent.query(prepared)).rows).toMatchObject([
      { id: first, state: 'rejected', reason: 'no' },
    ]);
    const again = await agent.query(
      "select count(*)::int as n from pg_prepared_statements where name like 'holdpoint%'",
    );
    expect(again.rows[0].n).toBeLessThanOrEqual(1);
  });

  test('in a pipeline it stands in its place, with whatever is around it', async () => {
    const id = await asks('delete from kept where n = 1');
    const replies = await ask(
      ...[parse('', 'select 1'), bind('', ''), execute('')],
      ...[parse('', show), bind('', ''), execute(''), flush()],
      ...[parse('', 'select 2'), bind('', ''), execute(''), sync()],
    );
    expect(replies.map((line) => line[0]).join('')).toBe('12DC12DC12DCZ');
    expect(replies[6]).toContain(`D ${id}|pending|`);
  });

  test('row by row, through a portal with a limit', async () => {
    for (const n of [1, 2, 3]) await asks(`delete from kept where n = ${n}`);
    const replies = await ask(
      parse('', show),
      bind('p', ''),
      execute('p', 2),
      execute('p', 2),
      close('P', 'p'),
      sync(),
    );
    expect(replies.map((line) => line[0]).join('')).toBe('12DDsDC3Z');
  });

  test('in a failed transaction it is the server own error, and the prepared statement lives on', async () => {
    await ask(parse('s', show), sync());
    await ask(query('begin'));
    await ask(query('select 1/0'));
    expect(await ask(bind('', 's'), execute(''), sync())).toEqual([
      'E ERROR 25P02 current transaction is aborted, commands ignored until end of transaction block',
      'Z E',
    ]);
    await ask(query('rollback'));
    expect((await ask(bind('', 's'), execute(''), sync())).map((line) => line[0]).join('')).toBe('2CZ');
  });

  test('with parameters that it does not have it fails as any statement would', async () => {
    const replies = await ask(parse('', show), bind('', '', [Buffer.from('1')]), execute(''), sync());
    expect(replies.at(-2)).toContain('E ERROR 08P01');
    expect(replies.at(-1)).toBe('Z I');
  });

  test('behind a failed statement of its batch it is discarded', async () => {
    const replies = await ask(
      ...[parse('', 'select 1/0'), bind('', ''), execute('')],
      ...[parse('', show), bind('', ''), execute(''), sync()],
    );
    expect(replies.map((line) => line[0]).join('')).toMatch(/^1?2?EZ$/);
  });
});

test('while the requests cannot be read it says so, and the session goes on', async () => {
  const { MemoryStore } = await import('../../src/store/memory.ts');
  const { HoldpointError } = await import('../../src/errors.ts');
  const listed = MemoryStore.prototype.list;
  MemoryStore.prototype.list = async () => {
    throw new HoldpointError('store-unreachable', 'the store cannot be reached (gone); try again');
  };
  try {
    raw.send(query(show));
    const [error] = await raw.until('Z');
    expect(errorFields(error!).get('C')).toBe('58000');
    expect(errorFields(error!).get('M')).toContain('the store cannot be reached');
    expect(await ask(parse('', show), bind('', ''), execute(''), sync())).toEqual([
      expect.stringContaining('E ERROR 58000'),
      'Z I',
    ]);
  } finally {
    MemoryStore.prototype.list = listed;
  }
  expect(await ask(query('select 1'))).toHaveLength(4);
  expect(await list()).toEqual([]);
});

describe('holdpoint.reason', () => {
  test('set, shown and reset as any setting of the agent, and shown to the approver meanwhile', async () => {
    await agent.query(`set holdpoint.reason = 'it''s \\ <b>time</b>'`);
    expect((await agent.query('show holdpoint.reason')).rows).toEqual([
      { 'holdpoint.reason': "it's \\ <b>time</b>" },
    ]);
    const one = await asks('delete from kept where n = 1');
    expect(JSON.parse((await guard.show(one)).request).reason).toBe("it's \\ <b>time</b>");
    await agent.query('reset holdpoint.reason');
    const other = await asks('delete from kept where n = 2');
    expect(JSON.parse((await guard.show(other)).request).reason).toBeUndefined();
  });
});
