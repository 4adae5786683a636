// Pruned: whether the log itself says that the segments that are missing at its beginning were taken away on purpose.
// Whether that record is genuine, the verifier tells; here it is what tells a prune from a loss. audit-approval §11.

import { segmentName } from '../../verify/src/names.ts';
import { Offence } from '../../verify/src/offence.ts';
import type { Folder } from './folder.ts';

/** Throws Offence unless a record in the segments that are left says that those before `begin` were pruned. */
export function requirePruned(folder: Folder, segments: readonly number[], begin: number): void {
  if (begin === 0) return;
  // The newest first: what was pruned last covers what was before.
  for (const n of [...segments].reverse()) if (saysPruned(folder.readSegment(n), begin)) return;
  throw new Offence(
    'chain',
    { file: segmentName(begin - 1), line: 1 },
    'the segment of this number is missing, and no record says that it was pruned',
  );
}

function saysPruned(content: Buffer, begin: number): boolean {
  const sign = '"kind":"prune"';
  for (let at = content.lastIndexOf(sign); at >= 0; at = at === 0 ? -1 : content.lastIndexOf(sign, at - 1)) {
    const end = content.indexOf(10, at);
    if (end < 0) continue;
    try {
      const line = content.toString('utf8', content.lastIndexOf(10, at) + 1, end);
      const { kind, last } = JSON.parse(line) as { kind: unknown; last: unknown };
      if (kind === 'prune' && Number(last) >= begin - 1) return true;
    } catch {
      // Part of another record's text.
    }
  }
  return false;
}
