// Slack's callbacks over real HTTP: a server that speaks Slack's API posts signed bytes to ours, and everybody else
// posts something that looks like it.

import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Hold } from '../../src/approval/hold.ts';
import { slackPorts } from '../../src/cli/notifications.ts';
import { freePort } from '../../src/demo/postgres.ts';
import { HoldpointError } from '../../src/errors.ts';
import { type HttpListener, listenHttp } from '../../src/http/server.ts';
import type { SlackPorts } from '../../src/http/slack.ts';
import { type Bench, gate } from '../support/approvals.ts';
import { appOf, gateAt } from '../support/http.ts';
import { newNotifying, slackChannel } from '../support/notifying.ts';
import { startReceiver } from '../support/receiver.ts';
import {
  callbackBody,
  type FakeSlack,
  type PostedMessage,
  type SignedCallback,
  startSlack,
} from '../support/slack.ts';

let slack: FakeSlack;
let bench: Bench;
let url: string;
let listener: HttpListener;
let close: () => Promise<void>;
let outcomes: string[];
/** Stands in front of the ports; set by a test. */
let change: Partial<SlackPorts>;

const staging = {
  db: {
    target: 'shop',
    environment: 'staging',
    name: 'shop',
    addr: '127.0.0.1:5432',
    version: '18.0',
    systemId: null,
  },
  need: { level: 'slack', quorum: 1 },
} as const;

beforeEach(async () => {
  slack = await startSlack();
  outcomes = [];
  change = {};
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const made = await newNotifying((ports) => [slackChannel(slack, ports)], {
    publicUrl: url,
    slackSecret: slack.signingSecret,
  });
  bench = made.bench;
  for (const name of ['ann', 'bob'])
    bench.book.accounts.set(`T0SHOP/U${name.toUpperCase()}`, { approver: name });
  const ports = slackPorts(
    {
      desk: bench.desk,
      store: bench.store,
      publicUrl: url,
      registry: bench.book,
      metrics: { slackCallback: (outcome) => outcomes.push(outcome) },
      report: (_, message, fields) => outcomes.push(`${message} ${JSON.stringify(fields)}`),
    },
    slack,
  );
  const app = appOf(bench, {
    publicUrl: url,
    slack: new Proxy(ports, { get: (from, name) => ({ ...from, ...change })[name as keyof SlackPorts] }),
  });
  listener = await listenHttp(app, { host: '127.0.0.1', port });
  close = () => made.courier.close(0);
});

afterEach(async () => {
  await close();
  await slack.close();
  await listener.close();
  bench.desk.close();
});

async function held(
  draft: Parameters<typeof gate>[0] = staging,
): Promise<{ hold: Hold; message: PostedMessage }> {
  const { request, values } = gateAt(url, gate, draft);
  const before = slack.messages.length;
  const hold = await bench.desk.open(request, values, 0);
  return { hold, message: await slack.until(() => slack.messages[before]) };
}

function send(
  { body, headers }: SignedCallback,
  more: Record<string, string> = {},
  method = 'POST',
): Promise<Response> {
  return fetch(`${url}/api/slack/interactions`, {
    method,
    headers: { ...headers, ...more },
    ...(method === 'POST' && { body }),
  });
}

const state = async (rid: string) => (await bench.store.get(rid))?.state;
const whisper = () => slack.until(() => slack.whispers[0]?.text);
const approve = (message: PostedMessage, user = 'UANN', payload = {}) =>
  slack.press(message, 'holdpoint.approve', user, payload);

/** Presses Reject and gives the form that opens. */
async function form(message: PostedMessage, user = 'UANN') {
  const open = slack.views.size;
  expect((await send(slack.press(message, 'holdpoint.reject', user))).status).toBe(200);
  return slack.until(() => [...slack.views.values()][open]);
}

test('Approve in staging releases the statement, with the callback as its evidence', async () => {
  const { hold, message } = await held();
  const answer = await send(approve(message));
  expect([answer.status, await answer.text()]).toEqual([200, '']);
  expect(await hold.settled).toMatchObject({ state: 'approved', by: ['ann'] });
  expect(await hold.claim()).toMatchObject({ by: ['ann'] });
  expect(bench.log.records[1]).toMatchObject({ kind: 'decision', ev: { kind: 'slack' } });
  expect(await whisper()).toBe(`You approved request ${hold.rid}.`);
  expect(outcomes).toEqual(['taken']);
});

test('Reject asks for the reason in a form, and the agent gets exactly these words', async () => {
  const { hold, message } = await held({});
  const view = await form(message);
  expect(view.private_metadata).toBe(`reject.${hold.rid}.${(await bench.store.get(hold.rid))?.rd}`);
  expect(await state(hold.rid)).toBe('pending');
  const reason = 'not before the <backup> & "never" on a Friday';
  const answer = await send(slack.submit(view, reason, 'UANN'));
  expect([answer.status, await answer.text()]).toEqual([200, '']);
  expect(await hold.settled).toMatchObject({ state: 'rejected', by: 'ann', reason });
  expect(await whisper()).toBe(`You rejected request ${hold.rid}; the agent is told your reason.`);
});

test('a form without a reason rejects too', async () => {
  const { hold, message } = await held();
  await send(slack.submit(await form(message), null, 'UBOB'));
  expect(await hold.settled).toMatchObject({ state: 'rejected', by: 'bob', reason: '' });
});

test('where the form cannot be opened, Reject rejects without one', async () => {
  slack.misfortune = ({ method }) => (method === 'views.open' ? { error: 'expired_trigger_id' } : undefined);
  const { hold, message } = await held();
  await send(slack.press(message, 'holdpoint.reject', 'UANN'));
  expect(await hold.settled).toMatchObject({ state: 'rejected', by: 'ann', reason: '' });
});

test('a reason of ten kilobytes is refused in the form, and nothing is decided', async () => {
  const { hold, message } = await held();
  const answer = await send(slack.submit(await form(message), 'x'.repeat(10_240), 'UANN'));
  expect(await answer.json()).toEqual({
    response_action: 'errors',
    errors: { reason: 'At most 500 characters, please; these are 10240.' },
  });
  expect(await state(hold.rid)).toBe('pending');
});

test('the answer comes before the work', async () => {
  let goOn: () => void = () => {};
  const waiting = new Promise<void>((done) => {
    goOn = done;
  });
  const { hold, message } = await held();
  change = {
    account: async () => {
      await waiting;
      return 'member';
    },
  };
  expect((await send(approve(message))).status).toBe(200);
  expect(await state(hold.rid)).toBe('pending');
  goOn();
  expect(await hold.settled).toMatchObject({ state: 'approved' });
});

test('bytes that Slack did not sign are refused before they are read', async () => {
  const { hold, message } = await held();
  const good = approve(message);
  const body = new URLSearchParams(good.body).get('payload')!;
  const bad: [string, SignedCallback][] = [
    ['no signature', { ...good, headers: { 'Content-Type': 'application/x-www-form-urlencoded' } }],
    [
      'a wrong signature',
      { ...good, headers: { ...good.headers, 'X-Slack-Signature': `v0=${'0'.repeat(64)}` } },
    ],
    [
      'a signature of another form',
      {
        ...good,
        headers: { ...good.headers, 'X-Slack-Signature': good.headers['X-Slack-Signature']!.slice(3) },
      },
    ],
    ['one byte more', { ...good, body: `${good.body}&` }],
    [
      'the same JSON, serialised again',
      {
        ...good,
        body: new URLSearchParams({ payload: JSON.stringify(JSON.parse(body), null, 1) }).toString(),
      },
    ],
    ['the same form, encoded otherwise', { ...good, body: `payload=${encodeURIComponent(body)}` }],
    [
      'another time',
      {
        ...good,
        headers: { ...good.headers, 'X-Slack-Request-Timestamp': String(Math.floor(Date.now() / 1000) + 1) },
      },
    ],
    ['a time in words', { ...good, headers: { ...good.headers, 'X-Slack-Request-Timestamp': 'now' } }],
    ['not even JSON', { ...good, body: 'payload={' }],
  ];
  for (const [name, callback] of bad) expect((await send(callback)).status, name).toBe(401);
  expect(await state(hold.rid)).toBe('pending');
  expect(bench.log.kinds()).toEqual(['hold']);
  expect(new Set(outcomes)).toEqual(new Set(['refused']));
});

test('a callback is good for five minutes, either way', async () => {
  const { hold, message } = await held();
  const { body } = approve(message);
  for (const minutes of [-6, 6])
    expect((await send(slack.sign(body, Date.now() + minutes * 60_000))).status).toBe(401);
  expect(await state(hold.rid)).toBe('pending');
  expect((await send(slack.sign(body, Date.now() - 4 * 60_000))).status).toBe(200);
  expect(await hold.settled).toMatchObject({ state: 'approved' });
});

test('a callback is taken once: a replay is refused, a retry of Slack is answered, and neither does anything', async () => {
  const first = await held({ ...staging, need: { level: 'slack', quorum: 2 } });
  const callback = approve(first.message);
  expect((await send(callback)).status).toBe(200);
  await whisper();
  expect((await send(callback)).status).toBe(409);
  for (const retry of ['1', '2', '3']) {
    const more = { 'X-Slack-Retry-Num': retry, 'X-Slack-Retry-Reason': 'http_timeout' };
    expect((await send(callback, more)).status).toBe(200);
  }
  // The same press, signed anew as a retry may be.
  const again = slack.sign(callback.body, Date.now() + 1_000);
  expect((await send(again, { 'X-Slack-Retry-Num': '1' })).status).toBe(200);
  expect(await slack.until(() => slack.whispers[1]?.text)).toBe(
    `Your decision on request ${first.hold.rid} was taken before.`,
  );
  expect((await bench.store.get(first.hold.rid))?.votes).toHaveLength(1);
  expect(bench.log.kinds()).toEqual(['hold', 'decision']);
  expect(outcomes).toEqual(['taken', 'replay', 'retry', 'retry', 'retry', 'taken']);
});

test('whoever is not an approver decides nothing, and is told so', async () => {
  const { hold, message } = await held();
  const strangers: [string, SignedCallback][] = [
    ['nobody known', approve(message, 'UEVE')],
    [
      'the right user of another team',
      approve(message, 'UANN', { user: { id: 'UANN', team_id: 'T0EVIL' }, team: { id: 'T0EVIL' } }),
    ],
    [
      'somebody of another workspace, in a shared channel',
      approve(message, 'UANN', { user: { id: 'UANN', team_id: 'T0EVIL' } }),
    ],
    ['a bot', approve(message, 'UANN', { user: { id: 'UANN', team_id: 'T0SHOP', is_bot: true } })],
    ['a guest', approve(message, 'UANN', { user: { id: 'UANN', team_id: 'T0SHOP', is_restricted: true } })],
    [
      'a guest of one channel',
      approve(message, 'UANN', { user: { id: 'UANN', team_id: 'T0SHOP', is_ultra_restricted: true } }),
    ],
    ['a stranger', approve(message, 'UANN', { user: { id: 'UANN', team_id: 'T0SHOP', is_stranger: true } })],
    ['a user without a name', approve(message, 'UANN', { user: null })],
    ['a form of nobody known', slack.submit(await form(message), 'no', 'UEVE')],
  ];
  outcomes.length = 0;
  for (const [name, callback] of strangers) expect((await send(callback)).status, name).toBe(403);
  expect(outcomes).toEqual(strangers.map(() => 'stranger'));
  expect(await whisper()).toContain('you are no approver here');
  expect(await state(hold.rid)).toBe('pending');
});

test.each([
  ['a bot', { is_bot: true }],
  ['a guest', { is_restricted: true }],
  ['deactivated', { deleted: true }],
  ['of another team', { team_id: 'T0EVIL' }],
])('an approver whom Slack now calls %s approves nothing', async (_, told) => {
  slack.users.set('UANN', told);
  const { hold, message } = await held();
  await send(approve(message));
  expect(await whisper()).toContain('Nothing was decided: ');
  expect(await state(hold.rid)).toBe('pending');
});

test('where Slack does not answer who somebody is nothing is approved; where it may not say, the registry is enough', async () => {
  const { hold, message } = await held();
  slack.misfortune = ({ method }) => (method === 'users.info' ? 'reset' : undefined);
  await send(approve(message));
  expect(await whisper()).toContain('Slack did not confirm who you are');
  expect(await state(hold.rid)).toBe('pending');
  slack.misfortune = ({ method }) => (method === 'users.info' ? { error: 'missing_scope' } : undefined);
  await send(approve(message));
  expect(await hold.settled).toMatchObject({ state: 'approved' });
});

test('a button that was never there approves nothing in production', async () => {
  const { hold, message } = await held({});
  expect(message.blocks.at(-1)?.elements.map((button: { action_id: string }) => button.action_id)).toEqual([
    'holdpoint.open',
    'holdpoint.reject',
  ]);
  const value = `approve.${hold.rid}.${(await bench.store.get(hold.rid))?.rd}`;
  const forged = slack.press(message, 'holdpoint.reject', 'UANN', {
    actions: [{ action_id: 'holdpoint.approve', value }],
  });
  await send(forged);
  expect(await whisper()).toContain('a production database is not released from Slack');
  expect(await state(hold.rid)).toBe('pending');
  expect(bench.log.kinds()).toEqual(['hold']);
});

test('what the message does not show whole is not approved from it, whatever is sent', async () => {
  const { hold, message } = await held({
    ...staging,
    sql: `DELETE FROM a${' '.repeat(10_000)}; DROP TABLE b`,
  });
  const value = `approve.${hold.rid}.${(await bench.store.get(hold.rid))?.rd}`;
  await send(slack.press(message, 'holdpoint.reject', 'UANN', { actions: [{ action_id: 'x', value }] }));
  expect(await whisper()).toContain('too long to be read here');
  expect(await state(hold.rid)).toBe('pending');
});

test('a form never approves, whatever its metadata says', async () => {
  const { hold, message } = await held();
  const view = await form(message);
  const metadata = view.private_metadata.replace('reject', 'approve');
  await send(slack.submit({ ...view, private_metadata: metadata }, '', 'UANN'));
  expect(await whisper()).toContain('the form is none of ours');
  expect(await state(hold.rid)).toBe('pending');
});

test('a stale button decides nothing: another request, another digest, one that is over', async () => {
  const { hold, message: live } = await held();
  // As it looks to somebody whose Slack has not been told yet.
  const message = structuredClone(live);
  const { rd } = (await bench.store.get(hold.rid))!;
  const pressed = (value: string) =>
    send(slack.press(message, 'holdpoint.approve', 'UANN', { actions: [{ action_id: 'x', value }] }));
  await pressed(`approve.${'A'.repeat(22)}.${rd}`);
  expect(await slack.until(() => slack.whispers[0]?.text)).toContain('there is no request');
  await pressed(`approve.${hold.rid}.${'A'.repeat(43)}`);
  expect(await slack.until(() => slack.whispers[1]?.text)).toContain('another state of request');
  for (const value of [
    '',
    'approve',
    `approve.${hold.rid}`,
    `approve.${hold.rid}.${rd}.x`,
    `APPROVE.${hold.rid}.${rd}`,
  ]) {
    expect((await pressed(value)).status).toBe(200);
  }
  expect(await state(hold.rid)).toBe('pending');
  await hold.cancel('client');
  await pressed(`approve.${hold.rid}.${rd}`);
  expect(await slack.until(() => slack.whispers[2]?.text)).toContain('is canceled');
  await send(
    slack.press(message, 'holdpoint.reject', 'UANN', {
      actions: [{ action_id: 'x', value: `reject.${hold.rid}.${rd}` }],
    }),
  );
  expect(await slack.until(() => slack.whispers[3]?.text)).toContain('is canceled');
  expect(slack.views.size).toBe(0);
  expect(bench.log.kinds()).toEqual(['hold', 'cancel']);
});

test('an agent and the people behind it approve nothing, whoever they are in Slack', async () => {
  bench.book.accounts.set('T0SHOP/UBOT', { approver: 'Claude' });
  const { hold, message } = await held({
    ...staging,
    agent: { id: 'claude', auth: 'scram-sha-256', obo: ['ann'] },
  });
  await send(approve(message, 'UBOT'));
  await send(approve(message, 'UANN'));
  await slack.until(() => slack.whispers.length === 2);
  expect(await state(hold.rid)).toBe('pending');
  await send(approve(message, 'UBOB'));
  expect(await hold.settled).toMatchObject({ by: ['bob'] });
});

test('two people in Slack are two; one who presses twice is one', async () => {
  const { hold, message } = await held({ ...staging, need: { level: 'slack', quorum: 2 } });
  await send(approve(message));
  expect(await whisper()).toBe(`You approved request ${hold.rid}; 1 more needed.`);
  await send(approve(message));
  await slack.until(() => slack.whispers.length === 2);
  expect(await state(hold.rid)).toBe('pending');
  await send(approve(message, 'UBOB'));
  expect(await hold.settled).toMatchObject({ by: ['ann', 'bob'] });
});

test('two people press at the same moment, one Approve and one Reject: decided once, and both are told', async () => {
  const { hold, message } = await held();
  const view = await form(message, 'UBOB');
  await Promise.all([send(approve(message)), send(slack.submit(view, 'no', 'UBOB'))]);
  await slack.until(() => slack.whispers.length === 2);
  const row = await bench.store.get(hold.rid);
  expect(row?.votes).toHaveLength(1);
  expect(['approved', 'rejected']).toContain(row?.state);
  expect(slack.whispers.filter(({ text }) => text.startsWith('You '))).toHaveLength(1);
});

test('GET, HEAD, OPTIONS and PUT change nothing', async () => {
  const { hold, message } = await held();
  const callback = approve(message);
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT'])
    expect((await send(callback, {}, method)).status).toBeLessThan(500);
  expect(await state(hold.rid)).toBe('pending');
  expect(bench.log.kinds()).toEqual(['hold']);
  expect(outcomes).toEqual([]);
});

test('Open is a button that decides nothing; other interactions are answered and left', async () => {
  const { hold, message } = await held();
  expect((await send(slack.press(message, 'holdpoint.open', 'UEVE'))).status).toBe(200);
  expect((await send(slack.sign(callbackBody({ type: 'view_closed' })))).status).toBe(200);
  expect((await send(slack.sign(callbackBody([])))).status).toBe(200);
  expect((await send(slack.sign('payload=%7B'))).status).toBe(400);
  expect((await send(slack.sign('payload=1&payload=2'))).status).toBe(400);
  expect(await state(hold.rid)).toBe('pending');
});

test('a body of more than 128 KiB is not read on', async () => {
  expect((await send(slack.sign('x'.repeat(131_073)))).status).toBe(413);
});

test('the longest message comes back whole in a callback, and is rejected from it', async () => {
  const long = '\u202e\u200b'.repeat(10_000);
  const { hold, message } = await held({
    sql: `SELECT '${long}'`,
    reason: long,
    statements: Array.from({ length: 20 }, (_, at) => ({
      command: `${at}${long}`,
      effects: ['drop'],
      relations: [`${at}${long}`],
      why: [],
    })),
    policy: { digest: 'p'.repeat(43), rule: 'r', reason: long },
  });
  const pressed = slack.press(message, 'holdpoint.reject', 'UANN');
  expect(pressed.body.length).toBeGreaterThan(20_000);
  expect((await send(pressed)).status).toBe(200);
  const view = await slack.until(() => [...slack.views.values()][0]);
  await send(slack.submit(view, 'no', 'UANN'));
  expect(await hold.settled).toMatchObject({ state: 'rejected' });
});

test('while the store is out of reach a callback is answered in time, and nothing is decided', async () => {
  const { hold, message } = await held();
  change = {
    store: { once: async () => Promise.reject(new HoldpointError('store-unreachable', 'the store is gone')) },
  };
  expect((await send(approve(message))).status).toBe(503);
  change = { store: { once: () => new Promise(() => {}) } };
  const from = performance.now();
  expect((await send(approve(message))).status).toBe(503);
  expect(performance.now() - from).toBeLessThan(3_000);
  expect(await state(hold.rid)).toBe('pending');
});

test('words to one person go to Slack only, wherever a callback says they should go', async () => {
  const { message } = await held();
  const elsewhere = await startReceiver();
  await send(approve(message, 'UEVE', { response_url: elsewhere.url }));
  expect(await whisper()).toContain('no approver');
  expect(slack.calls.at(-1)).toMatchObject({
    method: 'chat.postEphemeral',
    args: { user: 'UEVE', channel: 'C0123' },
  });
  expect(elsewhere.delivered).toEqual([]);
  await elsewhere.close();
});
