// Clients that come and go, hang and die, one after another without end, in a process of their own: forked by a bench with
// an address; each later message is answered with how many there were of each since the last. Refuses to measure.

import { bind, execute, parse, query, sync, terminate } from '../../src/wire/messages/frontend.ts';
import { RawClient } from '../../test/support/raw.ts';
import { logIn } from '../subjects/program.ts';
import type { LoadAddress } from './client.ts';

export type Churned = Record<string, number>;

/** How long a client hangs, and how long each kind pauses between two of its clients. */
const hangMs = 20_000;
const pauseMs = 100;

type Address = Omit<LoadAddress, 'clients'>;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const kinds: Readonly<Record<string, (address: Address) => Promise<unknown>>> = {
  /** Reads, writes, says goodbye. */
  async goes(address) {
    const client = await logIn(address, false);
    client.send(query('SELECT abalance FROM accounts WHERE aid = 1'));
    await client.until('Z');
    client.send(query('BEGIN; UPDATE accounts SET abalance = abalance + 1 WHERE aid = 2; COMMIT'));
    await client.until('Z');
    client.send(terminate());
    await client.untilClosed();
  },
  /** Prepares names that nobody closes, and is gone within a transaction. */
  async 'dies in a transaction'(address) {
    const client = await logIn(address, false);
    client.send(query('BEGIN'));
    await client.until('Z');
    for (let n = 0; n < 20; n += 1)
      client.send(parse(`p${n}`, `SELECT abalance + ${n} FROM accounts WHERE aid = $1`, [23]), sync());
    await client.until('Z', 20);
    client.send(bind('', 'p3', [Buffer.from('7')]), execute(''));
    client.destroy();
  },
  /** Is gone in the middle of a message, and of a login. */
  async 'dies in a message'(address) {
    const client = await logIn(address, false);
    client.send(query('SELECT 1 FROM accounts').subarray(0, 11));
    await pause(10);
    client.destroy();
    const other = await RawClient.connect(address.host, address.port);
    other.send(Buffer.from([0, 0, 0]));
    await pause(10);
    other.destroy();
  },
  /** Is gone while a large answer comes. */
  async 'dies while reading'(address) {
    const { socket } = await logIn(address, false);
    socket.removeAllListeners('data');
    socket.write(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"));
    await new Promise((resolve) => socket.once('data', resolve));
    socket.resetAndDestroy();
  },
  /** Asks for a lot and reads none of it for a while. */
  async hangs(address) {
    const { socket } = await logIn(address, false);
    socket.removeAllListeners('data');
    socket.pause();
    socket.write(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"));
    await pause(hangMs);
    socket.destroy();
  },
  /** Is held, and goes before anybody has decided. */
  async 'dies while held'(address) {
    const client = await logIn(address, false);
    client.send(query('DELETE FROM accounts WHERE aid = 3'));
    await client.until('NE');
    client.destroy();
  },
};

let churned: Churned = {};

async function churn(kind: string, address: Address): Promise<never> {
  for (;;) {
    const outcome = await kinds[kind]!(address).then(
      () => kind,
      (error: Error) => `${kind}, failed: ${error.message}`,
    );
    churned[outcome] = (churned[outcome] ?? 0) + 1;
    await pause(pauseMs);
  }
}

process.on('message', (message: Address | 'count') => {
  if (message !== 'count') for (const kind of Object.keys(kinds)) void churn(kind, message);
  process.send?.(churned);
  churned = {};
});
process.on('disconnect', () => process.exit(0));
