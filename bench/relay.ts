// What the runtime itself costs: every connection is joined to one at the server, bytes both ways, nothing read. With a
// certificate, the client's SSLRequest is taken and TLS ends here; the server's leg stays in plaintext.
// Run: node bench/relay.ts PORT SERVER_HOST SERVER_PORT [CERT_FILE KEY_FILE]

import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';

const [port, serverHost, serverPort, certFile, keyFile] = process.argv.slice(2);
const secureContext =
  certFile === undefined || keyFile === undefined
    ? undefined
    : tls.createSecureContext({ cert: readFileSync(certFile), key: readFileSync(keyFile) });

function join(client: net.Socket): void {
  const server = net.connect({ host: serverHost!, port: Number(serverPort), noDelay: true });
  client.pipe(server).pipe(client);
  for (const [one, other] of [
    [client, server],
    [server, client],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}

function encrypt(client: net.Socket, context: tls.SecureContext): void {
  client.on('error', () => client.destroy());
  // The eight bytes of SSLRequest come alone: the client waits for the answer.
  client.once('data', () => {
    client.write('S');
    join(new tls.TLSSocket(client, { isServer: true, secureContext: context }));
  });
}

net
  .createServer({ noDelay: true }, (client) =>
    secureContext === undefined ? join(client) : encrypt(client, secureContext),
  )
  .listen(Number(port), '127.0.0.1');
