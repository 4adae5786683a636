// Remote: a running Holdpoint, asked over HTTP as an approver. Signs what it reads with and what it decides with; the
// private key leaves the file for this process only. Refuses to know what is printed.

import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Decision } from '../approval/decision.ts';
import { decisionText } from '../approval/decision.ts';
import { isRid } from '../approval/request.ts';
import { type SigningKey, signAccess, signingKey, signToken } from '../approval/token.ts';
import { HoldpointError } from '../errors.ts';

const answerMs = 15_000;
const accessSeconds = 50;

export interface RemoteOptions {
  readonly url: string;
  /** The approver's name, and the file with the private JWK. */
  readonly as: string;
  readonly key: string;
}

/** An approver at one server. */
export interface Remote {
  readonly approver: string;
  /** The server's time in milliseconds since the epoch: what it will judge a token's times by. */
  now(): number;
  get(path: string): Promise<unknown>;
  decide(decision: Decision): Promise<{ state: string; approvals: number; quorum: number }>;
}

/** Reads the key and asks the server who it is. Throws HoldpointError with a sentence for whatever is in the way. */
export async function remote(options: RemoteOptions): Promise<Remote> {
  const url = options.url.replace(/\/+$/, '');
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
    throw new HoldpointError('bad-request', `${options.url} is not a URL; write http://HOST:PORT`);
  const key = await keyIn(options.key);
  const { issuer, skewMs } = await issuerAt(url);
  const now = () => Date.now() + skewMs;
  return {
    approver: options.as,
    now,
    async get(path) {
      const iat = Math.floor(now() / 1000);
      const jti = randomBytes(16).toString('base64url');
      const claims = {
        aud: issuer,
        sub: options.as,
        htm: 'GET',
        htu: path,
        iat,
        exp: iat + accessSeconds,
        jti,
      };
      const headers = { Authorization: `Bearer ${await signAccess(claims, key)}` };
      return asked(url, path, { headers }, options);
    },
    async decide(decision) {
      const text = decisionText(decision);
      const jws = await signToken('holdpoint-decision+jws', text, key);
      const body = `{"decision":${text},"evidence":${JSON.stringify({ kind: 'jws', jws })}}`;
      const headers = { 'Content-Type': 'application/json' };
      const path = `/api/requests/${decision.rid}/decisions`;
      const answer = await asked(url, path, { method: 'POST', headers, body }, options);
      return answer as { state: string; approvals: number; quorum: number };
    },
  };
}

/** The ID as given, or `bad-request`. */
export function requestId(id: string): string {
  if (isRid(id)) return id;
  throw new HoldpointError(
    'bad-request',
    `${JSON.stringify(id)} is not a request ID; holdpoint requests list shows them`,
  );
}

async function keyIn(file: string): Promise<SigningKey> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : String(cause);
    throw new HoldpointError('not-found', `cannot read the key ${file}: ${why}`, { cause });
  }
  try {
    return await signingKey(JSON.parse(text));
  } catch (cause) {
    throw new HoldpointError(
      'bad-request',
      `${file} is not a private Ed25519 JWK, as holdpoint approver add NAME --generate FILE writes it`,
      { cause },
    );
  }
}

/** Who the server says it is. Tokens for a server that calls itself something else are not made: it could pass them on. */
async function issuerAt(url: string): Promise<{ issuer: string; skewMs: number }> {
  const { body, date } = await fetched(url, '/.well-known/jwks.json', {});
  const issuer = (body as { issuer?: unknown } | null)?.issuer;
  if (typeof issuer !== 'string') {
    throw new HoldpointError('bad-request', `what answers at ${url} is not Holdpoint; check --url`);
  }
  if (new URL(issuer).origin !== new URL(url).origin && !(isLoopback(issuer) && isLoopback(url))) {
    throw new HoldpointError(
      'bad-request',
      `the Holdpoint at ${url} calls itself ${issuer}; use --url ${issuer}`,
    );
  }
  const skewMs = date - Date.now();
  return { issuer, skewMs: Math.abs(skewMs) > 2000 ? skewMs : 0 };
}

function isLoopback(url: string): boolean {
  return ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname);
}

async function asked(url: string, path: string, init: RequestInit, options: RemoteOptions): Promise<unknown> {
  const { status, body } = await fetched(url, path, init);
  if (status < 400) return body;
  const { code, detail } = (body ?? {}) as { code?: string; detail?: string };
  if (status === 401) {
    throw new HoldpointError(
      'unauthorized',
      `the key in ${options.key} is not one of ${options.as}'s at ${url}; enrol it there with holdpoint approver add`,
    );
  }
  const known = status === 404 ? 'not-found' : status === 403 ? 'forbidden' : 'conflict';
  throw new HoldpointError(known, detail ?? `${url} answered ${status} ${code ?? ''}`);
}

async function fetched(
  url: string,
  path: string,
  init: RequestInit,
): Promise<{ status: number; body: unknown; date: number }> {
  let answer: Response;
  try {
    answer = await fetch(url + path, { ...init, signal: AbortSignal.timeout(answerMs), redirect: 'error' });
  } catch (cause) {
    const reason = (cause as Error).cause ?? cause;
    const why = (reason as NodeJS.ErrnoException).code ?? (reason as Error).message;
    throw new HoldpointError(
      'store-unreachable',
      `no Holdpoint answers at ${url} (${why}); start it, or name another with --url`,
      {
        cause,
      },
    );
  }
  const date = Date.parse(answer.headers.get('Date') ?? '');
  const body: unknown = await answer.json().catch(() => null);
  return { status: answer.status, body, date: Number.isNaN(date) ? Date.now() : date };
}
