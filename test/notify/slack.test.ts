// The messages that stand in Slack, over real HTTP against a server that speaks Slack's API.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { messagesAtOnce } from '../../src/notify/crowd.ts';
import { Posted } from '../../src/notify/posted.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { decideAs, gate, linkGate, turn } from '../support/approvals.ts';
import { eventually, type Notifying, newNotifying, slackChannel } from '../support/notifying.ts';
import { type FakeSlack, type PostedMessage, startSlack } from '../support/slack.ts';

let slack: FakeSlack;
let scenes: Notifying[] = [];

beforeEach(async () => {
  slack = await startSlack();
});

afterEach(async () => {
  for (const { courier } of scenes) await courier.close(0);
  scenes = [];
  await slack.close();
});

const team = ['ann', 'bob'].map((name) => ({ name, team: 'T0SHOP', user: `U${name.toUpperCase()}` }));

async function scene(
  people: Parameters<typeof slackChannel>[2] = () => [],
  options: Parameters<typeof newNotifying>[1] = {},
): Promise<Notifying> {
  const made = await newNotifying((ports) => [slackChannel(slack, ports, people)], options);
  scenes.push(made);
  return made;
}

async function ask({ bench }: Notifying, change: Parameters<typeof gate>[0] = {}, make: typeof gate = gate) {
  const { request, values } = make(change);
  return bench.desk.open(request, values, 0);
}

const title = (message: PostedMessage): string => message.blocks[0]?.text.text;
const told = (message: PostedMessage): string => JSON.stringify(message.blocks);

test('a request is one message in the channel, with its page and no token, and nothing unfurled', async () => {
  const made = await scene();
  const hold = await ask(made);
  const message = await slack.until(() => slack.messages[0]);
  expect(title(message)).toBe('Held for approval: DROP TABLE on shop (production)');
  expect(message).toMatchObject({ channel: 'C0123', unfurl: 'false/false' });
  expect(told(message)).toContain(`/r/${hold.rid}"`);
  expect(told(message)).not.toContain('#');
  expect(slack.calls[0]?.args).toMatchObject({ parse: 'none' });
  await eventually(() => made.outcomes.length > 0);
  expect(made.bench.log.told).toContainEqual({
    kind: 'notify',
    rid: hold.rid,
    channel: 'test',
    message: `C0123/${message.ts}`,
    to: ['C0123'],
  });
});

test('each approver gets a link of their own by a message of their own, and the log says which is whose', async () => {
  const made = await scene(() => team);
  const hold = await ask(made);
  await slack.until(() => slack.messages.length === 3);
  const links = team.map(({ name, user }) => {
    const [message] = slack.in(user);
    const url: string = message?.blocks.at(-1)?.elements[0].url;
    expect(url).toMatch(new RegExp(`^http://holdpoint.test/r/${hold.rid}#`));
    const claims = JSON.parse(Buffer.from(url.split('#')[1]!.split('.')[1]!, 'base64url').toString());
    expect(claims).toMatchObject({ sub: hold.rid });
    expect(made.bench.log.told).toContainEqual({
      kind: 'notify',
      rid: hold.rid,
      channel: 'link',
      message: claims.jti,
      to: [name],
    });
    return url;
  });
  expect(new Set(links).size).toBe(2);
  expect(told(slack.in('C0123')[0]!)).not.toContain('#');
});

test('the message follows its request: decided, released and executed with its command tag', async () => {
  const made = await scene(() => team.slice(0, 1));
  const hold = await ask(made);
  await slack.until(() => slack.messages.length === 2);
  await decideAs(made.bench, 'ann', hold.rid);
  await slack.until(() => slack.messages.every((message) => title(message).startsWith('Approved')));
  await hold.claim();
  await slack.until(() => slack.messages.every((message) => title(message).startsWith('Released')));
  await made.bench.desk.finish(hold.rid, 'executed', 'DROP TABLE');
  await slack.until(() => slack.messages.every((message) => title(message).startsWith('Executed')));
  expect(slack.messages).toHaveLength(2);
  for (const message of slack.messages) {
    expect(told(message)).toContain('Approved by ann (key). Executed.');
    expect(told(message)).toContain('"DROP TABLE"');
    expect(told(message)).not.toContain('holdpoint.reject');
    expect(told(message)).not.toContain('#');
  }
});

test.each([
  [
    'rejected',
    'Rejected',
    async (made: Notifying, rid: string) =>
      void (await decideAs(made.bench, 'bob', rid, { verdict: 'reject', reason: 'not before the <backup>' })),
    'not before the &lt;backup&gt;',
  ],
  [
    'expired',
    'Expired',
    async (made: Notifying) => void (await made.bench.clock.pass(3_600_000)),
    'nothing was released',
  ],
  [
    'withdrawn',
    'Withdrawn',
    async (_: Notifying, __: string, cancel: () => Promise<void>) => cancel(),
    'the client canceled the statement',
  ],
] as const)('a request that is %s says so in its message', async (_, heading, end, words) => {
  const made = await scene();
  const hold = await ask(made);
  await slack.until(() => slack.messages.length === 1);
  await end(made, hold.rid, () => hold.cancel('client'));
  const message = await slack.until(() => slack.messages.find((each) => title(each).startsWith(heading)));
  expect(told(message)).toContain(words);
  expect(slack.messages).toHaveLength(1);
});

test('while Slack is down nothing is held up, and afterwards one message tells the last state', async () => {
  const made = await scene(() => team);
  slack.misfortune = () => 'reset';
  const hold = await ask(made);
  await slack.until(() => slack.calls.length > 0);
  await decideAs(made.bench, 'ann', hold.rid);
  expect(await hold.claim()).toMatchObject({ by: ['ann'] });
  await made.bench.desk.finish(hold.rid, 'executed', 'DROP TABLE');
  expect(slack.messages).toEqual([]);
  await slack.until(() => slack.calls.length > 2);
  expect(made.courier.warnings()[0]?.name).toBe('notifications through slack');
  expect(made.courier.warnings()[0]?.warnings[0]).toMatch(
    /the last attempt failed: (UND_ERR_SOCKET|ECONNRESET)/,
  );
  slack.misfortune = undefined;
  await slack.until(() => slack.messages[0]);
  await made.courier.close(60_000);
  expect(slack.messages.map(title)).toEqual(['Executed: DROP TABLE on shop (production)']);
  expect(made.courier.warnings()).toEqual([]);
  expect(made.reports.map((line) => line.replace(/ \{.*/, ''))).toEqual([
    'warn notifications through slack do not get through',
    'info notifications through slack get through again',
  ]);
  expect(made.reports.join()).not.toContain(slack.token);
});

test('a message that was posted before Slack went down is brought to the last state, once, when it is back', async () => {
  const made = await scene();
  const hold = await ask(made);
  await slack.until(() => slack.messages.length === 1);
  slack.misfortune = () => ({ status: 503, body: '<html>down</html>' });
  await decideAs(made.bench, 'ann', hold.rid);
  await hold.claim();
  await made.bench.desk.finish(hold.rid, 'failed', '23503');
  await slack.until(() => slack.calls.length > 2);
  slack.misfortune = undefined;
  await slack.until(() => title(slack.messages[0]!).startsWith('Failed'));
  expect(slack.messages).toHaveLength(1);
  expect(slack.messages[0]?.edits).toBe(1);
});

test('a rate limit is kept to: no call before Retry-After is over', async () => {
  let openAt = 0;
  const early: string[] = [];
  slack.misfortune = ({ method }) => {
    if (openAt !== 0 && performance.now() < openAt) early.push(method);
    if (openAt !== 0) return undefined;
    // A queue in haste waits a fiftieth of it.
    openAt = performance.now() + 20_000 / 50 - 1;
    return { retryAfter: 20 };
  };
  const made = await scene();
  await ask(made);
  await eventually(() => made.outcomes.length > 0);
  await ask(made, { sql: 'DROP TABLE customers' });
  await eventually(() => made.outcomes.length === 3);
  expect(slack.messages).toHaveLength(2);
  expect(early).toEqual([]);
  expect(made.outcomes).toEqual(['slack retried', 'slack sent', 'slack sent']);
});

test.each([
  ['a page of somebody else', { status: 200, body: '<html>Please log in</html>' }],
  ['an internal error', { error: 'internal_error' }],
  ['a rate limit without a time', { status: 429 }],
  ['a token that was revoked, until it is not', { error: 'token_revoked' }],
  ['a channel that the app is not in, until it is', { error: 'not_in_channel' }],
] as const)('%s is tried again', async (_, misfortune) => {
  const made = await scene();
  let tries = 0;
  slack.misfortune = () => {
    tries += 1;
    return tries < 3 ? misfortune : undefined;
  };
  await ask(made);
  await slack.until(() => slack.messages.length === 1);
  expect(made.outcomes.filter((each) => each === 'slack retried')).toHaveLength(2);
});

test('a message that Slack refuses is not sent again, and said to the operator', async () => {
  const made = await scene(() => [{ name: 'gone', team: 'T0SHOP', user: 'nobody' }]);
  await ask(made);
  await slack.until(() => slack.messages.length === 1);
  await made.courier.close(60_000);
  expect(made.outcomes.sort()).toEqual(['slack refused', 'slack sent']);
  expect(made.reports).toEqual(['warn a notification through slack was refused {"why":"user_not_found"}']);
});

test('a message that somebody deleted is not posted again when its request ends', async () => {
  const made = await scene();
  const hold = await ask(made);
  await slack.until(() => slack.messages.length === 1);
  slack.messages.length = 0;
  await hold.cancel('client');
  await slack.until(() => slack.calls.some(({ method }) => method === 'chat.update'));
  await made.courier.close(60_000);
  expect(slack.messages).toEqual([]);
});

test('a change that nobody heard of is seen at the next look', async () => {
  const hasty = (ms: number, then: () => void) => {
    const timer = setTimeout(then, ms / 2_000).unref();
    return () => clearTimeout(timer);
  };
  const made = await scene(() => [], { deaf: true, after: hasty });
  const hold = await ask(made);
  await eventually(() => made.outcomes.filter((each) => each === 'slack unchanged').length >= 3);
  expect(slack.calls).toHaveLength(1);
  await hold.cancel('client');
  await slack.until(() => title(slack.messages[0]!).startsWith('Withdrawn'));
});

test('a message whose request is over is remembered no longer', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'holdpoint-posted-'));
  const file = join(dir, 'messages.json');
  const made = await scene(() => team, { posted: new Posted(file, () => {}) });
  const hold = await ask(made);
  await slack.until(() => slack.messages.length === 3);
  await eventually(() => existsSync(file));
  await hold.cancel('client');
  await slack.until(() => slack.messages.every((message) => title(message).startsWith('Withdrawn')));
  await made.courier.close(60_000);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ messages: [] });
  rmSync(dir, { recursive: true });
});

test('a store that is empty for a while takes nothing back; one that stays empty does, once the time is over', async () => {
  const store = new MemoryStore();
  let empty = false;
  const get = store.get.bind(store);
  store.get = async (rid) => (empty ? undefined : get(rid));
  const made = await scene(() => [], { store });
  const holds = [await ask(made), await ask(made, { sql: 'DROP TABLE customers' })];
  await slack.until(() => slack.messages.length === 2);
  await eventually(() => made.outcomes.length === 2);
  empty = true;
  for (const { rid } of holds) made.courier.changed(rid);
  await eventually(() => made.outcomes.length === 4);
  expect(made.outcomes.slice(2)).toEqual(['slack unchanged', 'slack unchanged']);
  empty = false;
  await holds[0]!.cancel('client');
  await slack.until(() => title(slack.messages[0]!).startsWith('Withdrawn: DROP TABLE'));
  empty = true;
  made.bench.clock.ms += 3_600_000;
  made.courier.changed(holds[1]!.rid);
  await slack.until(() => told(slack.messages[1]!).includes('is gone from the store'));
});

test('a slow Slack delays neither decision nor release', async () => {
  const made = await scene();
  slack.misfortune = () => 'hang';
  const hold = await ask(made);
  await slack.until(() => slack.calls.length === 1);
  await decideAs(made.bench, 'ann', hold.rid);
  expect(await hold.claim()).toMatchObject({ by: ['ann'] });
  expect(slack.calls).toHaveLength(1);
});

test('an agent in haste causes a handful of messages, and one that gathers the rest and is kept up to date', async () => {
  const made = await scene(() => team, { pendingMax: 1000 });
  const holds = [];
  for (let count = 0; count < 60; count += 1) holds.push(await ask(made, { sql: `DROP TABLE t${count}` }));
  const crowd = await slack.until(() =>
    slack.messages.find((message) => told(message).includes('55 of them wait for a decision')),
  );
  expect(title(crowd)).toBe('Many requests of claude');
  expect(slack.in('C0123')).toHaveLength(messagesAtOnce + 1);
  for (const hold of holds) await hold.cancel('client');
  await slack.until(() => told(crowd).includes('None of them waits any more.'));
  expect(slack.in('C0123')).toHaveLength(messagesAtOnce + 1);
  expect(slack.messages).toHaveLength(messagesAtOnce * 3 + 1);
});

test('the message of a crowd is changed once in a while, not with each request', async () => {
  const waits: number[] = [];
  const never = (ms: number): (() => void) => {
    waits.push(ms);
    return () => {};
  };
  const made = await scene(() => [], { pendingMax: 1000, after: never });
  for (let count = 0; count <= messagesAtOnce; count += 1) await ask(made, { sql: `DROP TABLE t${count}` });
  await eventually(() => made.outcomes.length === messagesAtOnce + 1);
  for (let count = 0; count < 10; count += 1) await ask(made, { sql: `DROP TABLE more${count}` });
  await turn();
  expect(made.outcomes).toHaveLength(messagesAtOnce + 1);
  expect(made.courier.queues()).toMatchObject([{ letters: 0 }]);
  expect(waits).toContain(5_000);
});

test('a message outlives the process: its request, gone with the memory of the last one, is told as withdrawn', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'holdpoint-posted-'));
  const file = join(dir, 'messages.json');
  const failures: string[] = [];
  const posted = () => new Posted(file, (why) => failures.push(why));
  const before = await scene(() => team.slice(0, 1), { posted: posted() });
  const hold = await ask(before, {}, linkGate as typeof gate);
  await slack.until(() => slack.messages.length === 2);
  await before.courier.close(60_000);
  expect(readFileSync(file, 'utf8')).not.toMatch(/#|eyJ/);
  const after = await scene(() => [], { posted: posted() });
  await after.courier.resume();
  await slack.until(() =>
    slack.messages.every((message) => title(message).startsWith('Withdrawn: claude: DROP TABLE')),
  );
  for (const message of slack.messages) {
    expect(told(message)).toContain(`request ${hold.rid} is gone from the store`);
    expect(told(message)).not.toContain('holdpoint.approve');
  }
  await after.courier.close(60_000);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ messages: [] });
  writeFileSync(file, 'not JSON');
  const broken = await scene(() => [], { posted: posted() });
  await broken.courier.resume();
  expect(failures).toHaveLength(1);
  rmSync(dir, { recursive: true });
});

test('a message of a request that goes on in another store is taken up where it stands', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'holdpoint-posted-'));
  const posted = () => new Posted(join(dir, 'messages.json'), () => {});
  const before = await scene(() => [], { posted: posted() });
  const hold = await ask(before);
  await slack.until(() => slack.messages.length === 1);
  await before.courier.close(60_000);
  const after = await scene(() => [], { posted: posted(), store: before.bench.store, like: before.bench });
  await after.courier.resume();
  await turn();
  await decideAs(after.bench, 'bob', hold.rid, { verdict: 'reject', reason: 'no' });
  await slack.until(() => title(slack.messages[0]!).startsWith('Rejected'));
  expect(slack.messages).toHaveLength(1);
  rmSync(dir, { recursive: true });
});
