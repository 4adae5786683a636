// Everything that the load is run through, in the order of the table.

import { direct } from './direct.ts';
import { haproxy } from './haproxy.ts';
import { holdpoint } from './holdpoint.ts';
import { hops } from './hops.ts';
import { pgbouncer } from './pgbouncer.ts';
import { pgpool } from './pgpool.ts';
import { relay } from './relay.ts';
import type { Candidate } from './subject.ts';

/** Those that take part where nobody says which. */
export const usualCandidates: readonly Candidate[] = [direct, relay, haproxy, pgbouncer, pgpool, holdpoint];

export const candidates: readonly Candidate[] = [...usualCandidates, ...hops];
