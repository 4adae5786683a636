// The whole way of the first approver: invited on the command line before any Holdpoint runs, registered in a real browser,
// and then the only one whose passkey releases what an agent wants; the log tells so, in that order.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addApprover } from '../../src/cli/approver.ts';
import { freePort } from '../../src/demo/postgres.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { launchBrowser } from '../support/chromium.ts';
import { startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { authenticatorAt, visitor } from '../support/visitor.ts';

let database: TestDatabase;
let browser: Browser;
let dataDir: string;

beforeAll(async () => {
  database = await createDatabase({ shop: true });
  dataDir = mkdtempSync(join(tmpdir(), 'holdpoint-passkey-'));
  browser = await launchBrowser();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await database?.drop();
  if (dataDir) rmSync(dataDir, { recursive: true, force: true });
});

/** `approver add NAME --passkey …`, and what it has printed. */
function invite(name: string, options: { config: string; serve?: boolean }) {
  const printed = { out: '', err: '' };
  const output = {
    out: (text: string) => {
      printed.out += text;
    },
    err: (text: string) => {
      printed.err += text;
    },
  };
  return { printed, code: addApprover(name, { ...options, passkey: true }, output) };
}

const linkIn = (text: string) => /https?:\S+#\S+/.exec(text)?.[0] ?? '';

test('the first approver registers a passkey by a link, approves with it, and the log has both in order', async () => {
  const port = await freePort();
  const config = join(dataDir, 'first.yaml');
  writeFileSync(
    config,
    `dataDir: ${dataDir}\npublicUrl: http://localhost:${port}\nlisten: { http: "127.0.0.1:${port}" }\ntargets: { shop: { url: "${database.url}", environment: staging } }\n`,
  );
  const { printed, code } = invite('ann', { config, serve: true });
  await expect.poll(() => linkIn(printed.out)).not.toBe('');
  const ann = await visitor(browser, 'about:blank');
  await authenticatorAt(ann.page);
  await ann.page.goto(linkIn(printed.out));
  await ann.page.click('#create');
  await ann.page.waitForSelector('#done:not([hidden])');
  expect(await code).toBe(0);
  expect(printed.out).toContain('ann may decide now, with a passkey.');

  const guard = await startGuard({
    url: database.url,
    dataDir,
    level: 'passkey',
    publicUrl: 'http://localhost:0',
    audit: { sealMs: 0 },
  });
  const direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  const client = await guard.connect();
  client.send(query("delete from coupons where code = 'none'; drop table coupons"));
  const [pending] = await guard.pending(1);
  // A key in software is too weak here, whoever has it.
  await expect(guard.decide(pending!.id, 'approve')).rejects.toThrow('passkey');

  await ann.page.goto(`${guard.publicUrl}/r/${pending!.id}`);
  await ann.page.click('#passkey');
  await ann.page.waitForSelector('.decision');
  await ann.page.click('.approve');
  const replies = (await client.until('Z')).filter((reply) => reply.letter === 'C');
  expect(replies.map(({ summary }) => summary)).toEqual(['DELETE 0', 'DROP TABLE']);
  await ann.page.waitForSelector('#state .state-executed');
  expect((await direct.query("select to_regclass('coupons') as t")).rows[0].t).toBeNull();

  client.destroy();
  await direct.end();
  await guard.close();
  expect(ann.wrong).toEqual([]);
  await ann.done();
});

test('the log names the passkey before the decision that it signed', () => {
  const folder = join(dataDir, 'audit', 'holdpoint');
  const lines = readFileSync(join(folder, 'seg-00000000.jsonl'), 'utf8').split('\n');
  const records = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const enrolled = records.findIndex(
    ({ kind, id, form }) => kind === 'approver' && id === 'ann' && form === 'passkey',
  );
  const decided = records.findIndex(({ kind, ev }) => kind === 'decision' && ev.kind === 'webauthn');
  expect(enrolled).toBeGreaterThanOrEqual(0);
  expect(decided).toBeGreaterThan(enrolled);
  expect(records[decided].ev.id).toBe(records[enrolled].kid);
});

test('a Holdpoint without a host name in its address is told to get one before it invites anybody', async () => {
  const config = join(dataDir, 'address.yaml');
  writeFileSync(
    config,
    `dataDir: ${dataDir}\ntargets: { shop: { url: "${database.url}", environment: staging } }\n`,
  );
  const { printed, code } = invite('carol', { config });
  expect(await code).toBe(1);
  expect(printed.err).toContain('set publicUrl, such as http://localhost:8432');
});

test('an invitation without a server is printed and waits for nobody', async () => {
  const config = join(dataDir, 'first.yaml');
  const { printed, code } = invite('dan', { config });
  expect(await code).toBe(0);
  expect(linkIn(printed.out)).toMatch(/^http:\/\/localhost:\d+\/enrol#/);
  const known = invite('ann', { config });
  expect(await known.code).toBe(0);
});
