// What each kind of evidence proves, and to what level: SSH keys, passkeys, ID tokens, Slack buttons. Every wrong claim
// leaves the request pending. B9, B11, B12 of the invariants; B13 has a real provider of its own.

import { expect, test } from 'vitest';
import { type Decision, decisionText } from '../../src/approval/decision.ts';
import type { RequestDraft } from '../../src/approval/request.ts';
import { nonceOf } from '../../verify/src/proof/idtoken.ts';
import {
  type Bench,
  decisionFor,
  gate,
  newBench,
  newKey,
  publicUrl,
  signed,
  startMs,
} from '../support/approvals.ts';
import {
  type AssertionClaims,
  passkeyPerson,
  slackEvidence,
  slackSecret,
  softPasskey,
  sshEvidence,
  sshPerson,
  TokenMaker,
} from '../support/evidence.ts';

const passkeyNeed = { need: { level: 'passkey', quorum: 1 } } as const;
const staging = { environment: 'staging' } as const;

async function parked(
  options: Parameters<typeof newBench>[0] = {},
  change: Partial<RequestDraft> & { environment?: 'staging' } = {},
) {
  const bench = await newBench(options);
  const { environment, ...draft } = change;
  const made = gate(draft);
  const { request, values } =
    environment === undefined ? made : gate({ ...draft, db: { ...made.request.db, environment } });
  const hold = await bench.desk.open(request, values, 7);
  const refused = async (decision: Decision, evidence: unknown, code = 'unauthorized') => {
    await expect(bench.desk.decide(hold.rid, decision, evidence)).rejects.toMatchObject({ code });
    expect((await bench.store.get(hold.rid))?.state).toBe('pending');
    expect(bench.log.kinds()).toEqual(['hold']);
  };
  const released = async (decision: Decision, evidence: unknown) => {
    expect((await bench.desk.decide(hold.rid, decision, evidence)).state).toBe('approved');
    return hold.claim();
  };
  return { bench, hold, request, refused, released };
}

const asAnn = (bench: Bench, rid: string, change: Partial<Decision> = {}) =>
  decisionFor(bench, rid, 'ann', change);

test('an SSH signature of a registered key over exactly the decision releases it, as evidence of level key', async () => {
  const { bench, hold, released, refused } = await parked();
  const key = sshPerson(bench, 'ann');
  const decision = await asAnn(bench, hold.rid);
  await refused({ ...decision, reason: 'other' }, sshEvidence(decision, key));
  await refused(decision, { kind: 'sshsig', signature: key.sign(decisionText(decision), 'file') });
  await refused(decision, {
    kind: 'sshsig',
    signature: key.sign(decisionText(decision), 'holdpoint-access@v1'),
  });
  await refused({ ...decision, approver: 'bob' }, sshEvidence({ ...decision, approver: 'bob' }, key));
  const stranger = sshPerson(await newBench(), 'ann');
  await refused(decision, sshEvidence(decision, stranger));
  const strong = { ...decision, level: 'passkey' } as const;
  await refused(strong, sshEvidence(strong, key), 'forbidden');
  expect(await released(decision, sshEvidence(decision, key))).toMatchObject({ by: ['ann'] });
  expect(bench.log.records[1]).toMatchObject({ ev: { kind: 'sshsig' }, D: decisionText(decision) });
});

test('an SSH security key is as good as a passkey only if its token verified its holder', async () => {
  const { bench, hold, released, refused } = await parked({}, passkeyNeed);
  const decision = await asAnn(bench, hold.rid, { level: 'passkey' });
  await refused(decision, sshEvidence(decision, sshPerson(bench, 'ann', 'touched')), 'forbidden');
  await refused(decision, sshEvidence(decision, sshPerson(bench, 'ann', 'software')), 'forbidden');
  expect(await released(decision, sshEvidence(decision, sshPerson(bench, 'ann', 'verified')))).toBeDefined();
});

test.each(['P-256', 'Ed25519', 'RSA'] as const)('a passkey (%s) releases what needs one', async (kind) => {
  const { bench, hold, released } = await parked({}, passkeyNeed);
  const passkey = passkeyPerson(bench, 'ann', kind);
  const decision = await asAnn(bench, hold.rid, { level: 'passkey' });
  expect(await released(decision, passkey.evidence(decisionText(decision)))).toMatchObject({ by: ['ann'] });
  expect(bench.log.records[1]).toMatchObject({ ev: { kind: 'webauthn', id: passkey.passkey.id } });
});

const wrongAssertions: [string, Partial<AssertionClaims>][] = [
  ['for another origin', { origin: 'https://holdpoint.test.evil.test' }],
  ['for another port', { origin: `${publicUrl}:444` }],
  ['for another relying party', { rpId: 'evil.test' }],
  ['for the parent of the relying party', { rpId: 'test' }],
  ['without the person verified', { flags: 0x01 }],
  ['without the person present', { flags: 0x04 }],
  ['over another challenge', { challenge: 'AAAA' }],
  ['made to register', { type: 'webauthn.create' }],
  ['made for a payment', { type: 'payment.get' }],
  ['made inside a foreign frame', { client: { crossOrigin: true } }],
  ['made inside a named foreign frame', { client: { crossOrigin: true, topOrigin: 'https://evil.test' } }],
];

test.each(wrongAssertions)('an assertion %s is refused', async (_, change) => {
  const { bench, hold, refused } = await parked({}, passkeyNeed);
  const passkey = passkeyPerson(bench, 'ann');
  const decision = await asAnn(bench, hold.rid, { level: 'passkey' });
  await refused(decision, passkey.evidence(decisionText(decision), change));
});

test('a signature in another encoding than the one is refused: the log could not be verified by it', async () => {
  const { bench, hold, refused } = await parked({}, passkeyNeed);
  const passkey = passkeyPerson(bench, 'ann');
  const decision = await asAnn(bench, hold.rid, { level: 'passkey' });
  const good = passkey.evidence(decisionText(decision));
  const der = Buffer.from(good.signature, 'base64url');
  // BER may write a length in more bytes than DER does.
  const ber = Buffer.concat([der.subarray(0, 1), Buffer.of(0x81), der.subarray(1)]);
  const trailing = Buffer.concat([der, Buffer.of(0)]);
  for (const signature of [ber, trailing])
    await refused(decision, { ...good, signature: signature.toString('base64url') });
});

test("another credential, another person's or another decision's assertion is refused", async () => {
  const { bench, hold, refused } = await parked({}, passkeyNeed);
  const passkey = passkeyPerson(bench, 'ann');
  const decision = await asAnn(bench, hold.rid, { level: 'passkey' });
  const good = passkey.evidence(decisionText(decision));
  await refused(decision, softPasskey().evidence(decisionText(decision)));
  await refused(decision, { ...softPasskey().evidence(decisionText(decision)), id: passkey.passkey.id });
  await refused({ ...decision, reason: 'another' }, good);
  await refused({ ...decision, verdict: 'reject', reason: 'another' }, good);
  const bobs = { ...decision, approver: 'bob' };
  await refused(bobs, passkey.evidence(decisionText(bobs)));
  await refused(decision, { ...good, signature: `${good.signature}=` }, 'bad-request');
  await refused(decision, { ...good, authenticatorData: '' }, 'bad-request');
});

test('a counter that does not go forward is refused, and the release does not count it again', async () => {
  const bench = await newBench();
  const passkey = passkeyPerson(bench, 'ann');
  let attempts = 0;
  const attempt = async (counter: number) => {
    attempts += 1;
    const { request, values } = gate({ ...passkeyNeed, sql: `DROP TABLE t${attempts}` });
    const hold = await bench.desk.open(request, values, 7);
    const decision = await asAnn(bench, hold.rid, { level: 'passkey' });
    const row = await bench.desk
      .decide(hold.rid, decision, passkey.evidence(decisionText(decision), { counter }))
      .catch((error: { code: string }) => error);
    if ('code' in row) return row.code;
    return (await hold.claim()) !== undefined;
  };
  expect([await attempt(7), await attempt(7), await attempt(6), await attempt(0), await attempt(8)]).toEqual([
    true,
    'unauthorized',
    'unauthorized',
    'unauthorized',
    true,
  ]);
});

const nowMs = startMs;
const wrongTokens: [string, Record<string, unknown>, Record<string, unknown>?][] = [
  ['whose nonce is of another text', { nonce: nonceOf('{}') }],
  ['without a nonce', { nonce: undefined }],
  ['of another issuer', { iss: 'https://id.example.org' }],
  ['for another client', { aud: 'other' }],
  ['for several clients without azp', { aud: ['holdpoint', 'other'] }],
  ['whose azp is another client', { azp: 'other' }],
  ['of a sign-in too long ago', { auth_time: nowMs / 1000 - 400 }],
  ['that does not say when the person signed in', { auth_time: undefined }],
  ['that is past its time', { exp: nowMs / 1000 - 60 }],
  ['of an account that is no approver', { sub: '43' }],
  ['of the same account at another letter case', { sub: 'A42' }],
  ['of a weak context', { acr: 'pwd' }],
  ['without a context', { acr: undefined }],
  ['that is an access token', {}, { typ: 'at+jwt' }],
  ['that is a logout token', {}, { typ: 'logout+jwt' }],
];

async function oidcScene(fresh: Partial<Parameters<TokenMaker['port']>[0]> = {}) {
  const maker = await TokenMaker.make();
  const scene = await parked({ oidc: maker.port({ acr: ['phr'], ...fresh }) });
  scene.bench.book.accounts.set(`${maker.issuer} a42`, { approver: 'ann' });
  const decision = await asAnn(scene.bench, scene.hold.rid);
  const token = (change: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
    maker.token(decision, 'a42', nowMs, { acr: 'phr', ...change }, header);
  return { ...scene, maker, decision, token };
}

test('an ID token whose nonce is the digest of the decision releases it; the token stays beside the chain', async () => {
  const { bench, decision, token, released } = await oidcScene();
  const idToken = await token();
  expect(await released(decision, { kind: 'oidc', idToken })).toMatchObject({ by: ['ann'] });
  expect(JSON.stringify(bench.log.records)).not.toContain(idToken);
  expect([...bench.log.aside.values()]).toEqual([idToken]);
  expect(bench.log.records[1]).toMatchObject({
    ev: { kind: 'oidc', sha256: [...bench.log.aside.keys()][0] },
  });
});

test.each(wrongTokens)('an ID token %s is refused', async (_, change, header) => {
  const { decision, token, refused } = await oidcScene();
  await refused(decision, { kind: 'oidc', idToken: await token(change, header) });
});

test('an ID token by another key, an unsigned one, or one signed with a secret is refused', async () => {
  const { maker, decision, token, refused } = await oidcScene();
  const other = await TokenMaker.make();
  const forged = await other.token(decision, 'a42', nowMs, { acr: 'phr' }, { kid: maker.kid });
  await refused(decision, { kind: 'oidc', idToken: forged });
  const [, payload] = (await token()).split('.');
  const none = Buffer.from('{"alg":"none"}').toString('base64url');
  await refused(decision, { kind: 'oidc', idToken: `${none}.${payload}.` });
  const { decisionSecretToken } = await secretSigned(maker, payload!);
  await refused(decision, { kind: 'oidc', idToken: decisionSecretToken });
  const { refused: without, decision: plain } = await parked().then(async (scene) => ({
    ...scene,
    decision: await asAnn(scene.bench, scene.hold.rid),
  }));
  await without(plain, { kind: 'oidc', idToken: await token() }, 'not-supported');
});

/** HS256 with the public key as the secret, and the same with a symmetric key smuggled among the provider's. */
async function secretSigned(maker: TokenMaker, payload: string): Promise<{ decisionSecretToken: string }> {
  const { createHmac } = await import('node:crypto');
  const head = Buffer.from(JSON.stringify({ alg: 'HS256', kid: 'shared' })).toString('base64url');
  maker.keys.keys.push({ kty: 'oct', kid: 'shared', k: Buffer.from('secret').toString('base64url') });
  const mac = createHmac('sha256', 'secret').update(`${head}.${payload}`).digest('base64url');
  return { decisionSecretToken: `${head}.${payload}.${mac}` };
}

test('an ID token in time when it came still counts at the release, one that comes late does not', async () => {
  const { bench, hold, decision, token, refused } = await oidcScene();
  const idToken = await token();
  // Good for hours, as some providers have them: the sign-in was for this decision, so it comes soon or not at all.
  const lasting = await token({ exp: nowMs / 1000 + 7200 });
  bench.clock.ms += 1_200_000;
  await refused(decision, { kind: 'oidc', idToken });
  await refused(decision, { kind: 'oidc', idToken: lasting });
  bench.clock.ms -= 1_200_000;
  await bench.desk.decide(hold.rid, decision, { kind: 'oidc', idToken });
  bench.clock.ms += 1_200_000;
  expect(await hold.claim()).toBeDefined();
});

async function slackScene(environment?: 'staging', draft: Partial<RequestDraft> = {}) {
  const need = { level: environment === undefined ? 'key' : 'slack', quorum: 1 } as const;
  const scene = await parked({ slackSecret }, { need, ...(environment && staging), ...draft });
  scene.bench.book.accounts.set('T012AB3CD/U012AB3CD', { approver: 'ann' });
  const decision = await asAnn(scene.bench, scene.hold.rid, { level: 'slack' });
  return { ...scene, decision };
}

test('a Slack button approves in staging where its level is enough', async () => {
  const { bench, decision, released } = await slackScene('staging');
  expect(await released(decision, slackEvidence(decision, nowMs))).toMatchObject({ by: ['ann'] });
  expect(bench.log.records[1]).toMatchObject({ ev: { kind: 'slack' } });
  expect(JSON.stringify(bench.log.records)).not.toContain('trigger_id');
});

test('a Slack button rejects in production, and never approves there, even where rules ask for no more', async () => {
  const { bench, hold, decision, refused } = await slackScene();
  await refused(decision, slackEvidence(decision, nowMs), 'forbidden');
  const reject = { ...decision, verdict: 'reject', reason: 'no' } as const;
  const row = await bench.desk.decide(hold.rid, reject, slackEvidence(reject, nowMs));
  expect(row.state).toBe('rejected');
  const lenient = await parked({ slackSecret }, { need: { level: 'slack', quorum: 1 } });
  lenient.bench.book.accounts.set('T012AB3CD/U012AB3CD', { approver: 'ann' });
  const wish = await asAnn(lenient.bench, lenient.hold.rid, { level: 'slack' });
  await lenient.refused(wish, slackEvidence(wish, nowMs), 'forbidden');
});

test.each([
  ['signed with another secret', { secret: 'guess' }],
  ['of another team', { team: 'T999AB3CD' }],
  ['of another account', { user: 'U999AB3CD' }],
  ['of another button', { value: 'reject.x.y' }],
  ['that is no press of a button', { payload: { type: 'shortcut' } }],
  ['of a guest', { payload: { user: { id: 'U012AB3CD', team_id: 'T012AB3CD', is_restricted: true } } }],
  ['of somebody of another workspace', { payload: { team: { id: 'T999AB3CD' } } }],
  ['of two buttons at once', { payload: { actions: [{ value: 'a' }, { value: 'b' }] } }],
  ['without a button', { payload: { actions: [null] } }],
])('a callback %s is refused', async (_, change) => {
  const { decision, refused } = await slackScene('staging');
  await refused(decision, slackEvidence(decision, nowMs, change));
});

test('a button says no more than its verdict: no reason, no scope, no rows, nobody else', async () => {
  const { decision, refused } = await slackScene('staging', { counts: 'all', shape: 's'.repeat(43) });
  const button = slackEvidence(decision, nowMs);
  await refused({ ...decision, reason: 'looks fine' }, button);
  await refused({ ...decision, rowsMax: 5 }, button);
  await refused({ ...decision, for: 'bob' }, button);
  await refused({ ...decision, scope: { kind: 'statement' } }, button);
});

test('there is no form that approves', async () => {
  const { decision, refused } = await slackScene('staging');
  const value = `approve.${decision.rid}.${decision.rd}`;
  const view = { private_metadata: value, state: { values: {} } };
  await refused(decision, slackEvidence(decision, nowMs, { payload: { type: 'view_submission', view } }));
});

test('a form rejects with the reason that was written in it, and with no other', async () => {
  const { bench, hold, decision, refused } = await slackScene();
  const reject = { ...decision, verdict: 'reject', reason: 'not before the backup' } as const;
  const form = slackEvidence(reject, nowMs);
  await refused({ ...reject, reason: 'of course not' }, form);
  await refused({ ...reject, reason: '' }, form);
  expect((await bench.desk.decide(hold.rid, reject, form)).ending?.reason).toBe('not before the backup');
});

test('a callback that is re-serialised, old or from the future is refused', async () => {
  const { bench, decision, refused } = await slackScene('staging');
  const good = slackEvidence(decision, nowMs);
  await refused(decision, { ...good, body: `${good.body}&x=1` });
  await refused(decision, { ...good, body: decodeURIComponent(good.body) });
  await refused(decision, { ...good, timestamp: String(Number(good.timestamp) + 1) });
  await refused(decision, slackEvidence(decision, nowMs - 301_000));
  await refused(decision, slackEvidence(decision, nowMs + 301_000));
  bench.clock.ms += 301_000;
  await refused(decision, good);
});

test('a reject needs no more than that somebody is known; an approval needs the level', async () => {
  const { bench, hold, refused } = await parked({}, passkeyNeed);
  const weak = await asAnn(bench, hold.rid);
  await refused(weak, await signed(weak, bench.ann), 'forbidden');
  const reject = { ...weak, verdict: 'reject', reason: 'no' } as const;
  await refused(reject, await signed(reject, await newKey()));
  const row = await bench.desk.decide(hold.rid, reject, await signed(reject, bench.ann));
  expect(row.state).toBe('rejected');
  expect(await hold.settled).toMatchObject({ state: 'rejected', by: 'ann' });
});
