// What the runtime itself costs: every connection is joined to one at the server, bytes both ways, nothing read. With a
// certificate, the client's SSLRequest is taken and TLS ends here; the server's leg stays in plaintext.
// Run: node bench/relay.ts PORT SERVER_HOST SERVER_PORT [CERT_FILE KEY_FILE]

import net from 'node:net';
import { listen, server, together } from './hop/front.ts';

listen((client) => {
  const far = net.connect(server);
  client.pipe(far).pipe(client);
  together(client, far);
});
