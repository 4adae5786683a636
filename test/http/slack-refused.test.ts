// Slack's callbacks over real HTTP: what looks like one and is none, comes from somebody else, late, twice, or says what
// no button said.

import { expect, test } from 'vitest';
import { HoldpointError } from '../../src/errors.ts';
import {
  approve,
  bench,
  form,
  held,
  outcomes,
  replace,
  send,
  slack,
  staging,
  state,
  whisper,
} from '../support/pressing.ts';
import { startReceiver } from '../support/receiver.ts';
import type { SignedCallback } from '../support/slack.ts';

test('a reason of ten kilobytes is refused in the form, and nothing is decided', async () => {
  const { hold, message } = await held();
  const answer = await send(slack.submit(await form(message), 'x'.repeat(10_240), 'UANN'));
  expect(await answer.json()).toEqual({
    response_action: 'errors',
    errors: { reason: 'At most 500 characters, please; these are 10240.' },
  });
  expect(await state(hold.rid)).toBe('pending');
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

test('a body of more than 128 KiB is not read on', async () => {
  expect((await send(slack.sign('x'.repeat(131_073)))).status).toBe(413);
});

test('while the store is out of reach a callback is answered in time, and nothing is decided', async () => {
  const { hold, message } = await held();
  replace({
    store: { once: async () => Promise.reject(new HoldpointError('store-unreachable', 'the store is gone')) },
  });
  expect((await send(approve(message))).status).toBe(503);
  replace({ store: { once: () => new Promise(() => {}) } });
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
