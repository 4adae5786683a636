// Self-made certificates for tests, in DER, with a fresh key each: nothing secret stands in the repository and no
// openssl is needed. Good for 127.0.0.1 and localhost; valid long before and after any test runs.
// Source: RFC 5280 §4.1 (Certificate), RFC 4055 (RSASSA-PSS parameters).

import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export interface SelfSigned {
  der: Buffer;
  certificatePem: string;
  keyPem: string;
}

export type SignatureKind = 'rsa' | 'rsa-pss' | 'ecdsa' | 'ed25519';
export type SignatureHash = 'sha1' | 'sha256' | 'sha384' | 'sha512';

const rsaOid = { sha1: '05', sha256: '0b', sha384: '0c', sha512: '0d' };
const ecdsaOid = { sha1: '01', sha256: '0302', sha384: '0303', sha512: '0304' };
const hashOid = {
  sha1: '2b0e03021a',
  sha256: '608648016503040201',
  sha384: '608648016503040202',
  sha512: '608648016503040203',
};
const hashBytes = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 };

export function selfSigned(kind: SignatureKind = 'ecdsa', hash: SignatureHash = 'sha256'): SelfSigned {
  const { publicKey, privateKey } = keyPair(kind);
  const algorithm = signatureAlgorithm(kind, hash);
  const name = sequence(tlv(0x31, sequence(oid('550403'), tlv(0x0c, Buffer.from('localhost')))));
  const validity = sequence(utcTime('200101000000Z'), utcTime('491231235959Z'));
  const alternatives = sequence(tlv(0x82, Buffer.from('localhost')), tlv(0x87, Buffer.from([127, 0, 0, 1])));
  const extension = sequence(oid('551d11'), tlv(0x04, alternatives));
  const toBeSigned = sequence(
    tlv(0xa0, integer(2)),
    integer(1),
    algorithm,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(extension)),
  );
  const signature = signBytes(kind, hash, toBeSigned, privateKey);
  const der = sequence(toBeSigned, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = der.toString('base64').replaceAll(/.{64}/g, '$&\n');
  return {
    der,
    certificatePem: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function keyPair(kind: SignatureKind): { publicKey: KeyObject; privateKey: KeyObject } {
  if (kind === 'ecdsa') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  if (kind === 'ed25519') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

function signatureAlgorithm(kind: SignatureKind, hash: SignatureHash): Buffer {
  if (kind === 'ed25519') return sequence(oid('2b6570'));
  if (kind === 'ecdsa') return sequence(oid(`2a8648ce3d04${ecdsaOid[hash]}`));
  if (kind === 'rsa') return sequence(oid(`2a864886f70d0101${rsaOid[hash]}`), tlv(0x05));
  const named = sequence(oid(hashOid[hash]), tlv(0x05));
  const maskGeneration = sequence(oid('2a864886f70d010108'), named);
  const salt = integer(hashBytes[hash]);
  return sequence(
    oid('2a864886f70d01010a'),
    sequence(tlv(0xa0, named), tlv(0xa1, maskGeneration), tlv(0xa2, salt)),
  );
}

function signBytes(kind: SignatureKind, hash: SignatureHash, bytes: Buffer, key: KeyObject): Buffer {
  if (kind === 'ed25519') return sign(null, bytes, key);
  if (kind !== 'rsa-pss') return sign(hash, bytes, key);
  return sign(hash, bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: hashBytes[hash] });
}

function tlv(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = content.length;
  const header = length < 0x80 ? [tag, length] : [tag, 0x82, length >>> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return tlv(0x30, ...parts);
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, 'hex'));
}

function integer(value: number): Buffer {
  return tlv(0x02, Buffer.from([value]));
}

function utcTime(text: string): Buffer {
  return tlv(0x17, Buffer.from(text));
}
