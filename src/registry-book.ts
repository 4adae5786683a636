// Book: agents and approvers of the configuration and of the data folder put together, with what each credential finds.
// One reading yields one book, replaced whole. Refuses what must not be: one name or one credential for two people, a
// name that is both agent and approver. Knows names and public keys; refuses to know files.

import { randomBytes } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { readSshLine } from '../verify/src/proof/sshkey.ts';
import { type ApproverKey, type Credentials, foldName, type Passkey } from './approval/approvers.ts';
import type { AgentConfig, ApproverConfig } from './config.ts';
import { HoldpointError } from './errors.ts';
import type { AgentEntry, ApproverEntry } from './registry-file.ts';
import { buildVerifier, saltBytes } from './wire/scram.ts';

/** Somebody who may log in, unless revoked or expired. Times are milliseconds since the epoch. */
export interface Agent {
  readonly name: string;
  /** `SCRAM-SHA-256$…`, as in pg_authid. */
  readonly verifier: string;
  readonly targets: readonly string[];
  /** `read-only`: its sessions change nothing, whatever the rules let pass. */
  readonly access: 'read-write' | 'read-only';
  /** The people whose work it does: none of them decides on its requests. */
  readonly onBehalfOf: readonly string[];
  readonly expiresAt: number | undefined;
  readonly revokedAt: number | undefined;
  readonly source: 'config' | 'file';
}

/** A person with credentials. A retired one decides nothing any more, but keeps the name. */
export interface Approver extends Credentials {
  readonly name: string;
  /** Whether they may release in an emergency, alone, to be reviewed afterwards. */
  readonly breakGlass: boolean;
  readonly retiredAt: number | undefined;
  readonly source: 'config' | 'file';
}

/** What the configuration file says of people. `Config` fits. */
export interface Named {
  readonly agents: ReadonlyMap<string, AgentConfig>;
  readonly approvers: ReadonlyMap<string, ApproverConfig>;
}

type Owned<T> = ReadonlyMap<string, T & { readonly approver: string }>;

/** Everything that one reading of the sources yields. What belongs to a retired approver is in `approvers` only. */
export interface Book {
  readonly agents: ReadonlyMap<string, Agent>;
  readonly approvers: ReadonlyMap<string, Approver>;
  /** By thumbprint, fingerprint, credential id, `accountOf`. */
  readonly keys: ReadonlyMap<string, ApproverKey>;
  readonly ssh: Owned<Credentials['ssh'][number]>;
  readonly passkeys: Owned<Passkey>;
  readonly accounts: Owned<object>;
  /** Folded. */
  readonly agentNames: ReadonlySet<string>;
  readonly approverNames: ReadonlySet<string>;
}

export const emptyBook: Book = {
  agents: new Map(),
  approvers: new Map(),
  keys: new Map(),
  ssh: new Map(),
  passkeys: new Map(),
  accounts: new Map(),
  agentNames: new Set(),
  approverNames: new Set(),
};

/** Credentials as they are kept: public keys without their thumbprints. */
export type KeptCredentials = Omit<Credentials, 'keys'> & { readonly keys: readonly JWK[] };

/** Throws HoldpointError('bad-config') or ('conflict'). `before`: the agents so far, whose verifiers may be kept. */
export async function composeBook(
  named: Named,
  agentEntries: ReadonlyMap<string, AgentEntry>,
  approverEntries: ReadonlyMap<string, ApproverEntry>,
  before: ReadonlyMap<string, Agent>,
): Promise<Book> {
  const agents = new Map<string, Agent>();
  for (const [name, entry] of agentEntries) agents.set(name, { name, ...entry, source: 'file' });
  for (const given of named.agents.values()) {
    refuseDuplicate(given.name, agents.keys(), 'agent');
    agents.set(given.name, fromConfig(given, before.get(given.name)));
  }
  const approvers = new Map<string, Approver>();
  for (const [name, entry] of approverEntries) {
    const { retiredAt, breakGlass } = entry;
    approvers.set(name, { ...(await withKids(entry)), name, breakGlass, retiredAt, source: 'file' });
  }
  for (const given of named.approvers.values()) {
    const { name, breakGlass } = given;
    refuseDuplicate(name, approvers.keys(), 'approver');
    approvers.set(name, {
      ...(await withKids(given)),
      name,
      breakGlass,
      retiredAt: undefined,
      source: 'config',
    });
  }
  refuseShared(approvers.values());
  const agentNames = new Set([...agents.keys()].map(foldName));
  for (const name of approvers.keys()) {
    if (!agentNames.has(foldName(name))) continue;
    throw bad(`${name} is both an agent and an approver; nobody may approve for themselves, so rename one`);
  }
  return { agents, approvers, agentNames, ...foundBy([...approvers.values()]) };
}

/** Takes the entries out of both maps that `composeBook` would refuse. Agents go before approvers: the safer loss. */
export function setAside(
  named: Named,
  agents: Map<string, AgentEntry>,
  approvers: Map<string, ApproverEntry>,
): string[] {
  const clashes: string[] = [];
  const takenNames = new Map<string, string>();
  const takenCredentials = new Map<string, string>();
  for (const { name } of named.agents.values())
    takenNames.set(foldName(name), 'an agent of the configuration');
  for (const approver of named.approvers.values()) {
    takenNames.set(foldName(approver.name), 'an approver of the configuration');
    for (const { id } of identities(approver)) takenCredentials.set(id, approver.name);
  }
  const take = (kind: string, name: string, held: readonly Identity[]): boolean => {
    const shared = held.find(({ id }) => takenCredentials.has(id));
    const clash =
      takenNames.get(foldName(name)) ??
      (shared && `${takenCredentials.get(shared.id)} with the same ${shared.word}`);
    if (clash !== undefined) {
      clashes.push(
        `the ${kind} ${name} of the data folder is set aside: there is ${clash} already; rename one`,
      );
      return false;
    }
    takenNames.set(foldName(name), `${kind === 'agent' ? 'an agent' : 'an approver'} of the data folder`);
    for (const { id } of held) takenCredentials.set(id, name);
    return true;
  };
  for (const name of [...agents.keys()]) if (!take('agent', name, [])) agents.delete(name);
  for (const [name, entry] of [...approvers])
    if (!take('approver', name, identities(entry))) approvers.delete(name);
  return clashes;
}

/** Throws `conflict` if `owner` is somebody else and has one of these. Asked before writing, too. */
export function refuseTheirs(
  name: string,
  given: readonly Identity[],
  owner: string,
  theirs: KeptCredentials,
): void {
  if (owner === name) return;
  const ids = new Set(identities(theirs).map(({ id }) => id));
  const shared = given.find(({ id }) => ids.has(id));
  if (shared === undefined) return;
  throw new HoldpointError(
    'conflict',
    `${owner} has this ${shared.word} already; a ${shared.word} is one person's`,
  );
}

/** What makes a credential the same as another, whatever format each stands in. */
export interface Identity {
  readonly id: string;
  readonly word: 'key' | 'passkey' | 'account';
}

/** One SSH key and one JWK of the same numbers are one key. */
export function identities(given: KeptCredentials): Identity[] {
  const key = (jwk: JWK) => ({ id: `key ${jwk.kty} ${jwk.x ?? jwk.n} ${jwk.y ?? ''}`, word: 'key' as const });
  return [
    ...given.keys.map(key),
    ...given.ssh.map(({ line }) => key(readSshLine(line).key.export({ format: 'jwk' }) as JWK)),
    ...given.passkeys.map(({ id }) => ({ id: `passkey ${id}`, word: 'passkey' as const })),
    ...given.passkeys.map(({ jwk }) => key(jwk)),
    ...given.oidc.map((each) => ({ id: subjectName(each.issuer, each.subject), word: 'account' as const })),
    ...given.slack.map((each) => ({ id: slackName(each.team, each.user), word: 'account' as const })),
  ];
}

export function subjectName(issuer: string, subject: string): string {
  return `oidc ${issuer.replace(/\/+$/, '')} ${subject}`;
}

export function slackName(team: string, user: string): string {
  return `slack ${team} ${user}`;
}

/** Names are compared folded, so that no two people look alike in a log. */
export function refuseDuplicate(name: string, taken: Iterable<string>, kind: 'agent' | 'approver'): void {
  for (const other of taken) {
    if (foldName(other) !== foldName(name)) continue;
    throw new HoldpointError('conflict', `the name ${other} is taken by an ${kind}; choose another`);
  }
}

function refuseShared(approvers: Iterable<Approver>): void {
  const owners = new Map<string, string>();
  for (const approver of approvers) {
    const kept = { ...approver, keys: approver.keys.map(({ jwk }) => jwk) };
    for (const { id, word } of identities(kept)) {
      const owner = owners.get(id);
      if (owner !== undefined && owner !== approver.name) {
        throw bad(
          `the approvers ${owner} and ${approver.name} have the same ${word}; a ${word} is one person's`,
        );
      }
      owners.set(id, approver.name);
    }
  }
}

function foundBy(
  all: readonly Approver[],
): Pick<Book, 'keys' | 'ssh' | 'passkeys' | 'accounts' | 'approverNames'> {
  const present = all.filter(({ retiredAt }) => retiredAt === undefined);
  const owned = <T extends object>(of: (approver: Approver) => readonly [string, T][]) =>
    new Map(present.flatMap((one) => of(one).map(([id, it]) => [id, { ...it, approver: one.name }])));
  return {
    keys: owned(({ keys }) => keys.map((each) => [each.kid, each])),
    ssh: owned(({ ssh }) => ssh.map((each) => [each.fingerprint, each])),
    passkeys: owned(({ passkeys }) => passkeys.map((each) => [each.id, each])),
    accounts: owned(({ oidc, slack }) => [
      ...oidc.map((each): [string, object] => [subjectName(each.issuer, each.subject), {}]),
      ...slack.map((each): [string, object] => [slackName(each.team, each.user), {}]),
    ]),
    approverNames: new Set(present.map(({ name }) => foldName(name))),
  };
}

async function withKids({ keys, ssh, passkeys, oidc, slack }: KeptCredentials): Promise<Credentials> {
  const named = keys.map(async (jwk) => ({ kid: await calculateJwkThumbprint(jwk), jwk }));
  return { keys: await Promise.all(named), ssh, passkeys, oidc, slack };
}

/** An agent of the configuration. Its verifier is kept over a reload while the password is the same text. */
function fromConfig(given: AgentConfig, before: Agent | undefined): Agent {
  const { name, targets, access, onBehalfOf, expiresAt, password } = given;
  const kept = before && passwords.get(before);
  const verifier =
    given.verifier ??
    (before !== undefined && kept === password
      ? before.verifier
      : buildVerifier(password!, randomBytes(saltBytes)));
  const agent: Agent = {
    name,
    verifier,
    targets,
    access,
    onBehalfOf,
    expiresAt,
    revokedAt: undefined,
    source: 'config',
  };
  if (password !== undefined) passwords.set(agent, password);
  return agent;
}

const passwords = new WeakMap<Agent, string>();

function bad(message: string): HoldpointError {
  return new HoldpointError('bad-config', message);
}
