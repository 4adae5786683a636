// One agent, several sessions, one statement: against a real server and the real API. One person is asked once; what is
// approved runs once; what is rejected is not asked again. The log says which session, and verifies offline.

import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../src/wire/startup.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, RawClient, type Reply } from '../support/raw.ts';
import { statements, storyOf, verifies } from '../support/trail.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;
const clients: RawClient[] = [];

beforeAll(async () => {
  database = await createDatabase();
  guard = await startGuard({ url: database.url, hold: { pendingMax: 1 } });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
});

beforeEach(async () => {
  await direct.query('drop table if exists queue; create table queue as select generate_series(1, 10) as n');
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await expect.poll(async () => (await guard.pending()).length).toBe(0);
});

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

let serial = 0;

/** A text of this test's own, that takes the first row away each time it runs. */
function takeOne(): string {
  serial += 1;
  return `delete from queue where n = (select min(n) from queue) /* ${serial} */`;
}

async function left(): Promise<number> {
  return (await direct.query('select count(*)::int as n from queue')).rows[0].n;
}

async function connect(): Promise<RawClient> {
  const client = await guard.connect();
  clients.push(client);
  return client;
}

/** Sends, and reads the NOTICE that says what it waits for. */
async function ask(client: RawClient, ...frames: Buffer[]): Promise<{ id: string; hint: string }> {
  client.send(...frames);
  const notice = errorFields((await client.until('N')).at(-1)!);
  return { id: JSON.parse(notice.get('D')!).request, hint: notice.get('H')! };
}

function errorOf(replies: readonly Reply[]): {
  code: string;
  message: string;
  detail: Record<string, string>;
  hint: string;
} {
  const fields = errorFields(replies.find(({ letter }) => letter === 'E')!);
  return {
    code: fields.get('C')!,
    message: fields.get('M')!,
    detail: JSON.parse(fields.get('D') ?? 'null'),
    hint: fields.get('H') ?? '',
  };
}

async function answer(client: RawClient): Promise<string> {
  return (await client.until('Z'))
    .filter(({ letter }) => letter !== 'N')
    .map(({ letter }) => letter)
    .join('');
}

async function cancel(client: RawClient): Promise<void> {
  const other = await RawClient.connect(guard.host, guard.port);
  other.send(cancelRequest(client.pid, client.key));
  await other.untilClosed();
}

/** Three sessions that wait for the same, in their order. */
async function three(sql: string): Promise<[RawClient, RawClient, RawClient, string]> {
  const [one, two, other] = [await connect(), await connect(), await connect()];
  const ids = [await ask(one, query(sql)), await ask(two, query(sql)), await ask(other, query(sql))];
  expect(new Set(ids.map(({ id }) => id)).size).toBe(1);
  return [one, two, other, ids[0]!.id];
}

describe('the same statement in several sessions', () => {
  test('is one request; the approval runs it once, in the session that asked first, and the others are told so', async () => {
    const sql = takeOne();
    const told = guard.links.length;
    const [one, two, other, id] = await three(sql);
    expect((await guard.pending()).map((each) => each.id)).toEqual([id]);
    expect(guard.links.length).toBe(told + 1);
    await guard.decide(id, 'approve');
    expect(await answer(one)).toBe('CZ');
    for (const client of [two, other]) {
      const error = errorOf(await client.until('Z'));
      expect(error).toMatchObject({
        code: '57014',
        message: `request ${id} was approved and released in another session of yours; the statement did not run here`,
        detail: { request: id, state: 'canceled', expires: expect.any(String), rule: expect.any(String) },
      });
    }
    expect(await left()).toBe(9);
    expect(storyOf(guard.auditDir, id).filter((kind) => kind !== 'outcome')).toEqual([
      'hold',
      'decision',
      'grant_use',
      'intent',
    ]);
    await expect
      .poll(() => statements(guard.auditDir, sql).map(({ outcome }) => outcome?.st))
      .toEqual(['ok', 'canceled', 'canceled']);
    await verifies(guard.auditDir);
    // Their sessions go on, and the same statement is a new question.
    const again = await ask(two, query(sql));
    expect(again.id).not.toBe(id);
    await guard.decide(again.id, 'reject');
    await two.until('Z');
  });

  test('says to those who came later that another session has asked', async () => {
    const sql = takeOne();
    const [one, two] = [await connect(), await connect()];
    expect((await ask(one, query(sql))).hint).toContain('A person has been asked');
    const joined = await ask(two, query(sql));
    expect(joined.hint).toContain('Another session of yours');
    await guard.decide(joined.id, 'reject', 'no');
    for (const client of [one, two])
      expect(errorOf(await client.until('Z')).message).toBe('statement rejected by dba: no');
  });

  test('joins by its text and its values, whatever the names: an extended one its like', async () => {
    const [one, two] = [await connect(), await connect()];
    const text = `delete from queue where n = $1 /* ${++serial} */`;
    const first = await ask(
      one,
      parse('a', text, [23]),
      bind('', 'a', [Buffer.from('1')]),
      execute(''),
      sync(),
    );
    two.send(parse('', text, [23]), bind('p', '', [Buffer.from('2')]), execute('p'), sync());
    expect(errorOf(await two.until('Z')).code).toBe('53300');
    const same = await ask(
      two,
      parse('', text, [23]),
      bind('p', '', [Buffer.from('1')]),
      execute('p'),
      sync(),
    );
    expect(same.id).toBe(first.id);
    await guard.decide(first.id, 'approve');
    expect(await answer(one)).toContain('C');
    expect(errorOf(await two.until('Z')).code).toBe('57014');
    expect(await left()).toBe(9);
  });
});

describe('the session that asked first', () => {
  const ways: [string, (client: RawClient) => Promise<void>][] = [
    ['goes away', async (client) => client.destroy()],
    [
      'cancels',
      async (client) => {
        await cancel(client);
        expect(errorOf(await client.until('Z')).message).toBe('canceling statement due to user request');
      },
    ],
  ];
  test.each(ways)('%s: the next one inherits the hold, and runs it', async (_, leave) => {
    const sql = takeOne();
    const [one, two, other, id] = await three(sql);
    await leave(one);
    // What the proxy has noticed is in the log.
    await expect.poll(() => statements(guard.auditDir, sql)[0]?.outcome?.st).toBe('canceled');
    expect((await guard.pending()).map((each) => each.id)).toEqual([id]);
    await guard.decide(id, 'approve');
    expect(await answer(two)).toBe('CZ');
    expect(errorOf(await other.until('Z')).code).toBe('57014');
    expect(await left()).toBe(9);
    expect(storyOf(guard.auditDir, id)).not.toContain('cancel');
    await verifies(guard.auditDir);
  });

  test('and all after it leave: the request is canceled', async () => {
    const [one, two, other, id] = await three(takeOne());
    for (const client of [two, one, other]) await cancel(client);
    await expect.poll(async () => (await guard.pending()).length).toBe(0);
    await expect(guard.decide(id, 'approve')).rejects.toThrow(/canceled/);
    expect(storyOf(guard.auditDir, id)).toContain('cancel');
  });

  test('stays untouched when one that joined goes away, cancels or is done waiting', async () => {
    const [one, two, other, id] = await three(takeOne());
    two.destroy();
    await cancel(other);
    expect(errorOf(await other.until('Z')).code).toBe('57014');
    await guard.decide(id, 'approve');
    expect(await answer(one)).toBe('CZ');
    expect(await left()).toBe(9);
  });
});

describe('when the wait is over', () => {
  let impatient: Guard;
  beforeAll(async () => {
    impatient = await startGuard({ url: database.url, hold: { waitMs: 700, pendingMax: 1 } });
  });
  afterAll(() => impatient?.close());

  test('of the first session the next one inherits; of all of them a retry takes it up', async () => {
    const sql = takeOne();
    const [one, two] = [await impatient.connect(), await impatient.connect()];
    const { id } = await ask(one, query(sql));
    expect(errorOf(await one.until('Z'))).toMatchObject({
      code: '42501',
      detail: { request: id, state: 'pending', expires: expect.any(String), rule: expect.any(String) },
    });
    expect((await ask(two, query(sql))).id).toBe(id);
    expect((await ask(one, query(sql))).id).toBe(id);
    expect(errorOf(await two.until('Z')).detail).toMatchObject({ request: id, state: 'pending' });
    await impatient.decide(id, 'approve').catch(() => undefined);
    const first = await answer(one);
    if (first === 'EZ') {
      two.send(query(sql));
      expect(await answer(two)).toBe('CZ');
    } else expect(first).toBe('CZ');
    expect(await left()).toBe(9);
    one.destroy();
    two.destroy();
  });
});

describe('what a person has rejected', () => {
  test('is refused in the same words at once, in every session of the agent, and nobody is asked', async () => {
    const sql = takeOne();
    const [one, two] = [await connect(), await connect()];
    const { id } = await ask(one, query(sql));
    await guard.decide(id, 'reject', 'not before\u202e the\n backup');
    const first = errorOf(await one.until('Z'));
    expect(first).toMatchObject({
      code: '42501',
      message: 'statement rejected by dba: not before the backup',
      detail: { request: id, state: 'rejected', expires: expect.any(String), rule: expect.any(String) },
      hint: expect.stringMatching(/refused until \d{4}-\d\d-\d\dT[\d:.]+Z without anybody being asked/),
    });
    const links = guard.links.length;
    for (const client of [one, two]) {
      client.send(query(sql));
      const replies = await client.until('Z');
      expect(replies.map(({ letter }) => letter).join('')).toBe('EZ');
      expect(errorOf(replies)).toEqual(first);
    }
    expect(guard.links.length).toBe(links);
    expect(await guard.pending()).toEqual([]);
    expect(await left()).toBe(10);
    expect(storyOf(guard.auditDir, id)).toEqual([
      'hold',
      'decision',
      'reject',
      'outcome',
      'outcome',
      'outcome',
    ]);
    expect(statements(guard.auditDir, sql).map(({ stmt, outcome }) => [stmt.dec, outcome])).toEqual(
      [1, 2, 3].map(() => ['hold', expect.objectContaining({ st: 'refused', sqlstate: '42501', rid: id })]),
    );
    await verifies(guard.auditDir);
    // In other words it is another question.
    const other = await ask(two, query(`${sql} -- please`));
    expect(other.id).not.toBe(id);
    await guard.decide(other.id, 'reject');
    await two.until('Z');
  });

  test('is refused where it rests on its session too: by what a person was shown', async () => {
    const sql = takeOne();
    const [one, two] = [await connect(), await connect()];
    for (const client of [one, two]) {
      client.send(query("set app.tenant = '1'"));
      await client.until('Z');
    }
    const { id } = await ask(one, query(sql));
    expect(JSON.parse((await guard.show(id)).request).once).toBe(true);
    await guard.decide(id, 'reject', 'no');
    const first = errorOf(await one.until('Z'));
    two.send(query(sql));
    expect(errorOf(await two.until('Z'))).toEqual(first);
  });
});
