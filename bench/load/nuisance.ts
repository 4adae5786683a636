// Sessions that misbehave, in a process of their own: forked by a bench with a `Nuisance` as a message, answered once it
// is under way; the next message ends it. Refuses to measure anything.

import { query } from '../../src/wire/messages/frontend.ts';
import { RawClient } from '../../test/support/raw.ts';
import type { LoadAddress } from './client.ts';

export interface Nuisance {
  readonly kind: 'large statements' | 'held requests' | 'slow reader';
  readonly address: Omit<LoadAddress, 'clients'>;
  /** Of held requests. */
  readonly count: number;
}

const statementBytes = 1 << 20;
/** 64 KiB or less each time: about 3 MB/s of a result of 1 GB. */
const readPauseMs = 20;
const patienceMs = 120_000;
const loginsAtOnce = 8;

/** How each begins; resolves with how it ends. */
const kinds: Record<Nuisance['kind'], (nuisance: Nuisance) => Promise<() => void>> = {
  async 'large statements'({ address }) {
    const client = await logIn(address);
    let ended = false;
    const work = async () => {
      for (let n = 0; !ended; n += 1) {
        const filler = 'x'.repeat(statementBytes - 40);
        client.send(query(`SELECT length('${n}${filler}')`));
        const replies = await client.until('Z');
        const error = replies.find(({ letter }) => letter === 'E');
        if (error !== undefined && !ended) throw new Error(`a large statement was refused: ${error.summary}`);
      }
    };
    void work();
    return () => {
      ended = true;
      client.destroy();
    };
  },

  async 'held requests'({ address, count }) {
    const clients: RawClient[] = [];
    for (let n = 0; n < count; n += loginsAtOnce) {
      const group = Array.from({ length: Math.min(loginsAtOnce, count - n) }, () => logIn(address));
      clients.push(...(await Promise.all(group)));
    }
    await Promise.all(
      clients.map(async (client, n) => {
        client.send(query(`DELETE FROM accounts WHERE aid = ${n + 1}`));
        // The notice that it waits.
        const reply = (await client.until('NE')).at(-1);
        if (reply?.letter !== 'N') throw new Error(`a request was not held: ${reply?.summary}`);
      }),
    );
    return () => {
      for (const client of clients) client.destroy();
    };
  },

  async 'slow reader'({ address }) {
    const { socket } = await logIn(address);
    socket.removeAllListeners('data');
    socket.on('data', () => socket.pause());
    socket.write(query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"));
    const timer = setInterval(() => socket.resume(), readPauseMs);
    return () => {
      clearInterval(timer);
      socket.destroy();
    };
  },
};

async function logIn(address: Nuisance['address']): Promise<RawClient> {
  const client = await RawClient.connect(address.host, address.port);
  client.patienceMs = patienceMs;
  await client.login(address);
  return client;
}

let end: (() => void) | undefined;
process.on('message', async (message: Nuisance | 'end') => {
  if (message === 'end') end?.();
  else end = await kinds[message.kind](message);
  process.send?.('ready');
});
process.on('disconnect', () => process.exit(0));
