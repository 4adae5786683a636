// A catalog in which no name hides anything, for sessions whose test is about something else.

import type { Catalog } from '../../src/catalog/names.ts';

export function plainCatalog(): Catalog & { changes: number } {
  return {
    changes: 0,
    reach: { epoch: 'plain', searchPath: ['public'], explain: (statement) => statement },
    pending: undefined,
    refresh: async () => true,
    changed() {
      this.changes += 1;
    },
  };
}
