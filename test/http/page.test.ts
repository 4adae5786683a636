// The page in a real browser, against the app with a desk that holds requests.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Hold } from '../../src/approval/hold.ts';
import { enrolmentLink } from '../../src/http/enrolment.ts';
import type { HttpListener } from '../../src/http/server.ts';
import { type Bench, decideAs, gate, linkGate, until } from '../support/approvals.ts';
import { launchBrowser } from '../support/chromium.ts';
import { gateAt, serve } from '../support/http.ts';
import { visitor } from '../support/visitor.ts';

let bench: Bench;
let url: string;
let listener: HttpListener;
let browser: Browser;
let folder: string;

beforeAll(async () => {
  ({ bench, url, listener } = await serve());
  folder = await mkdtemp(join(tmpdir(), 'holdpoint-page-'));
  await writeFile(join(folder, 'ann.jwk'), JSON.stringify(bench.ann.privateJwk));
  browser = await launchBrowser();
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await listener?.close();
  bench?.desk.close();
  if (folder) await rm(folder, { recursive: true });
});

async function held(
  make: typeof gate,
  change: Parameters<typeof gate>[0] = {},
  values?: Parameters<typeof gate>[1],
): Promise<{ hold: Hold; link: string }> {
  const { request, values: bound } = gateAt(url, make, change, values);
  const before = bench.notified.length;
  const hold = await bench.desk.open(request, bound, 0);
  await until(() => bench.notified.length > before);
  return { hold, link: bench.notified.at(-1)!.link };
}

const opened = (address: string, options: BrowserContextOptions = {}) => visitor(browser, address, options);

const state = async (hold: Hold) => (await bench.store.get(hold.rid))?.state;

test('a held DROP is approved from the page by its link and the typed name, and the page follows what becomes of it', async () => {
  const { hold, link } = await held(linkGate as typeof gate);
  const { page, wrong, done } = await opened(link);
  await page.waitForSelector('.decision');
  expect(await page.textContent('.sql')).toBe('DROP TABLE orders');
  await page.fill('#phrase', 'customers');
  await page.click('.approve');
  await page.waitForSelector('.decision .notice.bad:not([hidden])');
  expect(await state(hold)).toBe('pending');
  await page.fill('#phrase', 'orders');
  await page.fill('#reason', 'agreed');
  await page.click('.approve');
  await page.waitForSelector('.state-approved');
  expect(await hold.claim()).toBeDefined();
  await bench.desk.finish(hold.rid, 'executed', 'DROP TABLE');
  await page.waitForSelector('.state-executed');
  expect(wrong).toEqual([]);
  await done();
});

test('a robot that runs the scripts, presses every button and Enter in every field decides nothing', async () => {
  const { hold, link } = await held(linkGate as typeof gate);
  const { page, done } = await opened(link);
  await page.waitForSelector('.decision');
  for (const field of await page.locator('input[type=text], textarea').all()) await field.press('Enter');
  for (const button of await page.locator('button').all()) {
    await button.click();
    await page.waitForSelector('.decision .notice.bad:not([hidden])');
  }
  expect(await state(hold)).toBe('pending');
  await hold.cancel('client');
  await done();
});

/** Everything that takes a POST, with the least that any of them wants. */
const posts = (rid: string) => [
  ['/api/session', { rid }],
  ['/api/session/passkey', {}],
  ['/api/session/oidc', {}],
  [`/api/requests/${rid}/decisions`, { decision: { rid, verdict: 'approve' }, evidence: { kind: 'link' } }],
  [`/api/requests/${rid}/oidc`, { decision: { rid, verdict: 'approve' } }],
  ['/api/oidc/callback', { query: 'code=x&state=y' }],
  ['/api/passkeys/prove', { act: 'add' }],
  ['/api/passkeys/options', {}],
  ['/api/passkeys', {}],
  ['/api/passkeys/retire', {}],
  ['/api/enrol/options', {}],
  ['/api/enrol', {}],
  ['/api/delegations', {}],
  [`/r/${rid}`, {}],
  ['/', {}],
];

test('a scanner that has the link, its cookie and the scripts, submits every form and posts everywhere, changes nothing', async () => {
  for (const make of [linkGate as typeof gate, gate]) {
    const { hold, link } = await held(make);
    const token = link.split('#')[1]!;
    const before = await bench.store.get(hold.rid);
    const records = bench.log.kinds().length;
    const { page, done } = await opened(link);
    await page.waitForSelector('#decide');
    await page.evaluate(`(() => {
      for (const element of document.querySelectorAll('summary, button, input, label')) element.click();
      for (const form of document.forms) form.requestSubmit();
      for (const form of document.forms) HTMLFormElement.prototype.submit.call(form);
    })()`);
    const statuses = await page.evaluate(`(async () => {
      const statuses = [];
      for (const [path, body] of ${JSON.stringify(posts(hold.rid))}) {
        for (const headers of [{}, { Authorization: 'Bearer ${token}' }]) {
          const answer = await fetch(path, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json', ...headers },
            body: JSON.stringify(body),
          });
          statuses.push(answer.status);
        }
      }
      return statuses;
    })()`);
    expect(Math.max(...(statuses as number[]))).toBeLessThan(502);
    expect(await bench.store.get(hold.rid)).toEqual(before);
    expect(bench.log.kinds().slice(records)).toEqual(['view']);
    await hold.cancel('client');
    await done();
  }
});

test('a scanner at an enrolment page presses its button, and the link is still good', async () => {
  const { link } = await enrolmentLink(url, 'zoe', undefined, {
    key: bench.enrolKey,
    now: Date.now(),
    random: randomBytes,
  });
  const { page, done } = await opened(link);
  await page.waitForSelector('#ask:not([hidden]), #gone:not([hidden])');
  for (const button of await page.locator('button').all())
    await button.click({ force: true }).catch(() => {});
  const answer = await fetch(`${url}/api/enrol/options`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${link.split('#')[1]}`, 'Content-Type': 'application/json' },
    body: '{}',
  });
  expect(answer.status).toBe(200);
  expect(bench.book.approver('zoe')).toBeUndefined();
  await done();
});

test('what a person chose is what is signed: the bound on rows, and further statements of the same shape', async () => {
  const { hold } = await held(gate, {
    sql: 'DELETE FROM orders WHERE id < 10',
    statements: [{ command: 'DELETE', effects: ['delete'], relations: ['orders'], why: [] }],
    counts: 'all',
    shape: 's'.repeat(43),
  });
  const { page, sent, wrong, done } = await opened(`${url}/r/${hold.rid}`);
  await page.setInputFiles('#keyfile', join(folder, 'ann.jwk'));
  await page.waitForSelector('.decision');
  await page.fill('#rowsmax', '9.5');
  await page.click('.approve');
  await page.waitForSelector('.decision .notice.bad:not([hidden])');
  await page.fill('#rowsmax', '9');
  await page.check('[name=scope][value=fingerprint]');
  await page.selectOption('#minutes', '5');
  await page.fill('#uses', '3');
  await page.fill('#sumrows', '27');
  await page.click('.approve');
  await page.waitForSelector('#state .state-approved');
  const line = sent.find((one) => one.startsWith('POST') && one.includes('/decisions'))!;
  const { decision } = JSON.parse(line.slice(line.indexOf('{')));
  expect(decision).toMatchObject({ rowsMax: 9, scope: { kind: 'fingerprint', usesMax: 3, rowsMax: 27 } });
  const minutes = (decision.scope.until - Date.now()) / 60_000;
  expect(minutes).toBeGreaterThan(4);
  expect(minutes).toBeLessThanOrEqual(5);
  // Once it is used, further ones are covered, which the page tells and can end.
  expect(await hold.claim()).toMatchObject({ rowsMax: 9 });
  await bench.desk.finish(hold.rid, 'executed', 'DELETE 9');
  await page.click('#revoke:not([disabled])');
  await page.waitForSelector('#revoke', { state: 'detached' });
  expect((await bench.store.get(hold.rid))?.grant).toBeNull();
  expect(wrong).toEqual([]);
  await hold.cancel('client');
  await done();
});

test('an open page hears without a reload: withdrawn by the agent, and past its time', async () => {
  const gone = await held(linkGate as typeof gate);
  const late = await held(linkGate as typeof gate, { exp: Date.now() + 600_000 });
  const pages = [await opened(gone.link), await opened(late.link)];
  for (const { page } of pages) await page.waitForSelector('.decision');
  const loads = pages.map(({ sent }) => sent.filter((line) => line.includes('/assets/live.js')).length);
  await gone.hold.cancel('client');
  await pages[0]!.page.waitForSelector('#state .state-canceled');
  bench.clock.stepMs = 600_000;
  await bench.desk.list({ rowsMax: 1 });
  await pages[1]!.page.waitForSelector('#state .state-expired');
  for (const { page } of pages) expect(await page.locator('#decision').count()).toBe(0);
  expect(pages.map(({ sent }) => sent.filter((line) => line.includes('/assets/live.js')).length)).toEqual(
    loads,
  );
  expect(await pages[1]!.page.textContent('#heard')).toContain('Expired');
  for (const { done } of pages) await done();
  bench.clock.stepMs = 0;
});

test('signed out, the browser shows nothing any more, and the key is forgotten', async () => {
  const { hold } = await held(gate);
  const { page, done } = await opened(`${url}/r/${hold.rid}`);
  await page.setInputFiles('#keyfile', join(folder, 'ann.jwk'));
  await page.waitForSelector('.decision');
  await page.click('#signout');
  await page.waitForSelector('#stranger:not([hidden])');
  await page.goto(`${url}/r/${hold.rid}`);
  await page.waitForSelector('#stranger:not([hidden])');
  expect(await page.textContent('body')).not.toContain('orders');
  await hold.cancel('client');
  await done();
});

test('the list is worked by the keyboard alone, and grows by itself', async () => {
  const first = await held(gate);
  const { page, done } = await opened(`${url}/`);
  await page.setInputFiles('#keyfile', join(folder, 'ann.jwk'));
  await page.waitForSelector('.requests');
  const second = await held(gate, { sql: 'DROP TABLE later' });
  await page.waitForSelector(`#r-${second.hold.rid}`);
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  const focused = () => page.evaluate('document.activeElement.id');
  expect(await focused()).toBe(`r-${first.hold.rid}`);
  await page.keyboard.press('k');
  expect(await focused()).toBe(`r-${second.hold.rid}`);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.decision');
  expect(page.url()).toBe(`${url}/r/${second.hold.rid}`);
  // The first thing that Tab reaches skips the bar.
  await page.reload();
  await page.waitForSelector('.decision');
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.className')).toBe('skip');
  for (const { hold } of [first, second]) await hold.cancel('client');
  await done();
});

test('the token is in no address, referrer or later history entry, and a reload still opens the request', async () => {
  const { hold, link } = await held(linkGate as typeof gate);
  const token = link.split('#')[1]!;
  const { page, sent, done } = await opened(link);
  await page.waitForSelector('.decision');
  expect(page.url()).toBe(`${url}/r/${hold.rid}`);
  await page.reload();
  await page.waitForSelector('.decision');
  expect(sent.filter((line) => line.includes(token))).toEqual([]);
  await hold.cancel('client');
  await page.waitForSelector('.state-canceled');
  await done();
});

test('markup in a statement stays text, what is invisible is marked, and nothing is wider than a phone, in both themes', async () => {
  const sql = `DELETE FROM "\u202ex" -- <img src=x onerror=alert(1)><script>alert(2)</script>\n${'wide_'.repeat(60)}`;
  const values = {
    params: [{ oid: 25, format: 0, salt: 'AAAAAAAAAAAAAAAAAAAAAA', value: Buffer.from('<b>\u200b</b>') }],
  };
  const statements = [
    { command: 'DELETE', effects: ['delete' as const], relations: ['\u202ex'], why: ['<i>why</i>'] },
  ];
  const { hold, link } = await held(
    linkGate as typeof gate,
    { sql, statements, reason: '<u>please</u>' },
    values,
  );
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page, wrong, done } = await opened(link, { colorScheme, viewport: { width: 390, height: 844 } });
    await page.waitForSelector('.decision');
    expect(await page.locator('.sql mark.hidden').allTextContents()).toEqual(['U+202E']);
    expect(await page.textContent('main')).not.toContain('\u202e');
    expect(await page.locator('main img, main script, main u, main i').count()).toBe(0);
    expect(await page.textContent('h1')).toBe('DELETE ⟨U+202E⟩x');
    // As text: the types of this project know no document.
    const wide = await page.evaluate('document.documentElement.scrollWidth');
    const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(wide).toBe(390);
    expect(ground).toBe(colorScheme === 'light' ? 'rgb(246, 247, 249)' : 'rgb(15, 17, 21)');
    expect(wrong).toEqual([]);
    await done();
  }
  await hold.cancel('client');
});

test('a link shows a production request and cannot decide it; a key file in the browser can, and is never sent', async () => {
  const { hold, link } = await held(gate);
  const { page, sent, wrong, done } = await opened(link);
  await page.waitForSelector('.keyform');
  expect(await page.locator('.approve').count()).toBe(0);
  await page.setInputFiles('#keyfile', join(folder, 'ann.jwk'));
  await page.waitForSelector('.decision');
  await page.fill('#reason', 'no');
  await page.click('.reject');
  await page.waitForSelector('.state-rejected');
  expect(await hold.settled).toMatchObject({ state: 'rejected', by: 'ann', reason: 'no' });
  const secret = bench.ann.privateJwk.d as string;
  expect(sent.filter((line) => line.includes(secret))).toEqual([]);
  expect(wrong).toEqual([]);
  await done();
});

test('the list needs a key, says how to get one, and shows what waits', async () => {
  const { hold } = await held(gate);
  const { page, done } = await opened(`${url}/`);
  await page.waitForSelector('.keyform');
  expect(await page.textContent('main')).toContain('holdpoint approver add');
  expect(await page.textContent('main')).not.toContain('orders');
  await page.setInputFiles('#keyfile', join(folder, 'ann.jwk'));
  await page.focus(`#r-${hold.rid}`);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.decision');
  await decideAs(bench, 'bob', hold.rid);
  await page.waitForSelector('.state-approved');
  await hold.cancel('client');
  await done();
});
