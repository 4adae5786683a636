// Canaries: values and secrets through statements of every shape, against a whole Holdpoint in each mode; then every output
// there is, is searched for them. What an approver may see is the only exception, and no secret is among that.
// audit-approval A13.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeAuditorKey } from '../../src/cli/auditor-key.ts';
import { shapes, sing } from '../support/canaries.ts';
import { startGuard } from '../support/holdpoint.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type Receiver, startReceiver } from '../support/receiver.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { type FakeSlack, startSlack } from '../support/slack.ts';
import { verifies } from '../support/trail.ts';

let folder: string;
let database: TestDatabase;
let slack: FakeSlack;
let receiver: Receiver;
let collector: Receiver;
let redis: TestRedis;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdpoint-canary-'));
  [collector, database, slack, receiver, redis] = await Promise.all([
    startReceiver(),
    createDatabase({ shop: true }),
    startSlack(),
    startReceiver(),
    startRedis(),
  ]);
});

afterAll(async () => {
  await Promise.all([database?.drop(), slack?.close(), receiver?.close(), collector?.close(), redis?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** Words that are in no other text, in any form that they may be written in. */
function forms(word: string): string[] {
  const bytes = Buffer.from(word);
  // What base64 makes of the middle of it does not depend on what stands around.
  const base64 = [0, 1, 2].map((skip) => bytes.subarray(skip, skip + 9).toString('base64'));
  return [word, word.toLowerCase(), bytes.toString('hex'), ...base64];
}

/** Names of the shapes whose canaries are in a text. */
function found(text: string, kind: 'V' | 'S'): string[] {
  return shapes.flatMap(({ name }, at) =>
    forms(canary(kind, at)).some((one) => text.includes(one)) ? [name] : [],
  );
}

/** No two share nine characters but for the beginning, which is not searched for alone. */
const canary = (kind: 'V' | 'S', at: number): string =>
  `${kind}${String.fromCharCode(97 + Math.floor(at / 26), 97 + (at % 26))}`.repeat(6);

function filesUnder(path: string): string {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((name) => statSync(name).isFile())
    .map((name) => `${name}\n${readFileSync(name, 'latin1')}`)
    .join('\n');
}

async function everythingIn(store: TestRedis): Promise<string> {
  const texts: string[] = [];
  for (const key of await store.admin.keys('*')) {
    const type = await store.admin.type(key);
    texts.push(key);
    if (type === 'string') texts.push((await store.admin.get(key)) ?? '');
    if (type === 'hash') texts.push(JSON.stringify(await store.admin.hgetall(key)));
    if (type === 'set') texts.push(JSON.stringify(await store.admin.smembers(key)));
    if (type === 'zset') texts.push(JSON.stringify(await store.admin.zrange(key, '0', '-1')));
    if (type === 'list') texts.push(JSON.stringify(await store.admin.lrange(key, 0, -1)));
    if (type === 'stream') texts.push(JSON.stringify(await store.admin.xrange(key, '-', '+')));
  }
  return texts.join('\n');
}

/** Sends everything through a Holdpoint and gives what came out of it, and its data folder, which is left as it was. */
async function outputs(values: 'none' | 'auditor' | 'clear') {
  const auditors =
    values === 'auditor' ? { auditorKeys: [(await makeAuditorKey(join(folder, 'auditor.jwk'))).jwk] } : {};
  const dataDir = join(folder, values);
  mkdirSync(dataDir);
  const guard = await startGuard({
    url: database.url,
    dataDir,
    hold: { waitMs: 100, pendingMax: 1000 },
    // Not compressed, so that what is searched is what is there.
    audit: {
      values,
      sealMs: 1,
      segmentBytesMax: 65_536,
      compress: false,
      ship: { otlp: { url: collector.url } },
      ...auditors,
    },
    slack,
    webhooks: [
      { name: 'hook', url: receiver.url, secret: `whsec_${Buffer.alloc(32, 7).toString('base64')}` },
    ],
    ...(values === 'auditor' && { store: { url: redis.url, node: 'n1' } }),
  });
  try {
    for (const [at, shape] of shapes.entries()) {
      // What one statement sets must not change what becomes of the next.
      const client = await guard.connect();
      await sing(client, shape, canary('V', at), canary('S', at)).catch((error: Error) => {
        throw new Error(`${shape.name}: ${error.message}`);
      });
      client.destroy();
    }
    const requests = await guard.pending(0);
    const paths = ['/', '/metrics', '/healthz', '/readyz', '/api/requests', '/.well-known/jwks.json'];
    paths.push(...requests.slice(0, 10).flatMap(({ id }) => [`/r/${id}`, `/api/requests/${id}`]));
    const pages: string[] = [];
    for (const path of paths)
      pages.push(await (await fetch(guard.http + path, { redirect: 'manual' })).text());
    const views = await Promise.all(requests.map(({ id }) => guard.show(id)));
    await receiver.until(() => receiver.delivered.length > 5);
    return {
      auditDir: guard.auditDir,
      dataDir,
      views,
      pages: pages.join('\n'),
      reports: guard.reports.join('\n'),
      store: values === 'auditor' ? await everythingIn(redis) : '',
    };
  } finally {
    await guard.close();
  }
}

test.each(['none', 'auditor', 'clear'] as const)('values: %s', async (values) => {
  slack.calls.length = 0;
  receiver.delivered.length = 0;
  collector.delivered.length = 0;
  const { auditDir, dataDir, views, pages, reports, store } = await outputs(values);
  const data = filesUnder(dataDir);
  const told = JSON.stringify([slack.calls, receiver.delivered]);
  const shipped = JSON.stringify(collector.delivered);
  // What the approver is shown, but for the parameters, which are shown as they are.
  const texts = JSON.stringify(
    views.map(({ sql, plan, reason, statements }) => ({ sql, plan, reason, statements })),
  );

  await verifies(auditDir);
  // There is something to be found.
  expect(data.match(/"kind":"stmt"/g)!.length).toBeGreaterThanOrEqual(shapes.length);
  expect(slack.calls.length).toBeGreaterThan(5);
  expect(shipped.match(/holdpoint\.stmt/g)!.length).toBeGreaterThanOrEqual(shapes.length);
  expect(found(texts, 'V').length).toBeGreaterThan(4);
  if (values === 'clear') expect(found(data, 'V').length).toBeGreaterThan(30);

  const none = { data: [], reports: [], pages: [], told: [], texts: [], store: [], shipped: [] };
  const search = (kind: 'V' | 'S') => ({
    data: found(data, kind),
    reports: found(reports, kind),
    pages: found(pages, kind),
    told: found(told, kind),
    texts: found(texts, kind),
    // A parameter is shown to the approver as it is.
    store: found(store, kind).filter((name) => !name.includes('parameter')),
    shipped: found(shipped, kind),
  });
  expect(search('S')).toEqual(none);
  const { told: _, texts: __, store: ___, data: written, ...others } = search('V');
  expect(others).toEqual({ reports: [], pages: [], shipped: [] });
  if (values !== 'clear') expect(written).toEqual([]);
});
