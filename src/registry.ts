// Registry: which agents may log in where, and whose credentials may approve. From the configuration file and from
// agents.json and approvers.json in the data folder, which the commands write and a running Holdpoint reads again.
// Keeps SCRAM verifiers and public keys, never a password or a private key; refuses to know sessions and requests.

import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { readSshLine } from '../verify/src/proof/sshkey.ts';
import {
  type ApproverBook,
  type ApproverKey,
  foldName,
  type OidcSubject,
  type Passkey,
  type SlackUser,
} from './approval/approvers.ts';
import { HoldpointError } from './errors.ts';
import {
  type Agent,
  type Approver,
  type Book,
  composeBook,
  emptyBook,
  identities,
  type KeptCredentials,
  type Named,
  refuseDuplicate,
  refuseTheirs,
  setAside,
  slackName,
  subjectName,
} from './registry-book.ts';
import {
  type ApproverEntry,
  changeAgents,
  changeApprovers,
  raiseCounter,
  readAgents,
  readApprovers,
} from './registry-file.ts';
import { buildVerifier, saltBytes } from './wire/scram.ts';

const nothing: KeptCredentials = { keys: [], ssh: [], passkeys: [], oidc: [], slack: [] };

/** The registry of one process. Reading is synchronous; it changes only by its own methods. */
export class Registry implements ApproverBook {
  readonly dataDir: string;
  #named: Named;
  #book: Book = emptyBook;
  #stamp = '';
  #clashes: readonly string[] = [];

  private constructor(dataDir: string, named: Named) {
    this.dataDir = dataDir;
    this.#named = named;
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

  sshKey(fingerprint: string) {
    return this.#book.ssh.get(fingerprint);
  }

  passkey(id: string) {
    return this.#book.passkeys.get(id);
  }

  oidcSubject(issuer: string, subject: string) {
    return this.#book.accounts.get(subjectName(issuer, subject));
  }

  slackUser(team: string, user: string) {
    return this.#book.accounts.get(slackName(team, user));
  }

  async passkeyCounter(id: string, counter: number): Promise<boolean> {
    const known = this.#book.passkeys.get(id);
    return known !== undefined && raiseCounter(this.dataDir, id, known.counter, counter);
  }

  /** True if an agent, also a revoked one, goes by this name however it is spelled. */
  isAgent(name: string): boolean {
    return this.#book.agentNames.has(foldName(name));
  }

  mayBreakGlass(name: string): boolean {
    const approver = this.#book.approvers.get(name);
    return approver?.breakGlass === true && approver.retiredAt === undefined;
  }

  isApprover(name: string): boolean {
    return this.#book.approverNames.has(foldName(name));
  }

  onBehalfOf(agent: string): readonly string[] {
    return this.#book.agents.get(agent)?.onBehalfOf ?? [];
  }

  /**
   * Reads everything again, with `named` if the configuration changed too. Throws HoldpointError('bad-config') and
   * leaves the old in force if anything is wrong.
   */
  async reload(named: Named = this.#named): Promise<void> {
    const stamp = await this.#stampOfFiles();
    const [agents, approvers] = await Promise.all([readAgents(this.dataDir), readApprovers(this.dataDir)]);
    this.#book = await composeBook(named, agents, approvers, this.#book.agents);
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
    this.#book = await composeBook(this.#named, agents, approvers, this.#book.agents);
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
    onBehalfOf?: readonly string[];
    createdAt: number;
    expiresAt?: number;
  }): Promise<Agent> {
    const { name, password, targets, access = 'read-write', onBehalfOf = [], createdAt, expiresAt } = agent;
    await this.#refuseTaken(name);
    const verifier = buildVerifier(password, randomBytes(saltBytes));
    await changeAgents(this.dataDir, (entries) => {
      refuseDuplicate(name, entries.keys(), 'agent');
      entries.set(name, {
        verifier,
        targets: [...targets],
        access,
        onBehalfOf: [...onBehalfOf],
        createdAt,
        expiresAt,
        revokedAt: undefined,
      });
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
    const { x } = jwk;
    if (jwk.kty !== 'OKP' || jwk.crv !== 'Ed25519' || typeof x !== 'string') {
      throw new HoldpointError('bad-parameter', `the key of ${name} is not an Ed25519 public key`);
    }
    return this.#enrol(name, { keys: [{ kty: 'OKP', crv: 'Ed25519', x }] }, nowMs);
  }

  /** As addApprover, with a line of an OpenSSH public key file. Its comment is not kept. */
  async addSsh(name: string, line: string, nowMs: number): Promise<Approver> {
    return this.#enrol(name, { ssh: [sshCredential(line, `the SSH key of ${name}`)] }, nowMs);
  }

  /** As addApprover, with a WebAuthn credential whose registration the caller has verified. */
  async addPasskey(name: string, passkey: Passkey): Promise<Approver> {
    return this.#enrol(name, { passkeys: [passkey] }, passkey.createdAt);
  }

  /** From now on this one passkey counts for nothing. Throws `not-found`, or `conflict` for one of the configuration. */
  async retirePasskey(name: string, id: string): Promise<void> {
    await this.refresh();
    const known = this.#book.approvers.get(name);
    refuseForeign('approver', name, known?.source);
    if (known?.passkeys.every((passkey) => passkey.id !== id))
      throw new HoldpointError('not-found', `${name} has no passkey ${id}`);
    await changeApprovers(this.dataDir, (entries) => {
      const entry = entries.get(name)!;
      entries.set(name, { ...entry, passkeys: entry.passkeys.filter((passkey) => passkey.id !== id) });
    });
    await this.reload();
  }

  /** As addApprover, with an account at an OpenID provider. */
  async addOidc(name: string, account: OidcSubject, nowMs: number): Promise<Approver> {
    return this.#enrol(name, { oidc: [account] }, nowMs);
  }

  /** As addApprover, with a Slack account. */
  async addSlack(name: string, account: SlackUser, nowMs: number): Promise<Approver> {
    return this.#enrol(name, { slack: [account] }, nowMs);
  }

  /** Lets an approver of the data folder release in an emergency, alone. */
  async allowBreakGlass(name: string): Promise<void> {
    await this.refresh();
    refuseForeign('approver', name, this.#book.approvers.get(name)?.source);
    await changeApprovers(this.dataDir, (entries) => {
      entries.set(name, { ...entries.get(name)!, breakGlass: true });
    });
    await this.reload();
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

  /** Throws as `addApprover` would for this name, before anything is made for it. */
  async mayEnrol(name: string): Promise<void> {
    await this.refresh();
    const known = this.#book.approvers.get(name);
    if (known === undefined) await this.#refuseTaken(name);
    else refuseForeign('approver', name, known.source);
    // A new key would bring the old ones back into force.
    if (known?.retiredAt !== undefined) {
      throw new HoldpointError('conflict', `the approver ${name} is retired; choose another name`);
    }
  }

  async #enrol(name: string, given: Partial<KeptCredentials>, nowMs: number): Promise<Approver> {
    await this.mayEnrol(name);
    const fresh = identities({ ...nothing, ...given });
    for (const approver of this.#named.approvers.values()) refuseTheirs(name, fresh, approver.name, approver);
    await changeApprovers(this.dataDir, (entries) => {
      for (const [owner, theirs] of entries) refuseTheirs(name, fresh, owner, theirs);
      entries.set(name, withMore(entries.get(name), given, nowMs));
    });
    await this.reload();
    return this.#book.approvers.get(name)!;
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

/** A line of an OpenSSH public key file as it is kept. `whose` begins the sentence of the `bad-parameter` it throws. */
export function sshCredential(line: string, whose: string): { fingerprint: string; line: string } {
  try {
    const { fingerprint, line: kept } = readSshLine(line);
    return { fingerprint, line: kept };
  } catch (cause) {
    throw new HoldpointError('bad-parameter', `${whose} cannot be used: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** An entry with more credentials; one that it has already is replaced. */
function withMore(
  before: ApproverEntry | undefined,
  given: Partial<KeptCredentials>,
  nowMs: number,
): ApproverEntry {
  const joined = <K extends keyof KeptCredentials>(
    kind: K,
    idOf: (one: KeptCredentials[K][number]) => string,
  ) => {
    const more = (given[kind] ?? []) as readonly KeptCredentials[K][number][];
    const ids = new Set(more.map(idOf));
    const kept = ((before?.[kind] ?? []) as readonly KeptCredentials[K][number][]).filter(
      (one) => !ids.has(idOf(one)),
    );
    return [...kept, ...more] as KeptCredentials[K];
  };
  return {
    keys: joined('keys', ({ x }) => String(x)),
    ssh: joined('ssh', ({ fingerprint }) => fingerprint),
    passkeys: joined('passkeys', ({ id }) => id),
    oidc: joined('oidc', ({ issuer, subject }) => subjectName(issuer, subject)),
    slack: joined('slack', ({ team, user }) => slackName(team, user)),
    breakGlass: before?.breakGlass ?? false,
    createdAt: before?.createdAt ?? nowMs,
    retiredAt: undefined,
  };
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
