// The channel binding `tls-server-end-point` (RFC 5929 §4): a hash of the certificate that the server showed, which
// ties a SCRAM exchange to the TLS connection it runs in. Knows just enough DER to find a certificate's signature
// algorithm; refuses to know TLS, and judges no certificate.

import { createHash } from 'node:crypto';

/** A DER element: its tag, its content, and where the next one begins. */
interface Element {
  tag: number;
  content: Buffer;
  end: number;
}

const sequenceTag = 0x30;
const objectIdentifierTag = 0x06;
/** Constructed, context-specific 0: `hashAlgorithm` of RSASSA-PSS-params (RFC 4055 §3.1). */
const hashAlgorithmTag = 0xa0;

/** Object identifiers by their DER content in hex. */
const rsaPssOid = '2a864886f70d01010a';

/** Signature algorithm -> hash. RFC 5929 replaces MD5 and SHA-1 by SHA-256. */
const hashOfSignature: Readonly<Record<string, string>> = {
  '2a864886f70d010104': 'sha256', // md5WithRSAEncryption
  '2a864886f70d010105': 'sha256', // sha1WithRSAEncryption
  '2a864886f70d01010e': 'sha224',
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d0401': 'sha256', // ecdsa-with-SHA1
  '2a8648ce3d040301': 'sha224',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
};

/** Hash algorithms as RSASSA-PSS names them. */
const hashOfPss: Readonly<Record<string, string>> = {
  '2b0e03021a': 'sha256', // SHA-1
  '608648016503040204': 'sha224',
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
};

/**
 * The binding data for a certificate in DER, or undefined where RFC 5929 defines none (Ed25519, Ed448) or the bytes
 * are no certificate: then SCRAM-SHA-256-PLUS must not be offered.
 */
export function tlsServerEndPoint(certificate: Buffer): Buffer | undefined {
  const hash = signatureHash(certificate);
  return hash === undefined ? undefined : createHash(hash).update(certificate).digest();
}

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, parameters }, signatureValue } */
function signatureHash(certificate: Buffer): string | undefined {
  const outer = readElement(certificate, 0);
  if (outer?.tag !== sequenceTag) return undefined;
  const signed = readElement(outer.content, 0);
  if (signed?.tag !== sequenceTag) return undefined;
  const algorithm = readElement(outer.content, signed.end);
  if (algorithm?.tag !== sequenceTag) return undefined;
  const identifier = readElement(algorithm.content, 0);
  if (identifier?.tag !== objectIdentifierTag) return undefined;
  const oid = identifier.content.toString('hex');
  if (oid !== rsaPssOid) return hashOfSignature[oid];
  return pssHash(readElement(algorithm.content, identifier.end));
}

function pssHash(parameters: Element | undefined): string | undefined {
  if (parameters?.tag !== sequenceTag) return undefined;
  const tagged = readElement(parameters.content, 0);
  // Left out, the hash is SHA-1, which RFC 5929 replaces.
  if (tagged?.tag !== hashAlgorithmTag) return 'sha256';
  const identifier = readElement(tagged.content, 0);
  const oid = identifier === undefined ? undefined : readElement(identifier.content, 0);
  return oid === undefined ? undefined : hashOfPss[oid.content.toString('hex')];
}

function readElement(bytes: Buffer, start: number): Element | undefined {
  const tag = bytes[start];
  const first = bytes[start + 1];
  if (tag === undefined || first === undefined) return undefined;
  let length = first;
  let contentStart = start + 2;
  if (first & 0x80) {
    const lengthBytes = first & 0x7f;
    if (lengthBytes < 1 || lengthBytes > 4 || contentStart + lengthBytes > bytes.length) return undefined;
    length = bytes.readUIntBE(contentStart, lengthBytes);
    contentStart += lengthBytes;
  }
  const end = contentStart + length;
  return end > bytes.length ? undefined : { tag, content: bytes.subarray(contentStart, end), end };
}
