// The main job: a destructive statement waits for a person, over real sockets, against a real server, by the key of a
// real approver. Each test reads as what the agent does and what it sees; the database is asked directly afterwards. No
// two texts are the same: what was rejected once is not asked for again.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../src/wire/startup.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, RawClient, type Reply } from '../support/raw.ts';

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

async function count(table: string): Promise<number> {
  const { rows } = await direct.query(`select count(*)::int as n from ${table}`);
  return rows[0].n;
}

/** The request that waits. */
async function held(): Promise<{ id: string }> {
  const [first] = await guard.pending(1);
  return first!;
}

function letters(replies: readonly Reply[]): string {
  return replies.map((reply) => reply.letter).join('');
}

/** The one ErrorResponse among them. */
function errorOf(replies: readonly Reply[]): Map<string, string> {
  const errors = replies.filter((reply) => reply.letter === 'E');
  expect(errors).toHaveLength(1);
  return errorFields(errors[0]!);
}

describe('a held simple query', () => {
  test('is the one that was shown, not one that differs from it in a value', async () => {
    await direct.query('create table alike as select generate_series(1, 4) as id');
    const client = await guard.connect();
    for (const id of [1, 2, 3]) {
      client.send(query(`delete from alike where id = ${id}`));
      const { id: rid } = await held();
      expect(JSON.parse((await guard.show(rid)).request).sql).toBe(`delete from alike where id = ${id}`);
      await guard.approveNext();
      await client.until('Z');
    }
    const left = await direct.query('select id from alike');
    expect(left.rows).toEqual([{ id: 4 }]);
    client.destroy();
  });

  test('runs when a person approves it, and answers as if nothing had happened', async () => {
    const client = await guard.connect();
    await direct.query('create table doomed as select 1 as a');
    client.send(query('drop table doomed'));
    const notice = errorFields((await client.take(1))[0]!);
    expect(notice.get('C')).toBe('01000');
    const detail = JSON.parse(notice.get('D') ?? '');
    expect(detail).toMatchObject({ state: 'pending' });
    expect(notice.get('M')).toContain(detail.request);
    const [waiting] = await guard.pending(1);
    expect(waiting).toMatchObject({ id: detail.request, agent: 'claude', relations: ['doomed'] });
    await guard.decide(detail.request, 'approve');
    const replies = await client.until('Z');
    expect(replies.map(({ letter, summary }) => `${letter} ${summary}`)).toEqual(['C DROP TABLE', 'Z I']);
    await expect(direct.query('select * from doomed')).rejects.toThrow('does not exist');
    client.destroy();
  });

  test('is refused with the words of the person who rejects it', async () => {
    const client = await guard.connect();
    client.send(query('truncate products cascade'));
    const { id } = await held();
    await guard.decide(id, 'reject', 'not before\u202e the\n backup');
    const error = errorOf(await client.until('Z'));
    expect(error.get('C')).toBe('42501');
    expect(error.get('M')).toBe('statement rejected by dba: not before the backup');
    expect(JSON.parse(error.get('D') ?? '')).toMatchObject({
      request: id,
      state: 'rejected',
      rule: expect.any(String),
    });
    expect(await count('products')).toBeGreaterThan(0);
    client.destroy();
  });

  test('in a transaction aborts the transaction when it is rejected', async () => {
    const client = await guard.connect();
    client.send(query('begin'));
    await client.until('Z');
    client.send(query("insert into products (sku, title, price, stock) values ('ghost', 'Ghost', 1, 1)"));
    expect(letters(await client.until('Z'))).toBe('CZ');
    client.send(query('delete from order_items /* 1 */'));
    const { id } = await held();
    await guard.decide(id, 'reject', 'no');
    const replies = await client.until('Z');
    expect(replies.at(-1)?.summary).toBe('E');
    client.send(query('commit'));
    expect((await client.until('Z')).map((reply) => reply.summary)).toEqual(['ROLLBACK', 'I']);
    const { rows } = await direct.query("select 1 from products where sku = 'ghost'");
    expect(rows).toHaveLength(0);
    client.destroy();
  });

  test('is held whole: a text of two statements runs both or none', async () => {
    const client = await guard.connect();
    const before = await count('products');
    client.send(
      query(
        "insert into products (sku, title, price, stock) values ('pair', 'Pair', 1, 1); delete from order_items /* 2 */",
      ),
    );
    const { id } = await held();
    expect(await count('products')).toBe(before);
    await guard.decide(id, 'reject');
    await client.until('Z');
    expect(await count('products')).toBe(before);
    client.destroy();
  });
});

describe('a held Bind', () => {
  test('shows its parameters, and runs with exactly those', async () => {
    const client = await guard.connect();
    await direct.query('create table numbers as select generate_series(1, 10) as n');
    client.send(parse('', 'delete from numbers where n > $1', [23]));
    client.send(bind('', '', [Buffer.from('7')]), execute(''), sync());
    const { id } = await held();
    const view = await guard.show(id);
    expect(JSON.stringify(view.parameters)).toContain('7');
    expect(await count('numbers')).toBe(10);
    await guard.decide(id, 'approve');
    const replies = (await client.until('Z')).filter((reply) => reply.letter !== 'N');
    expect(replies.map(({ letter, summary }) => `${letter} ${summary}`.trim())).toEqual([
      '1',
      '2',
      'C DELETE 3',
      'Z I',
    ]);
    expect(await count('numbers')).toBe(7);
    client.destroy();
  });

  test('of a statement that was parsed and described earlier is held with it', async () => {
    const client = await guard.connect();
    client.send(parse('gone', 'delete from customers where id = $1', [23]), sync());
    expect(letters(await client.until('Z'))).toBe('1Z');
    const before = await count('customers');
    client.send(bind('', 'gone', [Buffer.from('1')]), execute(''), sync());
    const { id } = await held();
    await guard.decide(id, 'reject');
    const replies = await client.until('Z');
    expect(letters(replies).replace(/N/g, '')).toBe('EZ');
    expect(await count('customers')).toBe(before);
    client.destroy();
  });

  test('in a pipeline lets the answers before it through, and a rejection rolls back the earlier statements of its batch', async () => {
    const client = await guard.connect();
    const before = await count('products');
    client.send(
      parse('', "insert into products (sku, title, price, stock) values ('batch', 'Batch', 1, 1)"),
      bind('', ''),
      execute(''),
      parse('', 'delete from order_items /* 3 */'),
      bind('', ''),
      execute(''),
      parse('', 'select 1'),
      bind('', ''),
      execute(''),
      sync(),
    );
    // The NOTICE may come before or behind the answers to what was sent before; both come during the wait.
    expect([...letters(await client.take(4))].sort().join('')).toBe('12CN');
    const { id } = await held();
    await guard.decide(id, 'reject', 'no');
    const replies = await client.until('Z');
    expect(letters(replies)).toBe('1EZ');
    expect(replies.at(-1)?.summary).toBe('I');
    expect(await count('products')).toBe(before);
    client.send(query('select 1'));
    expect(letters(await client.until('Z'))).toBe('TDCZ');
    client.destroy();
  });
});

test('a Bind behind a failed statement of its batch is not held: the server discards it', async () => {
  const client = await guard.connect();
  client.send(parse('', 'select 1/0'), bind('', ''), execute(''));
  client.send(parse('', 'delete from order_items /* 4 */'), bind('', ''), execute(''), sync());
  const replies = (await client.until('Z')).filter((reply) => reply.letter !== 'N');
  expect(letters(replies)).toMatch(/^1?2?EZ$/);
  expect(errorOf(replies).get('C')).toBe('22012');
  expect(await guard.pending()).toHaveLength(0);
  client.destroy();
});

describe('a hold ends', () => {
  test('by a cancel request, without a trace on the server', async () => {
    const client = await guard.connect();
    client.send(query('delete from order_items /* 5 */'));
    await guard.pending(1);
    const other = await RawClient.connect(guard.host, guard.port);
    other.send(cancelRequest(client.pid, client.key));
    await other.untilClosed();
    const error = errorOf(await client.until('Z'));
    expect(error.get('C')).toBe('57014');
    expect(error.get('M')).toBe('canceling statement due to user request');
    expect(await guard.pending()).toHaveLength(0);
    client.destroy();
  });

  test('when the client goes away: an approval after that runs nothing', async () => {
    const before = await count('order_items');
    const client = await guard.connect();
    client.send(query('delete from order_items /* 6 */'));
    const { id } = await held();
    client.destroy();
    await expect.poll(async () => (await guard.pending()).length).toBe(0);
    await expect(guard.decide(id, 'approve')).rejects.toThrow(/canceled/);
    expect(await count('order_items')).toBe(before);
  });
});

describe('the wait', () => {
  let impatient: Guard;
  beforeAll(async () => {
    impatient = await startGuard({ url: database.url, hold: { waitMs: 300, pendingMax: 2 } });
  });
  afterAll(() => impatient?.close());

  test('ends with an error while the request stays open; the approved retry passes once and no more', async () => {
    await direct.query('create table retried as select generate_series(1, 5) as n');
    const first = await impatient.connect();
    first.send(query('delete from retried where n = 1'));
    const error = errorOf(await first.until('Z'));
    expect(error.get('C')).toBe('42501');
    const { request, state } = JSON.parse(error.get('D') ?? '');
    expect(state).toBe('pending');
    await impatient.decide(request, 'approve');
    const second = await impatient.connect();
    second.send(query('delete from retried where n = 2'));
    expect(errorOf(await second.until('Z')).get('C')).toBe('42501');
    second.send(query('delete from retried where n = 1'));
    expect(letters(await second.until('Z'))).toBe('CZ');
    expect(await count('retried')).toBe(4);
    second.send(query('delete from retried where n = 1'));
    expect(errorOf(await second.until('Z')).get('C')).toMatch(/42501|53300/);
    first.destroy();
    second.destroy();
  });

  test('is bounded: an agent with too many pending requests gets 53300', async () => {
    const client = await impatient.connect();
    const codes: (string | undefined)[] = [];
    for (const n of [1, 2, 3, 4]) {
      client.send(query(`delete from customers where id = ${n}`));
      codes.push(errorOf(await client.until('Z')).get('C'));
    }
    expect(codes).toContain('53300');
    client.destroy();
  });
});

describe('without a person', () => {
  test('a mistyped statement is the server own error, by either protocol, and asks nobody', async () => {
    const client = await guard.connect();
    const asked = guard.links.length;
    client.send(parse('', 'delet from t'), bind('', ''), execute(''), sync());
    expect(errorOf(await client.until('Z')).get('C')).toBe('42601');
    client.send(parse('', 'delet from t'), bind('', ''), execute(''));
    client.send(parse('', 'delete from order_items where id = 0'), bind('', ''), execute(''), sync());
    expect(errorOf(await client.until('Z')).get('C')).toBe('42601');
    client.send(query('delet from t'));
    expect(errorOf(await client.until('Z')).get('C')).toBe('42601');
    expect(guard.links.length).toBe(asked);
    client.destroy();
  });

  test('what the rules deny is refused at once, and the session goes on', async () => {
    const client = await guard.connect();
    client.send(query("copy (select 1) to program 'touch /tmp/owned'"));
    const error = errorOf(await client.until('Z'));
    expect(error.get('C')).toBe('42501');
    expect(JSON.parse(error.get('D') ?? '')).toMatchObject({ state: 'denied' });
    client.send(query('select 1'));
    expect(letters(await client.until('Z'))).toBe('TDCZ');
    client.destroy();
  });

  test('a statement in a failed transaction is not held: nothing of it could run', async () => {
    const client = await guard.connect();
    client.send(query('begin'));
    await client.until('Z');
    client.send(query('select 1/0'));
    await client.until('Z');
    client.send(query('delete from order_items /* 7 */'));
    expect(errorOf(await client.until('Z')).get('C')).toBe('25P02');
    client.destroy();
  });

  test('a function call by number is refused in the protocol own order', async () => {
    const client = await guard.connect();
    const call = Buffer.from([0x46, 0, 0, 0, 14, 0, 0, 3, 0xb8, 0, 0, 0, 0, 0, 0]);
    client.send(call, query('select 1'));
    const replies = await client.until('Z', 2);
    expect(letters(replies)).toBe('EZTDCZ');
    expect(errorOf(replies).get('C')).toBe('0A000');
    client.destroy();
  });
});
