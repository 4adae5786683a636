// Passkeys: how they come to be registered, and go. A first one by an enrolment link; further ones, and taking one away,
// by a signed-in approver who answers with a passkey they have: a cookie that somebody copied, or a mere key file, adds
// nothing. Verifies ceremonies by @simplewebauthn/server; refuses to decide about requests. WebAuthn Level 3 §7.1.

import { createHash } from 'node:crypto';
import {
  type AuthenticatorTransport,
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type RegistrationResponseJSON,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import { type Context, Hono } from 'hono';
import type { Passkey } from '../approval/approvers.ts';
import { jwkFromCose } from '../approval/cose.ts';
import type { SigningKey } from '../approval/token.ts';
import { type Assertion, relyingParty, verifyAssertion } from '../approval/webauthn.ts';
import { HoldpointError } from '../errors.ts';
import { type AccessPorts, type Doorkeeper, nobody } from './access.ts';
import { jsonBody } from './body.ts';
import { beginCeremony, type CeremonyPorts, ceremonyMs, endCeremony, type Purpose } from './ceremony.ts';
import { openEnrolment, usedUp } from './enrolment.ts';
import type { Person } from './people.ts';
import { visitMsMax } from './visit.ts';

export interface PasskeyPorts extends AccessPorts, CeremonyPorts {
  /** Signs enrolment links, and nothing else. */
  readonly enrolKey: SigningKey;
  /** Told that the registry has another passkey, or one less. */
  readonly enrolled?: () => void;
}

const bodyBytesMax = 65_536;

/** COSE: EdDSA, ES256, RS256, in the order in which we like them. */
const algorithms = [-8, -7, -257];

/** What an authenticator is asked, and the token that goes back with its answer. */
export interface Asked {
  readonly options: unknown;
  readonly ceremony: string;
}

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

/** The routes under /api/enrol and /api/passkeys. */
export function passkeysApi(ports: PasskeyPorts, doorkeeper: Doorkeeper): Hono {
  const { registry, publicUrl, now, once } = ports;
  const api = new Hono();

  const enrolment = (c: Context) => {
    const [scheme, token] = (c.req.header('Authorization') ?? '').split(' ', 2);
    if (scheme?.toLowerCase() !== 'bearer' || !token) throw nobody();
    const personOf = (name: string) => registry.approver(name);
    return openEnrolment(token, { publicUrl, key: ports.enrolKey, now: now(), personOf });
  };

  api.post('/enrol/options', async (c) => {
    const { name, jti } = await enrolment(c);
    const asked = await askNew(ports, { act: 'enrol', name, link: jti }, name, registry.approver(name));
    return c.json({ ...asked, name });
  });

  api.post('/enrol', async (c) => {
    const { name, jti, until } = await enrolment(c);
    const body = await jsonBody(c, bodyBytesMax);
    const { purpose, text } = await endCeremony(ports, body.ceremony, 'enrol');
    if (purpose.name !== name || purpose.link !== jti) throw nobody();
    const passkey = await registered(ports, body.response, text);
    // After the verification, so that a failed attempt leaves the link good; before the entry, so that one of two tabs wins.
    if (!(await once(`enrol:${jti}`, until, now()))) throw usedUp();
    await registry.addPasskey(name, passkey);
    ports.enrolled?.();
    const visitor = { kind: 'approver' as const, name, by: `passkey:${passkey.id}` };
    await doorkeeper.visits.begin(c, visitor, now() + visitMsMax);
    return c.json({ name, id: passkey.id }, 201);
  });

  /** The first step of what changes one's own passkeys: a passkey one has answers for it. */
  api.post('/passkeys/prove', async (c) => {
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

  api.post('/passkeys/options', async (c) => {
    const { name } = await doorkeeper.signedIn(c);
    const answer = await answeredBy(ports, await jsonBody(c, bodyBytesMax), 'add');
    if (answer.name !== name || answer.purpose.name !== name) throw nobody();
    return c.json(await askNew(ports, { act: 'register', name }, name, registry.approver(name)));
  });

  api.post('/passkeys', async (c) => {
    const { name } = await doorkeeper.signedIn(c);
    const body = await jsonBody(c, bodyBytesMax);
    const { purpose, text } = await endCeremony(ports, body.ceremony, 'register');
    if (purpose.name !== name) throw nobody();
    const passkey = await registered(ports, body.response, text);
    await registry.addPasskey(name, passkey);
    ports.enrolled?.();
    return c.json({ name, id: passkey.id }, 201);
  });

  api.post('/passkeys/retire', async (c) => {
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

/** Asks for a new passkey of `name`, on none of the devices that have one of theirs. */
async function askNew(
  ports: CeremonyPorts,
  purpose: Purpose,
  name: string,
  person: Person | undefined,
): Promise<Asked> {
  const { token, challenge } = await beginCeremony(ports, purpose);
  const options = await generateRegistrationOptions({
    rpName: 'Holdpoint',
    rpID: relyingParty(ports.publicUrl).rpId,
    userName: name,
    // Tells nothing of the name to whoever reads the device, and is the same for all passkeys of one person.
    userID: new Uint8Array(createHash('sha256').update(`${ports.publicUrl}\0${name}`).digest()),
    challenge: new Uint8Array(Buffer.from(challenge, 'base64url')),
    attestationType: 'none',
    timeout: ceremonyMs,
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
    excludeCredentials: (person?.passkeys ?? []).map(({ id, transports }) => ({
      id,
      transports: [...transports] as AuthenticatorTransport[],
    })),
    supportedAlgorithmIDs: algorithms,
  });
  return { options, ceremony: token };
}

/** The passkey that an authenticator made for `text`. Throws `unauthorized`. */
async function registered(ports: PasskeyPorts, response: unknown, text: string): Promise<Passkey> {
  const { rpId, origin } = relyingParty(ports.publicUrl);
  const expectedChallenge = createHash('sha256').update(text, 'utf8').digest('base64url');
  const { verified, registrationInfo } = await verifyRegistrationResponse({
    response: response as RegistrationResponseJSON,
    expectedChallenge,
    expectedOrigin: origin,
    expectedRPID: rpId,
    requireUserVerification: true,
    supportedAlgorithmIDs: algorithms,
  }).catch((cause: Error) => {
    throw new HoldpointError('unauthorized', `the new passkey is not valid here: ${cause.message}`, {
      cause,
    });
  });
  if (!verified) throw new HoldpointError('unauthorized', 'the new passkey is not valid here');
  const { credential, credentialBackedUp } = registrationInfo;
  return {
    id: credential.id,
    ...jwkFromCose(credential.publicKey),
    counter: credential.counter,
    transports: (credential.transports ?? []).filter((one) => /^[a-z-]{1,20}$/.test(one)),
    backedUp: credentialBackedUp,
    createdAt: ports.now(),
  };
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
