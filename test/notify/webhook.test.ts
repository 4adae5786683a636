// Signed events over real HTTP, verified by the reference library of Standard Webhooks.

import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebhookChannel, type WebhookOptions, webhookKey } from '../../src/notify/webhook.ts';
import { decideAs, gate } from '../support/approvals.ts';
import { eventually, type Notifying, newNotifying } from '../support/notifying.ts';
import { type Delivered, type Receiver, startReceiver } from '../support/receiver.ts';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
let receiver: Receiver;
let scenes: Notifying[] = [];

beforeEach(async () => {
  receiver = await startReceiver();
});

afterEach(async () => {
  for (const { courier } of scenes) await courier.close(0);
  scenes = [];
  await receiver.close();
});

async function scene(
  change: Partial<WebhookOptions> = {},
  options: Parameters<typeof newNotifying>[1] = {},
): Promise<Notifying> {
  const made = await newNotifying(
    (ports) => [
      new WebhookChannel({
        name: 'webhook',
        url: receiver.url,
        key: webhookKey(secret)!,
        environments: undefined,
        targets: undefined,
        links: false,
        now: Date.now,
        ...ports,
        ...change,
      }),
    ],
    options,
  );
  scenes.push(made);
  return made;
}

async function ask({ bench }: Notifying, change: Parameters<typeof gate>[0] = {}) {
  const { request, values } = gate(change);
  return bench.desk.open(request, values, 0);
}

interface Event {
  type: string;
  timestamp: string;
  data: Record<string, unknown>;
}

/** The event of a delivery, once the reference library has verified it. */
function verified({ body, headers }: Delivered): Event {
  return new Webhook(secret).verify(body, headers) as Event;
}

const types = (): string[] => receiver.delivered.map((each) => verified(each).type);

test('events are verified by the reference library, and by nobody with another secret or body', async () => {
  const made = await scene();
  const hold = await ask(made, { reason: 'clean\u202e up' });
  const delivery = await receiver.until(() => receiver.delivered[0]);
  expect(verified(delivery)).toMatchObject({
    type: 'request.opened',
    data: {
      id: hold.rid,
      link: `http://holdpoint.test/r/${hold.rid}`,
      code: expect.stringMatching(/^\w{3}-\w{3}$/),
      summary: 'claude: DROP TABLE orders on shop (production). Waiting for a decision of level key.',
      state: 'pending',
      statement: 'DROP TABLE orders',
      bytesNotShown: 0,
      agentReason: 'clean⟨U+202E⟩ up',
    },
  });
  expect(delivery.headers['content-type']).toBe('application/json');
  const other = new Webhook(`whsec_${randomBytes(32).toString('base64')}`);
  expect(() => other.verify(delivery.body, delivery.headers)).toThrow();
  expect(() => new Webhook(secret).verify(`${delivery.body} `, delivery.headers)).toThrow();
});

test('opened, decided, executed: one event each, in this order, each with an id of its own', async () => {
  const made = await scene();
  const hold = await ask(made);
  await receiver.until(() => receiver.delivered.length === 1);
  await decideAs(made.bench, 'ann', hold.rid);
  await receiver.until(() => receiver.delivered.length === 2);
  await hold.claim();
  await made.bench.desk.finish(hold.rid, 'executed', 'DROP TABLE');
  await receiver.until(() => receiver.delivered.length === 3);
  await made.courier.close(60_000);
  expect(types()).toEqual(['request.opened', 'request.decided', 'request.executed']);
  const [, decided, executed] = receiver.delivered.map(verified);
  expect(decided?.data).toMatchObject({ state: 'approved', approvals: [{ by: 'ann', level: 'key' }] });
  expect(executed?.data).toMatchObject({ state: 'executed', ending: { by: 'server', words: 'DROP TABLE' } });
  const ids = receiver.delivered.map(({ headers }) => headers['webhook-id']);
  expect(ids).toEqual(['opened', 'decided.1', 'executed'].map((name) => `msg_${hold.rid}.${name}`));
});

test('rejected, expired and withdrawn requests are told as decided and ended', async () => {
  const made = await scene();
  const rejected = await ask(made);
  await decideAs(made.bench, 'bob', rejected.rid, { verdict: 'reject', reason: 'no\u0007' });
  await receiver.until(() => types().includes('request.decided'));
  const withdrawn = await ask(made, { sql: 'DROP TABLE a' });
  await withdrawn.cancel('client');
  await receiver.until(() => types().filter((type) => type === 'request.ended').length === 1);
  await ask(made, { sql: 'DROP TABLE b' });
  await made.bench.clock.pass(3_600_000);
  await receiver.until(() => types().filter((type) => type === 'request.ended').length === 2);
  const last = receiver.delivered.map(verified).filter(({ type }) => type !== 'request.opened');
  expect(last.map(({ data }) => data.state)).toEqual(['rejected', 'canceled', 'expired']);
  expect(last[0]?.data.ending).toEqual({ by: 'bob', words: 'no⟨U+0007⟩' });
});

test('a delivery that fails comes again under the same id, and with a signature of its own time', async () => {
  const made = await scene();
  receiver.answer = () =>
    receiver.delivered.length === 1 ? 'reset' : { status: receiver.delivered.length < 4 ? 500 : 200 };
  await ask(made);
  await receiver.until(() => receiver.delivered.length === 4);
  await eventually(() => made.outcomes.includes('webhook sent'));
  expect(new Set(receiver.delivered.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  expect(types()).toEqual(Array(4).fill('request.opened'));
  expect(made.outcomes).toEqual(['webhook retried', 'webhook retried', 'webhook retried', 'webhook sent']);
  expect(made.reports.join()).not.toMatch(/whsec|secret-path|127\.0\.0\.1/);
});

test('events that came while the receiver was down arrive in order; nobody is called for what is over', async () => {
  const made = await scene();
  receiver.answer = () => 'reset';
  const hold = await ask(made);
  await receiver.until(() => receiver.delivered.length > 0);
  await decideAs(made.bench, 'ann', hold.rid);
  await hold.claim();
  await made.bench.desk.finish(hold.rid, 'failed', '23503');
  await receiver.until(() => receiver.delivered.length > 2);
  receiver.answer = undefined;
  const failed = receiver.delivered.length;
  await receiver.until(() => types().slice(failed).includes('request.executed'));
  expect(types().slice(failed)).toEqual(['request.decided', 'request.executed']);
});

test('Retry-After is kept to, and 410 is the last word', async () => {
  const made = await scene();
  let openAt = 0;
  receiver.answer = () => {
    if (openAt !== 0) return { status: performance.now() < openAt ? 200 : 410 };
    openAt = performance.now() + 10_000 / 50 - 1;
    return { status: 429, headers: { 'Retry-After': '10' } };
  };
  await ask(made);
  await eventually(() => made.outcomes.length === 2);
  expect(made.outcomes).toEqual(['webhook retried', 'webhook refused']);
  expect(receiver.delivered).toHaveLength(2);
});

test('a redirect is not followed: what is told goes where the operator said', async () => {
  const elsewhere = await startReceiver();
  const made = await scene();
  receiver.answer = () => ({ status: 307, headers: { Location: elsewhere.url } });
  await ask(made);
  await eventually(() => made.outcomes.length > 0);
  expect(made.outcomes[0]).toBe('webhook retried');
  expect(elsewhere.delivered).toEqual([]);
  await elsewhere.close();
});

test('a link that opens the request goes along only where the operator asked for it, and the log names the webhook', async () => {
  const made = await scene({ links: true, name: 'pager' });
  const hold = await ask(made);
  const { data } = verified(await receiver.until(() => receiver.delivered[0]));
  expect(data.link).toMatch(new RegExp(`^http://holdpoint.test/r/${hold.rid}#`));
  expect(made.bench.log.told).toContainEqual({
    kind: 'notify',
    rid: hold.rid,
    channel: 'link',
    message: expect.any(String),
    to: ['pager'],
  });
});

test('a webhook is told of its own targets and environments only', async () => {
  const made = await scene({ environments: ['staging'], targets: ['other'] });
  await ask(made);
  const { db } = gate().request;
  await ask(made, { db: { ...db, environment: 'staging' }, sql: 'DROP TABLE a' });
  await ask(made, { db: { ...db, environment: 'staging', target: 'other' }, sql: 'DROP TABLE b' });
  await receiver.until(() => receiver.delivered.length === 1);
  await made.courier.close(60_000);
  expect(receiver.delivered.map((each) => verified(each).data.statement)).toEqual(['DROP TABLE b']);
});

test('an agent in haste is told of as a number', async () => {
  const made = await scene({}, { pendingMax: 100 });
  for (let count = 0; count < 30; count += 1) await ask(made, { sql: `DROP TABLE t${count}` });
  await receiver.until(() =>
    receiver.delivered
      .map(verified)
      .some(({ type, data }) => type === 'requests.waiting' && data.asked === 25),
  );
  await made.courier.close(60_000);
  expect(types().filter((type) => type === 'request.opened')).toHaveLength(5);
  expect(types().filter((type) => type === 'requests.waiting').length).toBeLessThan(5);
});

test('values of parameters and the secret stay here', async () => {
  const made = await scene();
  const values = {
    params: [{ oid: 25, format: 0, salt: 'AAAAAAAAAAAAAAAAAAAAAA', value: Buffer.from('4711-private') }],
  };
  const { request } = gate({ sql: 'DELETE FROM a WHERE b = $1' }, values);
  await made.bench.desk.open(request, values, 0);
  const { body } = await receiver.until(() => receiver.delivered[0]);
  expect(body).not.toContain('4711-private');
  expect(JSON.parse(body).data.parameters).toBe(1);
  expect(JSON.stringify(receiver.delivered)).not.toContain(secret.slice(6));
});

test('only a whsec_ secret of at least 16 bytes is a key', () => {
  expect(webhookKey(secret)).toHaveLength(32);
  expect(webhookKey('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')).toHaveLength(24);
  for (const bad of ['', 'whsec_', 'whsec_c2hvcnQ=', secret.slice(6), 'whsec_%%%%%%%%%%%%%%%%%%%%%%%%%']) {
    expect(webhookKey(bad)).toBeUndefined();
  }
});
