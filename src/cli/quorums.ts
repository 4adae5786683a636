// Quorums: whether the people who are registered can ever release what targets and rules hold. A target that nobody can
// release would look guarded and be closed; a start refuses it. Refuses to know how anybody proves who they are.

import { foldName, strongestLevel } from '../approval/approvers.ts';
import { levelReaches, type RequestNeed } from '../approval/request.ts';
import type { AgentConfig, Config, TargetConfig } from '../config.ts';
import { HoldpointError } from '../errors.ts';
import type { Policy } from '../policy/rules.ts';
import { jointNeed } from '../proxy/need.ts';
import type { Approver } from '../registry-book.ts';

/**
 * The last check before a start, when also the approvers in the data folder are known: throws
 * HoldpointError('bad-config') for a target, or a rule of it, whose quorum those people can never reach. Outside of
 * production the first approver may still come later, while it runs.
 */
export function requireApprovers(
  config: Pick<Config, 'targets' | 'agents'>,
  registered: readonly Approver[],
  policies: ReadonlyMap<string, Policy>,
): void {
  const present = registered.filter(({ retiredAt }) => retiredAt === undefined);
  for (const target of config.targets.values()) {
    if (present.length === 0 && target.environment !== 'production') continue;
    const agents = [...config.agents.values()].filter(({ targets }) => targets.includes(target.name));
    for (const { rule, need } of needsOf(target, policies.get(target.name))) {
      if (need.level === 'link') continue;
      const asked = rule === undefined ? `target ${target.name}` : `rule ${rule} on target ${target.name}`;
      refuseShortage(asked, target, need, present, undefined);
      for (const agent of agents) refuseShortage(asked, target, need, present, agent);
    }
  }
}

/** What the target asks for by itself, and with each of its rules that ask for more. */
function needsOf(
  target: TargetConfig,
  policy: Policy | undefined,
): { rule: string | undefined; need: RequestNeed }[] {
  const raising = (policy?.rules ?? []).filter(({ need }) => need !== undefined);
  return [
    { rule: undefined, need: jointNeed(target.approval, undefined) },
    ...raising.map(({ name, need }) => ({ rule: name, need: jointNeed(target.approval, need) })),
  ];
}

function refuseShortage(
  asked: string,
  { environment }: TargetConfig,
  need: RequestNeed,
  present: readonly Approver[],
  agent: AgentConfig | undefined,
): void {
  const barred = new Set(agent?.onBehalfOf.map(foldName));
  const group = need.of && new Set(need.of.map(foldName));
  const counting = present.filter((person) => {
    const level = strongestLevel(person);
    const name = foldName(person.name);
    return (
      level !== undefined &&
      levelReaches(level, need.level) &&
      !barred.has(name) &&
      (group === undefined || group.has(name))
    );
  });
  if (counting.length >= need.quorum) return;
  const wanted = need.quorum === 1 ? 'an approver' : `${need.quorum} approvers`;
  const found =
    counting.length === 0 ? 'none is' : counting.length === 1 ? 'only 1 is' : `only ${counting.length} are`;
  const which = need.of === undefined ? '' : ` among ${need.of.join(', ') || 'nobody'}`;
  const whose =
    agent === undefined || agent.onBehalfOf.length === 0
      ? ''
      : ` for ${agent.name}, which works for ${agent.onBehalfOf.join(', ')},`;
  throw new HoldpointError(
    'bad-config',
    `${asked} is ${environment} and needs${whose} ${wanted} of level ${need.level}${which}, but ${found} registered; add one with: holdpoint approver add NAME ${need.level === 'passkey' ? '--passkey --serve' : '--generate FILE'}`,
  );
}
