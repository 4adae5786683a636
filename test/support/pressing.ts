// A Holdpoint with Slack before it, for each test anew: our HTTP side on a loopback port, a server that speaks Slack's
// API, a message in its channel, and the means to press its buttons. What is exported is that of the test under way.

import { afterEach, beforeEach, expect } from 'vitest';
import type { Hold } from '../../src/approval/hold.ts';
import { slackPorts } from '../../src/cli/notifications.ts';
import { freePort } from '../../src/demo/postgres.ts';
import { type HttpListener, listenHttp } from '../../src/http/server.ts';
import type { SlackPorts } from '../../src/http/slack.ts';
import { type Bench, gate } from './approvals.ts';
import { appOf, gateAt } from './http.ts';
import { newNotifying, slackChannel } from './notifying.ts';
import { type FakeSlack, type PostedMessage, type SignedCallback, startSlack } from './slack.ts';

export let slack: FakeSlack;
export let bench: Bench;
let url: string;
let listener: HttpListener;
let close: () => Promise<void>;
/** What became of each callback, and what was reported. */
export let outcomes: string[];
let change: Partial<SlackPorts>;

/** A target that a button in Slack may release. */
export const staging = {
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

/** A held statement and its message in the channel. */
export async function held(
  draft: Parameters<typeof gate>[0] = staging,
): Promise<{ hold: Hold; message: PostedMessage }> {
  const { request, values } = gateAt(url, gate, draft);
  const before = slack.messages.length;
  const hold = await bench.desk.open(request, values, 0);
  return { hold, message: await slack.until(() => slack.messages[before]) };
}

export function send(
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

export const state = async (rid: string) => (await bench.store.get(rid))?.state;
/** The first thing that was said to one person only. */
export const whisper = () => slack.until(() => slack.whispers[0]?.text);
export const approve = (message: PostedMessage, user = 'UANN', payload = {}) =>
  slack.press(message, 'holdpoint.approve', user, payload);

/** Presses Reject and gives the form that opens. */
export async function form(message: PostedMessage, user = 'UANN') {
  const open = slack.views.size;
  expect((await send(slack.press(message, 'holdpoint.reject', user))).status).toBe(200);
  return slack.until(() => [...slack.views.values()][open]);
}

/** Puts something else in the place of these ports, until the test ends. */
export function replace(ports: Partial<SlackPorts>): void {
  change = ports;
}
