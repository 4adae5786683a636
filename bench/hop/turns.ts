// A relay that writes once a turn of the event loop and direction: what came for a socket in the meantime goes in one.

import net from 'node:net';
import { listen, server, together } from './front.ts';

const due = new Map<net.Socket, Buffer[]>();

function later(to: net.Socket, chunk: Buffer): void {
  if (due.size === 0) setImmediate(turnEnded);
  const waiting = due.get(to);
  if (waiting === undefined) due.set(to, [chunk]);
  else waiting.push(chunk);
}

function turnEnded(): void {
  for (const [to, chunks] of due) to.write(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
  due.clear();
}

function pass(from: net.Socket, to: net.Socket): void {
  from.on('data', (chunk: Buffer) => {
    later(to, chunk);
    if (!to.writableNeedDrain) return;
    from.pause();
    to.once('drain', () => from.resume());
  });
  from.on('end', () => setImmediate(() => to.end()));
}

listen((client) => {
  const far = net.connect(server);
  pass(client, far);
  pass(far, client);
  together(client, far);
  client.resume();
});
