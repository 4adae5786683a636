// A whole Holdpoint for a test: its own data folder and ports, one agent, one approver with a key, the real log, desk
// and HTTP server, in front of a real database. Only the process is shared with the test.

import { randomUUID } from 'node:crypto';
import { existsSync, linkSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { stringify } from 'yaml';
import type { Decision } from '../../src/approval/decision.ts';
import { requestDigest } from '../../src/approval/request.ts';
import { type AssemblyOptions, assemble } from '../../src/cli/assembly.ts';
import { remote } from '../../src/cli/remote.ts';
import { parseConfig } from '../../src/config.ts';
import type { FullView, Summary } from '../../src/http/view.ts';
import type { Registry } from '../../src/registry.ts';
import { RawClient } from './raw.ts';

export interface GuardOptions {
  /** URL of the database to guard, as its owner. */
  readonly url: string;
  readonly rules?: string;
  readonly environment?: 'production' | 'staging' | 'development';
  /** Approvers besides `dba`, each with a key of their own in `{dataDir}/NAME.jwk`; and how many have to agree. */
  readonly approvers?: readonly string[];
  readonly quorum?: number;
  /** Of them and `dba`, those who may release alone in an emergency. */
  readonly breakGlass?: readonly string[];
  /** The approvers that count on the target, and the people behind the agent. */
  readonly counting?: readonly string[];
  readonly onBehalfOf?: readonly string[];
  readonly level?: 'key' | 'link' | 'slack' | 'passkey';
  /** What links are made of; port 0 becomes the one in use. */
  readonly publicUrl?: string;
  /** Of the agent. */
  readonly access?: 'read-only';
  readonly hold?: { waitMs?: number; expiresMs?: number; pendingMax?: number; heartbeatMs?: number };
  /** Who has to vouch for the log of a held statement before it runs. */
  readonly outside?: 'witness' | 'store';
  readonly limits?: Record<string, number>;
  readonly catalog?: { pollMs?: number };
  readonly effect?: { measureMs?: number; countMs?: number };
  readonly audit?: Record<string, unknown>;
  readonly tls?: { cert: string; key: string; required?: boolean };
  /** As `store:`, with the name of the node. */
  readonly store?: { url: string; node: string };
  /** Another node of the same Holdpoint: its approver decides here too, and links lead to it. */
  readonly like?: Pick<Guard, 'keyFile' | 'publicUrl'>;
  /** A folder to keep; else the guard has one of its own, that goes with it. */
  readonly dataDir?: string;
  /** Opens the store, with faults in it. */
  readonly open?: AssemblyOptions['open'];
  readonly openLog?: AssemblyOptions['openLog'];
  /** `reports` and `links` stay empty: it runs for hours. */
  readonly isForgetful?: boolean;
  /** As in the file; the approver `dba` is its user UDBA. */
  readonly slack?: { token: string; channel: string; signingSecret: string; apiUrl: string; team: string };
  readonly webhooks?: readonly Record<string, unknown>[];
}

export interface Guard {
  /** The approver's private key. */
  readonly keyFile: string;
  readonly host: string;
  readonly port: number;
  readonly http: string;
  readonly publicUrl: string;
  readonly agent: string;
  readonly password: string;
  readonly database: string;
  /** The agent's URL. */
  readonly url: string;
  /** Folder of the log: `{dataDir}/audit`. */
  readonly auditDir: string;
  readonly dataDir: string;
  /** What was reported to the operator. */
  readonly reports: string[];
  /** Links of the requests that were opened, in order. */
  readonly links: string[];
  /** A logged-in raw client. */
  connect(parameters?: Record<string, string>): Promise<RawClient>;
  readonly registry: Registry;
  /** The requests that wait now, at least `count` of them. */
  pending(count?: number): Promise<Summary[]>;
  show(rid: string): Promise<FullView>;
  /** `more`: other members of the decision that is signed. */
  decide(
    rid: string,
    verdict: 'approve' | 'reject',
    reason?: string,
    more?: Partial<Decision>,
  ): Promise<void>;
  /** Approves what waits, once something does. */
  approveNext(): Promise<string>;
  /** Reads the rules again, as on SIGHUP. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

const pendingPollMs = 20;
const pendingMs = 20_000;

export async function startGuard(options: GuardOptions): Promise<Guard> {
  const { like } = options;
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'holdpoint-guard-'));
  const keyFile = like?.keyFile ?? join(dataDir, 'dba.jwk');
  const jwk = await approverKey(keyFile);
  const others: Record<string, ReturnType<typeof publicKey> & { breakGlass?: boolean }> = {};
  const emergency = (name: string) => options.breakGlass?.includes(name) === true && { breakGlass: true };
  for (const name of options.approvers ?? [])
    others[name] = { ...publicKey(await approverKey(join(dataDir, `${name}.jwk`))), ...emergency(name) };
  const environment = options.environment ?? 'staging';
  const text = stringify({
    listen: { postgres: '127.0.0.1:0', http: '127.0.0.1:0' },
    dataDir,
    targets: {
      shop: {
        url: options.url,
        environment,
        rules: options.rules ?? 'default',
        ...(options.outside && { hold: { outside: options.outside } }),
        approval: {
          level: options.level ?? 'key',
          quorum: options.quorum ?? 1,
          ...(options.counting && { approvers: options.counting }),
        },
      },
    },
    agents: {
      claude: {
        password: 'agent secret',
        targets: ['shop'],
        access: options.access ?? 'read-write',
        ...(options.onBehalfOf && { onBehalfOf: options.onBehalfOf }),
      },
    },
    approvers: {
      dba: {
        ...publicKey(jwk),
        ...emergency('dba'),
        ...(options.slack && { slack: [{ team: options.slack.team, user: 'UDBA' }] }),
      },
      ...others,
    },
    ...(options.slack && {
      slack: {
        token: options.slack.token,
        channel: options.slack.channel,
        signingSecret: options.slack.signingSecret,
        apiUrl: options.slack.apiUrl,
      },
    }),
    ...(options.webhooks && { webhooks: options.webhooks }),
    hold: { waitMs: 20_000, ...options.hold },
    audit: { values: 'clear', ballastBytes: 0, ...options.audit },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.catalog === undefined ? {} : { catalog: options.catalog }),
    ...(options.effect === undefined ? {} : { effect: options.effect }),
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    ...(options.store === undefined ? {} : { store: options.store.url, node: options.store.node }),
    ...(options.publicUrl === undefined ? {} : { publicUrl: options.publicUrl }),
    ...(like === undefined ? {} : { publicUrl: like.publicUrl }),
  });
  const read = () => parseConfig(text, { file: join(dataDir, 'holdpoint.yaml'), env: {} });
  const config = read();
  const reports: string[] = [];
  const links: string[] = [];
  const keep = (all: string[], one: string) => {
    if (options.isForgetful !== true) all.push(one);
  };
  const running = await assemble({
    config,
    version: 'test',
    report: (level, message, fields) => keep(reports, `${level} ${message} ${JSON.stringify(fields)}`),
    notify: (_request, link) => keep(links, link),
    ...(options.open === undefined ? {} : { open: options.open }),
    ...(options.openLog === undefined ? {} : { openLog: options.openLog }),
  });
  const http = `http://127.0.0.1:${running.httpPort}`;
  const approver = approverAt(http, keyFile);
  const login = { agent: 'claude', password: 'agent secret', database: 'shop' };

  return {
    host: '127.0.0.1',
    port: running.postgresPort,
    http,
    publicUrl: running.config.publicUrl,
    keyFile,
    ...login,
    url: `postgres://claude:${encodeURIComponent(login.password)}@127.0.0.1:${running.postgresPort}/shop`,
    auditDir: join(dataDir, 'audit'),
    dataDir,
    reports,
    links,
    async connect(parameters) {
      const client = await RawClient.connect('127.0.0.1', running.postgresPort);
      await client.login({
        user: login.agent,
        password: login.password,
        database: login.database,
        ...(parameters === undefined ? {} : { parameters }),
      });
      return client;
    },
    registry: running.registry,
    ...approver,
    reload: () => running.reload(read()),
    async close() {
      await running.close();
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** The approver `dba` with the key in the file, at the node that listens there. */
export function approverAt(
  http: string,
  keyFile: string,
): Pick<Guard, 'pending' | 'show' | 'decide' | 'approveNext'> {
  const approver = () => remote({ url: http, as: 'dba', key: keyFile });
  const pending = async (count = 0): Promise<Summary[]> => {
    const begun = performance.now();
    for (;;) {
      const { requests } = (await (await approver()).get('/api/requests?state=pending')) as {
        requests: Summary[];
      };
      if (requests.length >= count) return requests;
      if (performance.now() - begun > pendingMs)
        throw new Error(`${requests.length} requests wait, not ${count}`);
      await new Promise((resolve) => setTimeout(resolve, pendingPollMs));
    }
  };
  const show = async (rid: string): Promise<FullView> =>
    (await (await approver()).get(`/api/requests/${rid}`)) as FullView;
  const decide: Guard['decide'] = async (rid, verdict, reason = '', more = {}) => {
    const server = await approver();
    const view = (await server.get(`/api/requests/${rid}`)) as FullView;
    const request = JSON.parse(view.request);
    if (view.draft === null) throw new Error(`request ${rid} is ${view.state}`);
    await server.decide({
      typ: 'holdpoint.decision.v1',
      aud: request.aud,
      rid,
      rd: requestDigest(request),
      verdict,
      approver: 'dba',
      level: 'key',
      reason,
      nonce: view.draft.nonce,
      nbf: view.draft.nbf,
      exp: request.exp,
      ...more,
    });
  };
  return {
    pending,
    show,
    decide,
    async approveNext() {
      const [first] = await pending(1);
      await decide(first!.id, 'approve');
      return first!.id;
    },
  };
}

/** An approver of the configuration. */
function publicKey({ kty, crv, x }: JWK) {
  return { key: { kty, crv, x } };
}

/** The private key in the file. Guards that start at once with one file have one key: it is made whole, once. */
async function approverKey(file: string): Promise<JWK> {
  if (!existsSync(file)) {
    const { privateKey } = await generateKeyPair('Ed25519', { extractable: true });
    const made = `${file}.${randomUUID()}`;
    writeFileSync(made, JSON.stringify(await exportJWK(privateKey)), { mode: 0o600 });
    try {
      linkSync(made, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      unlinkSync(made);
    }
  }
  return JSON.parse(readFileSync(file, 'utf8')) as JWK;
}
