// Server-sent events over a real socket: who hears of what, and until when.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HttpListener } from '../../src/http/server.ts';
import { type Bench, decideAs, gate, until } from '../support/approvals.ts';
import { agentPasswords, appOf, basic, gateAt, serve } from '../support/http.ts';

let bench: Bench;
let url: string;
let listener: HttpListener;

beforeAll(async () => {
  ({ bench, url, listener } = await serve());
});

afterAll(async () => {
  await listener?.close();
  bench?.desk.close();
});

async function held(change: Parameters<typeof gate>[0] = {}) {
  const { request, values } = gateAt(url, gate, change);
  const before = bench.notified.length;
  const hold = await bench.desk.open(request, values, 0);
  await until(() => bench.notified.length > before);
  return { hold, link: bench.notified.at(-1)!.link.split('#')[1]! };
}

/** A stream, and what has come from it. */
async function listening(path: string, headers: Record<string, string>) {
  const abort = new AbortController();
  const answer = await fetch(url + path, { headers, signal: abort.signal });
  const heard = { text: '', over: false };
  const reading = (async () => {
    for await (const chunk of answer.body ?? []) heard.text += Buffer.from(chunk).toString();
    heard.over = true;
  })().catch(() => {});
  const stop = async () => {
    abort.abort();
    await reading;
  };
  return { answer, heard, stop };
}

const changed = (rid: string) => `event: changed\ndata: ${rid}\n\n`;

async function visit(token: string, body: unknown): Promise<string> {
  const answer = await fetch(`${url}/api/session`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  return answer.headers.getSetCookie()[0]!.split(';')[0]!;
}

test('a link hears of its own request and of no other', async () => {
  const [one, other] = [await held(), await held({ agent: { id: 'gpt', auth: 'scram-sha-256' } })];
  const { answer, heard, stop } = await listening(`/api/requests/${one.hold.rid}/events`, {
    Authorization: `Bearer ${one.link}`,
  });
  expect(answer.headers.get('content-type')).toBe('text/event-stream');
  await expect.poll(() => heard.text).toContain('event: open');
  await decideAs(bench, 'ann', other.hold.rid);
  await decideAs(bench, 'ann', one.hold.rid);
  await expect.poll(() => heard.text).toContain(changed(one.hold.rid));
  expect(heard.text).not.toContain(other.hold.rid);
  await stop();
});

test('nobody hears without an identity, a link not of the list, an agent not of others', async () => {
  const { hold, link } = await held();
  const status = async (path: string, headers: Record<string, string> = {}) => {
    const { answer, stop } = await listening(path, headers);
    await stop();
    return answer.status;
  };
  const path = `/api/requests/${hold.rid}/events`;
  const bearer = { Authorization: `Bearer ${link}` };
  expect(await status(path)).toBe(401);
  expect(await status('/api/events')).toBe(401);
  expect(await status('/api/events', bearer)).toBe(401);
  expect(await status('/api/events', basic('claude', agentPasswords.get('claude')!))).toBe(403);
  expect(await status(path, basic('claude', agentPasswords.get('claude')!))).toBe(200);
  expect(await status(path, basic('gpt', agentPasswords.get('gpt')!))).toBe(404);
  expect(await status('/api/requests/x/events', bearer)).toBe(404);
});

test('a stream by cookie is over with the next change once the visitor has signed out', async () => {
  const { hold, link } = await held();
  const cookie = await visit(link, { rid: hold.rid });
  const { heard, stop } = await listening(`/api/requests/${hold.rid}/events`, { Cookie: cookie });
  await expect.poll(() => heard.text).toContain('event: open');
  await fetch(`${url}/api/session`, {
    method: 'DELETE',
    headers: { Cookie: cookie, 'Sec-Fetch-Site': 'same-origin' },
  });
  await decideAs(bench, 'ann', hold.rid);
  await expect.poll(() => heard.over).toBe(true);
  expect(heard.text).not.toContain('event: changed');
  await stop();
});

test('listeners that go away are forgotten, and those over the limit are sent away', async () => {
  const { hold, link } = await held();
  const path = `/api/requests/${hold.rid}/events`;
  const headers = { Authorization: `Bearer ${link}` };
  const many = await Promise.all(Array.from({ length: 400 }, () => listening(path, headers)));
  expect(many.every(({ answer }) => answer.status === 200)).toBe(true);
  const over = await listening(path, headers);
  expect(over.answer.status).toBe(503);
  await Promise.all([...many, over].map(({ stop }) => stop()));
  const again = async () => {
    const { answer, stop } = await listening(path, headers);
    await stop();
    return answer.status;
  };
  await expect.poll(again, { timeout: 10_000 }).toBe(200);
});

test('where there may be few connections, most of them are not for streams', async () => {
  const { hold, link } = await held();
  const app = appOf(bench, { publicUrl: url, connectionsMax: 5 });
  const stream = () =>
    app.request(`${url}/api/requests/${hold.rid}/events`, { headers: { Authorization: `Bearer ${link}` } });
  const open = [await stream(), await stream()];
  expect(open.map(({ status }) => status)).toEqual([200, 200]);
  expect((await stream()).status).toBe(503);
  await Promise.all(open.map(({ body }) => body?.cancel()));
});
