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
  return hash('sha256', leafOf(line), 'base64url');
}

/** What is hashed of a line: 0x00 ‖ line. */
export function leafOf(line: string): string {
  return `\0${line}`;
}

/** The 32 bytes of a hash in base64url, in a buffer of its own. RangeError if it is not one. */
export function decodeHash(text: string): Buffer {
  if (text.length !== 43) throw new RangeError(`a hash has 43 characters, not ${text.length}`);
  const bytes = Buffer.allocUnsafe(32);
  // By hand: `Buffer.from` takes five times as long for so little.
  let bits = 0;
  let gathered = 0;
  let at = 0;
  for (let i = 0; i < 43; i += 1) {
    const six = sixes[text.charCodeAt(i)];
    if (six === undefined || six < 0) throw new RangeError(`${text} is not base64url`);
    gathered = ((gathered << 6) | six) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at] = (gathered >> bits) & 0xff;
      at += 1;
    }
  }
  return bytes;
}

/** The six bits of each character of base64url, by its code; -1 for others. */
const sixes = new Int8Array(128).fill(-1);
for (const [six, letter] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'].entries())
  sixes[letter.charCodeAt(0)] = six;

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
