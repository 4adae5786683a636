// The HTTP app over a test bench's desk, and the tokens to ask it with.

import { randomBytes } from 'node:crypto';
import type { Hono } from 'hono';
import { type AccessClaims, type SigningKey, signAccess } from '../../src/approval/token.ts';
import { type HttpPorts, httpApp } from '../../src/http/server.ts';
import { type Bench, publicUrl } from './approvals.ts';

export const agentPasswords = new Map([
  ['claude', 'hunter2'],
  ['gpt', 'swordfish'],
]);

export function appOf(bench: Bench, change: Partial<HttpPorts> = {}): Hono {
  return httpApp({
    desk: bench.desk,
    registry: { key: (kid) => bench.keys.get(kid), isAgent: (name) => bench.agents.has(name) },
    publicUrl,
    now: bench.clock.now,
    agentPassword: async (agent, password) => agentPasswords.get(agent) === password,
    metrics: async () => ({ text: 'holdpoint_sessions 0\n', contentType: 'text/plain; version=0.0.4' }),
    ready: async () => [{ name: 'log' }, { name: 'store' }],
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
