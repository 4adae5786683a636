// Everyday statements on PostgreSQL 15: psql, ORMs, drivers, tools and applications are not kept waiting.

import { compareEveryday } from '../everyday/compare.ts';

compareEveryday(15);
