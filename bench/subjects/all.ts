// Everything that the load is run through, in the order of the table.

import { direct } from './direct.ts';
import { haproxy } from './haproxy.ts';
import { holdpoint } from './holdpoint.ts';
import { pgbouncer } from './pgbouncer.ts';
import { pgpool } from './pgpool.ts';
import { relay } from './relay.ts';
import type { Candidate } from './subject.ts';

export const candidates: readonly Candidate[] = [direct, relay, haproxy, pgbouncer, pgpool, holdpoint];
