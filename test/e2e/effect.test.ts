// What a held statement would touch, through the whole proxy: measured before anybody is asked, part of what is signed, in
// nobody's way. The agent's session, the approver's view and the log are real.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MeasuredEffect } from '../../src/approval/effect.ts';
import { type Request, requestDigest, requestText } from '../../src/approval/request.ts';
import { showRequest } from '../../src/cli/requests.ts';
import { bind, execute, parse, query, sync } from '../../src/wire/messages/frontend.ts';
import { cancelRequest } from '../../src/wire/startup.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, RawClient } from '../support/raw.ts';

let database: TestDatabase;
let guard: Guard;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase({ shop: true });
  direct = new pg.Client(database.url);
  await direct.connect();
  await direct.query(`CREATE FUNCTION dawdle(bigint) RETURNS bool LANGUAGE sql STABLE AS 'SELECT pg_sleep(0.05) IS NOT NULL';
CREATE FUNCTION wipe(bigint) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN DELETE FROM coupons; RETURN true; END $$`);
  guard = await startGuard({ url: database.url, effect: { measureMs: 20_000, countMs: 15_000 } });
});

afterAll(async () => {
  await direct?.end();
  await guard?.close();
  await database?.drop();
});

async function heldEffect(): Promise<{ id: string; effect: MeasuredEffect; request: Request }> {
  const [first] = await guard.pending(1);
  const view = await guard.show(first!.id);
  const request = JSON.parse(view.request) as Request;
  expect(view.effect).toEqual(request.effect);
  if (request.effect === undefined) throw new Error('nothing was measured');
  return { id: first!.id, effect: request.effect, request };
}

/** Our own statements on the server, while a count of ours runs. */
async function untilCounting(): Promise<void> {
  for (;;) {
    const { rows } = await direct.query(
      "SELECT FROM pg_stat_activity WHERE application_name = 'holdpoint effect' AND state = 'active' AND query LIKE '%dawdle%'",
    );
    if (rows.length > 0) return;
  }
}

test('a held DELETE shows its rows, what goes with them and its locks; the digest covers the figures', async () => {
  const client = await guard.connect();
  client.send(query('DELETE FROM customers WHERE id < 10'));
  const { id, effect, request } = await heldEffect();
  expect(effect.relations).toMatchObject([
    { does: 'DELETE', name: 'public.customers', touched: { rows: 9, how: 'count' }, total: { rows: 500 } },
  ]);
  expect(effect.relations[0]?.bytes).toBeGreaterThan(8192);
  expect(effect.cascades).toMatchObject([
    { relation: 'public.orders', action: 'CASCADE', touched: { rows: 36 } },
    { relation: 'public.order_items', action: 'CASCADE', touched: { rows: 74 } },
  ]);
  expect(effect.locks.map(({ mode }) => mode)).toEqual(['ROW EXCLUSIVE', 'ROW EXCLUSIVE', 'ROW EXCLUSIVE']);
  expect(effect.transaction).toBeUndefined();
  // Measured first, then the time of the request begins.
  expect(request.created).toBeGreaterThanOrEqual(effect.at + effect.tookMs - 5);
  expect(request.exp - request.created).toBe(3_600_000);
  const fewer = structuredClone(request);
  fewer.effect!.relations[0]!.touched!.rows = 8;
  expect(requestDigest(fewer)).not.toBe(requestDigest(request));
  await guard.decide(id, 'reject');
  await client.until('Z');
  const log = readFileSync(join(guard.auditDir, 'holdpoint', 'seg-00000000.jsonl'), 'utf8');
  expect(log).toContain(JSON.stringify(requestText(request)));
  client.destroy();
});

test('the command line prints it in plain lines', async () => {
  const client = await guard.connect();
  client.send(query('DROP TABLE customers'));
  const { id } = await heldEffect();
  let text = '';
  const output = { out: (line: string) => (text += line), err: (line: string) => (text += line) };
  const key = join(guard.dataDir, 'dba.jwk');
  expect(await showRequest(id, { url: guard.http, as: 'dba', key }, output as never)).toBe(0);
  expect(text).toMatch(/^touches: +DROP public\.customers: 500 rows \(table; \d+ kB\)$/m);
  expect(text).toMatch(/^refused for: +constraint orders_customer_id_fkey on table public\.orders$/m);
  expect(text).toMatch(/^locks: +ACCESS EXCLUSIVE on public\.customers$/m);
  await guard.decide(id, 'reject');
  await client.until('Z');
  client.destroy();
});

test('the values of a Bind are counted with', async () => {
  const client = await guard.connect();
  client.send(parse('', 'DELETE FROM orders WHERE customer_id = $1'), bind('', '', [Buffer.from('3')]));
  client.send(execute(''), sync());
  const { id, effect } = await heldEffect();
  const { rows } = await direct.query('SELECT count(*)::int AS n FROM orders WHERE customer_id = 3');
  expect(effect.relations[0]?.touched).toEqual({ rows: rows[0].n, how: 'count' });
  await guard.decide(id, 'reject');
  await client.until('Z');
  client.destroy();
});

test('a statement that SQL EXECUTE runs is measured as far as its text tells', async () => {
  const client = await guard.connect();
  client.send(query('PREPARE gone AS DELETE FROM coupons'));
  await client.until('Z');
  client.send(query('EXECUTE gone'));
  const { id, effect } = await heldEffect();
  expect(effect.relations).toMatchObject([
    { does: 'DELETE', name: 'public.coupons', touched: { rows: 300 } },
  ]);
  await guard.decide(id, 'reject');
  await client.until('Z');
  client.destroy();
});

test('inside a transaction the session shows since when and what it has locked', async () => {
  const client = await guard.connect();
  client.send(query('BEGIN'));
  await client.until('Z');
  client.send(query('UPDATE products SET title = title WHERE id = 1'));
  await client.until('Z');
  client.send(query('DELETE FROM coupons'));
  const { id, effect } = await heldEffect();
  expect(effect.transaction).toMatchObject({ locks: ['ROW EXCLUSIVE on public.products'], blocks: 0 });
  expect(effect.unmeasured).toEqual([
    'the session has changed something in its open transaction, which only it sees: the figures are without that',
  ]);
  await guard.decide(id, 'reject');
  await client.until('Z');
  client.destroy();
});

test('a WHERE with code that writes is not run before it is approved', async () => {
  const client = await guard.connect();
  client.send(query('DELETE FROM products WHERE wipe(id)'));
  const { id, effect } = await heldEffect();
  expect((await direct.query('SELECT FROM coupons')).rows).toHaveLength(300);
  expect(effect.relations[0]).not.toHaveProperty('touched');
  expect(effect.unmeasured.join()).toMatch(/were not counted: .*wipe\(\)/);
  await guard.decide(id, 'reject');
  await client.until('Z');
  client.destroy();
});

test('what the rules hold of reads is not read to measure a DELETE either', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdpoint-effect-'));
  const rules = join(folder, 'rules.yaml');
  writeFileSync(
    rules,
    `version: 1
extends: default
rules:
  - name: coupons-are-private
    action: hold
    reason: private
    effects: [read]
    relations: [coupons]
`,
  );
  const strict = await startGuard({ url: database.url, rules });
  const client = await strict.connect();
  client.send(query("DELETE FROM coupons WHERE code LIKE 'A%'"));
  const [first] = await strict.pending(1);
  const { effect } = await strict.show(first!.id);
  expect(effect?.relations[0]).toMatchObject({ total: { rows: 300, how: 'count' } });
  expect(effect?.relations[0]).not.toHaveProperty('touched');
  expect(effect?.unmeasured).toEqual([
    'the rows of public.coupons that it is about were not counted: the rules do not let this agent read that without asking',
  ]);
  client.destroy();
  await strict.close();
  rmSync(folder, { recursive: true });
});

test('a retry is neither measured again nor made to wait for it', async () => {
  const impatient = await startGuard({ url: database.url, hold: { waitMs: 100 } });
  const measured = async (): Promise<number> => {
    const text = await (await fetch(`${impatient.http}/metrics`)).text();
    return Number(/^holdpoint_effect_seconds_count (\d+)$/m.exec(text)?.[1]);
  };
  const send = async (): Promise<string | undefined> => {
    const client = await impatient.connect();
    client.send(query('DELETE FROM products WHERE id < 0'));
    const replies = await client.until('Z');
    client.destroy();
    const error = replies.find(({ letter }) => letter === 'E');
    return error === undefined ? replies.at(-2)?.summary : errorFields(error).get('M');
  };
  expect(await send()).toMatch(/still waiting for approval/);
  expect(await measured()).toBe(1);
  // It is still pending: the session joins it.
  expect(await send()).toMatch(/still waiting for approval/);
  expect(await measured()).toBe(1);
  expect(await impatient.pending()).toHaveLength(1);
  await impatient.approveNext();
  expect(await send()).toBe('DELETE 0');
  expect(await measured()).toBe(1);
  await impatient.close();
});

test('a client that cancels or goes while it is measured has asked nobody', async () => {
  const client = await guard.connect();
  const { pid, key } = client;
  client.send(query('DELETE FROM customers WHERE dawdle(id)'));
  await untilCounting();
  const canceler = await RawClient.connect(guard.host, guard.port);
  canceler.send(cancelRequest(pid, key));
  const replies = await client.until('Z');
  expect(errorFields(replies.find(({ letter }) => letter === 'E')!).get('C')).toBe('57014');
  expect(replies.filter(({ letter }) => letter === 'N')).toEqual([]);
  expect(await guard.pending()).toEqual([]);
  client.send(query('SELECT 1'));
  expect((await client.until('Z')).map(({ letter }) => letter).join('')).toBe('TDCZ');

  client.send(query('DELETE FROM customers WHERE dawdle(id + 1)'));
  await untilCounting();
  client.destroy();
  const other = await guard.connect();
  other.send(query('DELETE FROM products WHERE id = 1'));
  const { id, request } = await heldEffect();
  expect(request.sql).toBe('DELETE FROM products WHERE id = 1');
  expect(await guard.pending()).toHaveLength(1);
  await guard.decide(id, 'reject');
  await other.until('Z');
  other.destroy();
});
