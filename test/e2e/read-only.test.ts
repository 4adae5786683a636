// An agent whose access is read-only: its sessions are read-only at the server from the first statement, nothing that it
// says ends that, and what READ ONLY itself lets through is denied. Rules that pass everything are in force, and the
// upstream role is a superuser: only the access stands between the agent and the database.

import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changeAgents } from '../../src/registry-file.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { RawClient, transcript } from '../support/raw.ts';
import { besiege, pipelined, refused, type Siege, sent, together } from '../support/siege.ts';
import { attempt, everyday, fixture } from './read-only.ts';

let siege: Siege;

beforeAll(async () => {
  siege = await besiege({ fixture, rules: 'observe', access: 'read-only' });
});

afterAll(async () => {
  await siege?.close();
});

test.each([
  ['by itself', sent],
  ['in one pipeline', pipelined],
])('nothing that a read-only agent sends %s changes anything', async (_, way) => {
  const { changed, letThrough } = await attempt(siege, way);
  expect(changed).toEqual([]);
  expect(letThrough).toEqual([]);
});

test.each(['default', 'observe'])(
  'everyday reading is answered as ever under the rules %s',
  async (rules) => {
    const plain = await besiege({ fixture, rules, access: 'read-only', ordinary: true });
    const answers = await together(everyday, async (texts) => ({
      texts,
      lines: await sent(await plain.guard.connect(), ...texts),
    }));
    await plain.close();
    expect(answers.filter(({ lines }) => refused(lines))).toEqual([]);
  },
);

test('a way out is denied, not held: there is nobody to ask', async () => {
  const client = await siege.guard.connect();
  const lines = await sent(client, 'set default_transaction_read_only = off');
  expect(lines[0]).toContain('42501');
  expect(lines[0]).toContain('read-only');
  expect(await siege.guard.pending()).toEqual([]);
});

describe('at login', () => {
  test.each([
    { default_transaction_read_only: 'off' },
    { 'default-transaction-read-only': '0' },
    { DEFAULT_TRANSACTION_READ_ONLY: 'false' },
    { transaction_read_only: 'off' },
    { options: '-c default_transaction_read_only=off' },
    { options: '-cdefault_transaction_read_only=off' },
    { options: '--default-transaction-read-only=off' },
    { options: '-c geqo=on --DEFAULT_transaction_read_only=no' },
    { options: '-c default_transaction_read_only=on -c default_transaction_read_only=off' },
  ])('%j is refused', async (parameters) => {
    await expect(siege.guard.connect(parameters)).rejects.toMatchObject({ sqlstate: '0A000' });
  });

  test.each([
    {},
    { default_transaction_read_only: 'on' },
    { options: '-c default_transaction_read_only=on' },
  ])('with %j the session is read-only, and stays so', async (parameters) => {
    const client = await siege.guard.connect(parameters);
    const show = async (): Promise<string[]> => {
      client.send(query('show transaction_read_only'));
      return transcript(await client.until('Z'), 'TSNC');
    };
    expect(await show()).toEqual(['D on', 'Z I']);
    for (const text of ['reset all', 'discard all']) {
      client.send(query(text));
      await client.until('Z');
      expect(await show(), text).toEqual(['D on', 'Z I']);
    }
    client.destroy();
  });
});

test('an agent that becomes read-only while it is connected loses its sessions, and writes no more', async () => {
  const { guard } = siege;
  const agent = { name: 'turncoat', password: 'secret', targets: ['shop'] };
  await guard.registry.addAgent({ ...agent, createdAt: Date.now() });
  const login = async (): Promise<RawClient> => {
    const client = await RawClient.connect(guard.host, guard.port);
    await client.login({ user: agent.name, password: agent.password, database: 'shop' });
    return client;
  };
  const open = await login();
  open.send(query('insert into gone values (2)'));
  expect(transcript(await open.until('Z'), 'S')).toEqual(['C INSERT 0 1', 'Z I']);
  await changeAgents(guard.dataDir, (entries) => {
    entries.set(agent.name, { ...entries.get(agent.name)!, access: 'read-only' });
  });
  expect(transcript(await open.untilClosed(), 'S')[0]).toContain('57P01');
  const lines = await sent(await login(), 'insert into gone values (3)');
  expect(lines[0]).toMatch(/^E ERROR (25006|42501)/);
});

test('an agent whose access changes while it logs in gets what it has at the end of it', async () => {
  const { guard } = siege;
  const agent = { name: 'slow', password: 'secret', targets: ['shop'] };
  await guard.registry.addAgent({ ...agent, createdAt: Date.now() });
  const login = async (change: () => Promise<void>): Promise<RawClient> => {
    const way = await startTurnstile(guard.port, change);
    const client = await RawClient.connect('127.0.0.1', way.port);
    await client
      .login({ user: agent.name, password: agent.password, database: 'shop' })
      .finally(() => way.close());
    return client;
  };
  const reader = await login(() =>
    changeAgents(guard.dataDir, (entries) => {
      entries.set(agent.name, { ...entries.get(agent.name)!, access: 'read-only' });
    }).then(() => guard.registry.refresh()),
  );
  expect((await sent(reader, 'delete from gone'))[0]).toMatch(/^E ERROR (25006|42501)/);
  await expect(login(() => guard.registry.revokeAgent(agent.name, Date.now()))).rejects.toMatchObject({
    sqlstate: '57P01',
  });
});

/** A port before `port` that lets a client's proof of its password through only after `change`: its third packet. */
async function startTurnstile(
  port: number,
  change: () => Promise<void>,
): Promise<{ port: number; close(): void }> {
  const server = net.createServer((socket) => {
    const onward = net.connect({ host: '127.0.0.1', port });
    let packets = 0;
    socket.on('data', async (packet) => {
      packets += 1;
      if (packets === 3) await change();
      onward.write(packet);
    });
    onward.pipe(socket);
    for (const end of [socket, onward]) end.on('error', () => undefined);
    socket.on('close', () => onward.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as net.AddressInfo).port, close: () => void server.close() };
}
