// A relay over descriptors, as the proxy has them: src/hop. An encrypted leg stays a stream of Node's.

import { once } from 'node:events';
import net from 'node:net';
import type { Line } from '../../src/hop/line.ts';
import { takeOver } from '../../src/hop/takeover.ts';
import { listen, server, together } from './front.ts';

const nothing = Buffer.alloc(0);

function pass(from: Line, to: Line): void {
  from.on('data', (chunk: Buffer) => {
    if (to.write(chunk)) return;
    from.pause();
    to.once('drain', () => from.resume());
  });
  from.on('end', () => to.end());
}

listen(async (client) => {
  const far = net.connect(server);
  far.on('error', () => client.destroy());
  await once(far, 'connect');
  const near = takeOver(client, nothing);
  const there = takeOver(far.pause(), nothing);
  pass(near.line, there.line);
  pass(there.line, near.line);
  together(near.line, there.line);
  if (near.head.length > 0) there.line.write(near.head);
  near.line.resume();
  there.line.resume();
});
