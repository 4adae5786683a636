// Login: what a client may say before it is somebody, and what it is told. Over real sockets and TLS; the target behind
// is real, and never hears of a client that was not let in.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { query, terminate } from '../../src/wire/messages/frontend.ts';
import { gssencRequest, sslRequest, startupMessage } from '../../src/wire/startup.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase, tlsFixture } from '../support/postgres.ts';
import { errorFields, RawClient, type ServerError } from '../support/raw.ts';

let database: TestDatabase;
let guard: Guard;
/** Where a login may not take long. */
let hurried: Guard;
let secure: Guard;
const ca = readFileSync(tlsFixture.ca);
const user = 'claude';
const password = 'agent secret';

beforeAll(async () => {
  database = await createDatabase();
  guard = await startGuard({ url: database.url });
  hurried = await startGuard({ url: database.url, limits: { loginMs: 700 } });
  secure = await startGuard({ url: database.url, tls: { cert: tlsFixture.cert, key: tlsFixture.key } });
});

afterAll(async () => {
  await guard?.close();
  await hurried?.close();
  await secure?.close();
  await database?.drop();
});

async function refusal(login: { user: string; database: string; password: string }): Promise<ServerError> {
  const client = await RawClient.connect(guard.host, guard.port);
  const error = await client.login(login).then(
    () => undefined,
    (refused: ServerError) => refused,
  );
  if (error === undefined) throw new Error('the login succeeded');
  await client.untilClosed();
  return error;
}

/** Sends raw bytes and returns all that comes back until the server closes. */
function exchange(port: number, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(chunks)));
  });
}

describe('who is let in', () => {
  test('a wrong password, an unknown agent and a target of somebody else are told the same', async () => {
    const wrong = await refusal({ user, database: 'shop', password: 'guess' });
    const unknown = await refusal({ user: 'nobody', database: 'shop', password });
    const elsewhere = await refusal({ user, database: 'other', password });
    expect(wrong.sqlstate).toBe('28P01');
    const told = (error: ServerError, name: string) =>
      [...error.fields].map(([letter, text]) => `${letter}${text.replaceAll(name, 'X')}`);
    expect(told(unknown, 'nobody')).toEqual(told(wrong, user));
    expect(told(elsewhere, user)).toEqual(told(wrong, user));
  });

  test('an agent that is let in sees the target as the server reports it, and a cancel key of ours', async () => {
    const client = await guard.connect({ application_name: 'an app', TimeZone: 'Asia/Tokyo' });
    expect(client.parameters.get('server_version')).toMatch(/^18/);
    expect(client.parameters.get('application_name')).toBe('an app');
    expect(client.parameters.get('TimeZone')).toBe('Asia/Tokyo');
    expect(client.key).toHaveLength(4);
    client.send(query('select pg_backend_pid()'));
    const [, row] = await client.until('Z');
    expect(row!.summary).not.toBe(String(client.pid));
    client.destroy();
  });

  test('protocol 3.2 gets a key of 32 bytes; newer versions and options are negotiated down', async () => {
    const modern = await RawClient.connect(guard.host, guard.port);
    await modern.login({ user, database: 'shop', password, minor: 2 });
    expect(modern.key).toHaveLength(32);
    modern.destroy();
    const grease = await RawClient.connect(guard.host, guard.port);
    grease.send(
      startupMessage(9999, [
        ['user', user],
        ['database', 'shop'],
        ['_pq_.grease', 'x'],
      ]),
    );
    const [negotiated] = await grease.take(1);
    expect(negotiated!.letter).toBe('v');
    expect(negotiated!.body.readInt32BE(0)).toBe(0x30002);
    expect(negotiated!.body.toString('latin1', 8)).toBe('_pq_.grease\0');
    grease.destroy();
  });

  test('the settings that reading rests on cannot be chosen, by any spelling', async () => {
    for (const parameters of [
      { options: '-c standard_conforming_strings=off' },
      { options: '--standard-conforming-strings=off' },
      { standard_conforming_strings: 'off' },
      { client_encoding: 'SJIS' },
      { replication: 'database' },
      { replication: 'tru' },
      { options: '-c session_replication_role=replica' },
      { role: 'postgres' },
    ]) {
      await expect(
        guard.connect(parameters as Record<string, string>),
        JSON.stringify(parameters),
      ).rejects.toMatchObject({
        sqlstate: expect.stringMatching(/^(0A000|22023)$/),
      });
    }
  });
});

describe('encryption', () => {
  test('SSLRequest and SCRAM-SHA-256-PLUS, bound to the certificate', async () => {
    const client = await RawClient.connect(secure.host, secure.port, { ca, host: 'localhost' });
    await client.login({ user, database: 'shop', password });
    client.send(query('select 1'));
    expect((await client.until('Z')).map((reply) => reply.letter).join('')).toBe('TDCZ');
    client.destroy();
  });

  test('direct TLS needs ALPN', async () => {
    const open = (options: tls.ConnectionOptions): Promise<tls.TLSSocket> =>
      new Promise((resolve, reject) => {
        const socket = tls.connect({
          host: '127.0.0.1',
          port: secure.port,
          ca,
          servername: 'localhost',
          ...options,
        });
        socket.on('error', reject);
        socket.on('close', () => reject(new Error('closed')));
        socket.once('secureConnect', () => resolve(socket));
      });
    const client = new RawClient(await open({ ALPNProtocols: ['postgresql'] }));
    await client.login({ user, database: 'shop', password });
    client.destroy();
    const without = await open({}).then(
      (socket) => new RawClient(socket).untilClosed(),
      () => [],
    );
    expect(without).toEqual([]);
  });

  test('a plaintext session is refused where TLS is required', async () => {
    const client = await RawClient.connect(secure.host, secure.port);
    await expect(client.login({ user, database: 'shop', password })).rejects.toMatchObject({
      sqlstate: '28000',
    });
  });

  test('GSSENCRequest is answered N, and the login goes on', async () => {
    const client = await RawClient.connect(guard.host, guard.port);
    client.socket.removeAllListeners('data');
    const answer = new Promise<Buffer>((resolve) => client.socket.once('data', resolve));
    client.send(gssencRequest());
    expect((await answer).toString('latin1')).toBe('N');
    const again = new RawClient(client.socket);
    await again.login({ user, database: 'shop', password });
    again.destroy();
  });

  test('bytes behind an SSLRequest end the connection before they are read', async () => {
    const stuffed = Buffer.concat([sslRequest(), startupMessage(0, [['user', user]])]);
    const answer = await exchange(secure.port, stuffed);
    expect(answer.toString('latin1')).toMatch(/^(E.*08P01.*unencrypted data.*)?$/s);
    expect(answer.toString('latin1')).not.toMatch(/^S/);
  });
});

describe('strangers', () => {
  test.each([
    ['nothing but a length of 0', Buffer.from([0, 0, 0, 0])],
    ['a length of 10,001', Buffer.concat([Buffer.from([0, 0, 0x27, 0x11]), Buffer.alloc(10_000)])],
    ['a length of 2 GiB', Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0])],
    ['a negative length', Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0])],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['nothing at all, for longer than a login may take', Buffer.alloc(0)],
  ])('%s: the socket closes without a word', async (_, bytes) => {
    expect(await exchange(hurried.port, bytes)).toHaveLength(0);
  });

  test('protocol 2.0 is told what is spoken', async () => {
    const answer = await exchange(guard.port, Buffer.from([0, 0, 0, 8, 0, 2, 0, 0]));
    expect(answer.toString('latin1')).toContain('0A000');
  });

  test('a query instead of a password ends the connection', async () => {
    const client = await RawClient.connect(guard.host, guard.port);
    client.send(
      startupMessage(0, [
        ['user', user],
        ['database', 'shop'],
      ]),
    );
    expect((await client.take(1))[0]!.letter).toBe('R');
    client.send(query('select 1'));
    const last = (await client.untilClosed()).at(-1)!;
    expect(errorFields(last).get('C')).toBe('08P01');
  });
});

test('what the target says of our own login reaches nobody', async () => {
  const broken = await startGuard({ url: database.url.replace(/:[^:@/]+@/, ':wrong@') });
  try {
    const error = await broken.connect().then(
      () => undefined,
      (refused: ServerError) => refused,
    );
    expect(error?.message).toBe('the database refused the login of this proxy');
    expect([...(error?.fields.values() ?? [])].join(' ')).not.toContain('postgres');
    expect(broken.reports.join('\n')).toContain('28P01');
  } finally {
    await broken.close();
  }
});

test('half of the connections may be strangers at once; the next is turned away, and a session stays', async () => {
  const small = await startGuard({ url: database.url, limits: { connectionsMax: 4, loginMs: 5000 } });
  const strangers: RawClient[] = [];
  try {
    const inside = await small.connect();
    for (let count = 0; count < 2; count += 1)
      strangers.push(await RawClient.connect(small.host, small.port));
    // A client that would rather have TLS asks for it first, and must still be told why it is turned away.
    const turnedAway = await RawClient.connect(small.host, small.port);
    turnedAway.socket.removeAllListeners('data');
    const said = new Promise<Buffer>((resolve) => turnedAway.socket.once('data', resolve));
    turnedAway.send(sslRequest());
    expect((await said).toString('latin1')).toBe('N');
    const refused = new Promise<Buffer>((resolve) => turnedAway.socket.once('data', resolve));
    turnedAway.send(startupMessage(0, [['user', user]]));
    expect((await refused).toString('latin1')).toContain('C53300');
    inside.send(query('select 1'));
    expect((await inside.until('Z')).at(-1)!.letter).toBe('Z');
    inside.destroy();
  } finally {
    for (const stranger of strangers) stranger.destroy();
    await small.close();
  }
});

test('a connection counts until it is closed, also when its session is over or there was none', async () => {
  const small = await startGuard({ url: database.url, limits: { connectionsMax: 1 } });
  const halfOpen = async (): Promise<RawClient> => {
    const socket = net.connect({ host: small.host, port: small.port, allowHalfOpen: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  };
  const turnedAway = expect.objectContaining({ sqlstate: '53300' });
  try {
    const over = await halfOpen();
    await over.login({ user, password, database: 'shop' });
    over.send(terminate());
    await once(over.socket, 'end');
    await expect(small.connect()).rejects.toEqual(turnedAway);
    over.destroy();
    let wrong = over;
    const mistaken = async (): Promise<string> => {
      wrong = await halfOpen();
      return wrong
        .login({ user, password: 'wrong', database: 'shop' })
        .then(String, ({ sqlstate }) => sqlstate);
    };
    await expect.poll(mistaken).toBe('28P01');
    await expect(small.connect()).rejects.toEqual(turnedAway);
    wrong.destroy();
    await expect.poll(() => small.connect().then((client) => client.destroy(), String)).toBeUndefined();
  } finally {
    await small.close();
  }
});

test('an agent that is revoked loses its open sessions, after the statement that runs', async () => {
  const name = 'visitor';
  await guard.registry.addAgent({ name, password, targets: ['shop'], createdAt: Date.now() });
  const visit = async (): Promise<RawClient> => {
    const client = await RawClient.connect(guard.host, guard.port);
    await client.login({ user: name, database: 'shop', password });
    return client;
  };
  const client = await visit();
  const idle = await visit();
  const direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query('select pg_advisory_lock(7)');
  client.send(query('select pg_advisory_lock(7)'));
  const waiting = "select from pg_locks where locktype = 'advisory' and objid = 7 and not granted";
  await expect.poll(async () => (await direct.query(waiting)).rowCount).toBe(1);
  await guard.registry.revokeAgent(name, Date.now());
  expect(errorFields((await idle.untilClosed()).at(-1)!).get('C')).toBe('57P01');
  await direct.end();
  const replies = await client.untilClosed();
  expect(
    replies
      .slice(0, 4)
      .map((reply) => reply.letter)
      .join(''),
  ).toBe('TDCZ');
  expect(errorFields(replies.at(-1)!).get('C')).toBe('57P01');
});
