// A relay on Bun's native sockets: run by `bun`, with the arguments of ../relay.ts. In plaintext only: a connection that was
// accepted cannot become TLS after an SSLRequest there.

interface BunSocket {
  data: Side;
  write(bytes: Uint8Array): number;
  end(): void;
  pause(): void;
  resume(): void;
  setNoDelay(isOn: boolean): void;
}

interface Side {
  peer: BunSocket | undefined;
  /** Written, and not taken by the kernel; or read before there was a peer. */
  waiting: Uint8Array[];
}

interface BunSockets {
  listen(options: { hostname: string; port: number; socket: Handlers }): unknown;
  connect(options: { hostname: string; port: number; data: Side; socket: Handlers }): Promise<BunSocket>;
}

interface Handlers {
  open?(socket: BunSocket): void;
  data(socket: BunSocket, bytes: Uint8Array): void;
  drain(socket: BunSocket): void;
  close(socket: BunSocket): void;
  error(): void;
}

const { Bun } = globalThis as unknown as { Bun: BunSockets };
const [port, serverHost, serverPort] = process.argv.slice(2);

const handlers: Handlers = {
  data(from, bytes) {
    const { peer } = from.data;
    if (peer === undefined) from.data.waiting.push(bytes.slice());
    else pass(from, peer, bytes);
  },
  drain(to) {
    const { waiting, peer } = to.data;
    while (waiting.length > 0) {
      const [first] = waiting as [Uint8Array];
      const written = to.write(first);
      if (written < first.length) {
        waiting[0] = first.subarray(Math.max(0, written));
        return;
      }
      waiting.shift();
    }
    peer?.resume();
  },
  close: (socket) => socket.data.peer?.end(),
  error: () => undefined,
};

function pass(from: BunSocket, to: BunSocket, bytes: Uint8Array): void {
  const written = to.data.waiting.length > 0 ? 0 : Math.max(0, to.write(bytes));
  if (written === bytes.length) return;
  to.data.waiting.push(bytes.slice(written));
  from.pause();
}

async function join(client: BunSocket): Promise<void> {
  const peer = await Bun.connect({
    hostname: serverHost!,
    port: Number(serverPort),
    data: { peer: client, waiting: [] },
    socket: handlers,
  });
  peer.setNoDelay(true);
  const early = client.data.waiting.splice(0);
  client.data.peer = peer;
  for (const bytes of early) pass(client, peer, bytes);
}

Bun.listen({
  hostname: '127.0.0.1',
  port: Number(port),
  socket: {
    ...handlers,
    open(client) {
      client.setNoDelay(true);
      client.data = { peer: undefined, waiting: [] };
      join(client).catch(() => client.end());
    },
  },
});
