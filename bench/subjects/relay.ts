// Relays of bench/ as subjects: the bare one, and whatever else is started with the same arguments.

import { join } from 'node:path';
import { freePort } from '../../src/demo/postgres.ts';
import { startProgram } from './program.ts';
import { Absent, type Candidate } from './subject.ts';

/** A script of bench/, and how it is run. */
export interface RelayScript {
  readonly name: string;
  readonly script: string;
  readonly runtime: () => string | Absent;
  /** False: it has no TLS behind an SSLRequest. */
  readonly encrypts: boolean;
}

export function relayOf({ name, script, runtime, encrypts }: RelayScript): Candidate {
  return {
    name,
    async start(place) {
      const program = runtime();
      if (program instanceof Absent) return program;
      if (place.tls !== undefined && !encrypts) return new Absent('no TLS behind an SSLRequest');
      const port = await freePort();
      const { host, port: serverPort } = place.server;
      const tls = place.tls === undefined ? [] : [place.tls.cert, place.tls.key];
      const path = join(import.meta.dirname, '..', script);
      // As whoever runs the bench: another account may not reach the checkout.
      return startProgram(
        [program, path, String(port), host, String(serverPort), ...tls],
        { ...place, account: undefined },
        { ...place.server, port },
      );
    },
  };
}

export const node = (): string => process.execPath;

export const relay = relayOf({ name: 'relay', script: 'relay.ts', runtime: node, encrypts: true });
