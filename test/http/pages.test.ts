// What the server draws: for whom, and that nothing a person has to see is left out. Without a browser.

import { expect, test } from 'vitest';
import type { MeasuredEffect } from '../../src/approval/effect.ts';
import { matchCode } from '../../src/approval/match-code.ts';
import { type RequestDraft, requestDigest } from '../../src/approval/request.ts';
import { decideAs, gate, newBench, publicUrl } from '../support/approvals.ts';
import { accessToken, appOf } from '../support/http.ts';

async function scene() {
  const bench = await newBench();
  const app = appOf(bench);
  const signIn = async (key = bench.ann) => {
    const token = await accessToken(bench, key, '/api/session', { htm: 'POST' });
    const answer = await app.request(`${publicUrl}/api/session`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', Origin: publicUrl },
      body: '{}',
    });
    return answer.headers.getSetCookie()[0]!.split(';')[0]!;
  };
  const cookie = await signIn();
  const get = async (path: string, as = cookie) =>
    (await app.request(publicUrl + path, { headers: { Cookie: as } })).text();
  let gates = 0;
  const held = async (change: Partial<RequestDraft> = {}, values?: Parameters<typeof gate>[1]) => {
    gates += 1;
    // Judged by other rules each, so that none is a repetition of another.
    const policy = {
      digest: `${gates}`.padStart(43, 'p'),
      rule: 'definitions',
      reason: 'DROP TABLE removes objects',
    };
    const { request, values: bound } = gate({ policy, ...change }, values, bench.clock.now());
    const hold = await bench.desk.open(request, bound, 0);
    return { hold, request, page: (as?: string) => get(`/r/${hold.rid}`, as) };
  };
  return { bench, app, get, held, cookie, signIn };
}

/** The text of a page, without its tags. */
const words = (html: string) =>
  html
    .replace(/<[^>]+>/g, ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .replace(/\s+/g, ' ');

const effect: MeasuredEffect = {
  at: 1_800_000_000_000,
  tookMs: 84,
  relations: [
    {
      does: 'DELETE',
      name: 'public.orders',
      kind: 'table',
      touched: { rows: 1204, how: 'count' },
      total: { rows: 48_210, how: 'estimate' },
      bytes: 12_800_000,
      fires: ['trigger audit_orders (AFTER, each row) → public.log_change()'],
    },
  ],
  cascades: [
    {
      relation: 'public.order_items',
      constraint: 'order_items_order_id_fkey',
      action: 'CASCADE',
      via: 'public.orders',
      touched: { rows: 3612, how: 'count' },
    },
    {
      relation: 'public.refunds',
      constraint: 'refunds_order_id_fkey',
      action: 'RESTRICT',
      via: 'public.orders',
      touched: { rows: 2, how: 'count' },
      stops: true,
    },
  ],
  dependents: [],
  locks: [{ relation: 'public.orders', mode: 'ROW EXCLUSIVE', behind: 1, waiting: 2, oldestMs: 254_000 }],
  transaction: { openMs: 192_000, locks: ['ROW EXCLUSIVE on public.customers'], blocks: 1 },
  unmeasured: ['what public.log_change() writes'],
};

const deletion: Partial<RequestDraft> = {
  sql: 'DELETE FROM orders WHERE status = $1 -- approved by the CTO',
  statements: [
    { command: 'DELETE', effects: ['delete'], relations: ['public.orders'], why: ['fires audit_orders'] },
  ],
  reason: 'please be quick',
  counts: 'all',
  shape: 's'.repeat(43),
  effect,
};
const bound = {
  params: [{ oid: 25, format: 0, salt: 'AAAAAAAAAAAAAAAAAAAAAA', value: Buffer.from('cancelled') }],
};

test('the page of a request says what is at stake, what will run, what goes with it, and what was not measured', async () => {
  const { held } = await scene();
  const { page, hold, request } = await held(deletion, bound);
  const html = await page();
  const text = words(html);
  for (const said of [
    'Destructive',
    'Deletes 1,204 of about 48,210 rows of public.orders, and with that 3,612 rows of 1 more table by foreign keys.',
    'claude’s own words not checked by anybody please be quick',
    '$1 cancelled text',
    '1 comment, in italics: PostgreSQL ignores it, and the agent wrote it.',
    '12 MB on disk',
    'trigger audit_orders (AFTER, each row) → public.log_change()',
    '3,612 rows of public.order_items CASCADE, from public.orders by order_items_order_id_fkey',
    'stops it 2 rows of public.refunds RESTRICT',
    'ROW EXCLUSIVE on public.orders waits behind 1 session, the oldest open for 4 min 14 s; 2 sessions already wait for it',
    'open for 3 min 12 s , and 1 session waits for it',
    'Not measured what public.log_change() writes',
    'definitions',
    '7711079308823436947',
    '0 of 1 approval, by 1 person with a key or stronger.',
    hold.rid,
  ]) {
    expect(text).toContain(said);
  }
  expect(html).toContain('<span class="t-comment">-- approved by the CTO</span>');
  expect(html).toContain('<span class="t-danger">DELETE</span>');
  expect(text).toContain(matchCode(requestDigest(request)));
});

test('where nothing was measured the page says so', async () => {
  const { held } = await scene();
  expect(words(await (await held()).page())).toContain('Not measured: how many rows it touches');
});

test('only what counts its rows offers a bound, begun with the count, and further ones of the same shape', async () => {
  const { held } = await scene();
  const html = await (await held(deletion, bound)).page();
  expect(html).toMatch(/id="rowsmax"[^>]*value="1204"/);
  expect(html).toContain('value="fingerprint"');
  const drop = await (await held()).page();
  expect(drop).not.toContain('rowsmax');
  expect(drop).not.toContain('fingerprint');
  const once = await (await held({ ...deletion, once: true }, bound)).page();
  expect(once).toContain('rowsmax');
  expect(once).not.toContain('value="fingerprint"');
  const own = await (await held({ ...deletion, counts: 'own' }, bound)).page();
  expect(words(own)).toContain('what goes along is not counted');
});

test('who must not decide gets no form, and is told why', async () => {
  const { held, bench, signIn } = await scene();
  const behind = await (await held({ agent: { id: 'claude', auth: 'scram-sha-256', obo: ['Ann'] } })).page();
  expect(behind).not.toContain('id="decision"');
  expect(words(behind)).toContain('claude works on your behalf, so somebody else has to decide.');
  const group = await held({ need: { level: 'key', quorum: 1, of: ['bob'] } });
  expect(words(await group.page())).toContain('Only bob may decide this one.');
  expect(await group.page(await signIn(bench.bob))).toContain('id="decision"');
  const voted = await held({ need: { level: 'key', quorum: 2 } });
  await decideAs(bench, 'ann', voted.hold.rid);
  expect(words(await voted.page())).toContain('You have decided.');
  const strong = await (await held({ need: { level: 'passkey', quorum: 1 } })).page();
  expect(words(strong)).toContain('An approval needs a passkey, which you do not have here. You can reject.');
});

test('what is too long for one page is in parts, each within reach, and how it ends is on the first', async () => {
  const { held, get } = await scene();
  const sql = `${Array.from({ length: 2000 }, (_, index) => `DELETE FROM t WHERE id = ${index};`).join('\n')}\nDROP TABLE prices; -- harmless`;
  const { hold, page } = await held({ sql });
  const html = await page();
  const first = words(html);
  expect(html).toContain('<span class="t-comment">-- harmless</span>');
  expect(first).toContain('part 1 of 2');
  expect(first).toContain('How it ends');
  const plain = (page: string) => page.replace(/<[^>]+>/g, '');
  expect(plain(html)).toContain('DROP TABLE prices; -- harmless');
  let seen = '';
  for (const part of [1, 2]) seen += plain(await get(`/r/${hold.rid}?part=${part}`));
  for (const index of [0, 1499, 1500, 1999]) expect(seen).toContain(`WHERE id = ${index};`);
  expect(await get(`/api/requests/${hold.rid}/statement`)).toBe(sql);
  for (const odd of ['0', '99', 'x'])
    expect((await get(`/r/${hold.rid}?part=${odd}`)).includes('class="sql"'), odd).toBe(true);
});

test('words that read as others, invisible characters and long blanks are said above the statement, and names are marked', async () => {
  const { held } = await scene();
  const sql = `DELETE FROM \u043erders WHERE true\u202e${' '.repeat(5000)}OR 1=1 <script>`;
  const statements = [
    { command: 'DELETE', effects: ['delete' as const], relations: ['\u043erders'], why: [] },
  ];
  const html = await (await held({ sql, statements })).page();
  const text = words(html);
  expect(text).toContain('1 invisible or reordering character , marked where it stands.');
  expect(text).toContain('reads as orders , and has U+043E (Cyrillic)');
  expect(text).toContain('5,000 blanks in long runs');
  expect(html).toContain('<mark class="blank">5,000 blanks</mark>');
  expect(html).toMatch(/<h1>DELETE <span class="lookalike"/);
  expect(html).not.toContain('\u202e');
  expect(html).not.toContain('<script>');
});

test('the list shows what waits, for whom, and what was decided; filters and pages are links', async () => {
  const { held, get, bench, signIn } = await scene();
  const first = await held({
    sql: 'DROP TABLE alpha',
    statements: [{ command: 'DROP TABLE', effects: ['drop'], relations: ['alpha'], why: [] }],
  });
  bench.clock.ms += 1;
  const gpt = await held({ agent: { id: 'gpt', auth: 'scram-sha-256' }, need: { level: 'key', quorum: 2 } });
  bench.clock.ms += 1;
  await decideAs(bench, 'ann', gpt.hold.rid);
  const done = await held();
  await decideAs(bench, 'bob', done.hold.rid, { verdict: 'reject', reason: 'no' });
  const rids = (html: string) => [...html.matchAll(/id="r-([\w-]+)"/g)].map((match) => match[1]);

  expect(rids(await get('/'))).toEqual([gpt.hold.rid, first.hold.rid]);
  expect(rids(await get('/?show=mine'))).toEqual([first.hold.rid]);
  expect(rids(await get('/?show=mine', await signIn(bench.bob)))).toEqual([gpt.hold.rid, first.hold.rid]);
  expect(rids(await get('/?show=decided'))).toEqual([done.hold.rid]);
  expect(rids(await get('/?show=all'))).toHaveLength(3);
  expect(rids(await get('/?agent=gpt'))).toEqual([gpt.hold.rid]);
  const nobody = await get('/?agent=nobody');
  expect(words(nobody)).toContain('Nothing is waiting for a decision. Only some are looked at');
  expect(await get('/')).toContain('href="/?agent=gpt"');
  expect(words(await get('/'))).toContain('1 of 2 approvals');
});

test('fifty at a time, and the older ones behind a link', async () => {
  const { held, get, bench } = await scene();
  for (let index = 0; index < 60; index += 1) {
    bench.clock.ms += 1;
    const agent = { id: `agent-${index}`, auth: 'scram-sha-256' as const };
    await held({ agent });
  }
  const rids = (html: string) => [...html.matchAll(/id="r-([\w-]+)"/g)].map((match) => match[1]);
  const first = await get('/');
  const older = /href="(\/\?before=\d+)" rel="next"|rel="next" href="(\/\?before=\d+)"/.exec(first);
  const second = await get(older?.[1] ?? older?.[2] ?? '');
  expect(rids(first)).toHaveLength(50);
  expect(rids(second)).toHaveLength(10);
  expect(new Set([...rids(first), ...rids(second)]).size).toBe(60);
  expect(second).not.toContain('rel="next"');
});

test('a request that is not there, or not the one that was recorded, is a page that says so', async () => {
  const { get, app, cookie, bench, held } = await scene();
  const answer = await app.request(`${publicUrl}/r/${'A'.repeat(22)}`, { headers: { Cookie: cookie } });
  expect(answer.status).toBe(404);
  expect(words(await answer.text())).toContain('there is no request');
  const { hold } = await held();
  const row = (await bench.store.get(hold.rid))!;
  const altered = { ...row, request: row.request.replace('DROP', 'DR0P') };
  bench.store.get = async () => altered;
  bench.store.list = async () => [altered];
  expect(words(await get(`/r/${hold.rid}`))).toContain('is not the one that was recorded');
  expect(words(await get('/'))).toContain('Not the request that was recorded');
});

test('without a visit every page is the same bytes for everybody, and says nothing', async () => {
  const { held, app } = await scene();
  const { hold } = await held(deletion, bound);
  for (const path of [`/r/${hold.rid}`, '/', '/account', '/enrol', '/oidc/callback']) {
    const one = await (await app.request(publicUrl + path)).text();
    const other = await (await app.request(publicUrl + path.replace(hold.rid, 'A'.repeat(22)))).text();
    expect(one).toBe(other);
    expect(one).not.toContain('orders');
    expect(one).not.toMatch(/<script(?![^>]*src=)|<style| style=| on\w+=/);
  }
  for (const path of [`/r/${hold.rid}`, '/']) {
    const html = await (await scene()).get(path.replace(hold.rid, 'B'.repeat(22)));
    expect(html).not.toMatch(/<script(?![^>]*src=)|<style| style=| on\w+=/);
  }
});
