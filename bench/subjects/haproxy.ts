// HAProxy in TCP mode: bytes both ways, in C.

import { freePort } from '../../src/demo/postgres.ts';
import { found, startProgram, writeFor } from './program.ts';
import { Absent, type Candidate } from './subject.ts';

export const haproxy: Candidate = {
  name: 'haproxy',
  async start(place) {
    const program = found('haproxy', 'haproxy');
    if (program instanceof Absent) return program;
    if (place.tls !== undefined) return new Absent("no TLS with PostgreSQL's SSLRequest");
    const port = await freePort();
    const { host, port: serverPort } = place.server;
    const file = writeFor(
      place,
      'haproxy.cfg',
      `global
  maxconn ${place.sessionsMax + 10}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 127.0.0.1:${port}
  server postgres ${host}:${serverPort}
`,
    );
    return startProgram([program, '-db', '-f', file], place, { ...place.server, port });
  },
};
