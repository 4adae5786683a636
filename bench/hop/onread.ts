// A relay whose server's leg reads into one buffer again and again (`onread` of net.connect; a listening server has no
// such option, so the client's leg is as it comes). While a write has not been taken whole, the next read gets memory of
// its own: what waits must not be written over.

import net from 'node:net';
import { listen, server, together } from './front.ts';

const inputBytes = 64 << 10;
const shared = Buffer.allocUnsafeSlow(inputBytes);

listen((client) => {
  const far = net.connect({
    ...server,
    onread: {
      buffer: () => (client.writableLength > 0 ? Buffer.allocUnsafeSlow(inputBytes) : shared),
      callback: (bytes, buffer) => {
        if (client.write(buffer.subarray(0, bytes))) return true;
        client.once('drain', () => far.resume());
        return false;
      },
    },
  });
  client.on('data', (chunk: Buffer) => {
    if (far.write(chunk)) return;
    client.pause();
    far.once('drain', () => client.resume());
  });
  client.on('end', () => far.end());
  far.on('end', () => client.end());
  together(client, far);
  client.resume();
});
