// Who reads the log over HTTP, what they are told and what they are not, without a browser; and the thread that reads it.

import { appendFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { expect, onTestFinished, test } from 'vitest';
import { Reader } from '../../src/trail/reader.ts';
import { checkBundle } from '../../verify/src/bundle.ts';
import { linkGate, newBench, newKey, publicUrl } from '../support/approvals.ts';
import { accessToken, agentPasswords, appOf, basic, getAs } from '../support/http.ts';
import { type WrittenLog, writtenLog } from '../trail/fixture.ts';

const evil = `select '</code><script>alert(1)</script>' -- \u202e`;

async function scene(written?: WrittenLog, readerOptions: { answerMs?: number } = {}) {
  const log =
    written ??
    (await writtenLog(120, {
      change: (n) =>
        n === 100
          ? { agent: 'gpt', cls: 'destroy', shadow: 'deny', sql: evil }
          : n === 101
            ? { agent: 'gpt', pc: ['c1', 'c2'], sql: 'update t set a = $1 where b = $2' }
            : {},
    }));
  const bench = await newBench();
  const reader = new Reader({ path: log.trail.path, ...readerOptions });
  onTestFinished(() => reader.close());
  const listeners = new Set<() => void>();
  const changes = (listener: () => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  const app = appOf(bench, { log: { reader, origin: 'holdpoint/test', changes } });
  const get = (path: string, headers: Record<string, string> = {}) =>
    app.request(publicUrl + path, { headers });
  const read = async (path: string) => {
    const answer = await getAs(app, bench, bench.ann, path);
    // biome-ignore lint/suspicious/noExplicitAny: the test says what is in it.
    return { status: answer.status, body: (await answer.json()) as any };
  };
  const session = async (headers: Record<string, string>, body: unknown) => {
    const answer = await app.request(`${publicUrl}/api/session`, {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json', Origin: publicUrl },
      body: JSON.stringify(body),
    });
    return answer.headers.getSetCookie()[0]!.split(';')[0]!;
  };
  const signIn = async () => {
    const token = await accessToken(bench, bench.ann, '/api/session', { htm: 'POST' });
    return { Cookie: await session({ Authorization: `Bearer ${token}` }, {}) };
  };
  return { log, bench, app, reader, listeners, get, read, session, signIn };
}

const paths = (seq: number) => ['/api/log', `/api/log/${seq}`, `/api/log/${seq}/proof`, '/api/log/events'];

test('nothing of the log is told to nobody, to a link, to an agent or to a stranger with a key', async () => {
  const { log, bench, app, get, session } = await scene();
  const seq = log.seqs.get(3)!;
  const { request, values } = linkGate({ created: bench.clock.now(), exp: bench.clock.now() + 3_600_000 });
  await bench.desk.open(request, values, 0);
  await expect.poll(() => bench.notified.length).toBeGreaterThan(0);
  const [, link] = bench.notified[0]!.link.split('#');
  const ofLink = await session({ Authorization: `Bearer ${link}` }, { rid: request.rid });
  const agent = basic('claude', agentPasswords.get('claude')!);
  const stranger = await newKey();
  for (const path of paths(seq)) {
    expect([path, (await get(path)).status]).toEqual([path, 401]);
    expect([path, (await get(path, agent)).status]).toEqual([path, 403]);
    expect([path, (await get(path, { Authorization: `Bearer ${link}` })).status]).toEqual([path, 401]);
    expect([path, (await get(path, { Cookie: ofLink })).status]).toEqual([path, 401]);
    expect([path, (await getAs(app, bench, stranger, path)).status]).toEqual([path, 401]);
    const told = await (await get(path, agent)).text();
    expect(told).not.toMatch(/select \d/);
  }
  const inert = await (await get('/log')).text();
  for (const path of ['/log', `/log/${seq}`, '/log?agent=gpt', '/log/999999'])
    for (const headers of [{}, { Cookie: ofLink }, agent] as Record<string, string>[])
      expect(await (await get(path, headers)).text()).toBe(inert);
});

test('an approver whose key was retired, or whose name became an agent, reads the log no more', async () => {
  const { bench, app, get, signIn, log } = await scene();
  const visit = await signIn();
  expect(await (await get('/log', visit)).text()).toContain('select 119');
  bench.book.agents.add('ann');
  for (const path of paths(log.seqs.get(3)!))
    expect([path, (await getAs(app, bench, bench.ann, path)).status]).toEqual([path, 401]);
  expect(await (await get('/log', visit)).text()).not.toContain('select 119');
  bench.book.agents.delete('ann');
  bench.book.keys.delete(bench.ann.kid);
  expect((await getAs(app, bench, bench.ann, '/api/log')).status).toBe(401);
  expect((await get('/api/log', visit)).status).toBe(401);
  expect(await (await get('/log', visit)).text()).not.toContain('select 119');
});

test('the API gives records with their outcomes, newest first, by page and by every filter', async () => {
  const { read, log } = await scene();
  const n = (body: { rows: { record: { n?: number } }[] }) => body.rows.map(({ record }) => record.n);
  const first = await read('/api/log?kind=stmt&limit=3');
  expect(first).toMatchObject({ status: 200, body: { origin: 'holdpoint/test', cut: false } });
  expect(n(first.body)).toEqual([119, 118, 117]);
  expect(first.body.rows[0].outcome).toMatchObject({ st: 'ok', rows: 119 });
  const second = await read(`/api/log?kind=stmt&limit=3&before=${first.body.older}`);
  expect(n(second.body)).toEqual([116, 115, 114]);
  expect(n((await read('/api/log?agent=gpt')).body)).toEqual([101, 100]);
  expect(n((await read('/api/log?verdict=deny,refuse')).body)).toEqual([]);
  expect(n((await read('/api/log?verdict=pass,deny&class=destroy,write')).body)).toEqual([100]);
  expect(n((await read('/api/log?class=destroy&outcome=ok')).body)).toEqual([100]);
  expect(n((await read('/api/log?text=SET+A')).body)).toEqual([101]);
  expect(n((await read('/api/log?target=nowhere')).body)).toEqual([]);
  expect(n((await read('/api/log?kind=stmt&since=2026-01-01&limit=500')).body)).toHaveLength(120);
  expect(n((await read('/api/log?kind=stmt&until=2026-01-01')).body)).toEqual([]);
  const older = await read(`/api/log?before=${log.seqs.get(2)}&kind=stmt`);
  expect(n(older.body)).toEqual([1, 0]);
});

test('what cannot be asked is a problem that names the parameter', async () => {
  const { read } = await scene();
  for (const [query, words] of [
    ['class=all', 'class is one of read, write'],
    ['verdict=pass,maybe', 'verdict is one of'],
    ['outcome=fine', 'outcome is one of'],
    ['since=yesterday', 'since is a time as in'],
    ['until=31.12.', 'until is a time as in'],
    ['before=x', 'before is the number of a record'],
    ['limit=0', 'limit is a number from 1 to 500'],
    ['limit=501', 'limit is a number from 1 to 500'],
    [`text=${'x'.repeat(201)}`, 'text is at most 200 characters'],
  ] as const) {
    const { status, body } = await read(`/api/log?${query}`);
    expect([query, status, body.type]).toEqual([query, 400, 'urn:holdpoint:error:bad-request']);
    expect(body.detail).toContain(words);
  }
  expect(await read('/api/log/99999')).toMatchObject({ status: 404, body: { code: 'not-found' } });
  expect(await read('/api/log/x')).toMatchObject({ status: 404 });
  expect(await read('/api/log/99999/proof')).toMatchObject({ status: 404 });
});

test('a story comes with a proof that an outsider checks; what the agent wrote is text, with what misleads made visible', async () => {
  const { read, get, signIn, log } = await scene();
  const seq = log.seqs.get(100)!;
  const { body } = await read(`/api/log/${seq}`);
  expect(body).toMatchObject({
    seq,
    statement: seq,
    request: null,
    complete: true,
    proof: { ok: true, records: 2 },
  });
  expect(body.records.map(({ kind }: { kind: string }) => kind)).toEqual(['stmt', 'outcome']);
  const proof = await get(`/api/log/${seq}/proof`, await signIn());
  expect(proof.headers.get('content-disposition')).toBe(`attachment; filename="holdpoint-${seq}.json"`);
  const checked = await checkBundle(await proof.text());
  expect(checked.records.map((record) => record.seq)).toEqual([seq, seq + 1]);
  expect(checked.rootKid).toBe(body.proof.rootKid);
  const page = await (await get(`/log/${seq}`, await signIn())).text();
  for (const html of [page, await (await get('/log?agent=gpt', await signIn())).text()]) {
    expect(html).not.toContain('<script>alert');
    expect(html).not.toContain('\u202e');
    expect(html).toContain('&lt;script&gt;alert(1)');
    expect(html).toContain('U+202E');
  }
  expect(page).toMatch(/Proof .*verified/);
  const values = await (await get(`/log/${log.seqs.get(101)}`, await signIn())).text();
  expect(values).toContain('2 values are in the log as');
});

test('the filter stays in its form, and what it says comes back as text', async () => {
  const { get, signIn } = await scene();
  const asked = `/log?agent=${encodeURIComponent('"><script>alert(1)</script>')}&verdict=hold`;
  const html = await (await get(asked, await signIn())).text();
  expect(html).not.toContain('<script>alert');
  expect(html).toContain('value="&quot;&gt;&lt;script&gt;alert(1)');
  expect(html).toContain('<option value="hold" selected>');
  expect(html).toContain('No record fits.');
});

test('whoever follows the log hears that it grew, and only while they may', async () => {
  const { get, signIn, listeners, bench } = await scene();
  const answer = await get('/api/log/events', await signIn());
  expect(answer.headers.get('content-type')).toBe('text/event-stream');
  const stream = answer.body!.getReader();
  const heard = async () => Buffer.from((await stream.read()).value ?? []).toString();
  expect(await heard()).toContain('event: open');
  for (const listener of listeners) listener();
  expect(await heard()).toContain('event: changed\ndata: log');
  bench.book.keys.delete(bench.ann.kid);
  for (const listener of listeners) listener();
  let rest = '';
  for (let chunk = await heard(); chunk !== ''; chunk = await heard()) rest += chunk;
  expect(rest).not.toContain('event: changed');
  expect(listeners.size).toBe(0);
});

test('a log that takes too long, or cannot be read, is said and stops nobody else', async () => {
  const log = await writtenLog(20);
  const slow = await scene(log, { answerMs: 0 });
  expect(await slow.read('/api/log')).toMatchObject({ status: 413, body: { code: 'too-complex' } });
  const page = await (await slow.get('/log', await slow.signIn())).text();
  expect(page).toContain('could not be read for this within 0 ms');
  const gone = await scene(log);
  const folder = log.trail.path;
  rmSync(folder, { recursive: true });
  expect((await gone.read('/api/log')).status).toBe(413);
  const crowded = await scene(await writtenLog(20));
  const all = await Promise.all(Array.from({ length: 50 }, () => crowded.read('/api/log')));
  const statuses = all.map(({ status }) => status);
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(33);
  expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(0);
  expect((await crowded.read('/api/log')).status).toBe(200);
});

test('who reads a long log does not hold up the process that writes it', async () => {
  const log = await writtenLog(10, { segmentBytesMax: 1 << 30 });
  const { read } = await scene(log);
  const last = log.trail.segments().at(-1)!;
  const filler = Array.from({ length: 100_000 }, (_, n) =>
    JSON.stringify({
      agent: 'a',
      dec: 'pass',
      kind: 'stmt',
      pad: 'x'.repeat(300),
      seq: 1000 + n,
      sql: `q${n}`,
      ts: 1e15,
    }),
  );
  appendFileSync(join(log.trail.path, last.name), `${filler.join('\n')}\n`);
  let longest = 0;
  let before = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - before);
    before = performance.now();
  }, 1);
  await read('/api/log?limit=1');
  longest = 0;
  const begun = performance.now();
  const { body } = await read('/api/log?text=nowhere+to+be+found');
  const took = performance.now() - begun;
  clearInterval(timer);
  expect(body).toMatchObject({ rows: [], cut: true });
  expect(body.older).toBeGreaterThan(1000);
  // The thread worked for most of that time; this one for little of it, however busy the machine is.
  expect(longest).toBeLessThan(Math.max(100, took * 0.8));
});
