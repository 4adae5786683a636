// An S3 store on a loopback port, strict where the real one is: it computes every request's Signature Version 4 anew,
// every body's SHA-256 and MD5, keeps versions, refuses to delete a locked one, honours If-None-Match, and wants the
// headers of a lock complete. A test can take rights away and put faults in. Path-style addresses only.
// Sources: Amazon S3 API reference; "Signature Calculations for the Authorization Header: Transferring Payload in a
// Single Chunk"; "How S3 Object Lock works".

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Version {
  readonly id: string;
  readonly body: Buffer;
  readonly sha256: string | undefined;
  readonly mode: string | undefined;
  readonly until: number | undefined;
}

export type Fault = 'reset' | 'hang' | { readonly status: number; readonly code: string };

/** What came in, signature checked. */
export interface Asked {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

export interface S3Server {
  readonly endpoint: string;
  readonly bucket: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Versions by key, oldest first. */
  readonly objects: Map<string, Version[]>;
  /** Requests that were answered, refused ones too. */
  readonly asked: Asked[];
  /** Refusals, as `code key`. */
  readonly refused: string[];
  fault: ((asked: Asked) => Fault | undefined) | undefined;
  /** Rights that the credentials do not have: `get` is GET and HEAD of objects. */
  denied: Set<'get' | 'put' | 'list' | 'lock-config'>;
  hasLock: boolean;
  until<T>(found: () => T | undefined | false): Promise<T>;
  close(): Promise<void>;
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message = code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const pageKeys = 7;
const skewMs = 15 * 60_000;

export async function startS3(bucket = 'evidence'): Promise<S3Server> {
  const listeners = new Set<() => void>();
  const server = createServer((request, response) => {
    answer(store, request, response)
      .catch((error: unknown) => {
        if (!(error instanceof Refusal)) throw error;
        store.refused.push(`${error.code} ${request.method} ${request.url}`);
        response.writeHead(error.status, { 'Content-Type': 'application/xml' });
        response.end(`<Error><Code>${error.code}</Code><Message>${error.message}</Message></Error>`);
      })
      .finally(() => {
        for (const listener of listeners) listener();
        listeners.clear();
      });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const store: S3Server = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket,
    credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' },
    objects: new Map(),
    asked: [],
    refused: [],
    fault: undefined,
    denied: new Set(),
    hasLock: true,
    async until(found) {
      for (;;) {
        const value = found();
        if (value !== undefined && value !== false) return value;
        await new Promise<void>((done) => listeners.add(done));
      }
    },
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return store;
}

async function answer(store: S3Server, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url!, store.endpoint);
  const [bucket, ...rest] = url.pathname.slice(1).split('/').map(decodeURIComponent);
  const asked: Asked = {
    method: request.method!,
    key: rest.join('/'),
    query: url.searchParams,
    headers: request.headers,
  };
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  requireSignature(store, request, url, body);
  store.asked.push(asked);
  const fault = store.fault?.(asked);
  if (fault === 'hang') return;
  if (fault === 'reset') {
    request.socket.destroy();
    return;
  }
  if (fault !== undefined) throw new Refusal(fault.status, fault.code);
  if (bucket !== store.bucket) throw new Refusal(404, 'NoSuchBucket');
  route(store, asked, body, response);
}

function route(store: S3Server, asked: Asked, body: Buffer, response: ServerResponse): void {
  const { method, key, query } = asked;
  if (key === '' && method === 'GET') {
    if (query.has('object-lock')) lockConfiguration(store, response);
    else list(store, query, response);
    return;
  }
  if (method === 'PUT') put(store, asked, body, response);
  else if (method === 'GET' || method === 'HEAD') get(store, asked, response);
  else if (method === 'DELETE') remove(store, asked, response);
  else throw new Refusal(405, 'MethodNotAllowed');
}

function put(store: S3Server, { key, headers }: Asked, body: Buffer, response: ServerResponse): void {
  if (store.denied.has('put')) throw new Refusal(403, 'AccessDenied');
  const before = store.objects.get(key) ?? [];
  if (headers['if-none-match'] !== undefined) {
    if (headers['if-none-match'] !== '*') throw new Refusal(501, 'NotImplemented');
    if (before.length > 0) throw new Refusal(412, 'PreconditionFailed');
  }
  const sha256 = digest('sha256', body);
  const md5 = headers['content-md5'];
  const checksum = headers['x-amz-checksum-sha256'] as string | undefined;
  if (md5 !== undefined && md5 !== digest('md5', body)) throw new Refusal(400, 'BadDigest');
  if (checksum !== undefined && checksum !== sha256) throw new Refusal(400, 'BadDigest');
  const mode = headers['x-amz-object-lock-mode'] as string | undefined;
  const date = headers['x-amz-object-lock-retain-until-date'] as string | undefined;
  if ((mode === undefined) !== (date === undefined))
    throw new Refusal(400, 'InvalidArgument', 'mode and retain-until-date must be supplied together');
  if (mode !== undefined) {
    if (!store.hasLock)
      throw new Refusal(400, 'InvalidRequest', 'Bucket is missing Object Lock Configuration');
    if (mode !== 'COMPLIANCE' && mode !== 'GOVERNANCE') throw new Refusal(400, 'InvalidArgument');
    if (!(Date.parse(date!) > Date.now())) throw new Refusal(400, 'InvalidArgument', 'must be in the future');
    if (md5 === undefined && checksum === undefined)
      throw new Refusal(400, 'InvalidRequest', 'Content-MD5 or x-amz-checksum- is required with Object Lock');
  }
  const id = `v${before.length + 1}`;
  store.objects.set(key, [
    ...before,
    { id, body, sha256: checksum, mode, until: date === undefined ? undefined : Date.parse(date) },
  ]);
  response.writeHead(200, {
    ETag: `"${createHash('md5').update(body).digest('hex')}"`,
    'x-amz-version-id': id,
  });
  response.end();
}

function get(store: S3Server, { method, key, headers }: Asked, response: ServerResponse): void {
  if (store.denied.has('get')) throw new Refusal(403, 'AccessDenied');
  const newest = store.objects.get(key)?.at(-1);
  if (newest === undefined) throw new Refusal(404, 'NoSuchKey');
  const { body, sha256, mode, until } = newest;
  response.writeHead(200, {
    'Content-Length': body.length,
    ETag: `"${createHash('md5').update(body).digest('hex')}"`,
    ...(headers['x-amz-checksum-mode'] === 'ENABLED' &&
      sha256 !== undefined && { 'x-amz-checksum-sha256': sha256 }),
    ...(mode !== undefined && { 'x-amz-object-lock-mode': mode }),
    ...(until !== undefined && { 'x-amz-object-lock-retain-until-date': new Date(until).toISOString() }),
  });
  response.end(method === 'HEAD' ? undefined : body);
}

function remove(store: S3Server, { key, query }: Asked, response: ServerResponse): void {
  const id = query.get('versionId');
  const versions = store.objects.get(key) ?? [];
  const version = versions.find((candidate) => candidate.id === id);
  // Without a version it would only be hidden, which this store does not do.
  if (version === undefined) throw new Refusal(405, 'MethodNotAllowed');
  if (version.until !== undefined && version.until > Date.now()) throw new Refusal(403, 'AccessDenied');
  store.objects.set(
    key,
    versions.filter((candidate) => candidate !== version),
  );
  response.writeHead(204).end();
}

function list(store: S3Server, query: URLSearchParams, response: ServerResponse): void {
  if (store.denied.has('list')) throw new Refusal(403, 'AccessDenied');
  const prefix = query.get('prefix') ?? '';
  const after = query.get('continuation-token') ?? '';
  const keys = [...store.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
  const page = keys.slice(0, pageKeys);
  const more = keys.length > page.length;
  response.writeHead(200, { 'Content-Type': 'application/xml' });
  response.end(
    `<ListBucketResult><IsTruncated>${more}</IsTruncated>${
      more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ''
    }${page.map((key) => `<Contents><Key>${key}</Key></Contents>`).join('')}</ListBucketResult>`,
  );
}

function lockConfiguration(store: S3Server, response: ServerResponse): void {
  if (store.denied.has('lock-config')) throw new Refusal(403, 'AccessDenied');
  if (!store.hasLock) throw new Refusal(404, 'ObjectLockConfigurationNotFoundError');
  response.writeHead(200, { 'Content-Type': 'application/xml' });
  response.end(
    '<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>',
  );
}

/** Computes the signature anew over what came over the wire. */
function requireSignature(store: S3Server, request: IncomingMessage, url: URL, body: Buffer): void {
  const { headers } = request;
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    );
  if (match === null) throw new Refusal(403, 'AccessDenied', 'no signature');
  const [, keyId, day, region, signedNames, signature] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  if (keyId !== store.credentials.accessKeyId) throw new Refusal(403, 'InvalidAccessKeyId');
  const signed = signedNames.split(';');
  for (const name of Object.keys(headers)) {
    if ((name === 'host' || name.startsWith('x-amz-') || name === 'content-md5') && !signed.includes(name))
      throw new Refusal(403, 'AccessDenied', `header ${name} is not signed`);
  }
  const date = String(headers['x-amz-date']);
  const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(at - Date.now()) < skewMs) || !date.startsWith(day))
    throw new Refusal(403, 'RequestTimeTooSkewed');
  const payload = String(headers['x-amz-content-sha256']);
  if (payload !== 'UNSIGNED-PAYLOAD' && payload !== createHash('sha256').update(body).digest('hex'))
    throw new Refusal(400, 'XAmzContentSHA256Mismatch');
  const canonical = [
    request.method,
    url.pathname,
    [...url.searchParams]
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .sort()
      .join('&'),
    ...signed.map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}`),
    '',
    signedNames,
    payload,
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join(
    '\n',
  );
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${store.credentials.secretAccessKey}`,
  );
  const ours = createHmac('sha256', key).update(toSign).digest();
  if (!timingSafeEqual(ours, Buffer.from(signature, 'hex'))) throw new Refusal(403, 'SignatureDoesNotMatch');
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function digest(algorithm: 'sha256' | 'md5', body: Buffer): string {
  return createHash(algorithm).update(body).digest('base64');
}
