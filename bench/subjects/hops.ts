// The relays of bench/hop: each moves bytes in another way (docs/hop.md). Asked for by name; no part of a run otherwise.

import { found } from './program.ts';
import { node, relayOf } from './relay.ts';
import { Absent, type Candidate } from './subject.ts';

/** Bun is no package of Debian's; it is looked for in PATH. */
function bun(): string | Absent {
  const path = found('bun', 'bun');
  return path instanceof Absent ? new Absent('not installed: npm install --global bun') : path;
}

export const hops: readonly Candidate[] = [
  ...['onread', 'turns', 'descriptors'].map((name) =>
    relayOf({ name, script: `hop/${name}.ts`, runtime: node, encrypts: true }),
  ),
  relayOf({ name: 'bun', script: 'hop/bun.ts', runtime: bun, encrypts: false }),
];
