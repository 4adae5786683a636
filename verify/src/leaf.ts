// Leaf: the hashes that hold a log together: of a line, of an origin, of a value that is committed to. audit-approval §3.
// Pure: knows bytes only.

import { hash } from 'node:crypto';

/** Bytes of a line without its LF. The limit of C2SP tlog-tiles entries. */
export const lineBytesMax = 65_535;

/** A long member that moved to a blob: bytes and SHA-256 (hex, the blob's name) of its UTF-8 text, or its JSON. */
export interface Moved {
  readonly len: number;
  readonly sha: string;
}

/** RFC 6962 leaf hash of a line: SHA-256(0x00 ‖ line), base64url. */
export function leafHash(line: string): string {
  return hash('sha256', `\0${line}`, 'base64url');
}

/** What the first record of a log names as its `prev`. */
export function originHash(origin: string): string {
  return hash('sha256', `holdpoint-log-v1\n${origin}`, 'base64url');
}

/**
 * Commitment to a value: SHA-256("holdpoint-commit-v1\0" ‖ salt ‖ type OID, 4 bytes big endian ‖ value), base64url.
 * `salt` is 16 random bytes, one per value. NULL has no commitment of its own: pass undefined, which hashes one 0xff
 * after OID 0xffffffff, a form that no value has.
 */
export function commit(salt: Uint8Array, oid: number, value: Uint8Array | undefined): string {
  const head = Buffer.allocUnsafe(24 + salt.length);
  head.write('holdpoint-commit-v1\0', 0, 'latin1');
  head.set(salt, 20);
  head.writeUInt32BE(value === undefined ? 0xffffffff : oid, 20 + salt.length);
  return hash('sha256', Buffer.concat([head, value ?? Buffer.of(0xff)]), 'base64url');
}
