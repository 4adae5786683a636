// The side connection to a real server: rows as they come, errors that leave it usable, and what ends it.

import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Side, SideError } from '../../src/proxy/side.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { connectTo } from '../support/snapshot.ts';

let database: TestDatabase;
let side: Side | undefined;

beforeAll(async () => {
  database = await createDatabase();
});
afterEach(() => side?.close());
afterAll(() => database?.drop());

async function opened(answerMs = 60_000): Promise<Side> {
  side = new Side(await connectTo(database.url)([['application_name', 'side']]), answerMs);
  return side;
}

async function answer(of: Side, text: string): Promise<[number, (string | null)[]][]> {
  const rows: [number, (string | null)[]][] = [];
  await of.ask(text, (row, result) => rows.push([result, row]));
  return rows;
}

test('rows come as texts, each with the number of its result', async () => {
  const one = await opened();
  const rows = await answer(one, "BEGIN; SELECT 1, NULL, '', 'é€'; SELECT 2 WHERE false; SELECT 3; COMMIT");
  expect(rows).toEqual([
    [0, ['1', null, '', 'é€']],
    [2, ['3']],
  ]);
});

test('a row of any length comes whole, and many rows let others have their turn', async () => {
  const one = await opened();
  let turns = 0;
  const turn = setInterval(() => {
    turns += 1;
  }, 1);
  let rows = 0;
  let length = 0;
  await one.ask(
    "SELECT repeat('x', i) FROM generate_series(1, 3000) i UNION ALL SELECT repeat('y', 5000000)",
    ([cell]) => {
      rows += 1;
      length += cell!.length;
      // Work that would keep the loop for long if it were done in one go.
      const end = performance.now() + 0.1;
      while (performance.now() < end);
    },
  );
  clearInterval(turn);
  expect([rows, length]).toEqual([3001, (3000 * 3001) / 2 + 5_000_000]);
  expect(turns).toBeGreaterThan(5);
});

test('an error of the server rejects, and the connection is used on', async () => {
  const one = await opened();
  await expect(answer(one, 'SELECT 1; SELECT 1/0')).rejects.toThrow(SideError);
  await expect(answer(one, 'SELECT 1/0')).rejects.toMatchObject({ sqlstate: '22012' });
  expect(await answer(one, 'SELECT 5')).toEqual([[0, ['5']]]);
  expect(one.open).toBe(true);
});

test('a second question before the first is answered is refused', async () => {
  const one = await opened();
  const first = answer(one, 'SELECT 1');
  await expect(answer(one, 'SELECT 2')).rejects.toThrow('before the last is answered');
  expect(await first).toEqual([[0, ['1']]]);
});

test('an answer that does not come in time ends the connection', async () => {
  const one = await opened(20);
  await expect(answer(one, 'SELECT pg_sleep(60)')).rejects.toThrow('did not answer in time');
  expect(one.open).toBe(false);
  await expect(answer(one, 'SELECT 1')).rejects.toThrow('did not answer in time');
});

test('a connection that the server ends rejects what is asked then and later', async () => {
  const one = await opened();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const [[, [pid]]] = (await answer(one, 'SELECT pg_backend_pid()')) as [[number, string[]]];
  const asked = answer(one, 'SELECT pg_sleep(60)');
  const rejected = expect(asked).rejects.toThrow();
  await client.query('SELECT pg_terminate_backend($1)', [pid]);
  await rejected;
  await expect(answer(one, 'SELECT 1')).rejects.toThrow();
  expect(one.open).toBe(false);
  await client.end();
});
