// Epoch: the next key of a log, which its present one certifies; or which the root did, in place of keys that it revoked.
// audit-approval §7. Refuses to know when a key changes.

import type { JWK } from 'jose';
import { readToken } from '../../verify/src/token.ts';
import { certificateOf, published } from './beginning.ts';
import type { Folder } from './folder.ts';
import { certify, freshKey, type Keyring } from './keyring.ts';
import type { RecordBody } from './record.ts';
import type { Sign, SigningKey } from './seal.ts';

/** Whose keys they are. */
export interface KeyOwner {
  readonly folder: Folder;
  readonly keyring: Keyring;
  readonly origin: string;
  readonly sign: Sign;
}

/** The key of `epoch`, on disk before the log names it, and the record that does. `by`: the key of the epoch before. */
export async function nextKey(
  owner: KeyOwner,
  epoch: number,
  by: SigningKey,
): Promise<{ key: SigningKey; record: RecordBody }> {
  const { folder, keyring, origin, sign } = owner;
  const given = await successor(owner, epoch);
  if (given !== undefined) return { key: given.key, record: keyRecord(epoch, given.key, given.cert) };
  const key = await freshKey();
  const cert = await certify(by, sign, origin, epoch, key.kid);
  // On disk before the log names it: a log whose next key is lost could not go on.
  keyring.keep(epoch, key);
  folder.publish(epoch, key.jwk, cert);
  return { key, record: keyRecord(epoch, key, cert) };
}

/** Makes the key of `epoch` under the root, for a log that nobody has open: its next start goes on with it. */
export async function prepareSuccessor(owner: KeyOwner, epoch: number, root: SigningKey): Promise<void> {
  const { folder, keyring, origin, sign } = owner;
  const key = await freshKey();
  keyring.keep(epoch, key);
  folder.publish(epoch, key.jwk, await certify(root, sign, origin, epoch, key.kid));
}

/** The key that the root certified for an epoch; undefined if it did not. */
async function successor(
  { folder, keyring }: KeyOwner,
  epoch: number,
): Promise<{ key: SigningKey; cert: string } | undefined> {
  if (!folder.fs.existsSync(folder.certificate(epoch))) return undefined;
  const cert = certificateOf(folder, epoch);
  if (readToken(cert).kid !== (await published(folder, 'root')).kid) return undefined;
  return { key: await keyring.load(epoch, (await published(folder, epoch)).kid), cert };
}

function keyRecord(epoch: number, { kid, jwk }: { kid: string; jwk: JWK }, cert: string): RecordBody {
  return { kind: 'key', epoch, kid, jwk: { ...jwk }, cert };
}
