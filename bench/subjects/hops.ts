// The relays of bench/hop: each moves bytes in another way (docs/hop.md). Asked for by name; no part of a run otherwise.

import { join } from 'node:path';
import { freePort } from '../../src/demo/postgres.ts';
import { found, startProgram } from './program.ts';
import { Absent, type Candidate } from './subject.ts';

function hop(name: string, runtime: () => string | Absent, encrypts = true): Candidate {
  return {
    name,
    async start(place) {
      const program = runtime();
      if (program instanceof Absent) return program;
      if (place.tls !== undefined && !encrypts) return new Absent('no TLS behind an SSLRequest');
      const port = await freePort();
      const { host, port: serverPort } = place.server;
      const tls = place.tls === undefined ? [] : [place.tls.cert, place.tls.key];
      const script = join(import.meta.dirname, `../hop/${name}.ts`);
      return startProgram(
        [program, script, String(port), host, String(serverPort), ...tls],
        { ...place, account: undefined },
        { ...place.server, port },
      );
    },
  };
}

const node = () => process.execPath;

/** Bun is no package of Debian's; it is looked for in PATH. */
function bun(): string | Absent {
  const path = found('bun', 'bun');
  return path instanceof Absent ? new Absent('not installed: npm install --global bun') : path;
}

export const hops: readonly Candidate[] = [
  hop('onread', node),
  hop('turns', node),
  hop('descriptors', node),
  hop('bun', bun, false),
];
