// Cancel requests against running statements: our key in, the target's key out, and never the wrong statement.

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { query } from '../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../src/wire/startup.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, RawClient } from '../support/raw.ts';

let database: TestDatabase;
let guard: Guard;

beforeAll(async () => {
  database = await createDatabase();
  guard = await startGuard({ url: database.url });
});

afterAll(async () => {
  await guard?.close();
  await database?.drop();
});

/** Waits until the server works on it. */
async function running(text: string): Promise<void> {
  const direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  const active = `select 1 from pg_stat_activity where state = 'active' and query = $1`;
  await expect.poll(async () => (await direct.query(active, [`select ${text}`])).rowCount).toBe(1);
  await direct.end();
}

async function cancel(pid: number, key: Buffer): Promise<void> {
  const other = await RawClient.connect(guard.host, guard.port);
  other.send(cancelRequest(pid, key));
  expect(await other.untilClosed()).toEqual([]);
}

test('a running statement is canceled, and the session goes on', async () => {
  const client = await guard.connect();
  client.send(query('select pg_sleep(30)'));
  await running('pg_sleep(30)');
  await cancel(client.pid, client.key);
  const [error] = (await client.until('Z')).filter((reply) => reply.letter === 'E');
  expect(errorFields(error!).get('C')).toBe('57014');
  client.send(query('select 1'));
  expect((await client.until('Z')).map((reply) => reply.letter).join('')).toBe('TDCZ');
  client.destroy();
});

test('a wrong key, a key of the wrong length and an unknown process cancel nothing', async () => {
  const client = await guard.connect();
  client.send(query('select pg_sleep(0.5)'));
  await cancel(client.pid, Buffer.from([...client.key].map((byte) => byte ^ 0xff)));
  await cancel(client.pid, Buffer.alloc(32));
  await cancel(client.pid + 1000, client.key);
  expect((await client.until('Z')).map((reply) => reply.letter).join('')).toBe('TDCZ');
  client.destroy();
});

test('a cancel request to an idle session does not hit its next statement', async () => {
  const client = await guard.connect();
  await cancel(client.pid, client.key);
  client.send(query('select pg_sleep(0.2)'));
  expect((await client.until('Z')).map((reply) => reply.letter).join('')).toBe('TDCZ');
  client.destroy();
});

test('a client that notifies itself is told the process number it was given', async () => {
  const client = await guard.connect();
  client.send(query("listen ch; notify ch, 'hi'"));
  const [note] = (await client.until('Z')).filter((reply) => reply.letter === 'A');
  expect(note!.body.readInt32BE(0)).toBe(client.pid);
  client.destroy();
});
