// Every kind of token in every place that takes one: each opens what it was made for, and nothing else. Also in the dress
// that the place expects: the same text signed again by the same hand for another purpose. B9 of the invariants.

import { expect, test } from 'vitest';
import { decisionText } from '../../src/approval/decision.ts';
import { type Delegation, delegationText } from '../../src/approval/delegation.ts';
import { sshAuthorization } from '../../src/approval/sshaccess.ts';
import { accessText, signToken } from '../../src/approval/token.ts';
import { freshKey } from '../../src/audit/keyring.ts';
import { signToken as signSeal } from '../../src/audit/seal.ts';
import { enrolmentLink } from '../../src/http/enrolment.ts';
import { decisionFor, linkGate, newBench, publicUrl, signed, startMs, until } from '../support/approvals.ts';
import { passkeyPerson, sshPerson, TokenMaker } from '../support/evidence.ts';
import { accessToken, appOf, post } from '../support/http.ts';

async function scene() {
  const maker = await TokenMaker.make();
  const bench = await newBench({ oidc: maker.port() });
  const app = appOf(bench);
  const { request, values } = linkGate();
  const hold = await bench.desk.open(request, values, 0);
  await until(() => bench.notified.length > 0);
  const path = `/api/requests/${hold.rid}`;
  const ssh = sshPerson(bench, 'ann');
  const passkey = passkeyPerson(bench, 'ann');
  bench.book.accounts.set(`${maker.issuer} 42`, { approver: 'ann' });
  const decision = await decisionFor(bench, hold.rid, 'ann');
  const delegation: Delegation = {
    typ: 'holdpoint.delegation.v1',
    aud: publicUrl,
    from: 'ann',
    to: 'bob',
    nbf: startMs,
    exp: startMs + 1000,
    nonce: 'n',
  };
  const [D, L] = [decisionText(decision), delegationText(delegation)];
  const access = {
    aud: publicUrl,
    htm: 'GET',
    htu: path,
    iat: startMs / 1000,
    exp: startMs / 1000 + 50,
    jti: 'j'.repeat(22),
  };
  const link = bench.notified[0]!.link.split('#')[1]!;
  const begun = await app.request(`${publicUrl}/api/session`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${link}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ rid: hold.rid }),
  });
  const [cookieName = '', visit = ''] = begun.headers.get('set-cookie')!.split(';')[0]!.split('=');
  const enrol = await enrolmentLink(publicUrl, 'new', undefined, {
    key: bench.enrolKey,
    now: bench.clock.now(),
    random: (bytes) => Buffer.alloc(bytes, 1),
  });
  const seal = await freshKey();
  const linkDecision = { ...decision, level: 'link' as const, approver: `link:${jtiOf(link)}` };
  const tokens: Record<string, string> = {
    decision: (await signed(decision, bench.ann)).jws,
    delegation: await signToken('holdpoint-delegation+jws', L, bench.ann),
    access: await accessToken(bench, bench.ann, path),
    link,
    visit,
    enrolment: enrol.link.split('#')[1]!,
    ceremony: await signToken('holdpoint-ceremony+jws', D, bench.ceremonyKey),
    'ID token': await maker.token(decision, '42', startMs),
    'SSH decision': ssh.sign(D),
    'SSH delegation': ssh.sign(L, 'holdpoint-delegation@v1'),
    'SSH access': sshAuthorization(accessText(access), ssh.sign(accessText(access), 'holdpoint-access@v1')),
    'SSH decision as access': sshAuthorization(accessText(access), ssh.sign(accessText(access))),
    'passkey for the decision': JSON.stringify(passkey.evidence(D)),
    'passkey for the delegation': JSON.stringify(passkey.evidence(L)),
    seal: await signSeal(seal, 'holdpoint-seal+jws', D),
    'decision signed by the link key': (await signed(decision, bench.link)).jws,
    'decision signed by the visit key': (await signed(decision, bench.visitKey)).jws,
    'link signed by an approver': await signToken('holdpoint-link+jws', payloadOf(link), bench.ann),
    'visit signed by an approver': await signToken('holdpoint-visit+jws', payloadOf(visit), bench.ann),
    'enrolment signed by an approver': await signToken(
      'holdpoint-enrol+jws',
      payloadOf(enrol.link.split('#')[1]!),
      bench.ann,
    ),
  };
  const ask = async (at: string, headers: Record<string, string>, body?: object) =>
    (
      await app.request(`${publicUrl}${at}`, {
        headers: { 'Content-Type': 'application/json', Origin: publicUrl, ...headers },
        ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
      })
    ).status < 300;
  const bearer = (token: string) => ({ Authorization: `Bearer ${oneLine(token)}` });
  const decide = async (evidence: object, what: object = decision) =>
    (await post(app, hold.rid, { decision: what, evidence })).status < 300;
  const delegate = (evidence: object) => ask('/api/delegations', {}, { delegation, evidence });
  const places: Record<string, (token: string) => Promise<boolean>> = {
    'read as bearer': (token) => ask(path, bearer(token)),
    'read as SSH': (token) =>
      ask(path, { Authorization: token.startsWith('SSHSIG ') ? token : `SSHSIG ${oneLine(token)}` }),
    'read as cookie': (token) => ask(path, { Cookie: `${cookieName}=${oneLine(token)}` }),
    'begin a visit': (token) => ask('/api/session', bearer(token), { rid: hold.rid }),
    'enrol a passkey': (token) => ask('/api/enrol/options', bearer(token), {}),
    'decide as jws': (token) => decide({ kind: 'jws', jws: token }),
    'decide as sshsig': (token) => decide({ kind: 'sshsig', signature: token }),
    'decide as oidc': (token) => decide({ kind: 'oidc', idToken: token }),
    'decide as webauthn': (token) => decide(token.startsWith('{') ? JSON.parse(token) : { kind: 'webauthn' }),
    'decide as link': (token) => decide({ kind: 'link', token, phrase: 'orders' }, linkDecision),
    'delegate as jws': (token) => delegate({ kind: 'jws', jws: token }),
    'delegate as sshsig': (token) => delegate({ kind: 'sshsig', signature: token }),
    'delegate as webauthn': (token) =>
      delegate(token.startsWith('{') ? JSON.parse(token) : { kind: 'webauthn' }),
  };
  return { tokens, places };
}

/** What opens what. Everything that is not here opens nothing. */
const doors: Record<string, readonly string[]> = {
  'read as bearer': ['access', 'link'],
  'read as SSH': ['SSH access'],
  'read as cookie': ['visit'],
  'begin a visit': ['link'],
  'enrol a passkey': ['enrolment'],
  'decide as jws': ['decision'],
  'decide as sshsig': ['SSH decision'],
  'decide as oidc': ['ID token'],
  'decide as webauthn': ['passkey for the decision'],
  'decide as link': ['link'],
  'delegate as jws': ['delegation'],
  'delegate as sshsig': ['SSH delegation'],
  'delegate as webauthn': ['passkey for the delegation'],
};

test.each(Object.keys(doors))('%s: the token made for it, and no other', async (place) => {
  const first = await scene();
  for (const name of Object.keys(first.tokens)) {
    if (doors[place]!.includes(name)) continue;
    expect(await first.places[place]!(first.tokens[name]!), name).toBe(false);
  }
  for (const name of doors[place]!) {
    // A scene of its own: some open only once.
    const { tokens, places } = await scene();
    expect(await places[place]!(tokens[name]!), name).toBe(true);
  }
});

function payloadOf(token: string): string {
  return Buffer.from(token.split('.')[1]!, 'base64url').toString('utf8');
}

function jtiOf(token: string): string {
  return String((JSON.parse(payloadOf(token)) as { jti: unknown }).jti);
}

/** As it would have to be to stand in a header at all. */
function oneLine(token: string): string {
  return token.replaceAll(/\s/g, '');
}
