// Registry: which agents may log in where, and whose keys may approve. From the configuration file and from
// agents.json and approvers.json in the data folder, which the commands write and a running Holdpoint reads again.
// Keeps SCRAM verifiers and public keys, never a password or a private key; refuses to know sessions and requests.

import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { type ApproverBook, type ApproverKey, foldName } from './approval/evidence.ts';
import type { AgentConfig, ApproverConfig } from './config.ts';
import { HoldpointError } from './errors.ts';
import {
  type AgentEntry,
  type ApproverEntry,
  changeAgents,
  changeApprovers,
  readAgents,
  readApprovers,
} from './registry-file.ts';
import { buildVerifier, saltBytes } from './wire/scram.ts';

/** Somebody who may log in, unless revoked or expired. Times are milliseconds since the epoch. */
export interface Agent {
  readonly name: string;
  /** `SCRAM-SHA-256$…`, as in pg_authid. */
  readonly verifier: string;
  readonly targets: readonly string[];
  /** `read-only`: its sessions change nothing, whatever the rules let pass. */
  readonly access: 'read-write' | 'read-only';
  readonly expiresAt: number | undefined;
  readonly revokedAt: number | undefined;
  readonly source: 'config' | 'file';
}

/** A person with keys. A retired one decides nothing any more, but keeps the name. */
export interface Approver {
  readonly name: string;
  readonly keys: readonly { readonly kid: string; readonly jwk: JWK }[];
  readonly retiredAt: number | undefined;
  readonly source: 'config' | 'file';
}

/** What the configuration file says of people. `Config` fits. */
export interface Named {
  readonly agents: ReadonlyMap<string, AgentConfig>;
  readonly approvers: ReadonlyMap<string, ApproverConfig>;
}

/** Everything that one reading of the sources yields; replaced whole, so that a broken file changes nothing. */
interface Book {
  readonly agents: ReadonlyMap<string, Agent>;
  readonly approvers: ReadonlyMap<string, Approver>;
  readonly keys: ReadonlyMap<string, ApproverKey>;
  readonly agentNames: ReadonlySet<string>;
}

/** The registry of one process. Reading is synchronous; it changes only by its own methods. */
export class Registry implements ApproverBook {
  readonly dataDir: string;
  #named: Named;
  #book: Book;
  #stamp = '';
  #clashes: readonly string[] = [];

  private constructor(dataDir: string, named: Named) {
    this.dataDir = dataDir;
    this.#named = named;
    this.#book = { agents: new Map(), approvers: new Map(), keys: new Map(), agentNames: new Set() };
  }

  /**
   * Reads both sources. The data folder need not exist. Throws HoldpointError('bad-config') for a file that is broken
   * or a name that is both agent and approver.
   */
  static async open(options: { dataDir: string } & Partial<Named>): Promise<Registry> {
    const named = { agents: options.agents ?? new Map(), approvers: options.approvers ?? new Map() };
    const registry = new Registry(options.dataDir, named);
    await registry.reload();
    return registry;
  }

  /** By the exact name of the startup packet. Revoked and expired ones are returned too: see `mayEnter`. */
  agent(name: string): Agent | undefined {
    return this.#book.agents.get(name);
  }

  agents(): Agent[] {
    return [...this.#book.agents.values()];
  }

  approver(name: string): Approver | undefined {
    return this.#book.approvers.get(name);
  }

  approvers(): Approver[] {
    return [...this.#book.approvers.values()];
  }

  /** The key of that RFC 7638 thumbprint, unless unknown or its owner retired. */
  key(kid: string): ApproverKey | undefined {
    return this.#book.keys.get(kid);
  }

  /** True if an agent, also a revoked one, goes by this name however it is spelled. */
  isAgent(name: string): boolean {
    return this.#book.agentNames.has(foldName(name));
  }

  /**
   * Reads everything again, with `named` if the configuration changed too. Throws HoldpointError('bad-config') and
   * leaves the old in force if anything is wrong.
   */
  async reload(named: Named = this.#named): Promise<void> {
    const stamp = await this.#stampOfFiles();
    const [agents, approvers] = await Promise.all([readAgents(this.dataDir), readApprovers(this.dataDir)]);
    this.#book = await compose(named, agents, approvers, this.#book.agents);
    this.#named = named;
    this.#stamp = stamp;
    this.#clashes = [];
  }

  /**
   * As reload, but only if a file of the data folder changed since: two `stat` calls, cheap enough for every login.
   * An entry that clashes with another is set aside and named in `clashes`, so that one wrong name never keeps a
   * revocation from coming into force.
   */
  async refresh(): Promise<void> {
    const stamp = await this.#stampOfFiles();
    if (stamp === this.#stamp) return;
    const [agents, approvers] = await Promise.all([readAgents(this.dataDir), readApprovers(this.dataDir)]);
    const clashes = setAside(this.#named, agents, approvers);
    this.#book = await compose(this.#named, agents, approvers, this.#book.agents);
    this.#stamp = stamp;
    this.#clashes = clashes;
  }

  /** What the last refresh set aside and why, a sentence each. */
  get clashes(): readonly string[] {
    return this.#clashes;
  }

  /** Adds an agent, keeping only a verifier of `password`. Throws `conflict` if the name is taken. */
  async addAgent(agent: {
    name: string;
    password: string;
    targets: readonly string[];
    access?: Agent['access'];
    createdAt: number;
    expiresAt?: number;
  }): Promise<Agent> {
    const { name, password, targets, access = 'read-write', createdAt, expiresAt } = agent;
    await this.#refuseTaken(name);
    const verifier = buildVerifier(password, randomBytes(saltBytes));
    await changeAgents(this.dataDir, (entries) => {
      refuseDuplicate(name, entries.keys(), 'agent');
      const entry = { verifier, targets: [...targets], access, createdAt, expiresAt, revokedAt: undefined };
      entries.set(name, entry);
    });
    await this.reload();
    return this.#book.agents.get(name)!;
  }

  /** Takes effect at the next login. Throws `not-found`, or `conflict` for an agent of the configuration file. */
  async revokeAgent(name: string, nowMs: number): Promise<void> {
    await this.refresh();
    refuseForeign('agent', name, this.#book.agents.get(name)?.source);
    await changeAgents(this.dataDir, (entries) => {
      entries.set(name, { ...entries.get(name)!, revokedAt: nowMs });
    });
    await this.reload();
  }

  /** Adds an approver's public Ed25519 key, or one more key of an approver in the data folder. */
  async addApprover(name: string, jwk: JWK, nowMs: number): Promise<Approver> {
    await this.refresh();
    const known = this.#book.approvers.get(name);
    if (known === undefined) await this.#refuseTaken(name);
    else refuseForeign('approver', name, known.source);
    // A new key would bring the old ones back into force.
    if (known?.retiredAt !== undefined) {
      throw new HoldpointError('conflict', `the approver ${name} is retired; choose another name`);
    }
    const { x } = jwk;
    if (jwk.kty !== 'OKP' || jwk.crv !== 'Ed25519' || typeof x !== 'string') {
      throw new HoldpointError('bad-parameter', `the key of ${name} is not an Ed25519 public key`);
    }
    for (const { name: owner, keys } of this.#named.approvers.values()) refuseSharedKey(name, x, owner, keys);
    await changeApprovers(this.dataDir, (entries) => {
      for (const [owner, { keys }] of entries) refuseSharedKey(name, x, owner, keys);
      const before = entries.get(name);
      const keys = [
        ...(before?.keys ?? []).filter((key) => key.x !== x),
        { kty: 'OKP', crv: 'Ed25519', x } as const,
      ];
      entries.set(name, { keys, createdAt: before?.createdAt ?? nowMs, retiredAt: undefined });
    });
    await this.reload();
    return this.#book.approvers.get(name)!;
  }

  /** From now on none of the approver's keys counts. Throws `not-found`, or `conflict` for one of the configuration. */
  async retireApprover(name: string, nowMs: number): Promise<void> {
    await this.refresh();
    refuseForeign('approver', name, this.#book.approvers.get(name)?.source);
    await changeApprovers(this.dataDir, (entries) => {
      entries.set(name, { ...entries.get(name)!, retiredAt: nowMs });
    });
    await this.reload();
  }

  async #refuseTaken(name: string): Promise<void> {
    if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$/.test(name)) {
      throw new HoldpointError(
        'bad-parameter',
        `"${name}" cannot be a name: use 1 to 63 letters, digits, dots, dashes and underscores`,
      );
    }
    await this.refresh();
    refuseDuplicate(name, this.#book.agents.keys(), 'agent');
    refuseDuplicate(name, this.#book.approvers.keys(), 'approver');
  }

  async #stampOfFiles(): Promise<string> {
    const stamps = ['agents.json', 'approvers.json'].map(async (file) => {
      const found = await stat(join(this.dataDir, file), { bigint: true }).catch(() => undefined);
      // The inode too: a file is replaced by renaming, possibly twice within one tick of its clock.
      return found === undefined ? 'none' : `${found.ino}:${found.mtimeNs}:${found.size}`;
    });
    return (await Promise.all(stamps)).join(' ');
  }
}

/** Whether the agent may open a session on `target` now. The password is checked besides, in any case. */
export function mayEnter(agent: Agent, target: string, nowMs: number): boolean {
  const expired = agent.expiresAt !== undefined && agent.expiresAt <= nowMs;
  return agent.revokedAt === undefined && !expired && agent.targets.includes(target);
}

/** Takes the entries out of both maps that `compose` would refuse. Agents go before approvers: the safer loss. */
function setAside(
  named: Named,
  agents: Map<string, AgentEntry>,
  approvers: Map<string, ApproverEntry>,
): string[] {
  const clashes: string[] = [];
  const takenNames = new Map<string, string>();
  const takenKeys = new Map<string, string>();
  for (const { name } of named.agents.values())
    takenNames.set(foldName(name), 'an agent of the configuration');
  for (const { name, keys } of named.approvers.values()) {
    takenNames.set(foldName(name), 'an approver of the configuration');
    for (const { x } of keys) takenKeys.set(String(x), name);
  }
  const take = (kind: string, name: string, keys: readonly { readonly x: string }[]): boolean => {
    const shared = keys.map(({ x }) => takenKeys.get(x)).find((owner) => owner !== undefined);
    const clash = takenNames.get(foldName(name)) ?? (shared && `${shared} with the same key`);
    if (clash !== undefined) {
      clashes.push(
        `the ${kind} ${name} of the data folder is set aside: there is ${clash} already; rename one`,
      );
      return false;
    }
    takenNames.set(foldName(name), `${kind === 'agent' ? 'an agent' : 'an approver'} of the data folder`);
    for (const { x } of keys) takenKeys.set(x, name);
    return true;
  };
  for (const name of [...agents.keys()]) if (!take('agent', name, [])) agents.delete(name);
  for (const [name, { keys }] of [...approvers]) if (!take('approver', name, keys)) approvers.delete(name);
  return clashes;
}

async function compose(
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
  const keys = new Map<string, ApproverKey>();
  const add = async (approver: Omit<Approver, 'keys'>, jwks: readonly JWK[]) => {
    const withKids = await Promise.all(
      jwks.map(async (jwk) => ({ kid: await calculateJwkThumbprint(jwk), jwk })),
    );
    for (const { kid, jwk } of withKids) {
      const owner = keys.get(kid)?.approver;
      if (owner !== undefined && owner !== approver.name) {
        throw bad(`the approvers ${owner} and ${approver.name} have the same key; a key is one person's`);
      }
      if (approver.retiredAt === undefined) keys.set(kid, { approver: approver.name, kid, jwk });
    }
    approvers.set(approver.name, { ...approver, keys: withKids });
  };
  for (const [name, { keys, retiredAt }] of approverEntries)
    await add({ name, retiredAt, source: 'file' }, keys);
  for (const { name, keys } of named.approvers.values()) {
    refuseDuplicate(name, approvers.keys(), 'approver');
    await add({ name, retiredAt: undefined, source: 'config' }, keys);
  }
  const agentNames = new Set([...agents.keys()].map(foldName));
  for (const name of approvers.keys()) {
    if (!agentNames.has(foldName(name))) continue;
    throw bad(`${name} is both an agent and an approver; nobody may approve for themselves, so rename one`);
  }
  return { agents, approvers, keys, agentNames };
}

/** An agent of the configuration. Its verifier is kept over a reload while the password is the same text. */
function fromConfig(given: AgentConfig, before: Agent | undefined): Agent {
  const { name, targets, access, expiresAt, password } = given;
  const kept = before && passwords.get(before);
  const verifier =
    given.verifier ??
    (before !== undefined && kept === password
      ? before.verifier
      : buildVerifier(password!, randomBytes(saltBytes)));
  const agent: Agent = { name, verifier, targets, access, expiresAt, revokedAt: undefined, source: 'config' };
  if (password !== undefined) passwords.set(agent, password);
  return agent;
}

const passwords = new WeakMap<Agent, string>();

/** Checked before writing, too: a file that cannot be read again would lock everybody out. */
function refuseSharedKey(name: string, x: string, owner: string, keys: readonly JWK[]): void {
  if (owner === name || !keys.some((key) => key.x === x)) return;
  throw new HoldpointError('conflict', `${owner} has this key already; a key is one person's`);
}

/** Names are compared folded, so that no two people look alike in a log. */
function refuseDuplicate(name: string, taken: Iterable<string>, kind: 'agent' | 'approver'): void {
  for (const other of taken) {
    if (foldName(other) !== foldName(name)) continue;
    throw new HoldpointError('conflict', `the name ${other} is taken by an ${kind}; choose another`);
  }
}

function refuseForeign(
  kind: 'agent' | 'approver',
  name: string,
  source: 'config' | 'file' | undefined,
): void {
  if (source === 'file') return;
  if (source === undefined) throw new HoldpointError('not-found', `there is no ${kind} called ${name}`);
  throw new HoldpointError(
    'conflict',
    `the ${kind} ${name} stands in the configuration file; change it there and send SIGHUP`,
  );
}

function bad(message: string): HoldpointError {
  return new HoldpointError('bad-config', message);
}
