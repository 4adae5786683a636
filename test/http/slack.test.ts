// Slack's callbacks over real HTTP: what a person can do there, and what comes of it.

import { expect, test } from 'vitest';
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
import { callbackBody } from '../support/slack.ts';

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

test('the answer comes before the work', async () => {
  let goOn: () => void = () => {};
  const waiting = new Promise<void>((done) => {
    goOn = done;
  });
  const { hold, message } = await held();
  replace({
    account: async () => {
      await waiting;
      return 'member';
    },
  });
  expect((await send(approve(message))).status).toBe(200);
  expect(await state(hold.rid)).toBe('pending');
  goOn();
  expect(await hold.settled).toMatchObject({ state: 'approved' });
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
