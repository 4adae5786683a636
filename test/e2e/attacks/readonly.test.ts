// What READ ONLY lets through on PostgreSQL 18, and what the rules make of it.

import { readOnlySuite } from './readonly-suite.ts';

readOnlySuite(18);
