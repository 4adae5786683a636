// Remote: a running Holdpoint, asked over HTTP as an approver who signs what they read with and what they decide with.
// Refuses to know what is printed, and how a signature is made (signer.ts).

import { randomBytes } from 'node:crypto';
import { type Command, Option } from 'commander';
import type { Decision } from '../approval/decision.ts';
import { decisionText } from '../approval/decision.ts';
import { type Delegation, delegationText } from '../approval/delegation.ts';
import { isRid, type Level } from '../approval/request.ts';
import { type Review, reviewText } from '../approval/review.ts';
import { HoldpointError } from '../errors.ts';
import { type Purpose, type Signer, type SignerOptions, signerOf } from './signer.ts';

const answerMs = 15_000;
const accessSeconds = 50;

export interface RemoteOptions extends SignerOptions {
  readonly url: string;
  /** The approver's name. */
  readonly as: string;
}

/** Adds the options that `remote` reads, and --json. */
export function identityOptions(command: Command): Command {
  return command
    .requiredOption('--as <name>', 'the approver you are')
    .option('--key <file>', 'your private key, a JWK file')
    .option('--ssh-key <file>', 'or your SSH key: the file, or its .pub if ssh-agent has it')
    .option('--url <url>', 'the Holdpoint to ask', 'http://127.0.0.1:8432')
    .addOption(new Option('--json', 'print JSON'));
}

/** An approver at one server. */
export interface Remote {
  readonly approver: string;
  /** What the server calls itself: the audience of whatever is signed. */
  readonly issuer: string;
  /** The most that this approver's key can prove. */
  readonly level: Level;
  /** The server's time in milliseconds since the epoch: what it will judge a token's times by. */
  now(): number;
  get(path: string): Promise<unknown>;
  /** Changes something that is the approver's to change, without a signature of its own. */
  post(path: string, body: unknown): Promise<unknown>;
  decide(decision: Decision): Promise<{ state: string; approvals: number; quorum: number }>;
  delegate(delegation: Delegation): Promise<unknown>;
  review(review: Review): Promise<unknown>;
}

/** Reads the key and asks the server who it is. Throws HoldpointError with a sentence for whatever is in the way. */
export async function remote(options: RemoteOptions): Promise<Remote> {
  const url = options.url.replace(/\/+$/, '');
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
    throw new HoldpointError('bad-request', `${options.url} is not a URL; write http://HOST:PORT`);
  const signer = await signerOf(options);
  const { issuer, skewMs } = await issuerAt(url);
  const now = () => Date.now() + skewMs;
  const authorization = (htm: string, htu: string): Promise<string> => {
    const iat = Math.floor(now() / 1000);
    const jti = randomBytes(16).toString('base64url');
    return signer.authorization({
      aud: issuer,
      sub: options.as,
      htm,
      htu,
      iat,
      exp: iat + accessSeconds,
      jti,
    });
  };
  const sendSigned = async (path: string, name: string, text: string, purpose: Purpose) => {
    const evidence = await signer.sign(text, purpose);
    const body = `{"${name}":${text},"evidence":${JSON.stringify(evidence)}}`;
    const headers = { 'Content-Type': 'application/json' };
    return asked(url, path, { method: 'POST', headers, body }, options, signer);
  };
  return {
    approver: options.as,
    issuer,
    level: signer.level,
    now,
    async get(path) {
      const headers = { Authorization: await authorization('GET', path) };
      return asked(url, path, { headers }, options, signer);
    },
    async post(path, body) {
      const headers = {
        Authorization: await authorization('POST', path),
        'Content-Type': 'application/json',
      };
      return asked(url, path, { method: 'POST', headers, body: JSON.stringify(body) }, options, signer);
    },
    async decide(decision) {
      const path = `/api/requests/${decision.rid}/decisions`;
      const answer = await sendSigned(path, 'decision', decisionText(decision), 'decision');
      return answer as { state: string; approvals: number; quorum: number };
    },
    review: (review) =>
      sendSigned(`/api/requests/${review.rid}/reviews`, 'review', reviewText(review), 'review'),
    delegate: (delegation) =>
      sendSigned('/api/delegations', 'delegation', delegationText(delegation), 'delegation'),
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

async function asked(
  url: string,
  path: string,
  init: RequestInit,
  options: RemoteOptions,
  signer: Signer,
): Promise<unknown> {
  const { status, body } = await fetched(url, path, init);
  if (status < 400) return body;
  const { code, detail } = (body ?? {}) as { code?: string; detail?: string };
  if (status === 401) {
    throw new HoldpointError(
      'unauthorized',
      `the key in ${signer.file} is not one of ${options.as}'s at ${url}; enrol it there with holdpoint approver add`,
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
