// Single sign-on in a real browser, at a certified provider in this process: signed in, decided, and what is refused.

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Issuer } from '../../src/cli/issuer.ts';
import type { HttpListener } from '../../src/http/server.ts';
import { type Bench, gate, until } from '../support/approvals.ts';
import { launchBrowser } from '../support/chromium.ts';
import { gateAt, serve } from '../support/http.ts';
import { signInAtProvider, startProvider, type TestProvider } from '../support/provider.ts';
import { visitor } from '../support/visitor.ts';

let bench: Bench;
let url: string;
let listener: HttpListener;
let provider: TestProvider;
let browser: Browser;

beforeAll(async () => {
  ({ bench, url, listener } = await serve('localhost', async (address) => {
    provider = await startProvider(`${address}/oidc/callback`);
    const { issuer, clientId, clientSecret } = provider;
    const settings = { issuer, clientId, clientSecret, acr: [], maxAgeSeconds: 300 };
    return { app: { oidc: settings }, bench: { oidc: new Issuer(settings, Date.now) } };
  }));
  bench.book.accounts.set(`${provider.issuer} ann-at-idp`, { approver: 'ann' });
  browser = await launchBrowser();
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await listener?.close();
  await provider?.close();
  bench?.desk.close();
});

async function held(change: Parameters<typeof gate>[0] = {}) {
  const { request, values } = gateAt(url, gate, change);
  const before = bench.notified.length;
  const hold = await bench.desk.open(request, values, 0);
  await until(() => bench.notified.length > before);
  return hold;
}

const state = async (rid: string) => (await bench.store.get(rid))?.state;

/** Signed in at the provider, on the page of a request. */
async function signedIn(rid: string, name = 'ann-at-idp') {
  const person = await visitor(browser, `${url}/r/${rid}`);
  await person.page.click('#oidc');
  await signInAtProvider(person.page, name);
  return person;
}

test('a person signs in at the provider, decides with its word for exactly this decision, and is back on the page', async () => {
  const hold = await held();
  const ann = await signedIn(hold.rid);
  await ann.page.waitForSelector('.decision');
  expect(ann.page.url()).toBe(`${url}/r/${hold.rid}`);
  await ann.page.check('[name=way][value=oidc]');
  await ann.page.fill('#reason', 'agreed');
  await ann.page.click('.approve');
  await signInAtProvider(ann.page, 'ann-at-idp', false);
  await ann.page.waitForSelector('#state .state-approved');
  expect((await bench.store.get(hold.rid))?.votes).toMatchObject([
    { approver: 'ann', level: 'key', reason: 'agreed' },
  ]);
  expect(await hold.settled).toMatchObject({ state: 'approved', by: ['ann'] });
  expect(ann.wrong).toEqual([]);
  await ann.done();
});

test('an account that is nobody’s here signs in nowhere', async () => {
  const hold = await held();
  const stranger = await signedIn(hold.rid, 'somebody');
  await stranger.page.waitForSelector('#gone:not([hidden])');
  expect(await stranger.page.textContent('#why')).toContain('no approver');
  await stranger.page.goto(`${url}/r/${hold.rid}`);
  await stranger.page.waitForSelector('#stranger:not([hidden])');
  await hold.cancel('client');
  await stranger.done();
});

test('somebody else’s account at the provider decides nothing in one’s name', async () => {
  const hold = await held();
  const ann = await signedIn(hold.rid);
  await ann.page.waitForSelector('.decision');
  await ann.page.check('[name=way][value=oidc]');
  await ann.page.click('.approve');
  await signInAtProvider(ann.page, 'somebody');
  await ann.page.waitForSelector('#gone:not([hidden])');
  expect(await state(hold.rid)).toBe('pending');
  await hold.cancel('client');
  await ann.done();
});

test('the answer of the provider is good once, in the browser that asked, for the decision it was asked about', async () => {
  const hold = await held();
  const ann = await signedIn(hold.rid);
  await ann.page.waitForSelector('.decision');
  await ann.page.check('[name=way][value=oidc]');
  // What the provider says is caught on its way back, before the page can send it on.
  let answer = '';
  await ann.page.route('**/api/oidc/callback', (route) => {
    answer = route.request().postData() ?? '';
    return route.abort();
  });
  await ann.page.click('.approve');
  await signInAtProvider(ann.page, 'ann-at-idp', false);
  await expect.poll(() => answer).not.toBe('');
  await ann.page.unroute('**/api/oidc/callback');
  const sent = JSON.parse(answer);
  const post = (body: unknown) =>
    ann.page.evaluate(
      `fetch('/api/oidc/callback', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: ${JSON.stringify(
        JSON.stringify(body),
      )} }).then((a) => a.status)`,
    );
  // Without the cookie, so in any other browser.
  const elsewhere = await fetch(`${url}/api/oidc/callback`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: answer,
  });
  expect(elsewhere.status).toBe(401);
  // A page that was only opened with the provider's answer in its address has changed nothing.
  expect(await state(hold.rid)).toBe('pending');
  const other = { ...sent, decision: { ...sent.decision, reason: 'something else' } };
  expect(await post(other)).toBe(401);
  expect(await post(sent)).toBe(401);
  expect(await state(hold.rid)).toBe('pending');
  await hold.cancel('client');
  await ann.done();
});
