// Enrol: how a first passkey comes to be registered, by a link that whoever runs Holdpoint made on the command line. The
// link is spent when an authenticator has made a passkey for it, and by nothing before that. Refuses to know requests.

import { type Context, Hono } from 'hono';
import type { SigningKey } from '../approval/token.ts';
import { nobody } from './access.ts';
import { jsonBody } from './body.ts';
import { type CeremonyPorts, endCeremony } from './ceremony.ts';
import { openEnrolment, usedUp } from './enrolment.ts';
import type { People } from './people.ts';
import { askNew, registered } from './registration.ts';
import { type VisitPorts, type Visits, visitMsMax } from './visit.ts';

export interface EnrolPorts extends VisitPorts, CeremonyPorts {
  readonly registry: Pick<People, 'approver' | 'addPasskey'>;
  /** Signs enrolment links, and nothing else. */
  readonly enrolKey: SigningKey;
  /** Told that the registry has another passkey, or one less. */
  readonly enrolled?: () => void;
}

const bodyBytesMax = 65_536;

/** The routes under /api/enrol. */
export function enrolApi(ports: EnrolPorts, visits: Visits): Hono {
  const { registry, publicUrl, enrolKey, now, once } = ports;
  const api = new Hono();

  const enrolment = (c: Context) => {
    const [scheme, token] = (c.req.header('Authorization') ?? '').split(' ', 2);
    if (scheme?.toLowerCase() !== 'bearer' || !token) throw nobody();
    const personOf = (name: string) => registry.approver(name);
    return openEnrolment(token, { publicUrl, key: enrolKey, now: now(), personOf });
  };

  api.post('/options', async (c) => {
    const { name, jti } = await enrolment(c);
    const asked = await askNew(ports, { act: 'enrol', name, link: jti }, name, registry.approver(name));
    return c.json({ ...asked, name });
  });

  api.post('/', async (c) => {
    const { name, jti, until } = await enrolment(c);
    const body = await jsonBody(c, bodyBytesMax);
    const { purpose, text } = await endCeremony(ports, body.ceremony, 'enrol');
    if (purpose.name !== name || purpose.link !== jti) throw nobody();
    const passkey = await registered(ports, body.response, text);
    // After the verification, so that a failed attempt leaves the link good; before the entry, so that one of two tabs wins.
    if (!(await once(`enrol:${jti}`, until, now()))) throw usedUp();
    await registry.addPasskey(name, passkey);
    ports.enrolled?.();
    await visits.begin(c, { kind: 'approver', name, by: `passkey:${passkey.id}` }, now() + visitMsMax);
    return c.json({ name, id: passkey.id }, 201);
  });

  return api;
}
