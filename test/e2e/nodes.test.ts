// Two proxies that share a Redis: held on one, decided through the other, released by the one that holds it, or used by
// a retry on either, once; each with a log that an outsider verifies by itself.

import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { linkApprover } from '../../src/approval/evidence.ts';
import { signAccess, signingKey } from '../../src/approval/token.ts';
import { verify } from '../../src/cli/audit.ts';
import type { FullView } from '../../src/http/view.ts';
import { query } from '../../src/wire/messages/frontend.ts';
import { type Guard, startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { errorFields, type RawClient, type Reply } from '../support/raw.ts';
import { eventually, startRedis, type TestRedis } from '../support/redis.ts';

let database: TestDatabase;
let redis: TestRedis;
let direct: pg.Client;
let one: Guard;
let two: Guard;
/** Its sessions wait for no more than a moment. */
let brief: Guard;

const shared = (node: string) => ({ url: database.url, store: { url: `${redis.url}/0`, node } });

beforeAll(async () => {
  [database, redis] = await Promise.all([createDatabase({ shop: true }), startRedis()]);
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  await direct.query('create table runs (name text); create table victims (name text)');
  one = await startGuard({ ...shared('n1'), hold: { waitMs: 60_000 } });
  two = await startGuard({ ...shared('n2'), hold: { waitMs: 60_000 }, like: one });
  brief = await startGuard({ ...shared('n3'), hold: { waitMs: 100 }, like: one });
});

afterAll(async () => {
  await one?.close();
  await two?.close();
  await brief?.close();
  await direct?.end();
  await redis?.stop();
  await database?.drop();
});

/** Sends a statement that is held, and waits for the notice: the request's name. */
async function held(client: RawClient, sql: string): Promise<string> {
  client.send(query(sql));
  const notice = errorFields((await client.take(1))[0]!);
  return JSON.parse(notice.get('D') ?? '').request;
}

async function runs(name: string): Promise<number> {
  const { rows } = await direct.query('select count(*)::int as n from runs where name = $1', [name]);
  return rows[0].n;
}

/** Held, because it deletes; leaves a row behind each time that it runs. */
const write = (name: string) => `with gone as (delete from victims) insert into runs values ('${name}')`;
const said = (replies: readonly Reply[]) => replies.map(({ letter, summary }) => `${letter} ${summary}`);
const stateOf = (replies: readonly Reply[]): string => {
  const error = replies.find(({ letter }) => letter === 'E');
  return error === undefined ? 'ran' : JSON.parse(errorFields(error).get('D') ?? '').state;
};

/** Sends it again, and waits until it is held or answered. */
async function retried(guard: Guard, sql: string): Promise<{ client: RawClient; state: string }> {
  const client = await guard.connect();
  client.send(query(sql));
  const [first] = await client.take(1);
  return { client, state: first!.letter === 'N' ? 'held' : stateOf([first!]) };
}

interface Line {
  kind: string;
  rid?: string;
  [member: string]: unknown;
}

function records(guard: Guard): Line[] {
  const folder = join(guard.auditDir, readdirSync(guard.auditDir)[0]!);
  return readFileSync(join(folder, 'seg-00000000.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

/** But for what is recorded whenever it happens: that somebody looked, or was told. */
const kindsOf = (guard: Guard, rid: string) =>
  records(guard)
    .filter((record) => record.rid === rid && record.kind !== 'view' && record.kind !== 'notify')
    .map(({ kind }) => kind);

/** By an auditor's command, from the files alone. */
async function verified(guard: Guard): Promise<{ code: number; text: string }> {
  let text = '';
  const output = { out: (more: string) => (text += more), err: (more: string) => (text += more) };
  const code = await verify(guard.auditDir, { gaps: true } as never, output as never);
  return { code, text };
}

async function statusOf(guard: Guard, path: string, token: string): Promise<number> {
  const answer = await fetch(guard.http + path, { headers: { Authorization: `Bearer ${token}` } });
  return answer.status;
}

test('each node writes a log of its own, by its name', () => {
  expect(readdirSync(one.auditDir)).toEqual(['n1']);
  expect(readdirSync(two.auditDir)).toEqual(['n2']);
  expect(records(two).every(({ node }) => node === 'n2')).toBe(true);
});

test('a statement held on one is decided through the other and released by the one that holds it', async () => {
  const client = await one.connect();
  const rid = await held(client, 'drop table if exists nothing_here');
  expect((await two.show(rid)).statements).toBeDefined();
  const result = client.until('Z').then((replies) => ({ replies, at: performance.now() }));
  await two.decide(rid, 'approve', 'from the other side');
  const answered = performance.now();
  const { replies, at } = await result;
  expect(said(replies)).toContain('C DROP TABLE');
  // 100 ms are meant, and a tenth of that is usual (bench/nodes.ts); a busy machine is given more.
  expect(at - answered).toBeLessThan(4_000);
  await eventually('the outcome is recorded', async () => kindsOf(one, rid).includes('intent'));
  expect(kindsOf(two, rid)).toEqual(['decision']);
  expect(kindsOf(one, rid)).toEqual(['hold', 'decision', 'grant_use', 'intent']);
  client.destroy();
});

test('an approved retry passes once among all nodes, and the log of the node it passed on shows all of it', async () => {
  for (const name of ['first', 'second', 'third']) {
    const asking = await brief.connect();
    asking.send(query(write(name)));
    const replies = await asking.until('Z');
    expect(stateOf(replies)).toBe('pending');
    const rid = JSON.parse(errorFields(replies.find(({ letter }) => letter === 'E')!).get('D') ?? '').request;
    await one.decide(rid, 'approve');
    const nodes = [one, two, brief, one, two, brief];
    const tries = await Promise.all(nodes.map((guard) => retried(guard, write(name))));
    expect(tries.filter(({ state }) => state === 'ran')).toHaveLength(1);
    expect(await runs(name)).toBe(1);
    const winner = nodes[tries.findIndex(({ state }) => state === 'ran')]!;
    await eventually('the outcome is recorded', async () => kindsOf(winner, rid).includes('intent'));
    const whole = kindsOf(winner, rid).filter((kind) => kind !== 'outcome' && kind !== 'cancel');
    expect(whole.sort()).toEqual(['decision', 'grant_use', 'hold', 'intent']);
    for (const { client } of [...tries, { client: asking }]) client.destroy();
  }
});

test('the log of every node is verified by itself', async () => {
  for (const guard of [one, two, brief]) {
    await eventually('the log is sealed', async () => (await verified(guard)).code === 0);
  }
});

test('an access token is good once on all nodes, and while the store is away once on each', async () => {
  const key = await signingKey(JSON.parse(readFileSync(one.keyFile, 'utf8')));
  const token = () => {
    const iat = Math.floor(Date.now() / 1000);
    const jti = crypto.randomUUID();
    const claims = { aud: one.publicUrl, htm: 'GET', htu: '/api/requests', iat, exp: iat + 50, jti };
    return signAccess(claims, key);
  };
  const first = await token();
  expect(await statusOf(two, '/api/requests', first)).toBe(200);
  expect(await statusOf(one, '/api/requests', first)).toBe(401);
  expect(await statusOf(two, '/api/requests', first)).toBe(401);
});

test('a link made on one node is viewed on another, and decides only where the key is shared', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdpoint-twin-'));
  const options = { level: 'link', environment: 'development', hold: { waitMs: 60_000 } } as const;
  const near = await startGuard({ ...shared('l1'), ...options });
  const far = await startGuard({ ...shared('l2'), ...options, like: near });
  mkdirSync(join(folder, 'keys'));
  copyFileSync(join(near.dataDir, 'keys', 'link.jwk'), join(folder, 'keys', 'link.jwk'));
  const twin = await startGuard({ ...shared('l3'), ...options, like: near, dataDir: folder });
  const client = await near.connect();
  const rid = await held(client, write('linked'));
  await eventually('the link is there', async () => near.links.length === 1);
  const token = near.links[0]!.split('#')[1]!;
  const path = `/api/requests/${rid}`;
  for (const guard of [near, far, twin]) expect(await statusOf(guard, path, token)).toBe(200);
  expect(await statusOf(one, path, token)).toBe(200);
  expect(
    await statusOf(
      far,
      path.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      token,
    ),
  ).toBe(401);
  const answer = await fetch(far.http + path, { headers: { Authorization: `Bearer ${token}` } });
  const view = (await answer.json()) as FullView;
  const { jti } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
  const decision = {
    ...view.draft,
    approver: linkApprover(jti),
    level: 'link',
    verdict: 'approve',
    reason: '',
  };
  const decide = (guard: Guard) =>
    fetch(`${guard.http}${path}/decisions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ decision, evidence: { kind: 'link', token, phrase: view.phrase } }),
    });
  expect((await decide(far)).status).toBe(401);
  expect((await decide(twin)).status).toBe(201);
  await client.until('Z');
  expect(await runs('linked')).toBe(1);
  client.destroy();
  for (const guard of [near, far, twin]) await guard.close();
  rmSync(folder, { recursive: true });
});

test('two processes of one name: the second does not start, and starts when the first is gone', async () => {
  const first = await startGuard(shared('same'));
  await expect(startGuard(shared('same'))).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('goes by the name same'),
  });
  await first.close();
  await (await startGuard(shared('same'))).close();
});

test('nodes with different public URLs are told so', async () => {
  const other = await startGuard(shared('elsewhere'));
  expect(other.reports.join()).toContain('node n1 has the publicUrl');
  const ready = await (await fetch(`${other.http}/readyz`)).json();
  expect(JSON.stringify(ready)).toContain('give both the same');
  await other.close();
});
