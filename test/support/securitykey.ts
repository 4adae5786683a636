// Security keys in software: sk- keys and their SSH signatures as a FIDO token makes them, with any flags and counter.
// OpenSSH PROTOCOL.u2f and PROTOCOL.sshsig.

import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { sshString } from '../../verify/src/proof/sshkey.ts';

export interface SecurityKey {
  /** `TYPE BASE64`. */
  readonly line: string;
  /** An armored signature over `text`, with whatever the token claims of its holder. */
  sign(text: string, namespace: string, claim: { flags: number; counter: number }): string;
}

export function edwardsSecurityKey(): SecurityKey {
  const type = 'sk-ssh-ed25519@openssh.com';
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const point = Buffer.from(publicKey.export({ format: 'jwk' }).x as string, 'base64url');
  return securityKey(type, Buffer.concat([sshString(type), sshString(point), sshString('ssh:')]), (bytes) =>
    sign(null, bytes, privateKey),
  );
}

export function ecdsaSecurityKey(): SecurityKey {
  const type = 'sk-ecdsa-sha2-nistp256@openssh.com';
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x, y } = publicKey.export({ format: 'jwk' });
  const point = Buffer.concat([
    Buffer.of(4),
    Buffer.from(x as string, 'base64url'),
    Buffer.from(y as string, 'base64url'),
  ]);
  const blob = Buffer.concat([sshString(type), sshString('nistp256'), sshString(point), sshString('ssh:')]);
  return securityKey(type, blob, (bytes) => ecdsa(bytes, privateKey));
}

function securityKey(type: string, blob: Buffer, make: (bytes: Buffer) => Buffer): SecurityKey {
  return {
    line: `${type} ${blob.toString('base64')}`,
    sign(text, namespace, { flags, counter }) {
      const head = Buffer.concat([sshString(namespace), sshString(''), sshString('sha512')]);
      const digest = createHash('sha512').update(text).digest();
      const message = Buffer.concat([Buffer.from('SSHSIG'), head, sshString(digest)]);
      const tail = Buffer.alloc(5);
      tail.writeUInt8(flags, 0);
      tail.writeUInt32BE(counter, 1);
      const signature = make(Buffer.concat([sha256(Buffer.from('ssh:')), tail, sha256(message)]));
      const whole = Buffer.concat([sshString(type), sshString(signature), tail]);
      const version = Buffer.of(0, 0, 0, 1);
      const bytes = Buffer.concat([Buffer.from('SSHSIG'), version, sshString(blob), head, sshString(whole)]);
      const lines = bytes.toString('base64').match(/.{1,70}/g)!;
      return `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`;
    },
  };
}

function ecdsa(bytes: Buffer, key: KeyObject): Buffer {
  const pair = sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' });
  return Buffer.concat([mpint(pair.subarray(0, 32)), mpint(pair.subarray(32))]);
}

function mpint(number: Buffer): Buffer {
  let from = 0;
  while (from < number.length - 1 && number[from] === 0) from += 1;
  const short = number.subarray(from);
  return sshString((short[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), short]) : short);
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
