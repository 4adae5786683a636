// The bare relay of bench/relay.ts.

import { join } from 'node:path';
import { freePort } from '../../src/demo/postgres.ts';
import { startProgram } from './program.ts';
import type { Candidate } from './subject.ts';

export const relay: Candidate = {
  name: 'relay',
  async start(place) {
    const port = await freePort();
    const { host, port: serverPort } = place.server;
    const tls = place.tls === undefined ? [] : [place.tls.cert, place.tls.key];
    const script = join(import.meta.dirname, '../relay.ts');
    // As whoever runs the bench: another account may not reach the checkout.
    return startProgram(
      [process.execPath, script, String(port), host, String(serverPort), ...tls],
      { ...place, account: undefined },
      { ...place.server, port },
    );
  },
};
