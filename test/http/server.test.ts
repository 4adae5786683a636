import { expect, test } from 'vitest';
import {
  decideAs,
  decisionFor,
  gate,
  linkGate,
  newBench,
  publicUrl,
  signed,
  turn,
  until,
} from '../support/approvals.ts';
import { accessToken, agentPasswords, appOf, basic, getAs, post } from '../support/http.ts';

async function scene(change = {}, values: Parameters<typeof gate>[1] = { params: [] }) {
  const bench = await newBench();
  const app = appOf(bench);
  const { request } = gate(change, values);
  const hold = await bench.desk.open(request, values, 0);
  await turn();
  return { bench, app, hold, path: `/api/requests/${hold.rid}` };
}

test('nothing is told without an identity, and no difference between a request and none', async () => {
  const { app, path } = await scene();
  const asked = ['/api/requests', '/api/requests?state=pending', path, `/api/requests/${'A'.repeat(22)}`];
  const answers = await Promise.all(asked.map((at) => app.request(publicUrl + at)));
  const texts = await Promise.all(answers.map((answer) => answer.text()));
  expect(answers.map((answer) => answer.status)).toEqual([401, 401, 401, 401]);
  expect(new Set(texts).size).toBe(1);
  expect(texts[0]).not.toContain('orders');
});

test('an approver reads the list and a request with everything in it', async () => {
  const values = {
    params: [{ oid: 25, format: 0, salt: 'AAAAAAAAAAAAAAAAAAAAAA', value: Buffer.from('ann@example.org') }],
  };
  const { app, bench, path, hold } = await scene(
    { sql: 'DELETE FROM customers WHERE email = $1', reason: 'cleanup' },
    values,
  );
  const list = (await (await getAs(app, bench, bench.ann, '/api/requests?state=pending')).json()) as {
    requests: { id: string; link: string }[];
  };
  expect(list.requests.map((one) => one.id)).toEqual([hold.rid]);
  expect(list.requests[0]?.link).toContain(`${publicUrl}/r/${hold.rid}#`);
  const view = await (await getAs(app, bench, bench.ann, path)).json();
  expect(view).toMatchObject({
    server: { address: '10.0.0.5:5432', systemIdentifier: '7711079308823436947' },
    state: 'pending',
    sql: { lines: [['DELETE FROM customers WHERE email = $1']], hidden: 0 },
    parameters: [{ type: 'text', note: 'text', bytes: 15, value: { lines: [['ann@example.org']] } }],
    reason: { lines: [['cleanup']] },
    draft: { approver: 'ann', level: 'key', rid: hold.rid },
  });
  expect(bench.log.records.at(-1)).toEqual({ kind: 'view', rid: hold.rid, by: 'ann' });
});

test('an agent reads its own requests by its own password, and of others not even that they exist', async () => {
  const { app, bench, path } = await scene();
  const other = gate({ agent: { id: 'gpt', auth: 'scram-sha-256' }, sql: 'DROP TABLE secret_plans' });
  const theirs = await bench.desk.open(other.request, other.values, 1);
  const mine = basic('claude', agentPasswords.get('claude')!);
  const own = await app.request(publicUrl + path, { headers: mine });
  expect(own.status).toBe(200);
  const view = (await own.json()) as Record<string, unknown>;
  expect(view).toMatchObject({ state: 'pending', sql: 'DROP TABLE orders' });
  for (const key of ['server', 'draft', 'link', 'nonce', 'digest', 'values', 'phrase'])
    expect(view).not.toHaveProperty(key);
  const list = await (await app.request(`${publicUrl}/api/requests`, { headers: mine })).text();
  expect(list).not.toContain('secret_plans');
  expect(list).not.toContain('#');
  expect((await app.request(`${publicUrl}/api/requests/${theirs.rid}`, { headers: mine })).status).toBe(404);
  expect((await app.request(`${publicUrl}/api/requests/${'A'.repeat(22)}`, { headers: mine })).status).toBe(
    404,
  );
  expect((await app.request(publicUrl + path, { headers: basic('claude', 'guess') })).status).toBe(401);
});

test('GET, HEAD and OPTIONS change nothing, whoever sends them', async () => {
  const bench = await newBench();
  const app = appOf(bench);
  const { request, values } = linkGate();
  const hold = await bench.desk.open(request, values, 0);
  await until(() => bench.notified.length > 0);
  const token = bench.notified[0]!.link.split('#')[1]!;
  const visitors = [
    'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)',
    'Mozilla/5.0 (Windows NT 10.0) SafeLinks',
    'SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com',
  ];
  const paths = [
    '/',
    `/r/${hold.rid}`,
    `/r/${hold.rid}?t=${token}`,
    `/api/requests/${hold.rid}`,
    `/api/requests/${hold.rid}/decisions`,
  ];
  const before = await bench.store.get(hold.rid);
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    for (const path of paths) {
      for (const agent of visitors) {
        const headers = { 'User-Agent': agent, Authorization: `Bearer ${token}` };
        const answer = await app.request(publicUrl + path, { method, headers });
        expect(answer.status).toBeLessThan(500);
      }
    }
  }
  expect(await bench.store.get(hold.rid)).toEqual(before);
  expect(bench.log.kinds().filter((kind) => kind !== 'view')).toEqual(['hold']);
});

test('the shell of a page is the same for every request and holds no data', async () => {
  const { app, hold } = await scene();
  const shell = async (rid: string) => (await app.request(`${publicUrl}/r/${rid}`)).text();
  const page = await shell(hold.rid);
  expect(page).toBe(await shell('A'.repeat(22)));
  expect(page).not.toContain('orders');
  expect(page).not.toMatch(/<script(?![^>]*src=)/);
  expect(page).not.toMatch(/ on\w+=/);
  expect((await app.request(`${publicUrl}/r/x`)).status).toBe(404);
});

test('every answer carries the headers that keep it out of caches, frames and referrers', async () => {
  const { app, hold, path } = await scene();
  for (const at of ['/', `/r/${hold.rid}`, '/assets/request.js', path, '/nothing', '/healthz', '/metrics']) {
    const { headers } = await app.request(publicUrl + at);
    expect(headers.get('content-security-policy'), at).toContain("frame-ancestors 'none'");
    expect(headers.get('content-security-policy')).not.toContain('unsafe');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('access-control-allow-origin')).toBeNull();
  }
});

test('a decision by HTTP: 201 with the new state, then 409 as a problem', async () => {
  const { app, bench, hold } = await scene();
  const decision = await decisionFor(bench, hold.rid, 'ann');
  const body = { decision, evidence: await signed(decision, bench.ann) };
  const first = await post(app, hold.rid, body);
  expect(first.status).toBe(201);
  expect(await first.json()).toEqual({ id: hold.rid, state: 'approved', approvals: 1, quorum: 1 });
  const second = await post(app, hold.rid, body);
  expect(second.status).toBe(409);
  expect(second.headers.get('content-type')).toContain('application/problem+json');
  expect(await second.json()).toMatchObject({
    status: 409,
    code: 'conflict',
    type: 'urn:holdpoint:error:conflict',
  });
});

test('a decision from a foreign page, in another content type, too long or malformed is refused', async () => {
  const { app, bench, hold } = await scene();
  const decision = await decisionFor(bench, hold.rid, 'ann');
  const body = { decision, evidence: await signed(decision, bench.ann) };
  const sent = async (text: unknown, headers = {}) => (await post(app, hold.rid, text, headers)).status;
  expect(await sent(body, { Origin: 'https://evil.test' })).toBe(403);
  expect(await sent(body, { Origin: 'null' })).toBe(403);
  expect(await sent(body, { 'Content-Type': 'text/plain' })).toBe(400);
  expect(await sent(' '.repeat(40_000))).toBe(413);
  for (const text of [
    '',
    'null',
    '[]',
    '{}',
    '{"decision":{}}',
    '"x"',
    '{"decision":{"__proto__":1},"evidence":{}}',
  ]) {
    expect(await sent(text), text).toBe(400);
  }
  expect(await sent({ decision: { ...decision, extra: 1 }, evidence: body.evidence })).toBe(400);
  expect(await sent({ decision: { ...decision, reason: 'x'.repeat(501) }, evidence: body.evidence })).toBe(
    400,
  );
  expect(await sent({ decision, evidence: { kind: 'webauthn' } })).toBe(400);
  expect((await bench.store.get(hold.rid))?.state).toBe('pending');
  expect(await sent(body, { Origin: publicUrl })).toBe(201);
});

test('HTML in a statement stays text, and what a screen would hide is marked', async () => {
  const sql = "DELETE FROM t WHERE a = '\u202e--x' -- <img src=x onerror=alert(1)>\u200b\nOR tru\u0435";
  const { app, bench, path } = await scene({ sql });
  const view = (await (await getAs(app, bench, bench.ann, path)).json()) as { sql: unknown };
  expect(view.sql).toEqual({
    lines: [
      [
        "DELETE FROM t WHERE a = '",
        { hidden: 'U+202E', name: 'right-to-left override', times: 1 },
        "--x' -- <img src=x onerror=alert(1)>",
        { hidden: 'U+200B', name: 'zero width space', times: 1 },
      ],
      ['OR tru', { foreign: '\u0435' }],
    ],
    hidden: 2,
    foreign: 1,
  });
});

test('what has ended is shown as ended, without values and without anything to sign', async () => {
  const values = {
    params: [{ oid: 25, format: 0, salt: 'AAAAAAAAAAAAAAAAAAAAAA', value: Buffer.from('pii') }],
  };
  const { app, bench, hold, path } = await scene({}, values);
  await decideAs(bench, 'bob', hold.rid, { verdict: 'reject', reason: 'no' });
  const text = await (await getAs(app, bench, bench.ann, path)).text();
  expect(JSON.parse(text)).toMatchObject({
    state: 'rejected',
    draft: null,
    ending: { by: 'bob', reason: 'no' },
  });
  expect(text).not.toContain(Buffer.from('pii').toString('base64url'));
});

test('health is up while readiness names what is not', async () => {
  const bench = await newBench();
  const ready = async () => [
    { name: 'log' },
    { name: 'target shop', problem: 'connection refused' },
    { name: 'target bank', warnings: ['role root is a superuser'] },
  ];
  const app = appOf(bench, { ready });
  expect((await app.request('/healthz')).status).toBe(200);
  const answer = await app.request('/readyz');
  expect(answer.status).toBe(503);
  expect(await answer.json()).toEqual({
    status: 'not ready',
    failing: [{ name: 'target shop', problem: 'connection refused' }],
    warnings: [{ name: 'target bank', warning: 'role root is a superuser' }],
  });
  expect((await appOf(bench).request('/readyz')).status).toBe(200);
});

test('metrics and public keys are open; no private part is among them', async () => {
  const { app } = await scene();
  expect(await (await app.request('/metrics')).text()).toContain('holdpoint_sessions');
  const keys = (await (await app.request('/.well-known/jwks.json')).json()) as {
    keys: Record<string, unknown>[];
  };
  expect(keys.keys).toHaveLength(1);
  expect(keys.keys[0]).not.toHaveProperty('d');
});

test('an error that is not ours tells the outside nothing', async () => {
  const bench = await newBench();
  const told: unknown[] = [];
  const app = appOf(bench, { onError: (error) => told.push(error) });
  bench.store.list = async () => {
    throw new Error('password is hunter2');
  };
  const token = await accessToken(bench, bench.ann, '/api/requests');
  const answer = await app.request(`${publicUrl}/api/requests`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  expect(answer.status).toBe(500);
  expect(await answer.text()).not.toContain('hunter2');
  expect(told).toHaveLength(1);
});
