// Names of prepared statements, portals and cursors against a real server: every way found to give a name that was
// judged harmless another meaning before it runs. The agent's rows must still be there afterwards.

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  parse,
  query,
  sync,
} from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type RawClient, transcript } from '../support/raw.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  guard = await startGuard({ url: database.url, hold: { waitMs: 150 } });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
});

beforeEach(async () => {
  await direct.query('drop table if exists kept; create table kept as select generate_series(1, 5) as a');
});

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

async function kept(): Promise<number> {
  const { rows } = await direct.query('select count(*)::int as n from kept');
  return rows[0].n;
}

const run = (portal: string, statement: string): Buffer[] => [bind(portal, statement), execute(portal)];
const utility = (sql: string): Buffer[] => [parse('', sql), ...run('', '')];

/** The last SQLSTATE of what came back. */
function refused(replies: Awaited<ReturnType<RawClient['until']>>): string {
  return transcript(replies)
    .filter((line) => line.startsWith('E'))
    .join(' | ');
}

describe('a name that was judged a read', () => {
  test('is held when the same batch gave it to a DELETE by PREPARE, in a Query', async () => {
    const client = await guard.connect();
    client.send(
      parse('s', 'select 1'),
      query('deallocate s; prepare s as delete from kept'),
      ...run('', 's'),
      sync(),
    );
    expect(refused(await client.until('Z', 2))).toContain('waiting for approval');
    expect(await kept()).toBe(5);
    client.destroy();
  });

  test('is held when the same batch gave it to a DELETE by PREPARE, in the extended protocol', async () => {
    const client = await guard.connect();
    client.send(
      parse('s', 'select 1'),
      ...utility('deallocate s'),
      ...utility('prepare s as delete from kept'),
      ...run('', 's'),
      sync(),
    );
    expect(refused(await client.until('Z'))).toContain('waiting for approval');
    expect(await kept()).toBe(5);
    client.destroy();
  });

  test('is held when of two queries on their way the first answer looks harmless', async () => {
    const client = await guard.connect();
    client.send(
      query('prepare s as select 1'),
      query('deallocate s; select pg_sleep(0.2); prepare s as delete from kept'),
      ...run('', 's'),
      sync(),
    );
    expect(refused(await client.until('Z', 3))).toContain('waiting for approval');
    expect(await kept()).toBe(5);
    client.destroy();
  });

  test('is held when a text failed between two PREPAREs of it', async () => {
    const client = await guard.connect();
    client.send(query('prepare s as delete from kept; select 1/0; deallocate s; prepare s as select 1'));
    await client.until('Z');
    client.send(...run('', 's'), sync());
    expect(refused(await client.until('Z'))).toContain('waiting for approval');
    expect(await kept()).toBe(5);
    client.destroy();
  });

  test('is refused at Execute when it changed after the Bind of its EXECUTE', async () => {
    const client = await guard.connect();
    client.send(
      parse('s', 'select 1'),
      parse('x', 'execute s'),
      bind('p', 'x'),
      close('S', 's'),
      parse('s', 'delete from kept'),
      describeMessage('S', 's'),
      execute('p'),
      sync(),
    );
    expect(refused(await client.until('Z'))).toContain('55000');
    expect(await kept()).toBe(5);
    client.destroy();
  });

  test('is held when a PREPARE was bound early and executed late', async () => {
    const client = await guard.connect();
    client.send(
      parse('late', 'prepare s as delete from kept'),
      bind('late', 'late'),
      parse('s', 'select 1'),
      ...utility('deallocate s'),
      execute('late'),
      ...run('', 's'),
      sync(),
    );
    expect(refused(await client.until('Z'))).toContain('waiting for approval');
    expect(await kept()).toBe(5);
    client.destroy();
  });
});

describe('a read by name', () => {
  test('passes: PREPARE and EXECUTE, DECLARE and FETCH, a protocol name by EXECUTE', async () => {
    const client = await guard.connect();
    client.send(query('prepare r (int) as select $1 + 1; execute r(1)'), query('execute r(2)'));
    expect(transcript(await client.until('Z', 2), 'TD')).toEqual([
      'C PREPARE',
      'C SELECT 1',
      'Z I',
      'C SELECT 1',
      'Z I',
    ]);
    client.send(query('begin; declare c cursor for select a from kept'), query('fetch 2 c; commit'));
    expect(transcript(await client.until('Z', 2), 'TD')).toEqual([
      'C BEGIN',
      'C DECLARE CURSOR',
      'Z T',
      'C FETCH 2',
      'C COMMIT',
      'Z I',
    ]);
    client.send(parse('named', 'select 7'), sync(), query('execute named'));
    expect(transcript(await client.until('Z', 2), 'TD')).toEqual(['1', 'Z I', 'C SELECT 1', 'Z I']);
    client.destroy();
  });

  test('a write by name is held, and the approver reads what the name stands for', async () => {
    const client = await guard.connect();
    client.send(query('prepare w as delete from kept'));
    await client.until('Z');
    client.send(query('execute w'));
    const [notice] = await client.take(1);
    expect(notice?.letter).toBe('N');
    const [waiting] = await guard.pending(1);
    const view = await guard.show(waiting!.id);
    expect(view.request).toContain('EXECUTE w runs: prepare w as delete from kept');
    expect(refused(await client.until('Z'))).toContain('waiting for approval');
    expect(await kept()).toBe(5);
    client.destroy();
  });
});
