// Unasked: what may be read in the database on behalf of a client before anybody has approved anything: a plain read by the
// catalog, and where the client's own words are in it, one that the rules let it run as it is. So measuring a held
// statement tells a client nothing that it could not find out by itself. Pure.

import type { Statement } from '../sql/statement.ts';

/** Why not, in a clause for people; undefined if it may be sent. `passes`: whether the rules let the client run it. */
export function barsReading(
  explained: readonly Statement[],
  passes: (() => boolean) | undefined,
): string | undefined {
  for (const { effects, why, missing, parsing } of explained) {
    if (missing === true) return 'it names something that the catalog does not know';
    if (effects.some((effect) => effect !== 'read') || parsing === true)
      return why.at(-1) ?? `it may do more than read (${effects.join(', ')})`;
  }
  if (passes === undefined || passes()) return undefined;
  return 'the rules do not let this agent read that without asking';
}
