import { createHash, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tlsServerEndPoint } from '../../src/wire/channel-binding.ts';
import { selfSigned } from '../support/certificate.ts';

test.each([
  ['rsa', 'sha1', 'sha256'],
  ['rsa', 'sha256', 'sha256'],
  ['rsa', 'sha384', 'sha384'],
  ['rsa', 'sha512', 'sha512'],
  ['rsa-pss', 'sha1', 'sha256'],
  ['rsa-pss', 'sha256', 'sha256'],
  ['rsa-pss', 'sha384', 'sha384'],
  ['rsa-pss', 'sha512', 'sha512'],
  ['ecdsa', 'sha1', 'sha256'],
  ['ecdsa', 'sha256', 'sha256'],
  ['ecdsa', 'sha384', 'sha384'],
  ['ecdsa', 'sha512', 'sha512'],
] as const)('a certificate signed with %s and %s is hashed with %s', (kind, hash, expected) => {
  const { der } = selfSigned(kind, hash);
  expect(new X509Certificate(der).subject).toBe('CN=localhost');
  expect(tlsServerEndPoint(der)).toEqual(createHash(expected).update(der).digest());
});

test('an Ed25519 certificate has no binding', () => {
  const { der } = selfSigned('ed25519');
  expect(new X509Certificate(der).subject).toBe('CN=localhost');
  expect(tlsServerEndPoint(der)).toBeUndefined();
});

test('bytes that are no certificate have no binding', () => {
  const { der } = selfSigned('rsa-pss');
  for (let cut = 0; cut < der.length; cut++) expect(tlsServerEndPoint(der.subarray(0, cut))).toBeUndefined();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      expect(tlsServerEndPoint(Buffer.from(bytes))).toBeUndefined();
    }),
  );
});
