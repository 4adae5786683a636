// Passkeys: an approver's answer with one of theirs, and what it lets them change: add a further one, take one away. A
// cookie that somebody copied, or a mere key file, changes nothing here. The first one comes by a link (enrol.ts).
// Refuses to decide about requests. WebAuthn Level 3 §7.2.

import { type AuthenticatorTransport, generateAuthenticationOptions } from '@simplewebauthn/server';
import { Hono } from 'hono';
import type { Passkey } from '../approval/approvers.ts';
import { type Assertion, relyingParty, verifyAssertion } from '../approval/webauthn.ts';
import { HoldpointError } from '../errors.ts';
import { type AccessPorts, type Doorkeeper, nobody } from './access.ts';
import { jsonBody } from './body.ts';
import { beginCeremony, type CeremonyPorts, ceremonyMs, endCeremony, type Purpose } from './ceremony.ts';
import type { Person } from './people.ts';
import { type Asked, askNew, registered } from './registration.ts';

export interface PasskeyPorts extends AccessPorts, CeremonyPorts {
  /** Told that the registry has another passkey, or one less. */
  readonly enrolled?: () => void;
}

const bodyBytesMax = 65_536;

/** Asks any of `allow` (or whichever the browser has) to answer for `purpose`. */
export async function askPasskey(
  ports: CeremonyPorts,
  purpose: Purpose,
  allow: readonly Passkey[] = [],
): Promise<Asked> {
  const { token, challenge } = await beginCeremony(ports, purpose);
  const options = await generateAuthenticationOptions({
    rpID: relyingParty(ports.publicUrl).rpId,
    challenge: new Uint8Array(Buffer.from(challenge, 'base64url')),
    userVerification: 'required',
    timeout: ceremonyMs,
    allowCredentials: allow.map(({ id, transports }) => ({
      id,
      transports: [...transports] as AuthenticatorTransport[],
    })),
  });
  return { options, ceremony: token };
}

/** Whose passkey answered, for which purpose. Throws `unauthorized`. */
export async function answeredBy<A extends Purpose['act']>(
  ports: AccessPorts & CeremonyPorts,
  body: Record<string, unknown>,
  act: A,
): Promise<{ name: string; id: string; purpose: Extract<Purpose, { act: A }> }> {
  const { registry, publicUrl } = ports;
  const { purpose, text } = await endCeremony(ports, body.ceremony, act);
  const { approver, counter } = await verifyAssertion(assertionOf(body.passkey), text, publicUrl, registry);
  if (counter === undefined || !(await registry.passkeyCounter(counter.id, counter.counter))) throw nobody();
  return { name: approver, id: counter.id, purpose };
}

/** The routes under /api/passkeys. */
export function passkeysApi(ports: PasskeyPorts, doorkeeper: Doorkeeper): Hono {
  const { registry } = ports;
  const api = new Hono();

  /** The first step of what changes one's own passkeys: a passkey one has answers for it. */
  api.post('/prove', async (c) => {
    const { name } = await doorkeeper.signedIn(c);
    const person = ownerOf(name);
    const { act, id } = await jsonBody(c, bodyBytesMax);
    if (act === 'add') return c.json(await askPasskey(ports, { act, name }, person.passkeys));
    if (act === 'retire' && typeof id === 'string') {
      refuseLast(person, id);
      return c.json(await askPasskey(ports, { act, name, id }, person.passkeys));
    }
    throw new HoldpointError('bad-request', 'act must be add, or retire with the id of a passkey');
  });

  api.post('/options', async (c) => {
    const { name } = await doorkeeper.signedIn(c);
    const answer = await answeredBy(ports, await jsonBody(c, bodyBytesMax), 'add');
    if (answer.name !== name || answer.purpose.name !== name) throw nobody();
    return c.json(await askNew(ports, { act: 'register', name }, name, registry.approver(name)));
  });

  api.post('/', async (c) => {
    const { name } = await doorkeeper.signedIn(c);
    const body = await jsonBody(c, bodyBytesMax);
    const { purpose, text } = await endCeremony(ports, body.ceremony, 'register');
    if (purpose.name !== name) throw nobody();
    const passkey = await registered(ports, body.response, text);
    await registry.addPasskey(name, passkey);
    ports.enrolled?.();
    return c.json({ name, id: passkey.id }, 201);
  });

  api.post('/retire', async (c) => {
    const { name } = await doorkeeper.signedIn(c);
    const answer = await answeredBy(ports, await jsonBody(c, bodyBytesMax), 'retire');
    if (answer.name !== name || answer.purpose.name !== name) throw nobody();
    refuseLast(ownerOf(name), answer.purpose.id);
    await registry.retirePasskey(name, answer.purpose.id);
    ports.enrolled?.();
    return c.json({ name, id: answer.purpose.id });
  });

  const ownerOf = (name: string): Person => {
    const person = registry.approver(name);
    if (person !== undefined && person.passkeys.length > 0) return person;
    throw new HoldpointError(
      'forbidden',
      `${name} has no passkey yet to answer with; whoever runs Holdpoint makes a link for the first: holdpoint approver add ${name} --passkey`,
    );
  };

  return api;
}

function refuseLast({ name, keys, ssh, passkeys }: Person, id: string): void {
  if (passkeys.every((passkey) => passkey.id !== id))
    throw new HoldpointError('not-found', `${name} has no passkey ${id.slice(0, 40)}`);
  if (keys.length + ssh.length + passkeys.length > 1) return;
  throw new HoldpointError(
    'conflict',
    `this passkey is all that ${name} is known by; add another first, or use holdpoint approver retire ${name}`,
  );
}

/** The members of an assertion as a browser gives it, nested or flat. Throws `bad-request`. */
function assertionOf(value: unknown): Assertion {
  const outer = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const inner = (
    typeof outer.response === 'object' && outer.response !== null ? outer.response : outer
  ) as Record<string, unknown>;
  const text = (from: Record<string, unknown>, name: string): string => {
    const member = from[name];
    if (typeof member === 'string' && /^[A-Za-z0-9_-]{1,8192}$/.test(member)) return member;
    throw new HoldpointError('bad-request', `the passkey's answer is malformed: ${name} must be base64url`);
  };
  return {
    id: text(outer, 'id'),
    authenticatorData: text(inner, 'authenticatorData'),
    clientDataJSON: text(inner, 'clientDataJSON'),
    signature: text(inner, 'signature'),
  };
}
