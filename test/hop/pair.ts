// A connection of this machine: the far end a socket of Node's, the near end to be taken over.

import { once } from 'node:events';
import net from 'node:net';
import { expect } from 'vitest';
import { Descriptor } from '../../src/hop/descriptor.ts';
import type { Line } from '../../src/hop/line.ts';
import { takeOver } from '../../src/hop/takeover.ts';

export interface Pair {
  readonly far: net.Socket;
  readonly socket: net.Socket;
  near(): Line;
}

let closing: (() => void)[] = [];

/** After each test. */
export function closeAll(): void {
  for (const close of closing) close();
  closing = [];
}

/** Is called by `closeAll`. */
export function atClosing(close: () => void): void {
  closing.push(close);
}

export async function connected(): Promise<Pair> {
  const server = net.createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const far = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' });
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(far, 'connect')])) as [
    [net.Socket],
    unknown,
  ];
  server.close();
  far.on('error', () => undefined);
  atClosing(() => far.destroy());
  return {
    far,
    socket,
    near: () => {
      const { line, head } = takeOver(socket, Buffer.alloc(0));
      expect(line).toBeInstanceOf(Descriptor);
      expect(head.length).toBe(0);
      atClosing(() => line.destroy());
      return line;
    },
  };
}
