// Recorder: a TCP port in front of a server that keeps every byte on its way there, connection by connection. What a
// server was really sent can be compared with what somebody signed for.

import net from 'node:net';

export interface Recorder {
  readonly port: number;
  /** How often these bytes came, one behind the other, on any one connection. */
  count(bytes: Buffer): number;
  close(): Promise<void>;
}

export async function startRecorder(to: { host: string; port: number }): Promise<Recorder> {
  const streams: Buffer[][] = [];
  const open = new Set<net.Socket>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    const onward = net.connect({ ...to, noDelay: true });
    const stream: Buffer[] = [];
    streams.push(stream);
    for (const end of [socket, onward]) {
      open.add(end);
      end.on('close', () => open.delete(end));
      end.on('error', () => undefined);
    }
    socket.on('data', (chunk: Buffer) => stream.push(chunk));
    socket.pipe(onward).pipe(socket);
    socket.on('close', () => onward.destroy());
    onward.on('close', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    count(bytes) {
      let found = 0;
      for (const stream of streams) {
        const all = Buffer.concat(stream);
        for (let at = all.indexOf(bytes); at >= 0; at = all.indexOf(bytes, at + 1)) found += 1;
      }
      return found;
    },
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
