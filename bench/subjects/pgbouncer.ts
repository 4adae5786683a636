// PgBouncer in session mode: speaks the protocol, does not read SQL, keeps logged-in server connections.

import { readFileSync } from 'node:fs';
import { freePort } from '../../src/demo/postgres.ts';
import { found, startProgram, writeFor } from './program.ts';
import { Absent, type Candidate } from './subject.ts';

export const pgbouncer: Candidate = {
  name: 'pgbouncer',
  async start(place) {
    const program = found('pgbouncer', 'pgbouncer');
    if (program instanceof Absent) return program;
    const port = await freePort();
    const { host, port: serverPort, user, password, database } = place.server;
    const users = writeFor(place, 'users.txt', `${quoted(user)} ${quoted(password)}\n`);
    const tls =
      place.tls === undefined
        ? ''
        : `client_tls_sslmode = require
client_tls_cert_file = ${writeFor(place, 'server.crt', readFileSync(place.tls.cert, 'utf8'))}
client_tls_key_file = ${writeFor(place, 'server.key', readFileSync(place.tls.key, 'utf8'))}
`;
    const file = writeFor(
      place,
      'pgbouncer.ini',
      `[databases]
${database} = host=${host} port=${serverPort} dbname=${database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = session
max_client_conn = ${place.sessionsMax + 10}
default_pool_size = ${place.sessionsMax + 10}
log_connections = 0
log_disconnections = 0
${tls}`,
    );
    return startProgram([program, file], place, { ...place.server, port });
  },
};

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
