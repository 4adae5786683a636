// The whole way with a person in it: an agent's DROP is held, the link opens in a real browser, the person types the
// table's name and approves, the table is gone, and the agent sees the normal answer.

import pg from 'pg';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { query } from '../../src/wire/messages/frontend.ts';
import { launchBrowser } from '../support/chromium.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;
let browser: Browser;

beforeAll(async () => {
  database = await createDatabase({ shop: true });
  guard = await startGuard({ url: database.url, environment: 'development', level: 'link' });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  browser = await launchBrowser();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

test('a held DROP is approved from the page', async () => {
  const client = await guard.connect();
  client.send(query("set holdpoint.reason = 'the coupons have expired'"));
  await client.until('Z');
  client.send(query('drop table coupons'));
  await expect.poll(() => guard.links.length).toBe(1);
  const page = await browser.newPage();
  await page.goto(guard.links[0]!);
  await page.waitForSelector('.decision');
  expect(await page.textContent('.sql')).toBe('drop table coupons');
  expect(await page.textContent('body')).toContain('the coupons have expired');
  expect((await direct.query("select to_regclass('coupons') as t")).rows[0].t).toBe('coupons');
  await page.fill('#phrase', 'coupons');
  await page.click('.approve');
  const replies = (await client.until('Z')).filter((reply) => reply.letter !== 'N');
  expect(replies.map((reply) => reply.summary)).toEqual(['DROP TABLE', 'I']);
  expect((await direct.query("select to_regclass('coupons') as t")).rows[0].t).toBeNull();
  await page.waitForSelector('.state-executed');
  await page.close();
  client.destroy();
});

test('a link that is only opened, by whatever opens links, decides nothing', async () => {
  const client = await guard.connect();
  client.send(query('drop table order_history'));
  await expect.poll(() => guard.links.length).toBe(2);
  const [address] = guard.links[1]!.split('#');
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST'])
    await fetch(address!, { method, redirect: 'manual' });
  const page = await browser.newPage();
  await page.goto(guard.links[1]!);
  await page.waitForSelector('.decision');
  for (const button of await page.locator('button').all())
    await button.click({ force: true }).catch(() => undefined);
  expect(await guard.pending()).toHaveLength(1);
  expect((await direct.query("select to_regclass('order_history') as t")).rows[0].t).toBe('order_history');
  await page.close();
  client.destroy();
});
