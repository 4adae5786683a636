// Enrolments: which credentials of approvers the log has been told of. With the public halves in the chain an auditor
// checks a signature without asking us. Refuses to know what a credential is good for.

import { createHash } from 'node:crypto';
import type { DeskLog } from '../approval/ports.ts';
import type { AuditLog } from '../audit/log.ts';
import type { RecordBody } from '../audit/record.ts';
import type { Registry } from '../registry.ts';
import type { Approver } from '../registry-book.ts';

type Enrolment = Extract<RecordBody, { kind: 'approver' }>;

/**
 * Appends every credential that the log has not been told of in this boot, and whatever of it is in force no more. Call
 * it again whenever the registry may have changed.
 */
export function approverRecorder(log: Pick<AuditLog, 'append'>, registry: Registry): () => void {
  const told = new Map<string, Enrolment>();
  return () => {
    const present = new Map<string, Enrolment>();
    for (const approver of registry.approvers()) {
      if (approver.retiredAt !== undefined) continue;
      for (const enrolment of enrolmentsOf(approver)) present.set(enrolment.kid, enrolment);
    }
    for (const [kid, enrolment] of present) {
      if (told.get(kid)?.breakglass !== enrolment.breakglass || !told.has(kid)) log.append(enrolment);
      told.set(kid, enrolment);
    }
    for (const [kid, { id, form }] of told) {
      if (present.has(kid)) continue;
      log.append({ kind: 'approver', id, act: 'retire', kid, form });
      told.delete(kid);
    }
  };
}

/**
 * The log as the desk writes it: a credential stands in it before anything that it proves, also one that was registered a
 * moment ago and has not been looked for yet.
 */
export function withEnrolments(log: AuditLog, enrolled: () => void): DeskLog {
  return {
    append: (record, kept) => {
      if ('ev' in record) enrolled();
      return log.append(record, kept);
    },
    durable: (seq) => log.durable(seq),
  };
}

function enrolmentsOf({ name, keys, ssh, passkeys, oidc, slack, breakGlass }: Approver): Enrolment[] {
  const enrol = {
    kind: 'approver',
    id: name,
    act: 'enrol',
    ...(breakGlass && { breakglass: true }),
  } as const;
  return [
    ...keys.map(({ kid, jwk }): Enrolment => ({ ...enrol, kid, jwk: { ...jwk } })),
    ...ssh.map(({ fingerprint, line }): Enrolment => ({ ...enrol, kid: fingerprint, form: 'ssh', line })),
    ...passkeys.map(({ id, jwk }): Enrolment => ({ ...enrol, kid: id, form: 'passkey', jwk: { ...jwk } })),
    ...oidc.map(({ issuer, subject }): Enrolment => {
      const digest = createHash('sha256').update(`${issuer}\0${subject}`).digest('base64url');
      return { ...enrol, kid: `oidc:${digest}`, form: 'oidc' };
    }),
    ...slack.map(({ team, user }): Enrolment => ({ ...enrol, kid: `slack:${team}/${user}`, form: 'slack' })),
  ];
}
