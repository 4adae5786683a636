// The log's page in a real browser, before a whole Holdpoint with a real database: it lists, filters and follows, and
// tells one statement's story with a proof that holds without us.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { remote } from '../../src/cli/remote.ts';
import { storyOf } from '../../src/trail/story.ts';
import { Trail } from '../../src/trail/trail.ts';
import { accountOf } from '../../verify/src/account.ts';
import { checkBundle } from '../../verify/src/bundle.ts';
import { FolderSource } from '../../verify/src/source.ts';
import { launchBrowser } from '../support/chromium.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { visitor } from '../support/visitor.ts';

let database: TestDatabase;
let guard: Guard;
let browser: Browser;
let agent: pg.Client;
let folder: string;

beforeAll(async () => {
  database = await createDatabase({ shop: true });
  guard = await startGuard({ url: database.url, environment: 'production', audit: { values: 'none' } });
  folder = join(guard.auditDir, readdirSync(guard.auditDir)[0]!);
  browser = await launchBrowser();
  agent = new pg.Client({ connectionString: guard.url });
  await agent.connect();
  for (let n = 0; n < 60; n += 1) await agent.query('select * from customers where id = $1', [n]);
  const rejected = agent.query('truncate orders cascade').catch(() => undefined);
  const [first] = await guard.pending(1);
  await guard.decide(first!.id, 'reject', 'never');
  await rejected;
  const released = agent.query('delete from orders as "o\u202e" where "o\u202e".id = 5');
  const [second] = await guard.pending(1);
  await guard.decide(second!.id, 'approve', 'ticket 4711');
  await released;
  await agent.query('select 1/(id-id) from products').catch(() => undefined);
});

afterAll(async () => {
  await agent?.end();
  await browser?.close();
  await guard?.close();
  await database?.drop();
});

/** At an address, signed in as dba by the key file. */
async function signedIn(path: string, options: BrowserContextOptions = {}) {
  const opened = await visitor(browser, `${guard.http}${path}`, options);
  await opened.page.waitForSelector('#stranger:not([hidden])');
  await opened.page.setInputFiles('#keyfile', join(guard.dataDir, 'dba.jwk'));
  await opened.page.waitForSelector('#signout');
  return opened;
}

const api = async (path: string) =>
  (await remote({ url: guard.http, as: 'dba', key: guard.keyFile })).get(path);

test('whoever is not signed in sees nothing of the log; an approver sees it, filters it, and pages through it', async () => {
  const stranger = await visitor(browser, `${guard.http}/log`);
  await stranger.page.waitForSelector('#stranger:not([hidden])');
  expect(await stranger.page.content()).not.toContain('customers');
  await stranger.done();
  const { page, wrong, done } = await signedIn('/log?kind=stmt');
  expect(await page.locator('.records li').count()).toBe(50);
  await page.click('a[rel=next]');
  await page.waitForSelector('a:text-is("Newest")');
  expect(await page.locator('.records li').count()).toBe(13);
  await page.goto(`${guard.http}/log`);
  await page.fill('#f-text', 'TRUNCATE');
  await page.selectOption('#f-verdict', 'hold');
  await page.press('#f-text', 'Enter');
  await page.waitForURL('**/log?text=TRUNCATE&verdict=hold');
  const rows = page.locator('.records li');
  expect(await rows.count()).toBe(1);
  expect(await rows.first().textContent()).toMatch(/truncate orders cascade\s+heldrefused 42501\s+#\d+/);
  await page.click('.chip:has-text("TRUNCATE")');
  await page.waitForURL('**/log?verdict=hold');
  expect(await rows.count()).toBe(2);
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.story');
  await page.goto(`${guard.http}/log?since=whenever`);
  expect(await page.textContent('.notice.bad')).toContain('since is a time as in');
  expect(wrong).toEqual([]);
  await done();
});

test('the page follows the log while it is open', async () => {
  const { page, wrong, done } = await signedIn('/log?kind=stmt');
  await agent.query('select 4711 as just_now');
  await page.waitForSelector('.entry:has-text("just_now"):has-text("ok")');
  expect(wrong).toEqual([]);
  await done();
});

test("one statement's story is told from the connection to the outcome, and the saved proof holds without us", async () => {
  const { page, wrong, done } = await signedIn('/log?verdict=hold&class=destroy');
  await page.click('.entry:has-text("delete from orders")');
  await page.waitForSelector('.proof .state-executed');
  const steps = (await page.locator('.step > p:first-child b').allTextContents()).join(', ');
  expect(steps).toMatch(
    /^Connected, Held, Held for approval, .*Looked at by dba.*, Approved by dba, Released, Sent to the server, Executed$/,
  );
  const story = (await page.textContent('.story'))!;
  expect(story).toContain('claude from 127.0.0.1:');
  expect(story).toContain('“ticket 4711”');
  expect(story).toContain('verified: the signature is over exactly this request');
  expect(story).toContain('DELETE 1, 1 row');
  expect(await page.textContent('.sql')).toContain('.id = $1');
  expect(await page.textContent('.sql .hidden')).toBe('U+202E');
  expect(await page.textContent('.statement')).toContain('1 value is in the log as a commitment');
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.click('a:text("Save the proof")'),
  ]);
  const text = readFileSync(await download.path(), 'utf8');
  const root = JSON.parse(readFileSync(join(folder, 'keys', 'root.jwk'), 'utf8'));
  const bundled = await checkBundle(text);
  expect(await page.textContent('.proof dd')).toBe(bundled.rootKid);
  expect(JSON.parse(text).root).toEqual(root);
  expect(bundled.story).toMatchObject({
    ballots: [{ approver: 'dba', proof: 'proved' }],
    uses: [{ sameBytes: true }],
  });
  await page.click('a:text-matches("^[\\\\w-]{22}$")');
  await page.waitForSelector('#votes');
  expect(wrong).toEqual([]);
  await done();
});

test('both pages fit a telephone and a desk, in both themes', async () => {
  const [{ record }] = (
    (await api('/api/log?text=delete%20from&verdict=hold')) as { rows: { record: { seq: number } }[] }
  ).rows as [{ record: { seq: number } }];
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [390, 1280]) {
      const { page, wrong, done } = await signedIn('/log', { colorScheme, viewport: { width, height: 900 } });
      for (const [name, path] of [
        ['list', '/log'],
        ['story', `/log/${record.seq}`],
      ] as const) {
        await page.goto(guard.http + path);
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
        const shots = process.env.HOLDPOINT_SHOTS;
        if (shots !== undefined)
          await page.screenshot({
            path: join(shots, `${name}-${colorScheme}-${width}.png`),
            fullPage: name === 'story',
          });
      }
      expect(wrong).toEqual([]);
      await done();
    }
  }
});

test('every record has the story that the verifier finds in all of the log', async () => {
  await vi.waitFor(async () => expect(await api('/api/log?limit=1')).toMatchObject({ cut: false }));
  const trail = new Trail(folder);
  const source = new FolderSource(folder);
  const { rows } = (await api('/api/log?limit=500')) as { rows: { record: { seq: number; kind: string } }[] };
  const kinds = new Set<string>();
  for (const { record } of rows) {
    // One of the many reads is enough.
    if (['auth', 'own', 'approver'].includes(record.kind)) continue;
    if (kinds.has(record.kind) && record.kind === 'stmt' && kinds.size > 8) continue;
    kinds.add(record.kind);
    const found = await storyOf(trail, record.seq, { bytesMax: 1 << 30, recordsMax: 500 });
    const account = await accountOf(source, { seq: record.seq });
    expect([record.kind, found?.records.map(({ seq }) => seq), found?.complete]).toEqual([
      record.kind,
      // A start vouches for what was enrolled then; it is no part of what happened.
      account.records.filter(({ kind, seq }) => kind !== 'boot' || seq === record.seq).map(({ seq }) => seq),
      true,
    ]);
  }
  expect(kinds.size).toBeGreaterThan(8);
});

test('a log that was tampered with is told as not proved', async () => {
  const { rows } = (await api('/api/log?outcome=ok&text=just_now')) as {
    rows: { record: { seq: number } }[];
  };
  const { seq } = rows[0]!.record;
  expect(await api(`/api/log/${seq}`)).toMatchObject({ proof: { ok: true } });
  const file = join(folder, 'seg-00000000.jsonl');
  const whole = readFileSync(file);
  try {
    writeFileSync(file, whole.toString('utf8').replaceAll('just_now', 'just_nov'));
    expect(await api(`/api/log/${seq}`)).toMatchObject({ proof: { ok: false, pending: false } });
    await expect(api(`/api/log/${seq}/proof`)).rejects.toThrow('is not proved');
    const { page, done } = await signedIn(`/log/${seq}`);
    expect(await page.textContent('.notice.bad')).toContain('NOT PROVED');
    await done();
  } finally {
    writeFileSync(file, whole);
  }
});
