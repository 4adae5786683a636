// Everyday statements on PostgreSQL 18: psql, ORMs, drivers, tools and applications are not kept waiting.

import { compareEveryday } from '../everyday/compare.ts';

compareEveryday(18);
