// A receiver of webhooks on a loopback port: keeps what arrives, and answers as a test says.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Delivered {
  readonly headers: Record<string, string>;
  readonly body: string;
}

export interface Receiver {
  readonly url: string;
  readonly delivered: Delivered[];
  /** The answer to each delivery; 204 without it. */
  answer:
    | ((delivery: Delivered) => { status: number; headers?: Record<string, string>; body?: string } | 'reset')
    | undefined;
  until<T>(found: () => T | undefined | false): Promise<T>;
  close(): Promise<void>;
}

export async function startReceiver(): Promise<Receiver> {
  const listeners = new Set<() => void>();
  const delivered: Delivered[] = [];
  const server: Server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const delivery = { headers: request.headers as Record<string, string>, body };
    delivered.push(delivery);
    const answer = receiver.answer?.(delivery) ?? { status: 204 };
    if (answer === 'reset') request.socket.destroy();
    else response.writeHead(answer.status, answer.headers).end(answer.body);
    for (const done of listeners) done();
    listeners.clear();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/secret-path`,
    delivered,
    answer: undefined,
    async until(found) {
      for (;;) {
        const value = found();
        if (value !== undefined && value !== false) return value;
        await new Promise<void>((done) => listeners.add(done));
      }
    },
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return receiver;
}
