// Root: what the holder of a log's root key does with it, away from the running proxy: begins a log, and revokes a key
// of it. audit-approval §7. The root's private half is in a file of its own for these moments only; nothing that runs
// reads it.

import { randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CryptoKey, calculateJwkThumbprint, importJWK, type JWK } from 'jose';
import { canonical } from '../../verify/src/jcs.ts';
import type { Revocation } from '../../verify/src/token.ts';
import { HoldpointError } from '../errors.ts';
import { isPrepared, prepareUnder, published } from './beginning.ts';
import { prepareSuccessor } from './epoch.ts';
import { Folder, syncFolder, systemFs, writeWhole } from './folder.ts';
import { type FreshKey, freshKey, Keyring } from './keyring.ts';
import { Lock } from './lock.ts';
import { type SigningKey, signToken } from './seal.ts';

/** Where a log is, or will be. */
export interface LogPlace {
  readonly dir: string;
  readonly keysDir: string;
  readonly origin: string;
}

/**
 * Puts the keys in place that a log begins with, under a new root. `keep` is given the root before anything is written
 * that depends on it, and has it on disk when it returns. Throws `conflict` if the log has begun, or is prepared.
 */
export async function beginUnderRoot(place: LogPlace, keep: (root: FreshKey) => void): Promise<FreshKey> {
  return locked(place, async (folder, keyring) => {
    if (folder.segments().length > 0 || isPrepared(folder))
      throw new HoldpointError(
        'conflict',
        `the log ${place.origin} in ${folder.path} has its root already; a log keeps the one it began with`,
      );
    const root = await freshKey();
    keep(root);
    await prepareUnder(root, folder, keyring, signToken, place.origin);
    return root;
  });
}

export interface Revoked {
  /** The root's word, as verifiers take it. */
  readonly token: string;
  /** The epoch whose key the root certified in its place; undefined where it was a key of checkpoints. */
  readonly epoch: number | undefined;
}

/**
 * Revokes a key of a log that nobody has open, and sees to it that the next start goes on with another. `at`: ms since
 * 1970. Throws `bad-request` if the root is another, `not-found` if the log has no such key.
 */
export async function revoke(
  place: LogPlace,
  secret: JWK,
  kid: string,
  fromSize: number,
  at: number,
): Promise<Revoked> {
  return locked(place, async (folder, keyring) => {
    const root = await signingRoot(secret, (await published(folder, 'root')).kid);
    const epochs = epochsOf(folder);
    const named = await nameOf(folder, kid, epochs);
    const { origin } = place;
    const revocation: Revocation = { v: 1, origin, kid, from_size: fromSize, at: at * 1000 };
    const token = await signToken(root, 'holdpoint-revocation+jws', canonical(revocation));
    appendFileSync(join(folder.path, 'keys', 'revoked.jsonl'), `${token}\n`, { mode: 0o644, flush: true });
    folder.syncNames('keys');
    if (named === 'checkpoint') {
      // The next start makes one that its epoch certifies.
      systemFs.unlinkSync(folder.certificate('checkpoint'));
      return { token, epoch: undefined };
    }
    const epoch = Math.max(...epochs) + 1;
    await prepareSuccessor({ folder, keyring, origin, sign: signToken }, epoch, root);
    return { token, epoch };
  });
}

/** Writes a root's private half to a file of its own, mode 0600, on disk when it returns. Throws `conflict`. */
export function writeRoot(path: string, { secret }: FreshKey): void {
  if (systemFs.existsSync(path))
    throw new HoldpointError('conflict', `${path} exists; name a file for the root key that does not`);
  writeWhole(systemFs, path, `${JSON.stringify(secret)}\n`);
  syncFolder(systemFs, join(path, '..'));
}

async function signingRoot(secret: JWK, kid: string): Promise<SigningKey> {
  try {
    const jwk: JWK = { crv: 'Ed25519', kty: 'OKP', x: secret.x! };
    if ((await calculateJwkThumbprint(jwk)) !== kid) throw new Error('it is the root of another log');
    return { kid, jwk, key: (await importJWK(secret, 'Ed25519')) as CryptoKey };
  } catch (cause) {
    throw new HoldpointError(
      'bad-request',
      `the root key cannot be used: ${(cause as Error).message}; the log's root is ${kid}`,
      { cause },
    );
  }
}

function epochsOf(folder: Folder): number[] {
  return systemFs
    .readdirSync(join(folder.path, 'keys'))
    .flatMap((name) => /^(\d+)\.jwk$/.exec(String(name))?.[1] ?? [])
    .map(Number);
}

async function nameOf(folder: Folder, kid: string, epochs: readonly number[]): Promise<string | number> {
  for (const name of ['checkpoint', ...epochs]) {
    if ((await published(folder, name)).kid === kid) return name;
  }
  throw new HoldpointError(
    'not-found',
    `the log in ${folder.path} has no key ${kid}; they are in its folder keys`,
  );
}

async function locked<T>(
  { dir, keysDir, origin }: LogPlace,
  run: (folder: Folder, keyring: Keyring) => Promise<T>,
): Promise<T> {
  const folder = new Folder(dir, origin, systemFs);
  folder.create();
  const lock = new Lock(folder.lock, randomBytes(16).toString('base64url'));
  try {
    return await run(folder, new Keyring(keysDir, origin, systemFs));
  } finally {
    lock.release();
  }
}
