// The page in a real browser, against the app with a desk that holds requests.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Hold } from '../../src/approval/hold.ts';
import type { HttpListener } from '../../src/http/server.ts';
import { type Bench, decideAs, gate, linkGate, until } from '../support/approvals.ts';
import { launchBrowser } from '../support/chromium.ts';
import { gateAt, serve } from '../support/http.ts';

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

/** Opens an address in a browser profile of its own, with what went over the wire and what went wrong. */
async function opened(
  address: string,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; sent: string[]; wrong: string[]; done: () => Promise<void> }> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const sent: string[] = [];
  const wrong: string[] = [];
  page.on('request', (request) => {
    const { referer = '' } = request.headers();
    sent.push(`${request.method()} ${request.url()} ${referer} ${request.postData() ?? ''}`);
  });
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('dialog', (dialog) => wrong.push(`dialog ${dialog.message()}`));
  await page.goto(address);
  return { page, sent, wrong, done: () => context.close() };
}

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
