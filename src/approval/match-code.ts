// Match code: six characters that follow from a request's digest, shown in the message that asks for a decision and on
// the page that takes it, so that a person can compare the two. Pure. Proves nothing by itself: a signature covers the
// whole digest. audit-approval §16.4 (CIBA's binding_message), §17.10.

import { createHash } from 'node:crypto';

/** Crockford's base32 without the letters that are read as digits or as each other. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** `K7Q-4DM`: 30 bits of SHA-256("holdpoint-code-v1" NUL rd). `rd` is the request digest that the caller computed. */
export function matchCode(rd: string): string {
  const bits = createHash('sha256').update(`holdpoint-code-v1\0${rd}`).digest().readUInt32BE(0) >>> 2;
  let code = '';
  for (let shift = 25; shift >= 0; shift -= 5) code += alphabet[(bits >>> shift) & 31];
  return `${code.slice(0, 3)}-${code.slice(3)}`;
}
