// Bad input after login: each kind gets its SQLSTATE or a closed socket, nothing of it reaches the server, and a
// bystander's session goes on. The list, over real sockets.

import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, type RawClient } from '../support/raw.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;
let bystander: RawClient;
let client: RawClient;

beforeAll(async () => {
  database = await createDatabase();
  guard = await startGuard({ url: database.url, audit: { values: 'none' } });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query('create table canary as select generate_series(1, 10) as n');
  bystander = await guard.connect();
});

afterAll(async () => {
  bystander?.destroy();
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

beforeEach(async () => {
  client = await guard.connect();
});

afterEach(async () => {
  client.destroy();
  bystander.send(query('select count(*) from canary'));
  expect((await bystander.until('Z')).map((reply) => reply.summary)).toContain('10');
});

function frame(letter: string, length: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(5);
  head.write(letter, 0, 'latin1');
  head.writeInt32BE(length, 1);
  return Buffer.concat([head, body]);
}

/** SQLSTATE of the refusal, after which the session is ready again. */
async function refused(...frames: Buffer[]): Promise<string | undefined> {
  client.send(...frames);
  const replies = await client.until('Z');
  expect(replies.map((reply) => reply.letter).join('')).toBe('EZ');
  return errorFields(replies[0]!).get('C');
}

/** SQLSTATE of the FATAL error the connection ends with; undefined if it closes without a word. */
async function ended(...frames: Buffer[]): Promise<string | undefined> {
  client.send(...frames);
  const last = (await client.untilClosed()).at(-1);
  if (last === undefined) return undefined;
  expect(last.letter).toBe('E');
  expect(errorFields(last).get('V')).toBe('FATAL');
  return errorFields(last).get('C');
}

test.each([
  ['an unknown type', frame('!', 4)],
  ['a password after login', frame('p', 5, Buffer.from([0]))],
  ['a length of 0', frame('Q', 0)],
  ['a length of 3', frame('Q', 3)],
  ['a negative length', frame('Q', -1)],
  ['random bytes', Buffer.from('9f3b20ff00a1b2c3d4e5f60718293a4b', 'hex')],
])('%s ends the session with 08P01', async (_, bytes) => {
  expect(await ended(bytes)).toBe('08P01');
});

test('a length of 2 GiB ends the session before its bytes are awaited', async () => {
  expect(await ended(frame('Q', 0x7fffffff))).toBe('54000');
});

test('a statement of 17 MiB ends the session with 54000', async () => {
  expect(await ended(query(`select '${'x'.repeat(17 << 20)}'`))).toBe('54000');
});

test('a NUL inside SQL is refused with 08P01, and the session goes on', async () => {
  const text = Buffer.from('select 1\0; delete from canary\0');
  expect(await refused(frame('Q', text.length + 4, text))).toBe('08P01');
  const named = Buffer.concat([Buffer.from([0]), text, Buffer.from([0, 0])]);
  expect(await refused(frame('P', named.length + 4, named), sync())).toBe('08P01');
});

test('invalid UTF-8 is refused with 22021', async () => {
  expect(
    await refused(query(Buffer.from([0x73, 0x65, 0x6c, 0x65, 0x63, 0x74, 0x20, 0x27, 0xc0, 0xa7, 0x27]))),
  ).toBe('22021');
});

test('half a megabyte of comment openings is refused before a quadratic lexer sees it', async () => {
  const before = process.cpuUsage();
  expect(await refused(query('/*'.repeat(262_144)))).toMatch(/^(54000|42601)$/);
  expect(process.cpuUsage(before).user / 1e6).toBeLessThan(2);
});

test('100,000 parentheses and 100,000 UNIONs are too complex', async () => {
  expect(await refused(query(`select ${'('.repeat(100_000)}1${')'.repeat(100_000)}`))).toBe('54000');
  expect(await refused(query(`select 1${' union select 1'.repeat(100_000)}`))).toBe('54000');
});

test('thirty expressions of 12,000 terms leave a parser that still works', async () => {
  for (let time = 0; time < 30; time += 1) {
    client.send(query(`select ${time}${' + 1'.repeat(12_000)}`));
    const [first] = await client.until('Z');
    expect(['T', 'E', 'N']).toContain(first!.letter);
  }
  expect(await refused(query('selec 1'))).toBe('42601');
});

test('a client that vanishes in the middle of a frame costs nothing', async () => {
  client.send(query('select 1').subarray(0, 7));
  client.destroy();
});

test('a client that never reads its answers stops the flow, and the others go on', async () => {
  client.socket.pause();
  for (let times = 0; times < 50; times += 1) client.send(query("select repeat('x', 1000000)"));
  bystander.send(query('select 1'));
  expect((await bystander.until('Z')).map((reply) => reply.letter).join('')).toBe('TDCZ');
});

test('a pipeline far ahead of the server is held back, answered, and goes on, however long it is', async () => {
  const client = await guard.connect();
  const statements = 60_000;
  const one = Buffer.concat([parse('', 'select 1'), bind('', ''), execute('')]);
  client.send(...Array.from({ length: statements }, () => one), sync());
  const replies = await client.until('Z');
  expect(replies.filter((reply) => reply.letter === 'C')).toHaveLength(statements);
  client.destroy();
});
