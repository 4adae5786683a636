// Visits: what a cookie opens, for how long, and what never becomes one.

import { expect, test } from 'vitest';
import { type SigningKey, signToken } from '../../src/approval/token.ts';
import { decisionFor, gate, linkGate, newBench, publicUrl, signed, until } from '../support/approvals.ts';
import { accessToken, appOf, basic } from '../support/http.ts';

async function scene(make = gate, change: Parameters<typeof appOf>[1] = {}) {
  const bench = await newBench();
  const app = appOf(bench, change);
  const { request, values } = make();
  const hold = await bench.desk.open(request, values, 0);
  await until(() => bench.notified.length > 0);
  const link = bench.notified[0]!.link.split('#')[1]!;
  const begin = (token: string, body: unknown = {}, headers: Record<string, string> = {}) =>
    app.request(`${publicUrl}/api/session`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${token}`,
        'Content-Type': 'application/json',
        Origin: publicUrl,
        ...headers,
      },
      body: JSON.stringify(body),
    });
  const asAnn = async () =>
    cookieOf(await begin(await accessToken(bench, bench.ann, '/api/session', { htm: 'POST' })));
  const byLink = async () => cookieOf(await begin(link, { rid: hold.rid }));
  const get = (path: string, cookie: string) =>
    app.request(publicUrl + path, { headers: { Cookie: cookie } });
  return { bench, app, hold, path: `/api/requests/${hold.rid}`, link, begin, asAnn, byLink, get };
}

/** `name=value` of every cookie that an answer sets. */
function cookieOf(answer: Response): string {
  return answer.headers
    .getSetCookie()
    .map((line) => line.split(';', 1)[0])
    .join('; ');
}

test('a link begins a visit to its one request, in a cookie that no script and no other site can use', async () => {
  const { begin, link, hold, get, path, bench } = await scene();
  const answer = await begin(link, { rid: hold.rid });
  expect(answer.status).toBe(201);
  const [line = ''] = answer.headers.getSetCookie();
  for (const attribute of ['HttpOnly', 'SameSite=Strict', 'Path=/', 'Max-Age=3600'])
    expect(line).toContain(attribute);
  expect(line).not.toContain(link);
  expect((await get(path, cookieOf(answer))).status).toBe(200);
  expect((await get('/api/requests', cookieOf(answer))).status).toBe(401);
  const other = linkGate({ sql: 'DROP TABLE customers' });
  const second = await bench.desk.open(other.request, other.values, 1);
  expect((await get(`/api/requests/${second.rid}`, cookieOf(answer))).status).toBe(401);
});

test('an approver signs in by their key and reads the list and every request, until they sign out', async () => {
  const { asAnn, get, path, app } = await scene();
  const cookie = await asAnn();
  expect((await get('/api/requests?state=pending', cookie)).status).toBe(200);
  expect(await (await get(path, cookie)).json()).toMatchObject({ draft: { approver: 'ann' } });
  expect(await (await get('/api/session', cookie)).json()).toMatchObject({ kind: 'approver', name: 'ann' });
  const headers = { Cookie: cookie, Origin: publicUrl };
  const out = await app.request(`${publicUrl}/api/session`, { method: 'DELETE', headers });
  expect(out.headers.getSetCookie()[0]).toContain('Max-Age=0');
  // The cookie that somebody copied is no longer one either.
  expect((await get(path, cookie)).status).toBe(401);
});

test('over https the cookies are __Host- and Secure', async () => {
  const url = 'https://holdpoint.test';
  const { app, link, hold } = await (async () => {
    const bench = await newBench({ publicUrl: url });
    const { request, values } = gate({ aud: url, created: Date.now(), exp: Date.now() + 3_600_000 });
    const hold = await bench.desk.open(request, values, 0);
    await until(() => bench.notified.length > 0);
    return { app: appOf(bench, { publicUrl: url }), hold, link: bench.notified[0]!.link.split('#')[1]! };
  })();
  const answer = await app.request(`${url}/api/session`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${link}`, 'Content-Type': 'application/json', Origin: url },
    body: JSON.stringify({ rid: hold.rid }),
  });
  expect(answer.headers.getSetCookie()[0]).toMatch(/^__Host-holdpoint\.[\w-]+=.*; Secure/);
});

test('a visit ends with its time, with its credential, and when its name becomes an agent’s', async () => {
  for (const end of ['time', 'key', 'agent'] as const) {
    const { asAnn, get, path, bench } = await scene();
    const cookie = await asAnn();
    expect((await get(path, cookie)).status).toBe(200);
    if (end === 'time') bench.clock.ms += 3_600_000;
    if (end === 'key') bench.keys.delete(bench.ann.kid);
    if (end === 'agent') bench.agents.add('ann');
    expect((await get(path, cookie)).status, end).toBe(401);
  }
});

test('a visit by link ends when the request under that name is another one, and with its own time', async () => {
  const { byLink, get, path, bench, hold } = await scene();
  const cookie = await byLink();
  const row = await bench.store.get(hold.rid);
  bench.store.get = async () => ({ ...row!, rd: 'A'.repeat(43) });
  expect((await get(path, cookie)).status).toBe(401);
  bench.store.get = async () => row;
  expect((await get(path, cookie)).status).toBe(200);
  bench.clock.ms += 3_600_001;
  expect((await get(path, cookie)).status).toBe(401);
});

test('no other token is a cookie, and a cookie is no other token', async () => {
  const { bench, app, asAnn, byLink, link, begin, path, hold, get } = await scene();
  const cookies = [await asAnn(), await byLink()];
  const decision = await decisionFor(bench, hold.rid, 'ann');
  const { jws } = await signed(decision, bench.ann);
  const access = await accessToken(bench, bench.ann, path);
  const claims = {
    aud: `${publicUrl}/visit`,
    exp: 2_000_000_000,
    jti: 'j'.repeat(22),
    visitor: { kind: 'approver', name: 'ann', by: `key:${bench.ann.kid}` },
  };
  const made = (change: object, key: SigningKey) =>
    signToken('holdpoint-visit+jws', JSON.stringify({ ...claims, ...change }), key);
  expect((await get(path, `holdpoint-80=${await made({}, bench.visitKey)}`)).status).toBe(200);
  const forgedByAnn = await made({}, bench.ann);
  const ofAnother = await made({ aud: 'http://other.test/visit' }, bench.visitKey);
  for (const cookie of cookies) {
    const [name = '', value = ''] = cookie.split('=');
    for (const token of [
      link,
      jws,
      access,
      forgedByAnn,
      ofAnother,
      `${value.slice(0, -4)}AAAA`,
      '',
      'x'.repeat(9000),
    ]) {
      expect((await get(path, `${name}=${token}`)).status).toBe(401);
    }
    const asBearer = await app.request(publicUrl + path, { headers: { Authorization: `Bearer ${value}` } });
    expect(asBearer.status).toBe(401);
    expect((await begin(value, { rid: hold.rid })).status).toBe(401);
  }
  // The one in the other's place: an approver's visit is no visit by link, and the reverse.
  const [ann, byLinkValue] = cookies.map((cookie) => cookie.split('='));
  expect((await get(path, `${ann![0]}=${byLinkValue![1]}`)).status).toBe(401);
  expect((await get(path, `${byLinkValue![0]}=${ann![1]}`)).status).toBe(401);
});

test('nothing but a link or an approver begins a visit', async () => {
  const { begin, bench, app, hold, link } = await scene();
  const read = await accessToken(bench, bench.ann, '/api/session');
  expect((await begin(read)).status).toBe(401);
  expect((await begin(link)).status).toBe(400);
  expect((await begin(link, { rid: 'A'.repeat(22) })).status).toBe(401);
  const byAgent = await app.request(`${publicUrl}/api/session`, {
    method: 'POST',
    headers: { ...basic('claude', 'hunter2'), 'Content-Type': 'application/json' },
    body: JSON.stringify({ rid: hold.rid }),
  });
  expect(byAgent.status).toBe(401);
  const once = await accessToken(bench, bench.ann, '/api/session', { htm: 'POST' });
  expect((await begin(once)).status).toBe(201);
  expect((await begin(once)).status).toBe(401);
});

test('whatever a page of another site sends is refused, and what a browser sends without saying whence', async () => {
  const { begin, link, hold, asAnn, app } = await scene();
  const body = { rid: hold.rid };
  for (const headers of [
    { Origin: 'https://evil.test' },
    { Origin: 'null' },
    { Origin: 'http://holdpoint.test:81' },
    { 'Sec-Fetch-Site': 'cross-site' },
    { 'Sec-Fetch-Site': 'same-site' },
    { 'Sec-Fetch-Site': 'none' },
  ]) {
    expect((await begin(link, body, headers)).status, JSON.stringify(headers)).toBe(403);
  }
  expect((await begin(link, body, { 'Sec-Fetch-Site': 'same-origin' })).status).toBe(201);
  const cookie = await asAnn();
  const out = (headers: Record<string, string>) =>
    app.request(`${publicUrl}/api/session`, { method: 'DELETE', headers: { Cookie: cookie, ...headers } });
  expect((await out({})).status).toBe(403);
  expect((await out({ Origin: 'https://evil.test' })).status).toBe(403);
  expect((await out({ 'Sec-Fetch-Site': 'same-origin' })).status).toBe(200);
});

test('the oldest visits by link make room, so that the cookies never outgrow a header', async () => {
  const { begin, link, hold } = await scene();
  const many = Array.from({ length: 14 }, (_, index) => `holdpoint-80.${String(index).padStart(22, 'r')}=x`);
  const answer = await begin(link, { rid: hold.rid }, { Cookie: many.join('; ') });
  const cleared = answer.headers.getSetCookie().filter((line) => line.includes('Max-Age=0'));
  expect(cleared.map((line) => line.split('=', 1)[0])).toEqual(
    many.slice(0, 3).map((one) => one.split('=')[0]),
  );
});
