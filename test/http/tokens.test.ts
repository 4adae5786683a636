// The token confusion matrix: each kind of token at each place that takes one, and every way to forge one.

import { createHmac, randomBytes } from 'node:crypto';
import { CompactSign, importJWK } from 'jose';
import { expect, test } from 'vitest';
import { decisionText } from '../../src/approval/decision.ts';
import { type SigningKey, signToken, type TokenType } from '../../src/approval/token.ts';
import {
  decisionFor,
  gate,
  linkGate,
  newBench,
  newKey,
  publicUrl,
  signed,
  until,
} from '../support/approvals.ts';
import { accessToken, appOf, getAs, post } from '../support/http.ts';

async function scene(make = linkGate) {
  const bench = await newBench();
  const app = appOf(bench);
  const { request, values } = make();
  const hold = await bench.desk.open(request, values, 0);
  await until(() => bench.notified.length > 0);
  const path = `/api/requests/${hold.rid}`;
  const link = bench.notified[0]!.link.split('#')[1]!;
  const decision = await decisionFor(bench, hold.rid, 'ann');
  const { jws } = await signed(decision, bench.ann);
  const access = await accessToken(bench, bench.ann, path);
  const state = async () => (await bench.store.get(hold.rid))?.state;
  const read = (token: string, at = path) =>
    app.request(`${publicUrl}${at}`, { headers: { Authorization: `Bearer ${token}` } });
  return { bench, app, hold, path, link, decision, jws, access, state, read };
}

test('each token opens its own door and no other', async () => {
  const { app, bench, hold, link, decision, jws, access, state, read } = await scene();
  const list = '/api/requests?state=pending';
  const asSignature = (token: string) =>
    post(app, hold.rid, { decision, evidence: { kind: 'jws', jws: token } });
  const linkDecision = await decisionFor(bench, hold.rid, `link:${'x'.repeat(22)}`, { level: 'link' });
  const asLink = (token: string) =>
    post(app, hold.rid, { decision: linkDecision, evidence: { kind: 'link', token, phrase: 'orders' } });

  expect((await read(jws)).status).toBe(401);
  expect((await read(jws, list)).status).toBe(401);
  expect((await read(link, list)).status).toBe(401);
  expect((await read(access, list)).status).toBe(401);
  expect((await asSignature(link)).status).toBe(401);
  expect((await asSignature(access)).status).toBe(401);
  expect((await asLink(jws)).status).toBe(401);
  expect((await asLink(access)).status).toBe(401);
  expect(await state()).toBe('pending');

  expect((await read(link)).status).toBe(200);
  expect((await read(access)).status).toBe(200);
  expect((await asSignature(jws)).status).toBe(201);
  expect(await state()).toBe('approved');
});

test('a key of one kind does not make tokens of another', async () => {
  const { app, bench, hold, path, decision, read } = await scene();
  // The link key is ours, the approver's key is theirs: neither speaks for the other.
  expect((await read(await accessToken(bench, bench.link, path))).status).toBe(401);
  const byLinkKey = await signed(decision, bench.link);
  expect((await post(app, hold.rid, { decision, evidence: byLinkKey })).status).toBe(401);
  const claims = {
    iss: publicUrl,
    aud: `${publicUrl}/r`,
    sub: hold.rid,
    rd: decision.rd,
    jti: 'j'.repeat(22),
  };
  const times = { iat: 1_800_000_000, exp: 1_800_003_600 };
  const forged = await signToken('holdpoint-link+jws', JSON.stringify({ ...claims, ...times }), bench.ann);
  expect((await read(forged)).status).toBe(401);
});

/** Every way in which a decision's signature can be wrong in its header or its key. */
const forgeries: Record<string, (text: string, key: SigningKey) => Promise<string> | string> = {
  'alg none': (text, key) => `${part({ alg: 'none', typ: decisionType, kid: key.kid })}.${b64(text)}.`,
  'alg HS256 with the public key as secret': (text, key) => {
    const head = `${part({ alg: 'HS256', typ: decisionType, kid: key.kid })}.${b64(text)}`;
    const secret = Buffer.from(key.jwk.x as string, 'base64url');
    return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`;
  },
  'alg EdDSA, the other word for it': (text, key) =>
    sign(text, key, { alg: 'EdDSA', typ: decisionType, kid: key.kid }),
  'no typ': (text, key) => sign(text, key, { alg: 'Ed25519', kid: key.kid }),
  'typ JWT': (text, key) => sign(text, key, { alg: 'Ed25519', typ: 'JWT', kid: key.kid }),
  'typ of an access token': (text, key) => signToken('holdpoint-access+jws', text, key),
  'no kid': (text, key) => sign(text, key, { alg: 'Ed25519', typ: decisionType }),
  'unknown kid': (text, key) => sign(text, key, { alg: 'Ed25519', typ: decisionType, kid: 'nobody' }),
  'a key of its own in the header': async (text) => {
    const own = await newKey();
    return sign(text, own, { alg: 'Ed25519', typ: decisionType, kid: own.kid, jwk: own.jwk });
  },
  'another key under a known kid': async (text, key) =>
    sign(text, await newKey(), { alg: 'Ed25519', typ: decisionType, kid: key.kid }),
  'a flipped bit in the signature': async (text, key) => {
    const token = await signToken(decisionType, text, key);
    return token.slice(0, -20) + (token.at(-20) === 'A' ? 'B' : 'A') + token.slice(-19);
  },
  'another spelling of the same decision': (text, key) =>
    signToken(decisionType, text.replace('{', '{ '), key),
  'the signature of another decision': (text, key) =>
    signToken(decisionType, text.replace('"verdict":"approve"', '"verdict":"reject"'), key),
  'an empty text': () => '',
  'not a token': () => 'a.b.c',
};

for (const [name, forge] of Object.entries(forgeries)) {
  test(`a decision signed with ${name} is refused and changes nothing`, async () => {
    const { app, bench, hold, decision, state } = await scene();
    const jws = await forge(decisionText(decision), bench.ann);
    const answer = await post(app, hold.rid, { decision, evidence: { kind: 'jws', jws } });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(await state()).toBe('pending');
  });
}

test('a decision for another request, digest, audience, nonce, approver, level or time is refused', async () => {
  const { app, bench, hold, state } = await scene(gate);
  const wrong = [
    { rid: 'A'.repeat(22) },
    { rd: 'A'.repeat(43) },
    { aud: 'http://elsewhere.test' },
    { nonce: 'A'.repeat(22) },
    { approver: 'bob' },
    { approver: 'claude' },
    { level: 'passkey' as const },
    { level: 'link' as const },
    { nbf: bench.clock.now() + 60_000 },
    { exp: bench.clock.now() },
    { exp: bench.clock.now() + 999_999_999 },
  ];
  for (const change of wrong) {
    const decision = await decisionFor(bench, hold.rid, 'ann', change);
    const answer = await post(app, hold.rid, { decision, evidence: await signed(decision, bench.ann) });
    expect(answer.status, JSON.stringify(change)).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect(await state()).toBe('pending');
  }
});

test('an access token is for one method, path, audience and minute, and for one use', async () => {
  const { app, bench, path } = await scene();
  const now = Math.floor(bench.clock.now() / 1000);
  for (const change of [
    { htm: 'POST' },
    { htu: `${path}?x=1` },
    { htu: '/api/requests' },
    { aud: 'http://elsewhere.test' },
    { iat: now - 120, exp: now - 61 },
    { iat: now, exp: now + 61 },
    { iat: now + 60, exp: now + 90 },
    { jti: '' },
  ]) {
    expect((await getAs(app, bench, bench.ann, path, change)).status, JSON.stringify(change)).toBe(401);
  }
  const token = await accessToken(bench, bench.ann, path);
  const once = () => app.request(`${publicUrl}${path}`, { headers: { Authorization: `Bearer ${token}` } });
  expect((await once()).status).toBe(200);
  expect((await once()).status).toBe(401);
  bench.clock.ms += 70_000;
  expect((await once()).status).toBe(401);
});

test('a retired key reads nothing', async () => {
  const { app, bench, path } = await scene();
  bench.keys.delete(bench.ann.kid);
  expect((await getAs(app, bench, bench.ann, path)).status).toBe(401);
});

test('a link opens its own request and no other, until that has expired', async () => {
  const { bench, link, path, read } = await scene();
  const other = linkGate({ sql: 'DROP TABLE customers' });
  const second = await bench.desk.open(other.request, other.values, 1);
  expect((await read(link, `/api/requests/${second.rid}`)).status).toBe(401);
  bench.clock.ms += 3_600_001;
  expect((await read(link, path)).status).toBe(401);
});

test('a link made for another text under the same name opens nothing', async () => {
  const { bench, hold, read } = await scene();
  const claims = {
    iss: publicUrl,
    aud: `${publicUrl}/r`,
    sub: hold.rid,
    rd: 'A'.repeat(43),
    jti: 'j'.repeat(22),
  };
  const times = { iat: 1_800_000_000, exp: 1_800_003_600 };
  const other = await signToken('holdpoint-link+jws', JSON.stringify({ ...claims, ...times }), bench.link);
  expect((await read(other)).status).toBe(401);
});

test('a link looks but does not decide where more than a link is needed, or outside development', async () => {
  const places = [
    () => gate(),
    () => linkGate({ need: { level: 'key', quorum: 1 } }),
    () => gate({ need: { level: 'link', quorum: 1 } }),
  ];
  for (const place of places) {
    const { app, bench, hold, link, read, state, path } = await scene(place as typeof linkGate);
    const view = (await (await read(link, path)).json()) as { draft: unknown; phrase: unknown };
    expect(view).toMatchObject({ draft: null, phrase: null });
    const jti = JSON.parse(Buffer.from(link.split('.')[1]!, 'base64url').toString()).jti;
    const decision = await decisionFor(bench, hold.rid, `link:${jti}`, { level: 'link' });
    const answer = await post(app, hold.rid, {
      decision,
      evidence: { kind: 'link', token: link, phrase: 'orders' },
    });
    expect(answer.status).toBe(403);
    expect(await state()).toBe('pending');
  }
});

test('agents never decide, whatever they are called and whatever key they have', async () => {
  const { app, bench, hold, state } = await scene(gate);
  const key = await newKey();
  for (const name of ['claude', 'Claude', ' claude ', 'ｃｌａｕｄｅ', 'gpt']) {
    bench.agents.add('gpt');
    bench.keys.set(key.kid, { approver: name, kid: key.kid, jwk: key.jwk });
    const decision = await decisionFor(bench, hold.rid, name);
    const answer = await post(app, hold.rid, { decision, evidence: await signed(decision, key) });
    expect(answer.status, name).toBe(403);
  }
  expect(await state()).toBe('pending');
});

const decisionType: TokenType = 'holdpoint-decision+jws';

function part(value: unknown): string {
  return b64(JSON.stringify(value));
}

function b64(text: string): string {
  return Buffer.from(text).toString('base64url');
}

async function sign(text: string, key: SigningKey, header: Record<string, unknown>): Promise<string> {
  const secret = (key as SigningKey & { privateJwk?: Record<string, unknown> }).privateJwk;
  const signer = secret && header.alg === 'EdDSA' ? await importJWK(secret, 'EdDSA') : key.privateKey;
  return new CompactSign(Buffer.from(text)).setProtectedHeader(header as { alg: string }).sign(signer);
}

test('random tokens are refused with the same answer', async () => {
  const { read } = await scene();
  for (let index = 0; index < 20; index += 1) {
    const answer = await read(randomBytes(60).toString('base64url'));
    expect(answer.status).toBe(401);
  }
});
