// A load of prepared reads: so many clients, each with one statement under way, at an offered rate. Forked by a bench with
// the address as its first message; each further message is a round, answered with its figures. It measures what a
// client sees, nothing of its own cost.

import { bind, execute, parse, sync } from '../../src/wire/messages/frontend.ts';
import { RawClient } from '../../test/support/raw.ts';

export interface LoadAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly clients: number;
}

/** `rate` in statements a second over all clients; 0: as fast as they are answered. */
export interface Round {
  readonly rate: number;
  readonly seconds: number;
}

/** Latencies in ms, from the moment a statement was sent until ReadyForQuery. */
export interface Figures {
  readonly statements: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p99: number;
}

const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

class Client {
  readonly #socket: RawClient['socket'];
  readonly #request: Buffer;
  #sentAt = 0;
  #answered: (() => void) | undefined;

  private constructor(raw: RawClient, request: Buffer) {
    this.#socket = raw.socket;
    this.#request = request;
    this.#socket.removeAllListeners('data');
    this.#socket.on('data', (chunk: Buffer) => {
      if (chunk.subarray(-readyForQuery.length).equals(readyForQuery)) this.#answered?.();
    });
  }

  static async connect(address: LoadAddress, n: number): Promise<Client> {
    const raw = await RawClient.connect(address.host, address.port);
    await raw.login(address);
    raw.socket.write(
      Buffer.concat([parse('read', 'SELECT abalance FROM accounts WHERE aid = $1', [23]), sync()]),
    );
    await raw.until('Z');
    const request = Buffer.concat([bind('', 'read', [Buffer.from(String(n + 1))]), execute(''), sync()]);
    return new Client(raw, request);
  }

  /** One statement; resolves with its latency. */
  run(): Promise<number> {
    return new Promise((resolve) => {
      this.#answered = () => resolve(performance.now() - this.#sentAt);
      this.#sentAt = performance.now();
      this.#socket.write(this.#request);
    });
  }
}

async function offer(client: Client, intervalMs: number, until: number, latencies: number[]): Promise<void> {
  let due = performance.now() + Math.random() * intervalMs;
  for (;;) {
    const now = performance.now();
    if (now >= until) return;
    if (due > now) await new Promise((resolve) => setTimeout(resolve, due - now));
    latencies.push(await client.run());
    due += intervalMs;
  }
}

async function round(clients: readonly Client[], { rate, seconds }: Round): Promise<Figures> {
  const latencies: number[] = [];
  const begun = performance.now();
  const intervalMs = rate === 0 ? 0 : (clients.length * 1000) / rate;
  await Promise.all(clients.map((client) => offer(client, intervalMs, begun + seconds * 1000, latencies)));
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return {
    statements: latencies.length,
    seconds: (performance.now() - begun) / 1000,
    p50: at(0.5),
    p99: at(0.99),
  };
}

let clients: readonly Client[] = [];
process.on('message', async (message: LoadAddress | Round) => {
  if ('clients' in message) {
    clients = await Promise.all(
      Array.from({ length: message.clients }, (_, n) => Client.connect(message, n)),
    );
    process.send?.('ready');
  } else process.send?.(await round(clients, message));
});
process.on('disconnect', () => process.exit(0));
