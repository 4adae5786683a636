// Readiness: what is not ready is named, and asking often costs the targets one connection.

import net from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readiness } from '../../src/cli/ready.ts';
import type { Target } from '../../src/proxy/listener.ts';

const log = {
  health: { writable: true, reason: undefined, warnings: [], records: 0, sealed: 0, unsealedMs: 0 },
};
const store = { ping: async () => undefined };
const node = { problem: undefined, warnings: [] };

let connections = 0;
const stranger = net.createServer((socket) => {
  connections += 1;
  socket.end();
});
let port = 0;

beforeAll(async () => {
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  port = (stranger.address() as net.AddressInfo).port;
});

afterAll(() => stranger.close());

function targets(): ReadonlyMap<string, Target> {
  const address = {
    host: '127.0.0.1',
    port,
    user: 'u',
    password: '',
    database: 'd',
    sslMode: 'disable',
    sslRootCert: undefined,
    connectTimeoutMs: 1000,
  };
  return new Map([['shop', { name: 'shop', address } as Target]]);
}

test('a target that does not answer as PostgreSQL, a store that fails, a log that is closed and a node that is another are named', async () => {
  const broken = { ping: () => Promise.reject(new Error('no Redis at redis://h')) };
  const closed = { health: { ...log.health, writable: false, reason: 'the disk is full' } };
  const checks = await readiness(
    closed,
    broken,
    { problem: 'n1 is somebody else', warnings: ['n2'] },
    targets(),
    () => 0,
  )();
  expect(checks).toEqual([
    { name: 'log', problem: 'the disk is full' },
    { name: 'node', problem: 'n1 is somebody else', warnings: ['n2'] },
    { name: 'store', problem: 'no Redis at redis://h' },
    { name: 'target shop', problem: expect.any(String) },
  ]);
});

test('asked a hundred times within two seconds, a target is asked once', async () => {
  let now = 0;
  const ask = readiness(log, store, node, targets(), () => now);
  const before = connections;
  await Promise.all(Array.from({ length: 100 }, () => ask()));
  expect(connections - before).toBe(1);
  now = 3000;
  await ask();
  expect(connections - before).toBe(2);
});
