// SSH access: the right to read one method and path for at most a minute, signed with an SSH key, for people who have no
// other. `Authorization: SSHSIG BASE64URL(claims).BASE64URL(signature)`; the claims are those of an access token, the
// signature is over their bytes in a namespace of its own. Pure given keys and now; the caller refuses a repeated jti.

import { HoldpointError } from '../errors.ts';
import type { ApproverBook } from './approvers.ts';
import { verifySsh } from './sshsig.ts';
import { type AccessClaims, type AccessWant, checkAccess } from './token.ts';

/** The scheme, lower case. */
export const sshScheme = 'sshsig';

const charactersMax = 12_000;

/** The value of the header for claims, as `accessText` writes them, and an armored signature over that text. */
export function sshAuthorization(claims: string, armored: string): string {
  const part = (text: string) => Buffer.from(text, 'utf8').toString('base64url');
  return `SSHSIG ${part(claims)}.${part(armored)}`;
}

/** Opens what follows the scheme. Throws `unauthorized`. `kid` is the key's fingerprint. */
export function openSshAccess(
  credential: string,
  want: AccessWant,
  approvers: ApproverBook,
): { approver: string; kid: string; claims: AccessClaims } {
  const [claims, armored, rest] =
    credential.length > charactersMax
      ? []
      : credential.split('.').map((part) => Buffer.from(part, 'base64url').toString('utf8'));
  if (claims === undefined || armored === undefined || rest !== undefined) throw refused();
  const { approver, kid } = verifySsh(armored, claims, 'access', approvers);
  return { approver, kid, claims: checkAccess(readClaims(claims), want) };
}

function readClaims(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw refused();
  }
}

function refused(): HoldpointError {
  return new HoldpointError('unauthorized', 'the SSH access is not valid here; make a new one and try again');
}
