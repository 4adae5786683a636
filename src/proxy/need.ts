// Need: what a held statement takes to be released, of what its target asks for and what its rules add. Pure; refuses to
// know who can give it.

import { type Level, levels, type RequestNeed } from '../approval/request.ts';
import type { Need } from '../policy/verdict.ts';

/** What a target asks for by itself. */
export interface TargetNeed {
  readonly level: Level;
  readonly quorum: number;
  readonly approvers?: readonly string[] | undefined;
}

/** The stronger level, the larger quorum, and of the people only those who are in both groups. */
export function jointNeed(target: TargetNeed, rules: Need | undefined): RequestNeed {
  const asked = rules?.level ?? target.level;
  const groups = [target.approvers, rules?.of].filter((group) => group !== undefined);
  const [first, second] = groups;
  const of = second === undefined ? first : first?.filter((name) => second.includes(name));
  return {
    level: levels.indexOf(asked) > levels.indexOf(target.level) ? asked : target.level,
    quorum: Math.max(target.quorum, rules?.quorum ?? 1),
    ...(of !== undefined && { of: [...of] }),
  };
}
