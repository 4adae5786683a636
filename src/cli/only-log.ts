// The one log that a command reads where several would not do.

import { type FolderSource, findLogs } from '../../verify/src/source.ts';
import { HoldpointError } from '../errors.ts';

/** The one log under a path. Throws `bad-request` where there are several, SourceError where there is none. */
export function onlyLog(dir: string): FolderSource {
  const found = findLogs(dir);
  if (found.length > 1)
    throw new HoldpointError(
      'bad-request',
      `there are ${found.length} logs in ${dir}; name one of ${found.map(({ path }) => path).join(', ')}`,
    );
  return found[0]!;
}
