// Values: what a log keeps of a literal or a bound parameter instead of the value itself. audit-approval §10.

import { commit } from '../../verify/src/leaf.ts';

/** A commitment to a value under a salt of its own, which nobody keeps. `value`: undefined for NULL. */
export function committed(
  random: (bytes: number) => Buffer,
  oid: number,
  value: Uint8Array | undefined,
): string {
  return commit(random(16), oid, value);
}
