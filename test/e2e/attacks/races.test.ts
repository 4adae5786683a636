// Races: what happens between the moment a statement is judged and the moment it runs, and to two who want the same
// approval. Each either runs once, as it was shown, or not at all; the database says which.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bind, execute, parse, query, sync } from '../../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../../src/wire/startup.ts';
import { RawClient, type Reply } from '../../support/raw.ts';
import { besiege, type Siege } from '../../support/siege.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture: 'select 1', hold: { waitMs: 20_000 } });
});

afterAll(() => siege?.close());

beforeEach(async () => {
  await siege.direct.query(`drop table if exists doomed, kept cascade; drop function if exists harms cascade;
    create table doomed as select generate_series(1, 10) as id;
    create table kept as select generate_series(1, 10) as id;
    create view over_doomed as select id from doomed where id > 5`);
});

async function left(table: string): Promise<number> {
  return (await siege.direct.query(`select count(*)::int as n from ${table}`)).rows[0].n;
}

/** Sends the frames, and answers the id of the request that they wait for, which is one that was not there before. */
async function holds(client: RawClient, ...frames: Buffer[]): Promise<string> {
  const known = new Set((await siege.guard.pending()).map(({ id }) => id));
  client.send(...frames);
  const request = (await siege.guard.pending(known.size + 1)).find(({ id }) => !known.has(id));
  return request!.id;
}

function letters(replies: readonly Reply[]): string {
  return replies
    .filter(({ letter }) => letter !== 'N')
    .map(({ letter }) => letter)
    .join('');
}

/** Rejects what waits now, so that no session is left over. */
async function rejectAll(): Promise<void> {
  for (const { id } of await siege.guard.pending())
    await siege.guard.decide(id, 'reject').catch(() => undefined);
}

describe('one approval', () => {
  test('given twice runs the statement once', async () => {
    const client = await siege.guard.connect();
    const id = await holds(client, query('DELETE FROM doomed WHERE id = (SELECT min(id) FROM doomed)'));
    const decisions = await Promise.allSettled([
      siege.guard.decide(id, 'approve'),
      siege.guard.decide(id, 'approve'),
    ]);
    expect(decisions.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
    expect(letters(await client.until('Z'))).toBe('CZ');
    await siege.guard.decide(id, 'approve').catch(() => undefined);
    expect(await left('doomed')).toBe(9);
    client.destroy();
  });

  test('against a rejection at the same moment: one of them counts', async () => {
    const client = await siege.guard.connect();
    const id = await holds(client, query('DELETE FROM doomed WHERE id = (SELECT max(id) FROM doomed)'));
    await Promise.allSettled([siege.guard.decide(id, 'reject'), siege.guard.decide(id, 'approve')]);
    const answer = letters(await client.until('Z'));
    expect(await left('doomed')).toBe(answer === 'CZ' ? 9 : 10);
    client.destroy();
  });

  test('serves one of two sessions that wait with the same bytes', async () => {
    const one = await siege.guard.connect();
    const other = await siege.guard.connect();
    const text = 'DELETE FROM doomed WHERE id = (SELECT min(id) FROM doomed) /* both */';
    const id = await holds(one, query(text));
    other.send(query(text));
    await siege.guard.decide(id, 'approve');
    expect(letters(await one.until('Z'))).toBe('CZ');
    expect(await left('doomed')).toBe(9);
    // If it came before the approval it waited for the same request, and is told; if after, it has a request of its own,
    // which may still be on its way.
    let isTold = false;
    const told = other.until('Z').finally(() => (isTold = true));
    await expect.poll(() => rejectAll().then(() => isTold)).toBe(true);
    expect(letters(await told)).toBe('EZ');
    expect(await left('doomed')).toBe(9);
    one.destroy();
    other.destroy();
  });

  test('and a cancel request at the same moment', async () => {
    const client = await siege.guard.connect();
    const id = await holds(
      client,
      parse('', 'DELETE FROM doomed WHERE id = 3'),
      bind('', ''),
      execute(''),
      sync(),
    );
    const other = await RawClient.connect(siege.guard.host, siege.guard.port);
    other.send(cancelRequest(client.pid, client.key));
    await Promise.allSettled([siege.guard.decide(id, 'approve'), other.untilClosed()]);
    const answer = letters(await client.until('Z'));
    expect(await left('doomed')).toBe(answer.includes('E') ? 10 : 9);
    client.destroy();
  });

  test('and a client that goes away at the same moment', async () => {
    const client = await siege.guard.connect();
    const id = await holds(client, query('DELETE FROM doomed WHERE id = 4'));
    const deciding = siege.guard.decide(id, 'approve').catch(() => undefined);
    client.destroy();
    await deciding;
    // It ran or it did not; either way the approval is spent on this session, and the next one is asked again.
    const next = await siege.guard.connect();
    const again = await holds(next, query('DELETE FROM doomed WHERE id = 4 OR id = 5'));
    await siege.guard.decide(again, 'reject');
    expect(letters(await next.until('Z'))).toBe('EZ');
    expect(await left('doomed')).toBeGreaterThan(8);
    next.destroy();
  });
});

describe('between the question and the release', () => {
  /** Holds the statement, changes something, approves: it must be held again, and nothing may be gone. */
  async function heldAgain(text: string, change: string): Promise<void> {
    const client = await siege.guard.connect();
    client.send(query('SELECT count(*) FROM doomed'));
    await client.until('Z');
    const id = await holds(client, query(text));
    await siege.direct.query(change);
    await siege.guard.decide(id, 'approve');
    await expect
      .poll(async () => (await siege.guard.pending()).filter((each) => each.id !== id).length)
      .toBe(1);
    await rejectAll();
    expect(letters(await client.until('Z'))).toBe('EZ');
    expect([await left('kept'), await left('doomed')]).toEqual([10, 10]);
    client.destroy();
  }

  const swap =
    'begin; alter table doomed rename to aside; alter table kept rename to doomed; alter table aside rename to kept; commit';
  const harms = `create function harms() returns trigger language plpgsql as 'begin delete from kept; return old; end';`;

  test.each([
    ['the table is another', 'DELETE FROM doomed WHERE id = 1', swap],
    [
      'the table has got a trigger',
      'DELETE FROM doomed WHERE id = 2',
      `${harms} create trigger g before delete on doomed for each row execute function harms()`,
    ],
    [
      'the table has got a rule',
      'DELETE FROM doomed WHERE id = 3',
      'create rule r as on delete to doomed do also delete from kept',
    ],
    [
      'the view is over another table',
      'DELETE FROM over_doomed WHERE id = 6',
      'create or replace view over_doomed as select id from kept where id > 5',
    ],
    [
      'a foreign key cascades',
      'DELETE FROM doomed WHERE id = 4',
      'alter table doomed add primary key (id); alter table kept add foreign key (id) references doomed on delete cascade',
    ],
  ])('%s: it is held again', async (_, text, change) => {
    await heldAgain(text, change);
  });

  test('the function is another', async () => {
    await siege.direct.query(
      `create function harms() returns int language plpgsql as 'begin delete from doomed; return 1; end'`,
    );
    await heldAgain(
      'SELECT harms()',
      `create or replace function harms() returns int language plpgsql as 'begin delete from doomed; delete from kept; return 1; end'`,
    );
  });
});
