// Enrolment: the right to register one passkey under one name, once, within an hour. Made on the command line by whoever
// runs Holdpoint, carried in a URL fragment. It names the credentials that the person had then, so that it is spent with
// the first one added, also across a restart. Pure given keys and now.

import { createHash } from 'node:crypto';
import type { Credentials } from '../approval/approvers.ts';
import { openToken, refused, type SigningKey, signToken, tokenClaims } from '../approval/token.ts';
import { HoldpointError } from '../errors.ts';

export interface Enrolment {
  readonly name: string;
  readonly jti: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export const enrolmentMs = 3_600_000;

const typ = 'holdpoint-enrol+jws';

/** The address that registers a passkey for `name`. `person` is who goes by that name now, if somebody does. */
export async function enrolmentLink(
  publicUrl: string,
  name: string,
  person: Credentials | undefined,
  from: { key: SigningKey; now: number; random: (bytes: number) => Buffer },
): Promise<{ link: string; until: number }> {
  const until = from.now + enrolmentMs;
  const claims = {
    aud: `${publicUrl}/enrol`,
    sub: name,
    had: knownBy(person),
    jti: from.random(16).toString('base64url'),
    exp: until,
  };
  const token = await signToken(typ, JSON.stringify(claims), from.key);
  return { link: `${publicUrl}/enrol#${token}`, until };
}

/** Opens an enrolment. Throws `unauthorized`, `expired`, or `conflict` if it was used. */
export async function openEnrolment(
  token: string,
  want: {
    publicUrl: string;
    key: SigningKey;
    now: number;
    personOf: (name: string) => Credentials | undefined;
  },
): Promise<Enrolment> {
  const { payload } = await openToken(token, typ, (kid) => (kid === want.key.kid ? want.key.jwk : undefined));
  const { aud, sub, had, jti, exp } = tokenClaims(payload, typ);
  if (
    aud !== `${want.publicUrl}/enrol` ||
    typeof sub !== 'string' ||
    typeof jti !== 'string' ||
    typeof exp !== 'number'
  )
    throw refused(typ);
  if (want.now >= exp)
    throw new HoldpointError(
      'expired',
      'this link is past its hour; ask for a new one: holdpoint approver add NAME --passkey',
    );
  if (had !== knownBy(want.personOf(sub))) throw usedUp();
  return { name: sub, jti, until: exp };
}

/** What a link says that was used, in this tab or another. */
export function usedUp(): HoldpointError {
  return new HoldpointError(
    'conflict',
    'this link was used, or the approver has changed since; ask for a new one: holdpoint approver add NAME --passkey',
  );
}

/** Names everything that a person is known by. */
function knownBy(person: Credentials | undefined): string {
  const ids = person && [
    ...person.keys.map(({ kid }) => `key ${kid}`),
    ...person.passkeys.map(({ id }) => `passkey ${id}`),
    ...person.ssh.map(({ fingerprint }) => `ssh ${fingerprint}`),
  ];
  return createHash('sha256')
    .update(JSON.stringify(ids?.sort() ?? null))
    .digest('base64url');
}
