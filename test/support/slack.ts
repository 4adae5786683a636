// A local server that speaks Slack's Web API over HTTP, as far as Holdpoint uses it: the token, the channels, the limits
// of Block Kit, rate limits, errors, silence. It keeps the messages that stand in its channels, and presses buttons and
// submits forms the way Slack does: signed, to the app's interactions URL.

import { createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { blockFaults, viewFaults } from './slack-limits.ts';

export interface SlackCall {
  readonly method: string;
  readonly args: Record<string, string>;
}

export interface PostedMessage {
  readonly channel: string;
  readonly ts: string;
  text: string;
  blocks: Block[];
  readonly unfurl: string;
  edits: number;
}

// biome-ignore lint/suspicious/noExplicitAny: whatever JSON was sent
export type Block = Record<string, any>;

/** What a call is answered with instead of the usual. */
export type Misfortune =
  | { readonly error: string }
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  | { readonly retryAfter: number }
  | 'reset'
  | 'hang';

export interface FakeSlack {
  readonly apiUrl: string;
  readonly token: string;
  readonly signingSecret: string;
  readonly team: string;
  readonly channel: string;
  /** All calls, in the order of their arrival. */
  readonly calls: SlackCall[];
  /** What stands in the channels, in the order of posting. */
  readonly messages: PostedMessage[];
  /** What was said to one person only. */
  readonly whispers: { user: string; text: string }[];
  /** Forms that are open, by their id. */
  readonly views: Map<string, Block>;
  /** What users.info says besides. */
  readonly users: Map<string, Record<string, unknown>>;
  /** The answer to every call, or to those of one method, until it is changed. */
  misfortune: ((call: SlackCall) => Misfortune | undefined) | undefined;
  /** Messages of the channel, or of the conversation with a user. */
  in(place: string): PostedMessage[];
  /** Resolves once `found` gives something. */
  until<T>(found: () => T | undefined | false): Promise<T>;
  /** The press of a button as Slack's callback. */
  press(message: PostedMessage, action: string, user: string, change?: Block): SignedCallback;
  /** The submission of an open form. */
  submit(view: Block, reason: string | null, user: string, change?: Block): SignedCallback;
  sign(body: string, atMs?: number): SignedCallback;
  close(): Promise<void>;
}

export interface SignedCallback {
  readonly body: string;
  readonly headers: Record<string, string>;
}

export function callbackBody(payload: unknown): string {
  return new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
}

export async function startSlack(): Promise<FakeSlack> {
  const slack = new SlackServer();
  await slack.listen();
  return slack;
}

class SlackServer implements FakeSlack {
  readonly token = `xoxb-${randomBytes(12).toString('hex')}`;
  readonly signingSecret = randomBytes(16).toString('hex');
  readonly team = 'T0SHOP';
  readonly channel = 'C0123';
  readonly calls: SlackCall[] = [];
  readonly messages: PostedMessage[] = [];
  readonly whispers: { user: string; text: string }[] = [];
  readonly views = new Map<string, Block>();
  readonly users = new Map<string, Record<string, unknown>>();
  misfortune: ((call: SlackCall) => Misfortune | undefined) | undefined;
  readonly #server: Server = createServer((request, response) => void this.#answer(request, response));
  readonly #listeners = new Set<() => void>();
  #count = 0;

  get apiUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/api/`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
  }

  in(place: string): PostedMessage[] {
    return this.messages.filter(({ channel }) => channel === place || channel === `D${place}`);
  }

  async until<T>(found: () => T | undefined | false): Promise<T> {
    for (;;) {
      const value = found();
      if (value !== undefined && value !== false) return value;
      await new Promise<void>((done) => this.#listeners.add(done));
    }
  }

  press(message: PostedMessage, action: string, user: string, change: Block = {}): SignedCallback {
    const button = message.blocks
      .flatMap((block) => (block.type === 'actions' ? block.elements : []))
      .find((element: Block) => element.action_id === action);
    if (button === undefined) throw new Error(`the message has no button ${action}`);
    return this.sign(
      callbackBody({
        type: 'block_actions',
        user: { id: user, username: 'someone', name: 'someone', team_id: this.team },
        team: { id: this.team, domain: 'shop' },
        api_app_id: 'A0',
        token: 'deprecated',
        container: { type: 'message', message_ts: message.ts, channel_id: message.channel },
        trigger_id: `trigger.${this.#next()}`,
        channel: { id: message.channel, name: 'approvals' },
        message: { type: 'message', ts: message.ts, text: message.text, blocks: message.blocks },
        response_url: new URL(`/actions/${user}`, this.apiUrl).href,
        actions: [
          {
            type: 'button',
            action_id: action,
            block_id: 'b',
            value: button.value,
            action_ts: `${Date.now() / 1000}`,
          },
        ],
        ...change,
      }),
    );
  }

  submit(view: Block, reason: string | null, user: string, change: Block = {}): SignedCallback {
    return this.sign(
      callbackBody({
        type: 'view_submission',
        user: { id: user, username: 'someone', name: 'someone', team_id: this.team },
        team: { id: this.team, domain: 'shop' },
        api_app_id: 'A0',
        token: 'deprecated',
        trigger_id: `trigger.${this.#next()}`,
        view: {
          ...view,
          state: { values: { reason: { reason: { type: 'plain_text_input', value: reason } } } },
        },
        response_urls: [],
        ...change,
      }),
    );
  }

  sign(body: string, atMs: number = Date.now()): SignedCallback {
    const timestamp = String(Math.floor(atMs / 1000));
    const hmac = createHmac('sha256', this.signingSecret).update(`v0:${timestamp}:${body}`).digest('hex');
    return {
      body,
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        'User-Agent': 'Slackbot 1.0 (+https://api.slack.com/robots)',
        'X-Slack-Request-Timestamp': timestamp,
        'X-Slack-Signature': `v0=${hmac}`,
      },
    };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  #next(): number {
    this.#count += 1;
    return this.#count;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += chunk;
    const path = request.url ?? '';
    if (path.startsWith('/actions/')) {
      this.whispers.push({ user: path.slice('/actions/'.length), text: JSON.parse(body).text });
      response.end('ok');
    } else {
      const call = {
        method: path.slice('/api/'.length),
        args: Object.fromEntries(new URLSearchParams(body)),
      };
      this.calls.push(call);
      const bad = this.misfortune?.(call);
      if (bad === 'reset') request.socket.destroy();
      else if (bad !== 'hang') this.#send(response, bad ?? this.#call(call, request.headers.authorization));
    }
    for (const done of this.#listeners) done();
    this.#listeners.clear();
  }

  #send(response: ServerResponse, answer: Exclude<Misfortune, string> | Block): void {
    if ('status' in answer) {
      response.writeHead(answer.status, answer.headers).end(answer.body ?? 'something else');
    } else if ('retryAfter' in answer) {
      response.writeHead(429, { 'Retry-After': String(answer.retryAfter) }).end();
    } else {
      const value = 'error' in answer ? { ok: false, ...answer } : { ok: true, ...answer };
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
    }
  }

  #call({ method, args }: SlackCall, authorization: string | undefined): Block {
    if (authorization !== `Bearer ${this.token}`) return { error: 'invalid_auth' };
    switch (method) {
      case 'auth.test':
        return { team_id: this.team, user_id: 'U0BOT', bot_id: 'B0BOT' };
      case 'chat.postMessage':
        return this.#post(args);
      case 'chat.update':
        return this.#update(args);
      case 'chat.postEphemeral':
        this.whispers.push({ user: args.user ?? '', text: args.text ?? '' });
        return { message_ts: '1' };
      case 'conversations.open':
        return /^U[A-Z0-9]+$/.test(args.users ?? '')
          ? { channel: { id: `D${args.users}` } }
          : { error: 'user_not_found' };
      case 'views.open':
        return this.#open(args);
      case 'users.info':
        return {
          user: { id: args.user, team_id: this.team, is_bot: false, ...this.users.get(args.user ?? '') },
        };
      default:
        return { error: 'unknown_method' };
    }
  }

  #post(args: Record<string, string>): Block {
    const { channel = '' } = args;
    if (channel !== this.channel && !channel.startsWith('DU')) return { error: 'channel_not_found' };
    const blocks = JSON.parse(args.blocks ?? '[]') as Block[];
    const faults = blockFaults(args.text, blocks);
    if (faults.length > 0) return { error: 'invalid_blocks', response_metadata: { messages: faults } };
    const ts = `1700000000.${String(this.#next()).padStart(6, '0')}`;
    const unfurl = `${args.unfurl_links}/${args.unfurl_media}`;
    this.messages.push({ channel, ts, text: args.text ?? '', blocks, unfurl, edits: 0 });
    return { channel, ts };
  }

  #update(args: Record<string, string>): Block {
    const message = this.messages.find(({ channel, ts }) => channel === args.channel && ts === args.ts);
    if (message === undefined) return { error: 'message_not_found' };
    const blocks = JSON.parse(args.blocks ?? '[]') as Block[];
    const faults = blockFaults(args.text, blocks);
    if (faults.length > 0) return { error: 'invalid_blocks', response_metadata: { messages: faults } };
    Object.assign(message, { text: args.text, blocks, edits: message.edits + 1 });
    return { channel: message.channel, ts: message.ts };
  }

  #open(args: Record<string, string>): Block {
    if (!args.trigger_id?.startsWith('trigger.')) return { error: 'invalid_trigger_id' };
    const view = JSON.parse(args.view ?? '{}') as Block;
    const faults = viewFaults(view);
    if (faults.length > 0) return { error: 'invalid_arguments', response_metadata: { messages: faults } };
    const opened = { ...view, id: `V${this.#next()}`, team_id: this.team };
    this.views.set(opened.id, opened);
    return { view: opened };
  }
}
