// ID tokens of a real OpenID provider as evidence: discovery, the nonce, the time and the strength of the sign-in, other
// clients, keys that rotate, a provider that is gone. B13 of the invariants.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Decision } from '../../src/approval/decision.ts';
import { decisionText } from '../../src/approval/decision.ts';
import { Issuer } from '../../src/cli/issuer.ts';
import { nonceOf } from '../../verify/src/proof/idtoken.ts';
import { decisionFor, gate, newBench } from '../support/approvals.ts';
import { clientId, OpenIdProvider, otherClientId } from '../support/openid.ts';

let provider: OpenIdProvider;
beforeAll(async () => {
  provider = await OpenIdProvider.start();
});
afterAll(() => provider.close());

const strong = { account: 'ann-42', acr: 'phr' };

async function scene(issuer = new Issuer(settings(), Date.now)) {
  // Its clock is the real one: the provider has no other.
  const bench = await newBench({ oidc: issuer, publicUrl: 'http://holdpoint.test' });
  bench.book.accounts.set(`${provider.issuer} ann-42`, { approver: 'ann' });
  const { request, values } = gate({ created: Date.now(), exp: Date.now() + 3_600_000 });
  const hold = await bench.desk.open(request, values, 7);
  const decision = await decisionFor(bench, hold.rid, 'ann');
  const sent = (idToken: string, what: Decision = decision) =>
    bench.desk.decide(hold.rid, what, { kind: 'oidc', idToken }).then(
      ({ state }) => state,
      (error: Error & { code: string }) => `${error.code}: ${error.message}`,
    );
  return { bench, hold, decision, sent, nonce: nonceOf(decisionText(decision)) };
}

function settings(change: object = {}) {
  const { issuer } = provider;
  return { issuer, clientId, clientSecret: undefined, acr: ['phr'], maxAgeSeconds: 300, ...change };
}

test('a sign-in whose nonce is the digest of the decision releases the statement', async () => {
  const { hold, sent, nonce } = await scene();
  expect(await sent(await provider.signIn(strong, nonce))).toBe('approved');
  expect(await hold.claim()).toMatchObject({ by: ['ann'] });
});

test('what the provider says of another decision, person, moment, strength or client counts nothing', async () => {
  const { bench, decision, sent, nonce } = await scene();
  const reworded = { ...decision, reason: 'other' };
  expect(await sent(await provider.signIn(strong, nonce), reworded)).toContain('nonce is not the digest');
  expect(await sent(await provider.signIn(strong, 'another'))).toContain('nonce is not the digest');
  expect(await sent(await provider.signIn({ ...strong, account: 'eve' }, nonce))).toContain('no approver');
  const longAgo = { ...strong, signedInAt: Date.now() - 400_000 };
  expect(await sent(await provider.signIn(longAgo, nonce))).toContain('signed in too long before');
  expect(await sent(await provider.signIn({ ...strong, acr: 'pwd' }, nonce))).toContain(
    '"pwd"; phr is needed',
  );
  expect(await sent(await provider.signIn({ account: 'ann-42' }, nonce))).toContain('phr is needed');
  expect(await sent(await provider.signIn(strong, nonce, otherClientId))).toContain('unexpected "aud"');
  const bobs = { ...decision, approver: 'bob' };
  const forBob = nonceOf(decisionText(bobs));
  expect(await sent(await provider.signIn(strong, forBob), bobs)).toContain(
    'not registered to the approver "bob"',
  );
  expect(bench.log.kinds()).toEqual(['hold']);
});

test('keys that rotate are found; what was approved before still releases, also with the provider gone', async () => {
  const own = await OpenIdProvider.start();
  let open = true;
  const close = async () => {
    if (open) await own.close();
    open = false;
  };
  onTestFinished(close);
  const clock = { ms: Date.now() };
  const issuer = new Issuer(settings({ issuer: own.issuer }), () => clock.ms);
  const [before, after, late] = [await scene(issuer), await scene(issuer), await scene(issuer)];
  for (const { bench } of [before, after, late])
    bench.book.accounts.set(`${own.issuer} ann-42`, { approver: 'ann' });
  expect(await before.sent(await own.signIn(strong, before.nonce))).toBe('approved');
  await own.rotateKeys();
  const rotated = await own.signIn(strong, after.nonce);
  // Asked a moment ago: whoever sends unknown keys does not make us ask with each of them.
  expect(await after.sent(rotated)).toContain('unauthorized');
  clock.ms += 10_000;
  expect(await after.sent(rotated)).toBe('approved');
  const known = await own.signIn(strong, late.nonce);
  await own.rotateKeys();
  const unknown = await own.signIn(strong, late.nonce);
  await close();
  clock.ms += 700_000;
  expect(await late.sent(unknown)).toMatch(/^store-unreachable: the OpenID provider .* cannot be asked/);
  expect(await late.sent(known)).toBe('approved');
  expect(await before.hold.claim()).toBeDefined();
});

test('a provider that calls itself another, or answers nonsense, gives no keys', async () => {
  const answers = { body: '{}' };
  const server = createServer((_, response) => response.end(answers.body));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const asked = () =>
    new Issuer(settings({ issuer }), Date.now).keys('x').catch((error: Error) => error.message);
  expect(await asked()).toContain('it calls itself undefined');
  answers.body = JSON.stringify({ issuer: 'https://id.example.com', jwks_uri: `${issuer}/jwks` });
  expect(await asked()).toContain('it calls itself "https://id.example.com"');
  answers.body = JSON.stringify({ issuer, jwks_uri: 'http://keys.example.com/jwks' });
  expect(await asked()).toContain('is not https');
  answers.body = JSON.stringify({ issuer, jwks_uri: `${issuer}/jwks` });
  expect(await asked()).toContain('its keys are no JWKS');
  answers.body = 'x';
  expect(await asked()).toContain('cannot be asked for its keys');
});
