// Catalog of: the watched catalog as one session may believe it. A target's name or port may lead to another server, or
// its database be made anew, while older sessions are still open: what is known of one counts for nothing in the other.
// Refuses to know how the catalog is watched.

import type { Catalog } from '../catalog/names.ts';
import type { ServerIdentity } from '../server-pins.ts';

/** What a session needs of the watch over its target's catalog. */
export interface WatchedCatalog extends Catalog {
  /** The server and the database that `reach` was read from; undefined before that. */
  readonly database: ServerIdentity | undefined;
}

/** The catalog for a session of `database`: `reach` is undefined while another one is watched. */
export function catalogOf(watched: WatchedCatalog, database: ServerIdentity): Catalog {
  return {
    get reach() {
      const { reach } = watched;
      return watched.database !== undefined && sameDatabase(watched.database, database) ? reach : undefined;
    },
    get pending() {
      return watched.pending;
    },
    refresh: () => watched.refresh(),
    changed: () => watched.changed(),
  };
}

/** As far as their servers tell. */
export function sameDatabase(one: ServerIdentity, other: ServerIdentity): boolean {
  return one.systemIdentifier === other.systemIdentifier && one.databaseOid === other.databaseOid;
}
