// Tiles from the command line's side: a running Holdpoint has them kept, and `holdpoint audit tiles` makes those of a log
// that lies somewhere, from its lines alone. They hold hashes only.

import { join } from 'node:path';
import { folderName } from '../../verify/src/names.ts';
import type { FolderSource } from '../../verify/src/source.ts';
import type { AuditLog } from '../audit/log.ts';
import { Tiler } from '../audit/tiler.ts';
import { Tiling } from '../audit/tiling.ts';
import type { Report } from '../proxy/listener.ts';
import type { Output } from './outcome.ts';

/** Has the tiles of a log kept from now on. `dir` holds the logs' folders. Returns what ends it. */
export function keepTiles(log: AuditLog, dir: string, report: Report): () => Promise<void> {
  const tiling = new Tiling({
    path: join(dir, folderName(log.origin)),
    failed: (cause) =>
      report('warn', 'the tiles of the log are not kept; proofs take a pass over it', { cause }),
  });
  log.listen(tiling);
  // What is there already has its tiles made now, if it has none.
  tiling.sealed(log.health.sealed);
  return () => tiling.close();
}

/** `audit tiles`: makes them anew, from the first record on. */
export async function makeTiles(source: FolderSource, output: Output): Promise<number> {
  const size = await new Tiler(source.path).makeAnew();
  output.out(`${join(source.path, 'tile')}: tiles over ${size} records\n`);
  return 0;
}
