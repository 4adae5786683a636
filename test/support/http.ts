// The HTTP app over a test bench's desk, and the tokens to ask it with.

import { randomBytes } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';
import type { Hono } from 'hono';
import { type AccessClaims, type SigningKey, signAccess } from '../../src/approval/token.ts';
import { HoldpointError } from '../../src/errors.ts';
import { type HttpListener, type HttpPorts, httpApp, listenHttp } from '../../src/http/server.ts';
import { Analyzer } from '../../src/sql/parse.ts';
import { type Bench, type gate, newBench, publicUrl } from './approvals.ts';

export const agentPasswords = new Map([
  ['claude', 'hunter2'],
  ['gpt', 'swordfish'],
]);

const analyzer = await Analyzer.load();

export function appOf(bench: Bench, change: Partial<HttpPorts> = {}): Hono {
  return httpApp({
    desk: bench.desk,
    registry: bench.book,
    publicUrl,
    visitKey: bench.visitKey,
    enrolKey: bench.enrolKey,
    ceremonyKey: bench.ceremonyKey,
    once: (name, until, now) => bench.store.once(name, until, now),
    now: bench.clock.now,
    random: randomBytes,
    tokens: (sql) => analyzer.tokens(sql),
    oidc: undefined,
    agentPassword: async (agent, password) => agentPasswords.get(agent) === password,
    metrics: async () => ({ text: 'holdpoint_sessions 0\n', contentType: 'text/plain; version=0.0.4' }),
    ready: async () => [{ name: 'log' }, { name: 'store' }],
    submitPlan: async () => {
      throw new HoldpointError('not-supported', 'no plans on this bench');
    },
    publicKeys: () => [{ ...bench.link.jwk, kid: bench.link.kid, use: 'sig' }],
    ...change,
  });
}

export async function accessToken(
  bench: Bench,
  key: SigningKey,
  path: string,
  change: Partial<AccessClaims> = {},
): Promise<string> {
  const iat = Math.floor(bench.clock.now() / 1000);
  const jti = randomBytes(16).toString('base64url');
  return signAccess({ aud: publicUrl, htm: 'GET', htu: path, iat, exp: iat + 60, jti, ...change }, key);
}

export async function getAs(
  app: Hono,
  bench: Bench,
  key: SigningKey,
  path: string,
  change: Partial<AccessClaims> = {},
): Promise<Response> {
  const token = await accessToken(bench, key, path, change);
  return app.request(`${publicUrl}${path}`, { headers: { Authorization: `Bearer ${token}` } });
}

export function basic(agent: string, password: string): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(`${agent}:${password}`).toString('base64')}` };
}

export function post(app: Hono, rid: string, body: unknown, headers: Record<string, string> = {}) {
  return app.request(`${publicUrl}/api/requests/${rid}/decisions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/**
 * A bench served on a loopback port, with the real time. Passkeys need a host name: `localhost`. `around` adds what
 * depends on the address.
 */
export async function serve(
  host: '127.0.0.1' | 'localhost' = '127.0.0.1',
  around: (
    url: string,
  ) => Promise<{ app?: Partial<HttpPorts>; bench?: Parameters<typeof newBench>[0] }> = async () => ({}),
): Promise<{ bench: Bench; url: string; listener: HttpListener }> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  const url = `http://${host}:${port}`;
  const more = await around(url);
  const bench = await newBench({ publicUrl: url, ...more.bench });
  const app = appOf(bench, { publicUrl: url, ...more.app });
  return { bench, url, listener: await listenHttp(app, { host: '127.0.0.1', port }) };
}

let policies = 0;

/** A gate addressed to that server. Each is judged by other rules, so that none is a repetition of another. */
export function gateAt(
  url: string,
  make: typeof gate,
  change: Parameters<typeof gate>[0] = {},
  values?: Parameters<typeof gate>[1],
) {
  const now = Date.now();
  policies += 1;
  const policy = {
    digest: `${policies}`.padStart(43, 'p'),
    rule: 'definitions',
    reason: 'DROP TABLE removes objects',
  };
  return make({ aud: url, created: now, exp: now + 3_600_000, policy, ...change }, values);
}
