// Passkeys in a real browser with a virtual authenticator: enrolled, signed in with, decided with; and what is refused.

import { randomBytes } from 'node:crypto';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Hold } from '../../src/approval/hold.ts';
import { enrolmentLink } from '../../src/http/enrolment.ts';
import type { HttpListener } from '../../src/http/server.ts';
import { type Bench, gate, until } from '../support/approvals.ts';
import { launchBrowser } from '../support/chromium.ts';
import { gateAt, serve } from '../support/http.ts';
import { type Authenticator, authenticatorAt, type Visitor, visitor } from '../support/visitor.ts';

let bench: Bench;
let url: string;
let listener: HttpListener;
let browser: Browser;
/** How often the log was told of a credential that came or went. */
let enrolments = 0;

beforeAll(async () => {
  const enrolled = () => {
    enrolments += 1;
  };
  ({ bench, url, listener } = await serve('localhost', async () => ({ app: { enrolled } })));
  browser = await launchBrowser();
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await listener?.close();
  bench?.desk.close();
});

const linkFor = async (name: string) =>
  (
    await enrolmentLink(url, name, bench.book.approver(name), {
      key: bench.enrolKey,
      now: Date.now(),
      random: randomBytes,
    })
  ).link;

/** Somebody at the enrolment page, with an authenticator. */
async function atEnrolment(link: string): Promise<Visitor & { device: Authenticator }> {
  const person = await visitor(browser, 'about:blank');
  const device = await authenticatorAt(person.page);
  await person.page.goto(link);
  return { ...person, device };
}

/** Somebody who has just enrolled, and is signed in. */
async function enrolled(name: string) {
  const person = await atEnrolment(await linkFor(name));
  await person.page.click('#create');
  await person.page.waitForSelector('#done:not([hidden])');
  return person;
}

async function held(change: Parameters<typeof gate>[0] = {}): Promise<Hold> {
  const { request, values } = gateAt(url, gate, { need: { level: 'passkey', quorum: 1 }, ...change });
  const before = bench.notified.length;
  const hold = await bench.desk.open(request, values, 0);
  await until(() => bench.notified.length > before);
  return hold;
}

const state = async (hold: Hold) => (await bench.store.get(hold.rid))?.state;

/** The body of the decision that the page sent. */
const decisionSent = ({ sent }: Visitor): string => {
  const line = sent.find((one) => one.startsWith('POST') && one.includes('/decisions'));
  return line?.slice(line.indexOf('{')) ?? '';
};

const post = (rid: string, body: string) =>
  fetch(`${url}/api/requests/${rid}/decisions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body,
  });

test('a passkey is registered by a link, once: neither a reload nor a second tab registers another', async () => {
  const link = await linkFor('carol');
  const carol = await atEnrolment(link);
  await carol.page.waitForSelector('#ask:not([hidden])');
  expect(await carol.page.textContent('#name')).toBe('carol');
  expect(carol.page.url()).toBe(`${url}/enrol`);
  const second = await atEnrolment(link);
  await second.page.waitForSelector('#ask:not([hidden])');
  await Promise.all([carol.page.click('#create'), second.page.click('#create')]);
  const outcome = ({ page }: Visitor) =>
    Promise.race([
      page.waitForSelector('#done:not([hidden])').then(() => 'registered'),
      page.waitForSelector('#problem:not([hidden])').then(() => 'refused'),
    ]);
  expect((await Promise.all([outcome(carol), outcome(second)])).sort()).toEqual(['refused', 'registered']);
  expect(bench.book.approver('carol')?.passkeys).toHaveLength(1);
  expect(enrolments).toBe(1);
  const third = await atEnrolment(link);
  await third.page.waitForSelector('#gone:not([hidden])');
  expect(await third.page.textContent('#why')).toContain('this link was used');
  const token = link.split('#')[1]!;
  expect(carol.sent.filter((line) => line.includes(token))).toEqual([]);
  expect([...carol.wrong, ...second.wrong, ...third.wrong]).toEqual([]);
  for (const person of [carol, second, third]) await person.done();
});

test('a person signs in with the passkey alone, approves with it, and the evidence is of level passkey', async () => {
  const dan = await enrolled('dan');
  await dan.page.context().clearCookies();
  const hold = await held();
  await dan.page.goto(`${url}/r/${hold.rid}`);
  await dan.page.click('#passkey');
  await dan.page.waitForSelector('.decision');
  await dan.page.fill('#reason', 'fine');
  await dan.page.click('.approve');
  await dan.page.waitForSelector('#state .state-approved');
  expect(await hold.settled).toMatchObject({ state: 'approved', by: ['dan'] });
  expect((await bench.store.get(hold.rid))?.votes).toMatchObject([
    { approver: 'dan', level: 'passkey', reason: 'fine' },
  ]);
  expect(await hold.claim()).toBeDefined();
  expect(dan.wrong).toEqual([]);
  await dan.done();
});

test('a rejection with a passkey carries its reason to the agent', async () => {
  const eve = await enrolled('eve');
  const hold = await held();
  await eve.page.goto(`${url}/r/${hold.rid}`);
  await eve.page.fill('#reason', 'not before the backup has run');
  await eve.page.click('.reject');
  await eve.page.waitForSelector('#state .state-rejected');
  expect(await hold.settled).toMatchObject({
    state: 'rejected',
    by: 'eve',
    reason: 'not before the backup has run',
  });
  await eve.done();
});

test('two people are needed: the first sees the second decide without a reload, and neither counts twice', async () => {
  const [fay, gus] = [await enrolled('fay'), await enrolled('gus')];
  const hold = await held({ need: { level: 'passkey', quorum: 2 } });
  for (const { page } of [fay, gus]) {
    await page.goto(`${url}/r/${hold.rid}`);
    await page.waitForSelector('.decision');
  }
  await gus.page.fill('#reason', 'typed before');
  await fay.page.click('.approve');
  await fay.page.waitForSelector('#decide .notice.good');
  expect(await state(hold)).toBe('pending');
  expect((await post(hold.rid, decisionSent(fay))).status).toBe(409);
  // The other's page has heard of it, and still has what was typed.
  await gus.page.waitForSelector('#votes .voted-approve');
  expect(await gus.page.textContent('#votes')).toContain('fay');
  expect(await gus.page.inputValue('#reason')).toBe('typed before');
  await gus.page.click('.approve');
  for (const { page } of [fay, gus]) await page.waitForSelector('#state .state-approved');
  expect(await hold.settled).toMatchObject({ by: ['fay', 'gus'] });
  for (const person of [fay, gus]) await person.done();
});

test('what was signed once is good for nothing else: not again, not for another request', async () => {
  const hal = await enrolled('hal');
  const [first, second] = [await held(), await held({ sql: 'DROP TABLE customers' })];
  await hal.page.goto(`${url}/r/${first.rid}`);
  await hal.page.click('.approve');
  await hal.page.waitForSelector('#state .state-approved');
  const body = decisionSent(hal);
  expect((await post(first.rid, body)).status).toBe(409);
  expect((await post(second.rid, body)).status).toBe(409);
  const { decision, evidence } = JSON.parse(body);
  const { intact } = await bench.desk.get(second.rid);
  const moved = { ...decision, rid: second.rid, rd: intact.rd, nonce: intact.nonce };
  expect((await post(second.rid, JSON.stringify({ decision: moved, evidence }))).status).toBe(401);
  expect(await state(second)).toBe('pending');
  await hal.done();
});

/** An assertion over `decision`, made on whatever page this is. As text: the types of this project know no document. */
const assertion = (page: Page, decision: unknown, verification: string) =>
  page.evaluate(`(async () => {
    const flat = ${JSON.stringify(decision)};
    const text = '{' + Object.keys(flat).sort().map((key) => JSON.stringify(key) + ':' + JSON.stringify(flat[key])).join(',') + '}';
    const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
    const { id, response } = await navigator.credentials.get({
      publicKey: { challenge, rpId: 'localhost', userVerification: ${JSON.stringify(verification)} },
    });
    const part = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
    return { kind: 'webauthn', id, authenticatorData: part(response.authenticatorData),
      clientDataJSON: part(response.clientDataJSON), signature: part(response.signature) };
  })()`);

async function decisionOf(hold: Hold, approver: string) {
  const { row, intact } = await bench.desk.get(hold.rid);
  return {
    typ: 'holdpoint.decision.v1',
    aud: url,
    rid: hold.rid,
    rd: row.rd,
    verdict: 'approve',
    approver,
    level: 'passkey',
    reason: '',
    nonce: intact.nonce,
    nbf: Date.now(),
    exp: row.exp,
  };
}

test('a passkey that answered without recognising the person, or on a page of another origin, decides nothing', async () => {
  const ida = await enrolled('ida');
  const hold = await held();
  const decision = await decisionOf(hold, 'ida');
  const given = async (page: Page, verification = 'required') =>
    (
      await post(
        hold.rid,
        JSON.stringify({ decision, evidence: await assertion(page, decision, verification) }),
      )
    ).status;

  await ida.device.verified(false);
  await ida.page.goto(`${url}/r/${hold.rid}`);
  await ida.page.click('.approve');
  await ida.page.waitForSelector('.decision .notice.bad:not([hidden])');
  expect(await given(ida.page, 'discouraged')).toBe(401);
  await ida.device.verified(true);

  // The same device at another origin under the same host name: the browser lets it answer, we do not.
  const other = await serve('localhost');
  const [credential] = await ida.device.credentials();
  const elsewhere = await visitor(browser, `${other.url}/`);
  const device = await authenticatorAt(elsewhere.page);
  await device.add({ ...credential!, signCount: credential!.signCount + 10 });
  expect(await given(elsewhere.page)).toBe(401);
  expect(await state(hold)).toBe('pending');

  // The device that answers without a trick is taken at its word.
  await ida.page.reload();
  expect(await given(ida.page)).toBe(201);
  await other.listener.close();
  other.bench.desk.close();
  for (const person of [ida, elsewhere]) await person.done();
});

test('a signed-in approver adds a second passkey by answering with the first, and takes one away', async () => {
  const jan = await enrolled('jan');
  const before = enrolments;
  await jan.page.goto(`${url}/account`);
  expect(await jan.page.locator('[data-retire]').count()).toBe(1);
  // The last one stays.
  await jan.page.click('[data-retire]');
  await jan.page.waitForSelector('#problem:not([hidden])');
  expect(await jan.page.textContent('#problem')).toContain('all that jan is known by');
  // A device holds one passkey of a person, so the second is made by another one.
  const second = await authenticatorAt(jan.page, 'usb');
  await jan.page.click('#add');
  await expect.poll(() => bench.book.approver('jan')?.passkeys.length).toBe(2);
  expect(await second.credentials()).toHaveLength(1);
  await expect.poll(() => jan.page.locator('[data-retire]').count()).toBe(2);
  await jan.page.click('[data-retire] >> nth=1');
  await expect.poll(() => bench.book.approver('jan')?.passkeys.length).toBe(1);
  await expect.poll(() => jan.page.locator('[data-retire]').count()).toBe(1);
  expect(enrolments).toBe(before + 2);
  expect(jan.wrong).toEqual([]);
  await jan.done();
});

test('a visit by a key file adds no passkey: a stolen file must not become more than it is', async () => {
  const page = await visitor(browser, `${url}/`);
  await page.page.setInputFiles('#keyfile', {
    name: 'ann.jwk',
    mimeType: 'application/json',
    buffer: Buffer.from(JSON.stringify(bench.ann.privateJwk)),
  });
  await page.page.waitForSelector('.nav');
  await page.page.goto(`${url}/account`);
  expect(await page.page.locator('#add').count()).toBe(0);
  const answer = await page.page.evaluate(
    `fetch('/api/passkeys/prove', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"act":"add"}' }).then((a) => a.status)`,
  );
  expect(answer).toBe(403);
  await page.done();
});
