// SSH signatures as evidence: what `ssh-keygen -Y sign` makes with a registered key over the exact text. A security key
// whose token verified its holder (PIN or fingerprint) proves as much as a passkey. audit-approval §16.4; the format
// itself is proof/sshsig.ts. Pure.

import { verifySshSignature } from '../../verify/src/proof/sshsig.ts';
import { HoldpointError } from '../errors.ts';
import type { ApproverBook } from './approvers.ts';
import type { Proof } from './ground.ts';

/** What a signature is for. A signature made for one is worth nothing for another. */
export const sshNamespaces = {
  decision: 'holdpoint-decision@v1',
  delegation: 'holdpoint-delegation@v1',
  review: 'holdpoint-review@v1',
  access: 'holdpoint-access@v1',
} as const;

/** Verifies a signature over `text`. Throws `unauthorized`, also for a key that is not registered. */
export function verifySsh(
  armored: string,
  text: string,
  purpose: keyof typeof sshNamespaces,
  approvers: ApproverBook,
): Proof {
  let proof: ReturnType<typeof verifySshSignature>;
  try {
    proof = verifySshSignature(armored, text, sshNamespaces[purpose]);
  } catch (cause) {
    throw new HoldpointError(
      'unauthorized',
      `the SSH signature is not valid here: ${(cause as Error).message}`,
      { cause },
    );
  }
  const { fingerprint } = proof.key;
  const known = approvers.sshKey(fingerprint);
  if (known === undefined) {
    throw new HoldpointError(
      'unauthorized',
      `the SSH key ${fingerprint} is no approver's; enrol it with holdpoint approver add NAME --ssh FILE`,
    );
  }
  return {
    approver: known.approver,
    level: proof.presence?.verified === true ? 'passkey' : 'key',
    kid: fingerprint,
    log: { kind: 'sshsig', signature: armored },
  };
}
