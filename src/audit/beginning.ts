// Beginning: the keys that a log begins with, and its first two records. audit-approval §7.
// The root certifies epoch 0 and the key of the log's notes. `holdpoint audit init` makes them ahead and takes the root
// off the machine; without it they are made at the first start and the root's private half is forgotten here.
// What is prepared counts once the root's public key is in place, which is written last.

import type { JWK } from 'jose';
import { readPublicKey, readToken } from '../../verify/src/token.ts';
import { HoldpointError } from '../errors.ts';
import type { Folder } from './folder.ts';
import { certify, certifyCheckpoints, type FreshKey, freshKey, type Keyring } from './keyring.ts';
import type { RecordBody } from './record.ts';
import { type Sign, type SigningKey, signToken } from './seal.ts';

/** What a new log begins with. */
export interface Beginning {
  readonly epoch: 0;
  readonly key: SigningKey;
  /** Thumbprint of the root key. */
  readonly root: string;
  readonly records: readonly RecordBody[];
}

/** Whether a beginning is in place. */
export function isPrepared(folder: Folder): boolean {
  return folder.fs.existsSync(folder.publicKey('root'));
}

/**
 * Makes the keys of a log that has no records, and puts them in place. Returns the root key, whose private half is
 * nowhere else. The folder exists and is locked.
 */
export async function prepare(
  folder: Folder,
  keyring: Keyring,
  sign: Sign,
  origin: string,
): Promise<FreshKey> {
  const root = await freshKey();
  await prepareUnder(root, folder, keyring, sign, origin);
  return root;
}

/** The same under a root that is there already. */
export async function prepareUnder(
  root: SigningKey,
  folder: Folder,
  keyring: Keyring,
  sign: Sign,
  origin: string,
): Promise<void> {
  const key = await freshKey();
  const notes = await freshKey();
  const cert = await certify(root, sign, origin, 0, key.kid);
  keyring.keep(0, key);
  keyring.keepCheckpointKey(notes);
  folder.publish(0, key.jwk, cert);
  folder.publish('checkpoint', notes.jwk, await certifyCheckpoints(root, signToken, origin, notes.kid));
  folder.publish('root', root.jwk);
}

/** The first two records of a log, out of the keys that are in place. Throws `log-unwritable` if one is missing. */
export async function begin(
  folder: Folder,
  keyring: Keyring,
  origin: string,
  config: string | undefined,
): Promise<Beginning> {
  try {
    const root = await published(folder, 'root');
    const first = await published(folder, 0);
    const notes = await published(folder, 'checkpoint');
    const cert = certificateOf(folder, 0);
    const key = await keyring.load(0, first.kid);
    for (const token of [cert, certificateOf(folder, 'checkpoint')])
      if (readToken(token).kid !== root.kid || readToken(token).claims.origin !== origin)
        throw new Error('a certificate is of another root or log');
    return {
      epoch: 0,
      key,
      root: root.kid,
      records: [
        {
          kind: 'genesis',
          origin,
          root: root.kid,
          jwk: { ...root.jwk },
          checkpoint: { cert: certificateOf(folder, 'checkpoint'), jwk: { ...notes.jwk } },
          config,
        },
        { kind: 'key', epoch: 0, kid: key.kid, jwk: { ...key.jwk }, cert },
      ],
    };
  } catch (cause) {
    if (cause instanceof HoldpointError) throw cause;
    throw new HoldpointError(
      'log-unwritable',
      `the log cannot begin with the keys that are in ${folder.path}/keys: ${(cause as Error).message}. ` +
        'Move the folder away; then run `holdpoint audit init` again, or start without it',
      { cause },
    );
  }
}

/** A public key of the log, as its file says. */
export async function published(folder: Folder, name: string | number): Promise<{ kid: string; jwk: JWK }> {
  return readPublicKey(JSON.parse(String(folder.fs.readFileSync(folder.publicKey(name)))));
}

/** The certificate beside it. */
export function certificateOf(folder: Folder, name: string | number): string {
  return String(folder.fs.readFileSync(folder.certificate(name))).trimEnd();
}
