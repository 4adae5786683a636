// Standing: what one reader can do about one request: whether it is still open, whether they have decided already, what
// keeps them from it, by which kinds of evidence they could, and how far an approval of theirs may reach. Pure. It is
// advice for a page: the desk judges every decision again.

import { foldName } from '../approval/approvers.ts';
import type { IntactRequest } from '../approval/release.ts';
import { type Level, levelReaches, type Request } from '../approval/request.ts';
import type { StoredRequest, Vote } from '../store/store.ts';
import type { Reader } from './access.ts';
import type { Person } from './people.ts';

/** A kind of evidence that the reader can give. `approves`: an approval by it is strong enough. */
export interface Way {
  readonly kind: 'webauthn' | 'jws' | 'oidc' | 'link';
  readonly level: Level;
  readonly approves: boolean;
}

export interface Standing {
  /** It can still be decided, by somebody. */
  readonly open: boolean;
  /** The reader's own decision. */
  readonly voted: Vote | undefined;
  /** A sentence: why the reader does not count. */
  readonly barred: string | undefined;
  /** Strongest first. */
  readonly ways: readonly Way[];
  /** The reader's passkeys, for their browser to choose from. */
  readonly passkeys: readonly { readonly id: string; readonly transports: readonly string[] }[];
  /** How far an approval may reach; undefined where it is this statement, once, and nothing else. */
  readonly reach: Reach | undefined;
}

/** `rows`: what the bound on rows begins with, undefined where they were not counted. `counts` as in the request. */
export interface Reach {
  readonly counts: 'all' | 'own';
  readonly rows: number | undefined;
  /** Further statements of the same shape may be covered. */
  readonly shape: boolean;
}

const kinds = { webauthn: 'passkey', jws: 'key', oidc: 'key', link: 'link' } as const;

export function standingOf(
  row: StoredRequest,
  { request }: IntactRequest,
  reader: Exclude<Reader, { kind: 'agent' }>,
  person: Person | undefined,
  now: number,
  oidc: boolean,
): Standing {
  const open = row.state === 'pending' && now < request.exp;
  const name = reader.kind === 'approver' ? reader.name : undefined;
  const voted = row.votes.find((vote) => name !== undefined && foldName(vote.approver) === foldName(name));
  return {
    open,
    voted,
    barred: name === undefined ? undefined : barredBecause(request, name),
    ways: waysOf(request, reader, person, oidc),
    passkeys: person?.passkeys ?? [],
    reach: reachOf(request),
  };
}

function waysOf(
  request: Request,
  reader: Exclude<Reader, { kind: 'agent' }>,
  person: Person | undefined,
  oidc: boolean,
): Way[] {
  const { level: needed } = request.need;
  const way = (kind: Way['kind']): Way => ({
    kind,
    level: kinds[kind],
    approves: levelReaches(kinds[kind], needed),
  });
  if (reader.kind === 'link') {
    const mayDecide = request.db.environment === 'development' && needed === 'link';
    return mayDecide ? [way('link')] : [];
  }
  return [
    ...((person?.passkeys.length ?? 0) > 0 ? [way('webauthn')] : []),
    ...((person?.keys.length ?? 0) > 0 ? [way('jws')] : []),
    ...(oidc && (person?.oidc.length ?? 0) > 0 ? [way('oidc')] : []),
  ];
}

function barredBecause({ agent, need }: Request, name: string): string | undefined {
  const own = foldName(name);
  if ((agent.obo ?? []).some((human) => foldName(human) === own))
    return `${agent.id} works on your behalf, so somebody else has to decide.`;
  if (need.of !== undefined && !need.of.some((one) => foldName(one) === own))
    return `Only ${need.of.join(', ')} may decide this one.`;
  return undefined;
}

function reachOf({ statements, effect, counts, shape, once, plan }: Request): Reach | undefined {
  if (counts === undefined || plan !== undefined) return undefined;
  const does = statements[0]?.command;
  const touched = effect?.relations.find((relation) => relation.does === does)?.touched;
  const rows = touched?.how === 'count' ? touched.rows : undefined;
  return { counts, rows, shape: shape !== undefined && once !== true };
}
