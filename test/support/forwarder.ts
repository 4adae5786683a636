// Forwarder: a TCP port that leads to one server and, once switched, to another, as a name or a load balancer does.

import net from 'node:net';

export interface Forwarder {
  readonly port: number;
  /** New connections go to `to`; open ones stay where they are. */
  lead(to: { host: string; port: number }): void;
  close(): Promise<void>;
}

export async function startForwarder(first: { host: string; port: number }): Promise<Forwarder> {
  let { host, port } = first;
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    const onward = net.connect({ host, port });
    for (const end of [socket, onward]) {
      open.add(end);
      end.on('close', () => open.delete(end));
      end.on('error', () => undefined);
    }
    socket.pipe(onward).pipe(socket);
    socket.on('close', () => onward.destroy());
    onward.on('close', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    lead(to) {
      ({ host, port } = to);
    },
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
