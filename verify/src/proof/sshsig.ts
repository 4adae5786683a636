// SSH signatures: the armored form that `ssh-keygen -Y sign` writes, and whether one covers a text. OpenSSH
// PROTOCOL.sshsig and PROTOCOL.u2f. Pure given the text: refuses to know whose key it is and what the text says. The key
// inside the signature proves nothing by itself; the caller compares its fingerprint with one that it trusts.

import { createHash, verify } from 'node:crypto';
import { readSshKey, type SshKey, SshReader, sshString } from './sshkey.ts';

/** A signature that covers the text. */
export interface SshProof {
  readonly key: SshKey;
  /** Of a security key: what it says that its holder did. Undefined for a key in software. */
  readonly presence:
    | { readonly touched: true; readonly verified: boolean; readonly counter: number }
    | undefined;
}

const armorPattern =
  /^-----BEGIN SSH SIGNATURE-----\r?\n((?:[A-Za-z0-9+/=]{1,76}\r?\n)+)-----END SSH SIGNATURE-----(?:\r?\n)?$/;
const magic = 'SSHSIG';
const userPresent = 0x01;
const userVerified = 0x04;

/** The name of the key inside an armored signature; nothing is verified. Throws Error with a reason. */
export function signerOf(armored: string): SshKey {
  return readSignature(armored).key;
}

/**
 * Verifies that `armored` is a signature over exactly `text` for `namespace`. Throws Error with a reason: another
 * namespace, a hash other than SHA-512 and SHA-256, SHA-1 with RSA, a security key that was not touched, a wrong signature.
 */
export function verifySshSignature(armored: string, text: string | Buffer, namespace: string): SshProof {
  const given = readSignature(armored);
  const { key } = given;
  if (given.namespace !== namespace)
    throw new Error(`it was made for ${JSON.stringify(given.namespace)}, not for ${namespace}`);
  const message = Buffer.concat([
    Buffer.from(magic),
    sshString(namespace),
    sshString(''),
    sshString(given.hash),
    sshString(createHash(given.hash).update(text).digest()),
  ]);
  const reader = new SshReader(given.signature);
  const scheme = reader.word();
  const signature = reader.string();
  let signed = message;
  let presence: SshProof['presence'];
  if (key.application !== undefined) {
    const [flags = 0] = reader.take(1);
    const counter = reader.uint32();
    if ((flags & userPresent) === 0) throw new Error('the security key was not touched');
    presence = { touched: true, verified: (flags & userVerified) !== 0, counter };
    const tail = Buffer.alloc(5);
    tail.writeUInt8(flags, 0);
    tail.writeUInt32BE(counter, 1);
    signed = Buffer.concat([sha256(Buffer.from(key.application)), tail, sha256(message)]);
  }
  reader.end();
  if (!fits(key, scheme, signed, signature))
    throw new Error('it is not a signature over this text by its key');
  return { key, presence };
}

function readSignature(armored: string): {
  key: SshKey;
  namespace: string;
  hash: 'sha512' | 'sha256';
  signature: Buffer;
} {
  const base64 = armorPattern.exec(armored)?.[1]?.replaceAll(/\r?\n/g, '');
  if (base64 === undefined) throw new Error('it is not armored as -----BEGIN SSH SIGNATURE-----');
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.toString('base64') !== base64) throw new Error('its base64 is not canonical');
  const reader = new SshReader(bytes);
  if (reader.take(magic.length).toString('latin1') !== magic)
    throw new Error('it does not begin with SSHSIG');
  const version = reader.uint32();
  if (version !== 1) throw new Error(`it is of version ${version}; only 1 is known`);
  const key = readSshKey(reader.string());
  const namespace = reader.word();
  if (reader.string().length > 0) throw new Error('its reserved part is not empty');
  const hash = reader.word();
  if (hash !== 'sha512' && hash !== 'sha256')
    throw new Error(`its hash is ${hash.slice(0, 20)}; use sha512 or sha256`);
  const signature = reader.string();
  reader.end();
  return { key, namespace, hash, signature };
}

/** Whether `signature`, of the scheme that its own bytes name, is over `signed`. A scheme is one of its key's type. */
function fits(key: SshKey, scheme: string, signed: Buffer, signature: Buffer): boolean {
  switch (key.type) {
    case 'ssh-ed25519':
    case 'sk-ssh-ed25519@openssh.com':
      return scheme === key.type && signature.length === 64 && verify(null, signed, key.key, signature);
    case 'ecdsa-sha2-nistp256':
    case 'sk-ecdsa-sha2-nistp256@openssh.com':
      return scheme === key.type && ecdsaFits(key, 'sha256', 32, signed, signature);
    case 'ecdsa-sha2-nistp384':
      return scheme === key.type && ecdsaFits(key, 'sha384', 48, signed, signature);
    case 'ssh-rsa': {
      // `ssh-rsa` as a scheme is SHA-1.
      const hash = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' }[scheme];
      return hash !== undefined && verify(hash, signed, key.key, signature);
    }
  }
}

function ecdsaFits(key: SshKey, hash: string, bytes: number, signed: Buffer, signature: Buffer): boolean {
  const reader = new SshReader(signature);
  const numbers = [reader.integer(), reader.integer()];
  reader.end();
  if (numbers.some((number) => number.length > bytes)) return false;
  const whole = Buffer.concat(
    numbers.map((number) => Buffer.concat([Buffer.alloc(bytes - number.length), number])),
  );
  return verify(hash, signed, { key: key.key, dsaEncoding: 'ieee-p1363' }, whole);
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
