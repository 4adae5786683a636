// Bucket: puts objects into S3-compatible storage under Object Lock, so that for so many days nobody can change or
// delete them, whoever has our credentials, or (in COMPLIANCE mode) the account's. Every put is conditional: what is
// there stays. Refuses to know what the objects are.
// Sources: Amazon S3 API reference, PutObject and "Using S3 Object Lock"; RFC 9110 §13.1.2 (If-None-Match).

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  type S3ServiceException,
} from '@aws-sdk/client-s3';

/** Where a bucket is and how it is reached. */
export interface BucketPlace {
  readonly bucket: string;
  /** Undefined: as the SDK's chain finds it. */
  readonly region: string | undefined;
  /** Of another store than Amazon's. */
  readonly endpoint: string | undefined;
  readonly forcePathStyle: boolean;
  /** Undefined: as the SDK's chain finds them (environment, profile, instance role). */
  readonly credentials:
    | {
        readonly accessKeyId: string;
        readonly secretAccessKey: string;
        readonly sessionToken?: string | undefined;
      }
    | undefined;
}

/** How long what is put stays, and against whom. */
export interface Lock {
  readonly mode: 'COMPLIANCE' | 'GOVERNANCE';
  readonly retainDays: number;
}

/** A file to put. Both digests are of its bytes. */
export interface FileBody {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: Buffer;
  readonly md5: Buffer;
}

const connectMs = 5_000;
/** How long a socket may say nothing. */
const silenceMs = 30_000;

/** What fails is thrown; the SDK has nothing to add on standard error. */
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** One bucket. */
export class Bucket {
  readonly name: string;
  readonly #client: S3Client;

  constructor(place: BucketPlace) {
    const { bucket, region, endpoint, forcePathStyle, credentials } = place;
    this.name = bucket;
    this.#client = new S3Client({
      ...(region !== undefined && { region }),
      ...(endpoint !== undefined && { endpoint }),
      ...(credentials !== undefined && {
        credentials: {
          accessKeyId: credentials.accessKeyId,
          secretAccessKey: credentials.secretAccessKey,
          ...(credentials.sessionToken !== undefined && { sessionToken: credentials.sessionToken }),
        },
      }),
      forcePathStyle,
      // Whoever puts tries again by himself; a stream cannot be sent twice.
      maxAttempts: 1,
      logger: silent,
      requestHandler: {
        connectionTimeout: connectMs,
        requestTimeout: silenceMs,
        throwOnRequestTimeout: true,
      },
    });
  }

  /** Throws unless the bucket locks objects, or does not let us ask. */
  async requireLock(signal: AbortSignal): Promise<void> {
    const command = new GetObjectLockConfigurationCommand({ Bucket: this.name });
    try {
      const { ObjectLockConfiguration } = await this.#client.send(command, { abortSignal: signal });
      if (ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled') return;
    } catch (error) {
      const { name } = error as S3ServiceException;
      if (name === 'AccessDenied') return;
      if (name !== 'ObjectLockConfigurationNotFoundError')
        throw this.#told(error, 'asking for its Object Lock');
    }
    throw new Error(
      `the bucket ${this.name} has no Object Lock, so what is put there can be deleted; make one with Object Lock enabled`,
    );
  }

  /**
   * Puts an object, locked until `lock.retainDays` after `nowMs`. Returns once the store has acknowledged it. If there
   * is an object of that name with these very bytes, that one stays and counts; with other bytes, it throws.
   */
  async put(
    key: string,
    body: Buffer | FileBody,
    lock: Lock,
    nowMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const isFile = !Buffer.isBuffer(body);
    const sha256 = isFile ? body.sha256 : createHash('sha256').update(body).digest();
    const md5 = isFile ? body.md5 : createHash('md5').update(body).digest();
    const bytes = isFile ? body.bytes : body.length;
    const input = (): PutObjectCommandInput => ({
      Bucket: this.name,
      Key: key,
      Body: isFile ? createReadStream(body.path) : body,
      ContentLength: bytes,
      ContentType: 'application/octet-stream',
      // SHA-256 is what the store checks and keeps; MD5 is for stores that know no other, and for puts under a lock.
      ChecksumSHA256: sha256.toString('base64'),
      ContentMD5: md5.toString('base64'),
      ObjectLockMode: lock.mode,
      ObjectLockRetainUntilDate: new Date(nowMs + lock.retainDays * 86_400_000),
    });
    const send = (more: Partial<PutObjectCommandInput>) =>
      this.#client.send(new PutObjectCommand({ ...input(), ...more }), { abortSignal: signal });
    try {
      await send({ IfNoneMatch: '*' });
      return;
    } catch (error) {
      if ((error as S3ServiceException).$metadata?.httpStatusCode !== 412)
        throw this.#told(error, `putting ${key}`);
    }
    if (await this.#isKept(key, { sha256, md5, bytes }, nowMs, signal)) return;
    // Somebody put the same bytes there without a lock, or we may not look: a version of our own, under a lock of our
    // own. The lock needs versions, so nothing is lost by it.
    await send({}).catch((error: unknown) => {
      throw this.#told(error, `putting ${key}`);
    });
  }

  /** True if the object there has these bytes and is locked; false if it is not, or cannot be looked at. */
  async #isKept(
    key: string,
    wanted: { sha256: Buffer; md5: Buffer; bytes: number },
    nowMs: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const command = new HeadObjectCommand({ Bucket: this.name, Key: key, ChecksumMode: 'ENABLED' });
    const found = await this.#client.send(command, { abortSignal: signal }).catch((error: unknown) => {
      if ((error as S3ServiceException).$metadata?.httpStatusCode === 403) return undefined;
      throw this.#told(error, `looking at ${key}`);
    });
    if (found === undefined) return false;
    const isSame =
      found.ContentLength === wanted.bytes &&
      (found.ChecksumSHA256 !== undefined
        ? found.ChecksumSHA256 === wanted.sha256.toString('base64')
        : found.ETag === `"${wanted.md5.toString('hex')}"`);
    if (!isSame)
      throw new Error(
        `the bucket ${this.name} has another object called ${key}: another log was shipped under this prefix, or ` +
          'somebody put it there. Keep it as evidence, and give this log a prefix of its own',
      );
    return found.ObjectLockMode !== undefined && Number(found.ObjectLockRetainUntilDate) > nowMs;
  }

  /** The newest version of an object. Rejects if there is none. */
  async get(key: string): Promise<Readable> {
    const command = new GetObjectCommand({ Bucket: this.name, Key: key });
    const { Body } = await this.#client.send(command).catch((error: unknown) => {
      throw this.#told(error, `getting ${key}`);
    });
    return Body as Readable;
  }

  /** The keys under a prefix, in order of their bytes. */
  async *keys(prefix: string): AsyncGenerator<string> {
    for (let token: string | undefined; ; ) {
      const command = new ListObjectsV2Command({
        Bucket: this.name,
        Prefix: prefix,
        ...(token !== undefined && { ContinuationToken: token }),
      });
      const page = await this.#client.send(command).catch((error: unknown) => {
        throw this.#told(error, `listing ${prefix}`);
      });
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) yield Key;
      token = page.NextContinuationToken;
      if (token === undefined) return;
    }
  }

  close(): void {
    this.#client.destroy();
  }

  #told(error: unknown, doing: string): Error {
    const { name, message, $metadata } = error as S3ServiceException;
    const status = $metadata?.httpStatusCode;
    const what = [status, name, message].filter((part) => part !== undefined && part !== '').join(' ');
    return new Error(`the bucket ${this.name} refused (${doing}): ${what}`, { cause: error });
  }
}

/** The digests of a file, read once. */
export async function fileBody(path: string): Promise<FileBody> {
  const sha256 = createHash('sha256');
  const md5 = createHash('md5');
  let bytes = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    sha256.update(chunk);
    md5.update(chunk);
    bytes += chunk.length;
  }
  return { path, bytes, sha256: sha256.digest(), md5: md5.digest() };
}
