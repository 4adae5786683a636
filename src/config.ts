// holdpoint.yaml -> Config: names joined, paths and addresses resolved, and the combinations refused that would start
// but guard nothing. Refuses to know what uses a setting. Source: CONTRACT, "Configuration"; the defaults stand in
// config-shape.ts.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { JWK } from 'jose';
import { asCosigner, type NoteKey, readVkey } from '../verify/src/note.ts';
import { readSshLine } from '../verify/src/proof/sshkey.ts';
import {
  foldName,
  type OidcSubject,
  type Passkey,
  type SlackUser,
  type SshCredential,
} from './approval/approvers.ts';
import type { Level } from './approval/request.ts';
import { type ConfigShape, configShape } from './config-shape.ts';
import { HoldpointError } from './errors.ts';
import type { Environment } from './policy/verdict.ts';
import { type ShipConfig, shipConfigOf } from './ship-config.ts';
import { readStoreUrl, type StoreAddress } from './store-url.ts';
import { isLoopback, readTargetUrl, type TargetAddress } from './target-url.ts';
import { type ValuesConfig, valuesConfig } from './values-config.ts';
import { type Checked, readYaml } from './yaml.ts';

/** Where a server listens. Port 0 takes any free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** How long a session blocks, how long a request can still be decided, how many one agent may have pending. */
export interface HoldLimits {
  readonly waitMs: number;
  readonly expiresMs: number;
  readonly pendingMax: number;
  /** Between two NOTICEs to a client that waits. */
  readonly heartbeatMs: number;
}

export interface ApprovalConfig {
  readonly level: Level;
  readonly quorum: number;
  readonly approvers?: readonly string[] | undefined;
}

export interface TargetConfig {
  /** The database name in an agent's URL. */
  readonly name: string;
  readonly address: TargetAddress;
  readonly environment: Environment;
  /** The server that this target means, in digits; undefined: the one that was found first. */
  readonly systemIdentifier: string | undefined;
  /** Whether a fork of PostgreSQL is accepted, whose grammar may be another. */
  readonly server: 'community' | 'patched';
  /** A shipped pack by name, or a path relative to `Config.baseDir`. */
  readonly rules: string;
  /** The least evidence and the number of people that a release takes, of those in `approvers` if it is set. */
  readonly approval: ApprovalConfig;
  readonly hold: HoldLimits;
  /** Who has to vouch for the log of a held statement before it runs. */
  readonly outside: 'none' | 'witness' | 'store';
}

/** An agent as the file has it: a password in clear or a verifier in pg_authid's format, exactly one of them. */
export interface AgentConfig {
  readonly name: string;
  readonly password: string | undefined;
  readonly verifier: string | undefined;
  readonly targets: readonly string[];
  readonly access: 'read-write' | 'read-only';
  /** The people whose work it does. */
  readonly onBehalfOf: readonly string[];
  /** Milliseconds since the epoch; undefined: never. */
  readonly expiresAt: number | undefined;
}

export interface ApproverConfig {
  readonly name: string;
  /** Public Ed25519 keys. */
  readonly keys: readonly JWK[];
  readonly ssh: readonly SshCredential[];
  readonly passkeys: readonly Passkey[];
  readonly oidc: readonly OidcSubject[];
  readonly slack: readonly SlackUser[];
  readonly breakGlass: boolean;
}

/** The OpenID provider whose ID tokens count as evidence. */
export interface OidcConfig {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  /** Authentication contexts that are strong enough; any if empty. */
  readonly acr: readonly string[];
  readonly maxAgeSeconds: number;
}

/** Where people are told of requests in Slack. Both secrets stay out of errors and logs. */
export interface SlackConfig {
  readonly token: string;
  readonly channel: string;
  readonly signingSecret: string;
  readonly apiUrl: string;
}

/** A receiver of signed events. The URL may be a secret too. */
export interface WebhookConfig {
  readonly name: string;
  readonly url: string;
  /** `whsec_` and base64. */
  readonly secret: string;
  /** Undefined: all. */
  readonly environments: readonly Environment[] | undefined;
  readonly targets: readonly string[] | undefined;
  readonly links: boolean;
}

/** Everything Holdpoint is told. Paths are absolute. Immutable. */
export interface Config {
  /** The file it came from; undefined for the demonstration and for DATABASE_URL alone. */
  readonly file: string | undefined;
  /** What relative paths are taken from: the folder of the file, else the working directory. */
  readonly baseDir: string;
  readonly listen: { readonly postgres: ListenAddress; readonly http: ListenAddress };
  /** Without a slash at the end. */
  readonly publicUrl: string;
  readonly dataDir: string;
  /** Files of the clients' leg; undefined: plaintext. */
  readonly tls: { readonly cert: string; readonly key: string; readonly required: boolean } | undefined;
  readonly insecure: boolean;
  readonly targets: ReadonlyMap<string, TargetConfig>;
  readonly agents: ReadonlyMap<string, AgentConfig>;
  readonly approvers: ReadonlyMap<string, ApproverConfig>;
  readonly oidc: OidcConfig | undefined;
  readonly hold: HoldLimits;
  readonly store: StoreAddress;
  /** This proxy's name among those that share the store: the origin of its log. */
  readonly node: string;
  readonly audit: {
    /** Where the record of a statement that writes nothing is before it goes on; and before its answer does. */
    readonly reads: 'kill-safe' | 'output-commit' | 'write-ahead';
    readonly sealMs: number;
    readonly segmentBytesMax: number;
    readonly stallMs: number;
    readonly ballastBytes: number;
    /** Least time between two checkpoints, and how long a held statement waits for one to be kept outside. */
    readonly checkpointMs: number;
    readonly anchorMs: number;
    readonly witnesses: readonly WitnessConfig[];
    /** Of how many of them a checkpoint needs cosignatures. */
    readonly witnessQuorum: number;
    readonly compress: boolean;
    /** Undefined: nothing is pruned for that reason. */
    readonly retainDays: number | undefined;
    readonly retainBytes: number | undefined;
    readonly ship: ShipConfig;
  } & ValuesConfig;
  readonly catalog: { readonly pollMs: number };
  /** Milliseconds for measuring what a held statement would touch: in all (0: not at all), and for one count. */
  readonly effect: { readonly measureMs: number; readonly countMs: number };
  readonly slack: SlackConfig | undefined;
  readonly webhooks: readonly WebhookConfig[];
  readonly limits: {
    readonly connectionsMax: number;
    readonly statementBytesMax: number;
    /** A Bind with its parameters, such as a bytea of many megabytes. */
    readonly bindBytesMax: number;
    readonly loginMs: number;
    /** How long running statements may take to finish at a shutdown. */
    readonly drainMs: number;
  };
}

/** A witness of the log. */
export interface WitnessConfig {
  readonly url: string;
  readonly key: NoteKey;
}

type File = Checked<ConfigShape>;

/**
 * Reads the file at `path`. `${NAME}` takes `env`. Throws HoldpointError: 'not-found' if it cannot be read, 'bad-config'
 * with file, line, key and mend for anything wrong.
 */
export function loadConfig(path: string, env: Readonly<Record<string, string | undefined>>): Config {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : String(code);
    throw new HoldpointError('not-found', `cannot read the configuration ${path}: ${why}`, { cause: error });
  }
  return parseConfig(text, { file: path, env });
}

/** As loadConfig, from a text. Relative paths are taken from the folder of `file`. */
export function parseConfig(
  text: string,
  from: { file: string; env: Readonly<Record<string, string | undefined>> },
): Config {
  const file = readYaml(text, from.file, configShape, from.env);
  const config = compose(file, { file: from.file, baseDir: dirname(resolve(from.file)) });
  refuseUnsafe(config, file);
  return config;
}

/**
 * The configuration of one database, guarded for development: target `main`, released by the link. For production,
 * write a file that names approvers. `dataDir` defaults as in the file, relative to `cwd`.
 */
export function configFromEnv(env: Readonly<Record<string, string | undefined>>, cwd: string): Config {
  return builtIn('main', env.DATABASE_URL ?? '', { cwd, env });
}

/** The demonstration's configuration: target `shop` at the embedded server's `url`. */
export function demoConfig(
  url: string,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): Config {
  return builtIn('shop', url, { cwd, env });
}

function builtIn(
  target: string,
  url: string,
  from: { cwd: string; env: Readonly<Record<string, string | undefined>> },
): Config {
  const given = configShape.safeParse({
    dataDir: from.env.HOLDPOINT_DATA_DIR,
    listen: { postgres: from.env.HOLDPOINT_LISTEN, http: from.env.HOLDPOINT_HTTP },
    targets: { [target]: { url, environment: 'development', approval: { level: 'link' } } },
  });
  const variables: Record<string, string> = { postgres: 'HOLDPOINT_LISTEN', http: 'HOLDPOINT_HTTP' };
  const fail = (path: readonly PropertyKey[], text: string) =>
    new HoldpointError('bad-config', `${variables[String(path[1])] ?? 'DATABASE_URL'}: ${text}`);
  if (!given.success) throw fail(given.error.issues[0]!.path, given.error.issues[0]!.message);
  const value = given.data;
  const file = { value, fail };
  const config = compose(file, { file: undefined, baseDir: from.cwd });
  refuseUnsafe(config, file);
  return config;
}

function compose(file: File, from: { file: string | undefined; baseDir: string }): Config {
  const { value } = file;
  const listen = { postgres: addressOf(file, 'postgres'), http: addressOf(file, 'http') };
  const path = (relative: string) => resolve(from.baseDir, relative);
  return {
    ...from,
    listen,
    publicUrl: (value.publicUrl ?? `http://${value.listen.http}`).replace(/\/+$/, ''),
    dataDir: path(value.dataDir),
    tls: value.tls && { cert: path(value.tls.cert), key: path(value.tls.key), required: value.tls.required },
    insecure: value.insecure,
    targets: targetsOf(file, from.baseDir),
    agents: agentsOf(file),
    approvers: approversOf(file),
    oidc: value.oidc && { ...value.oidc, clientSecret: value.oidc.clientSecret },
    hold: value.hold,
    ...storeOf(file),
    audit: {
      ...value.audit,
      ...valuesConfig(value.audit, path, file.fail),
      witnesses: witnessesOf(file),
      retainDays: value.audit.retainDays,
      retainBytes: value.audit.retainBytes,
      ship: shipConfigOf(value.audit.ship, path, (keys, text) => file.fail(['audit', 'ship', ...keys], text)),
    },
    catalog: value.catalog,
    effect: value.effect,
    slack: value.slack,
    webhooks: webhooksOf(file),
    limits: value.limits,
  };
}

function witnessesOf(file: File): WitnessConfig[] {
  const { witnesses, witnessQuorum } = file.value.audit;
  const read = witnesses.map(({ url, key }, index) => {
    const told = (error: unknown) =>
      file.fail(['audit', 'witnesses', index, 'key'], `is not a witness's key: ${(error as Error).message}`);
    return { url, key: asCosigner(attempt(() => readVkey(key), told)) };
  });
  read.forEach(({ key }, index) => {
    if (read.slice(0, index).some((other) => other.key.name === key.name || other.key.raw.equals(key.raw)))
      throw file.fail(
        ['audit', 'witnesses', index, 'key'],
        'is the key or name of another witness in the list',
      );
  });
  if (read.length > 0 && witnessQuorum > read.length)
    throw file.fail(
      ['audit', 'witnessQuorum'],
      `asks for ${witnessQuorum} witnesses and ${read.length} are named`,
    );
  return read;
}

/** The name of a proxy that is alone. */
const aloneName = 'holdpoint';

function storeOf(file: File): Pick<Config, 'store' | 'node'> {
  const told = (error: unknown) =>
    error instanceof HoldpointError ? file.fail(['store'], error.message) : error;
  const store = attempt(() => readStoreUrl(file.value.store), told);
  const { node } = file.value;
  if (node === undefined && store.kind !== 'memory') {
    throw file.fail(
      ['store'],
      'is shared by several proxies, so each needs a name of its own; add node: with a name that no other has',
    );
  }
  return { store, node: node ?? aloneName };
}

function addressOf(file: File, which: 'postgres' | 'http'): ListenAddress {
  const text = file.value.listen[which];
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  if (port > 65_535) throw file.fail(['listen', which], `${port} is not a port; the highest is 65535`);
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port };
}

function targetsOf(file: File, baseDir: string): Map<string, TargetConfig> {
  const entries = Object.entries(file.value.targets);
  if (entries.length === 0) throw file.fail(['targets'], 'names no database to guard; add one with its url');
  return new Map(
    entries.map(([name, given]) => {
      const strict = given.environment === 'production';
      const told = (error: unknown) =>
        error instanceof HoldpointError ? file.fail(['targets', name, 'url'], error.message) : error;
      const { level, quorum, approvers } = given.approval;
      const { outside = 'none', ...limits } = given.hold ?? {};
      if (outside === 'witness' && file.value.audit.witnesses.length === 0)
        throw file.fail(
          ['targets', name, 'hold', 'outside'],
          'asks for a witness, and audit.witnesses names none; add one with its url and key',
        );
      if (outside === 'store' && file.value.audit.ship.s3 === undefined)
        throw file.fail(
          ['targets', name, 'hold', 'outside'],
          'asks for a store, and audit.ship.s3 names none; add one with its bucket and retainDays',
        );
      const hold = { ...file.value.hold, ...defined(limits) };
      return [
        name,
        {
          name,
          address: attempt(() => readTargetUrl(given.url, { baseDir, strict }), told),
          environment: given.environment,
          systemIdentifier: given.systemIdentifier,
          server: given.server,
          rules: given.rules,
          // An SSH signature and an ID token prove as much as a key of ours.
          approval: { level: level === 'ssh' || level === 'oidc' ? 'key' : level, quorum, approvers },
          hold,
          outside,
        },
      ];
    }),
  );
}

function agentsOf(file: File): Map<string, AgentConfig> {
  return new Map(
    Object.entries(file.value.agents).map(([name, given]) => {
      if ((given.password === undefined) === (given.verifier === undefined)) {
        throw file.fail(['agents', name], 'needs either a password or a verifier, and not both');
      }
      given.targets.forEach((target, index) => {
        if (file.value.targets[target] === undefined) {
          throw file.fail(['agents', name, 'targets', index], `there is no target called "${target}"`);
        }
      });
      const { password, verifier, targets, access, onBehalfOf, expires } = given;
      const expiresAt = expires === undefined ? undefined : Date.parse(expires);
      return [name, { name, password, verifier, targets, access, onBehalfOf, expiresAt }];
    }),
  );
}

function approversOf(file: File): Map<string, ApproverConfig> {
  const agents = new Set(Object.keys(file.value.agents).map(foldName));
  return new Map(
    Object.entries(file.value.approvers).map(([name, given]) => {
      const { ssh = [], passkeys = [], oidc = [], slack = [], breakGlass } = given;
      const keys = [...(given.key ? [given.key] : []), ...(given.keys ?? [])] as JWK[];
      if (keys.length + ssh.length + passkeys.length + oidc.length + slack.length === 0) {
        const text = 'has no credential; add key: with the public JWK, or ssh: with a public key line';
        throw file.fail(['approvers', name], text);
      }
      if (agents.has(foldName(name))) {
        throw file.fail(
          ['approvers', name],
          'is also the name of an agent; nobody may approve for themselves',
        );
      }
      const told = (index: number) => (error: unknown) =>
        file.fail(['approvers', name, 'ssh', index], (error as Error).message);
      return [
        name,
        {
          name,
          keys,
          ssh: ssh.map((line, index) => attempt(() => sshCredential(line), told(index))),
          passkeys: passkeys.map(({ created, ...rest }) => ({ ...rest, createdAt: Date.parse(created) })),
          oidc,
          slack,
          breakGlass,
        },
      ];
    }),
  );
}

function sshCredential(text: string): SshCredential {
  const { fingerprint, line } = readSshLine(text);
  return { fingerprint, line };
}

function webhooksOf(file: File): WebhookConfig[] {
  const taken = new Set<string>();
  return file.value.webhooks.map(({ name: given, url, secret, environments, targets, links }, index) => {
    targets?.forEach((target, at) => {
      if (file.value.targets[target] !== undefined) return;
      throw file.fail(['webhooks', index, 'targets', at], `there is no target called "${target}"`);
    });
    const name = given ?? (index === 0 ? 'webhook' : `webhook-${index + 1}`);
    if (taken.has(name) || name === 'slack') {
      throw file.fail(['webhooks', index, 'name'], `the name ${name} is taken; give each a name of its own`);
    }
    taken.add(name);
    return { name, url, secret, environments, targets, links };
  });
}

/** What would start but guard nothing. */
function refuseUnsafe(config: Config, file: File): void {
  for (const { name, environment, approval } of config.targets.values()) {
    const at = ['targets', name, 'approval', 'level'];
    if (approval.level === 'link' && environment !== 'development') {
      throw file.fail(
        at,
        `whoever has the link could approve, so link is for development only; ${environment} needs ${environment === 'production' ? 'key' : 'slack'} or more`,
      );
    }
    if (approval.level === 'slack' && environment === 'production') {
      throw file.fail(
        at,
        'a Slack button shows only what Slack and this server say, so it is not enough for production; use key or passkey',
      );
    }
  }
  refusePlaintextOut(config, file);
  const open = [
    ['postgres', config.tls === undefined || !config.tls.required] as const,
    ['http', !config.publicUrl.startsWith('https://')] as const,
  ];
  for (const [which, plaintext] of open) {
    if (!plaintext || config.insecure || isLoopback(config.listen[which].host)) continue;
    const mend =
      which === 'postgres' ? 'add tls: with cert and key' : 'put TLS in front and set an https publicUrl';
    throw file.fail(
      ['listen', which],
      `other machines could reach this listener without TLS; ${mend}, or set insecure: true`,
    );
  }
}

/** What is sent to other machines carries a token, or what people decide by. */
function refusePlaintextOut(config: Config, file: File): void {
  const out: [PropertyKey[], string][] = config.webhooks.map(({ url }, index) => [
    ['webhooks', index, 'url'],
    url,
  ]);
  if (config.slack !== undefined) out.push([['slack', 'apiUrl'], config.slack.apiUrl]);
  for (const [path, url] of out) {
    const { protocol, hostname } = new URL(url);
    if (protocol === 'https:' || config.insecure || isLoopback(hostname.replace(/^\[|\]$/g, ''))) continue;
    throw file.fail(path, 'would be sent over plain http; use https, or set insecure: true');
  }
}

function defined<T extends object>(given: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never;
}

function attempt<T>(run: () => T, told: (error: unknown) => unknown): T {
  try {
    return run();
  } catch (error) {
    throw told(error);
  }
}
