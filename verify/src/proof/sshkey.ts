// SSH keys: public keys as OpenSSH writes them, and the reader of the wire form that they and SSH signatures share.
// RFC 4251 §5, RFC 4253 §6.6, RFC 5656, RFC 8709, OpenSSH PROTOCOL.u2f. Pure: knows bytes, refuses to know whose key it
// is. Of several spellings of one value only the canonical one is read.

import { createHash, createPublicKey, type KeyObject } from 'node:crypto';

export type SshKeyType =
  | 'ssh-ed25519'
  | 'ecdsa-sha2-nistp256'
  | 'ecdsa-sha2-nistp384'
  | 'ssh-rsa'
  | 'sk-ssh-ed25519@openssh.com'
  | 'sk-ecdsa-sha2-nistp256@openssh.com';

/** A public key. `blob` is its wire form, which the fingerprint is of. */
export interface SshKey {
  readonly type: SshKeyType;
  readonly blob: Buffer;
  /** `SHA256:` and base64 without padding, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  /** `TYPE BASE64`: a line of a .pub file without its comment. */
  readonly line: string;
  readonly key: KeyObject;
  /** Of a security key (sk-): what it was made for, such as `ssh:`. Undefined for a key in software. */
  readonly application: string | undefined;
}

/** Bits of an RSA modulus. Below, it can be factored; above, checking it takes too long. */
const rsaBitsMin = 2048;
const rsaBitsMax = 16_384;

const blobBytesMax = 8192;

/** Reads the wire form in order. Every method throws Error on what is missing or not canonical. */
export class SshReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new Error('it ends too early');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  uint32(): number {
    return this.take(4).readUInt32BE(0);
  }

  string(): Buffer {
    return this.take(this.uint32());
  }

  /** A string of printable ASCII. */
  word(): string {
    const text = this.string().toString('latin1');
    if (!/^[\x20-\x7e]*$/.test(text)) throw new Error('a name in it is not plain text');
    return text;
  }

  /** A positive mpint as big-endian bytes without leading zeros. */
  integer(): Buffer {
    const bytes = this.string();
    const padded = bytes[0] === 0;
    const high = ((padded ? bytes[1] : bytes[0]) ?? 0) >= 0x80;
    // Exactly one zero in front where the number would else read as negative, and none where it would not.
    if (bytes.length === 0 || padded !== high || (padded && bytes.length < 2))
      throw new Error('a number in it is not positive, or not in its shortest form');
    return padded ? bytes.subarray(1) : bytes;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new Error('bytes follow its end');
  }
}

/** A string in wire form. */
export function sshString(value: Buffer | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The key of a line of a .pub file; its comment is dropped. Throws Error with a reason. */
export function readSshLine(line: string): SshKey {
  const match = /^\s*([a-z0-9@.-]{1,64})[ \t]+([A-Za-z0-9+/]{1,11000}={0,2})(?:[ \t]+[^\r\n]*)?\s*$/.exec(
    line,
  );
  if (match === null) throw new Error('it is not a line of an OpenSSH public key file (TYPE BASE64 COMMENT)');
  const blob = Buffer.from(match[2]!, 'base64');
  if (blob.toString('base64') !== match[2]) throw new Error('its base64 is not canonical');
  const key = readSshKey(blob);
  if (key.type !== match[1]) throw new Error(`it is called ${match[1]} and is ${key.type}`);
  return key;
}

/** The key of a wire form. Throws Error with a reason. */
export function readSshKey(blob: Buffer): SshKey {
  if (blob.length > blobBytesMax) throw new Error(`it has more than ${blobBytesMax} bytes`);
  const reader = new SshReader(blob);
  const type = reader.word();
  const read = readers[type];
  if (read === undefined) {
    throw new Error(
      `keys of type ${type.slice(0, 60)} are not accepted; use ${Object.keys(readers).join(', ')}`,
    );
  }
  const jwk = read(reader);
  const application = type.startsWith('sk-') ? reader.word() : undefined;
  reader.end();
  const fingerprint = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
  return {
    type: type as SshKeyType,
    blob: Buffer.from(blob),
    fingerprint: `SHA256:${fingerprint}`,
    line: `${type} ${blob.toString('base64')}`,
    key: createPublicKey({ key: jwk, format: 'jwk' }),
    application,
  };
}

type JwkOf = (reader: SshReader) => Record<string, string>;

const edwards: JwkOf = (reader) => {
  const point = reader.string();
  if (point.length !== 32) throw new Error('its point has not 32 bytes');
  return { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') };
};

const ecdsa =
  (name: string, crv: string, bytes: number): JwkOf =>
  (reader) => {
    if (reader.word() !== name) throw new Error('its curve is not the one of its type');
    const point = reader.string();
    if (point.length !== 1 + 2 * bytes || point[0] !== 4) throw new Error('its point is not uncompressed');
    return {
      kty: 'EC',
      crv,
      x: point.subarray(1, 1 + bytes).toString('base64url'),
      y: point.subarray(1 + bytes).toString('base64url'),
    };
  };

const rsa: JwkOf = (reader) => {
  const e = reader.integer();
  const n = reader.integer();
  const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24;
  if (bits < rsaBitsMin || bits > rsaBitsMax)
    throw new Error(`an RSA key of ${bits} bits is not accepted; ${rsaBitsMin} to ${rsaBitsMax} are`);
  return { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') };
};

const readers: Readonly<Record<string, JwkOf>> = {
  'ssh-ed25519': edwards,
  'ecdsa-sha2-nistp256': ecdsa('nistp256', 'P-256', 32),
  'ecdsa-sha2-nistp384': ecdsa('nistp384', 'P-384', 48),
  'ssh-rsa': rsa,
  'sk-ssh-ed25519@openssh.com': edwards,
  'sk-ecdsa-sha2-nistp256@openssh.com': ecdsa('nistp256', 'P-256', 32),
};
