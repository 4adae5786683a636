// Ceremonies without a browser: answers of passkeys put where they do not belong, by everybody who might try.

import { createHash, randomBytes } from 'node:crypto';
import { isoCBOR } from '@simplewebauthn/server/helpers';
import { expect, test } from 'vitest';
import { coseFromJwk } from '../../src/approval/cose.ts';
import { decisionText } from '../../src/approval/decision.ts';
import { signToken } from '../../src/approval/token.ts';
import { challengeOf } from '../../src/approval/webauthn.ts';
import { enrolmentLink } from '../../src/http/enrolment.ts';
import { decisionFor, gate, newBench, publicUrl } from '../support/approvals.ts';
import { passkeyPerson, type SoftPasskey, softPasskey } from '../support/evidence.ts';
import { appOf, post } from '../support/http.ts';

interface Asked {
  ceremony: string;
  options: { challenge: string; rpId?: string; rp?: { id: string }; userVerification?: string };
}

async function scene() {
  const bench = await newBench();
  const app = appOf(bench);
  const [ann, bob] = [passkeyPerson(bench, 'ann'), passkeyPerson(bench, 'bob')];
  const send = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
    const answer = await app.request(publicUrl + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Origin: publicUrl, ...headers },
      body: JSON.stringify(body),
    });
    return {
      status: answer.status,
      cookie: answer.headers.getSetCookie()[0]?.split(';')[0] ?? '',
      json: await answer.json(),
    };
  };
  const ask = async (path: string, body: unknown, headers?: Record<string, string>) =>
    (await send(path, body, headers)).json as Asked;
  const signIn = async (who: SoftPasskey, change = {}) => {
    const { ceremony } = await ask('/api/session/passkey', {});
    return send('/api/session', { passkey: who.evidence(ceremony, change), ceremony });
  };
  return { bench, app, ann, bob, send, ask, signIn };
}

/** What a browser hands in for a new passkey made for `text`. */
function registration(text: string, change: { origin?: string; flags?: number } = {}) {
  const { passkey } = softPasskey();
  const id = Buffer.from(passkey.id, 'base64url');
  const tail = Buffer.alloc(5);
  tail.writeUInt8(change.flags ?? 0x45, 0);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(id.length);
  const authData = Buffer.concat([
    createHash('sha256').update(new URL(publicUrl).hostname).digest(),
    tail,
    Buffer.alloc(16),
    length,
    id,
    coseFromJwk(passkey.jwk, passkey.algorithm),
  ]);
  const attestation = new Map<string, unknown>([
    ['fmt', 'none'],
    ['attStmt', new Map()],
    ['authData', new Uint8Array(authData)],
  ]);
  const client = {
    type: 'webauthn.create',
    challenge: challengeOf(text),
    origin: change.origin ?? publicUrl,
    crossOrigin: false,
  };
  return {
    id: passkey.id,
    rawId: passkey.id,
    type: 'public-key',
    clientExtensionResults: {},
    response: {
      clientDataJSON: Buffer.from(JSON.stringify(client)).toString('base64url'),
      attestationObject: Buffer.from(isoCBOR.encode(attestation as never)).toString('base64url'),
      transports: ['internal'],
    },
  };
}

test('a passkey signs its owner in, once for each challenge', async () => {
  const { ann, ask, send, signIn } = await scene();
  const { ceremony, options } = await ask('/api/session/passkey', {});
  expect(options).toMatchObject({
    rpId: 'holdpoint.test',
    userVerification: 'required',
    challenge: challengeOf(ceremony),
  });
  const answer = { passkey: ann.evidence(ceremony), ceremony };
  expect(await send('/api/session', answer)).toMatchObject({
    status: 201,
    json: { kind: 'approver', name: 'ann' },
  });
  expect((await send('/api/session', answer)).status).toBe(401);
  expect((await signIn(ann)).status).toBe(201);
});

test('an answer without verification, from elsewhere, to another challenge, of a stranger or of a copy signs nobody in', async () => {
  const { ann, bench, signIn, send, ask } = await scene();
  expect((await signIn(ann, { flags: 0x01 })).status).toBe(401);
  expect((await signIn(ann, { origin: 'https://evil.test' })).status).toBe(401);
  expect((await signIn(ann, { rpId: 'evil.test' })).status).toBe(401);
  expect((await signIn(ann, { type: 'webauthn.create' })).status).toBe(401);
  expect((await signIn(ann, { client: { crossOrigin: true } })).status).toBe(401);
  expect((await signIn(ann, { challenge: challengeOf('another') })).status).toBe(401);
  expect((await signIn(softPasskey())).status).toBe(401);
  expect((await signIn(ann, { counter: 7 })).status).toBe(201);
  expect((await signIn(ann, { counter: 7 })).status).toBe(401);
  const { ceremony } = await ask('/api/session/passkey', {});
  for (const passkey of [null, {}, 'x', { id: '=' }, { ...ann.evidence(ceremony), signature: 7 }])
    expect((await send('/api/session', { passkey, ceremony })).status).toBeGreaterThanOrEqual(400);
  bench.agents.add('ann');
  expect((await signIn(ann, { counter: 9 })).status).toBe(401);
});

test('a challenge is ours, in its time, and for what it was put for', async () => {
  const { ann, bench, ask, send } = await scene();
  const forged = await signToken(
    'holdpoint-ceremony+jws',
    JSON.stringify({
      aud: `${publicUrl}/ceremony`,
      exp: bench.clock.now() + 1000,
      jti: 'x',
      purpose: { act: 'sign-in' },
    }),
    bench.visitKey,
  );
  expect((await send('/api/session', { passkey: ann.evidence(forged), ceremony: forged })).status).toBe(401);
  const late = await ask('/api/session/passkey', {});
  bench.clock.ms += 300_000;
  const answer = { passkey: ann.evidence(late.ceremony), ceremony: late.ceremony };
  expect((await send('/api/session', answer)).status).toBe(401);
});

test('what was signed to sign in decides nothing, and what was signed to decide signs nobody in', async () => {
  const { ann, bench, app, ask, send } = await scene();
  const { request, values } = gate();
  const hold = await bench.desk.open(request, values, 0);
  const decision = await decisionFor(bench, hold.rid, 'ann', { level: 'passkey' });
  const { ceremony } = await ask('/api/session/passkey', {});
  const toSignIn = ann.evidence(ceremony);
  expect((await post(app, hold.rid, { decision, evidence: toSignIn })).status).toBe(401);
  const toDecide = ann.evidence(decisionText(decision));
  expect((await send('/api/session', { passkey: toDecide, ceremony })).status).toBe(401);
  expect((await send('/api/session', { passkey: toDecide, ceremony: decisionText(decision) })).status).toBe(
    401,
  );
  expect((await bench.store.get(hold.rid))?.state).toBe('pending');
  expect((await post(app, hold.rid, { decision, evidence: toDecide })).status).toBe(201);
});

test('only one’s own passkey adds to one’s own, with an answer that was given for that', async () => {
  const { ann, bob, bench, ask, send, signIn } = await scene();
  const cookie = { Cookie: (await signIn(ann)).cookie };
  const prove = () => ask('/api/passkeys/prove', { act: 'add' }, cookie);
  const options = (passkey: unknown, ceremony: string, headers = cookie) =>
    send('/api/passkeys/options', { passkey, ceremony }, headers);

  const first = await prove();
  expect((await options(bob.evidence(first.ceremony), first.ceremony)).status).toBe(401);
  const signingIn = await ask('/api/session/passkey', {});
  expect((await options(ann.evidence(signingIn.ceremony), signingIn.ceremony)).status).toBe(401);
  const retiring = await ask('/api/passkeys/prove', { act: 'retire', id: ann.passkey.id }, cookie);
  expect((await options(ann.evidence(retiring.ceremony), retiring.ceremony)).status).toBe(401);
  const second = await prove();
  const asBob = { Cookie: (await signIn(bob)).cookie };
  expect((await options(ann.evidence(second.ceremony), second.ceremony, asBob)).status).toBe(401);

  const third = await prove();
  const { json } = await options(ann.evidence(third.ceremony), third.ceremony);
  const { ceremony } = json as Asked;
  const register = (response: unknown, token = ceremony, headers = cookie) =>
    send('/api/passkeys', { response, ceremony: token }, headers);
  expect((await register(registration(third.ceremony), third.ceremony)).status).toBe(401);
  expect((await register(registration(ceremony), ceremony, asBob)).status).toBe(401);
  expect(bench.book.approver('ann')?.passkeys).toHaveLength(1);

  const again = await prove();
  const last = (await options(ann.evidence(again.ceremony), again.ceremony)).json as Asked;
  expect((await register(registration(last.ceremony), last.ceremony)).status).toBe(201);
  expect(bench.book.approver('ann')?.passkeys).toHaveLength(2);
  expect(bench.book.approver('bob')?.passkeys).toHaveLength(1);
});

test('nobody takes a passkey away by a cookie alone, or another’s', async () => {
  const { ann, bob, bench, ask, send, signIn } = await scene();
  bench.book.passkeys.set('c2Vjb25k', { ...softPasskey().passkey, id: 'c2Vjb25k', approver: 'ann' });
  const cookie = { Cookie: (await signIn(ann)).cookie };
  expect(
    (await ask('/api/passkeys/prove', { act: 'retire', id: bob.passkey.id }, cookie)) as unknown,
  ).toMatchObject({ code: 'not-found' });
  const { ceremony } = await ask('/api/passkeys/prove', { act: 'retire', id: 'c2Vjb25k' }, cookie);
  expect(
    (await send('/api/passkeys/retire', { passkey: bob.evidence(ceremony), ceremony }, cookie)).status,
  ).toBe(401);
  expect(bench.book.approver('ann')?.passkeys).toHaveLength(2);
  const again = await ask('/api/passkeys/prove', { act: 'retire', id: 'c2Vjb25k' }, cookie);
  const body = { passkey: ann.evidence(again.ceremony), ceremony: again.ceremony };
  expect((await send('/api/passkeys/retire', body)).status).toBe(401);
  const last = await ask('/api/passkeys/prove', { act: 'retire', id: 'c2Vjb25k' }, cookie);
  const right = { passkey: ann.evidence(last.ceremony), ceremony: last.ceremony };
  expect((await send('/api/passkeys/retire', right, cookie)).status).toBe(200);
  expect(bench.book.approver('ann')?.passkeys.map(({ id }) => id)).toEqual([ann.passkey.id]);
});

test('an enrolment link registers one passkey, verified, for its name, within its hour, while nobody else has that name', async () => {
  const { bench, ask, send } = await scene();
  const linkFor = async (name: string) => {
    const from = { key: bench.enrolKey, now: bench.clock.now(), random: randomBytes };
    const { link } = await enrolmentLink(publicUrl, name, bench.book.approver(name), from);
    return { Authorization: `Bearer ${link.split('#')[1]}` };
  };
  const enrol = async (bearer: Record<string, string>, change = {}, token?: string) => {
    const { ceremony } = await ask('/api/enrol/options', {}, bearer);
    return send('/api/enrol', { response: registration(token ?? ceremony ?? '', change), ceremony }, bearer);
  };
  const dan = await linkFor('dan');
  expect((await enrol(dan, { flags: 0x41 })).status).toBe(401);
  expect((await enrol(dan, { origin: 'https://evil.test' })).status).toBe(401);
  expect((await enrol(dan, {}, 'another challenge')).status).toBe(401);
  // The challenge of one link does not answer for another.
  const eve = await linkFor('eve');
  const { ceremony } = await ask('/api/enrol/options', {}, eve);
  expect((await send('/api/enrol', { response: registration(ceremony), ceremony }, dan)).status).toBe(401);
  expect(bench.book.approver('dan')).toBeUndefined();

  const both = [await ask('/api/enrol/options', {}, dan), await ask('/api/enrol/options', {}, dan)];
  const results = await Promise.all(
    both.map((asked) =>
      send('/api/enrol', { response: registration(asked.ceremony), ceremony: asked.ceremony }, dan),
    ),
  );
  expect(results.map(({ status }) => status).sort()).toEqual([201, 409]);
  expect(bench.book.approver('dan')?.passkeys).toHaveLength(1);
  expect((await enrol(dan)).status).toBe(409);
  // Also where nothing is remembered of what was used: the name has a passkey more than the link knows of.
  const forgetful = appOf(bench, { once: async () => true });
  const answer = await forgetful.request(`${publicUrl}/api/enrol/options`, {
    method: 'POST',
    headers: { ...dan, 'Content-Type': 'application/json' },
    body: '{}',
  });
  expect(answer.status).toBe(409);

  const late = await linkFor('fay');
  bench.clock.ms += 3_600_000;
  expect((await enrol(late)).status).toBe(410);
  const forged = await signToken('holdpoint-enrol+jws', JSON.stringify({ sub: 'gus' }), bench.visitKey);
  expect((await enrol({ Authorization: `Bearer ${forged}` })).status).toBe(401);
});
