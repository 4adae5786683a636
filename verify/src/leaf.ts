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
  const start = prefix.length + salt.length + 4;
  const length = start + (value === undefined ? 1 : value.length);
  const whole = length <= scratch.length ? scratch : Buffer.allocUnsafe(length);
  if (whole !== scratch) whole.set(prefix, 0);
  whole.set(salt, prefix.length);
  whole.writeUInt32BE(value === undefined ? 0xffffffff : oid, prefix.length + salt.length);
  if (value === undefined) whole[start] = 0xff;
  else whole.set(value, start);
  return hash('sha256', whole.subarray(0, length), 'base64url');
}

const prefix = Buffer.from('holdpoint-commit-v1\0', 'latin1');
// One for all: whoever fills it has its digest before anybody else comes.
const scratch = Buffer.alloc(1024);
scratch.set(prefix, 0);
