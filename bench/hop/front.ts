// The front of a relay that is measured: takes connections, and TLS behind an SSLRequest where it has a certificate,
// and hands each over with a way to the server. Refuses to know how bytes are moved.

import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import type { Line } from '../../src/hop/line.ts';

const [port, serverHost, serverPort, certFile, keyFile] = process.argv.slice(2);
const context =
  certFile === undefined || keyFile === undefined
    ? undefined
    : tls.createSecureContext({ cert: readFileSync(certFile), key: readFileSync(keyFile) });

/** Where the server is. */
export const server = { host: serverHost!, port: Number(serverPort), noDelay: true };

/** Calls `join` with each client, paused; encrypted ones behind their SSLRequest. */
export function listen(join: (client: net.Socket) => void): void {
  net
    .createServer({ noDelay: true, pauseOnConnect: true }, (client) => {
      client.on('error', () => client.destroy());
      if (context === undefined) join(client);
      else encrypt(client, context, join);
    })
    .listen(Number(port), '127.0.0.1');
}

function encrypt(
  client: net.Socket,
  secureContext: tls.SecureContext,
  join: (client: net.Socket) => void,
): void {
  // The eight bytes of SSLRequest come alone: the client waits for the answer.
  client.once('data', () => {
    client.pause();
    client.write('S');
    const secure = new tls.TLSSocket(client, { isServer: true, secureContext });
    secure.on('error', () => secure.destroy());
    join(secure.pause());
  });
  client.resume();
}

/** The end of either is the end of both. */
export function together(one: Line, other: Line): void {
  for (const [each, far] of [
    [one, other],
    [other, one],
  ] as const) {
    each.on('error', () => far.destroy());
    each.on('close', () => far.destroy());
  }
}
