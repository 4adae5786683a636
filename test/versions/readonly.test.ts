// What READ ONLY lets through on PostgreSQL 15, large objects among it, and what the rules make of it.

import { readOnlySuite } from '../e2e/attacks/readonly-suite.ts';

readOnlySuite(15);
