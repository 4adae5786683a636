// Slack: one message about a request in the channel, with the address of its page, and one to each approver who is known
// in Slack, with a link of their own. Each is changed in place as the request goes on. Refuses to know retries (the
// lane's) and callbacks (http/slack.ts). audit-approval "Slack/Teams/mail specifics".

import { createHash } from 'node:crypto';
import type { Request } from '../approval/request.ts';
import type { Address, Channel, Crowd, Delivery, Lost, Memo } from './channel.ts';
import type { Notice } from './notice.ts';
import { crowdMessage, lostMessage, requestMessage, type SlackMessage } from './slack-blocks.ts';
import type { SlackAnswer, SlackClient } from './slack-client.ts';

/** An approver in Slack: ids, never names or addresses. */
export interface SlackPerson {
  readonly name: string;
  readonly team: string;
  readonly user: string;
}

export interface SlackChannelOptions {
  readonly client: SlackClient;
  /** Id of the channel that agents are not in. */
  readonly channel: string;
  /** Approvers who may decide on the request, and are known in Slack. */
  readonly people: (request: Request) => readonly SlackPerson[];
  /** A link of the recipient's own. */
  readonly link: (rid: string, rd: string, recipient: string) => Promise<string>;
  /** Records which message told whom. */
  readonly told: (rid: string, message: string, to: string) => void;
}

/** Conversations with people remembered. */
const conversationsMax = 10_000;

export class SlackChannel implements Channel {
  readonly name = 'slack';
  readonly atOnce = 4;
  readonly #options: SlackChannelOptions;
  readonly #conversations = new Map<string, string>();

  constructor(options: SlackChannelOptions) {
    this.#options = options;
  }

  addresses(request: Request): readonly Address[] {
    const { channel, people } = this.#options;
    return [
      { to: channel, name: channel },
      ...people(request).map(({ name, user }) => ({ to: `@${user}`, name })),
    ];
  }

  async deliver(notice: Notice, address: Address, memo: Memo): Promise<Delivery> {
    const person = address.to.startsWith('@');
    const pending = notice.state === 'pending';
    // A person is asked, not informed of what was over before the question could be put.
    if (person && !pending && memo.ts === undefined) return { done: 'unchanged' };
    let open = notice.page;
    if (person && pending) {
      try {
        open = await this.#options.link(notice.rid, notice.rd, address.name);
      } catch {
        return { later: 'a link could not be recorded in the log', all: false };
      }
    }
    const delivery = await this.#show(requestMessage(notice, open), address, memo);
    if ('done' in delivery && delivery.done === 'sent') {
      this.#options.told(notice.rid, `${memo.channel}/${memo.ts}`, address.name);
    }
    return delivery;
  }

  deliverCrowd(crowd: Crowd, address: Address, memo: Memo): Promise<Delivery> {
    return this.#show(crowdMessage(crowd), address, memo);
  }

  async deliverLost(lost: Lost, address: Address, memo: Memo): Promise<Delivery> {
    if (memo.ts === undefined) return { done: 'unchanged' };
    return this.#show(lostMessage(lost), address, memo);
  }

  /** Posts the message, or changes the one that stands there. */
  async #show(message: SlackMessage, address: Address, memo: Memo): Promise<Delivery> {
    const shown = createHash('sha256').update(JSON.stringify(message)).digest('base64url');
    if (memo.shown === shown) return { done: 'unchanged' };
    if (memo.ts !== undefined && memo.channel !== undefined) {
      const place = { channel: memo.channel, ts: memo.ts };
      const answer = await this.#options.client.call('chat.update', { ...place, ...message, ...asItIs });
      if (answer.ok) {
        memo.shown = shown;
        return { done: 'updated' };
      }
      // Somebody deleted it; what is over need not be told anew.
      if (answer.error === 'message_not_found') return { done: 'unchanged' };
      return failed(answer);
    }
    const where = await this.#conversation(address);
    if (typeof where !== 'string') return where;
    const answer = await this.#options.client.call('chat.postMessage', {
      channel: where,
      ...message,
      ...asItIs,
      unfurl_links: false,
      unfurl_media: false,
    });
    if (!answer.ok) return failed(answer);
    const { channel, ts } = answer.body;
    if (typeof ts !== 'string') return { refused: 'Slack took the message and did not say where it stands' };
    memo.channel = typeof channel === 'string' ? channel : where;
    memo.ts = ts;
    memo.shown = shown;
    return { done: 'sent' };
  }

  /** The id to post to: a channel's own, or that of the conversation with a person. */
  async #conversation({ to }: Address): Promise<string | Delivery> {
    if (!to.startsWith('@')) return to;
    const known = this.#conversations.get(to);
    if (known !== undefined) return known;
    const answer = await this.#options.client.call('conversations.open', { users: to.slice(1) });
    if (!answer.ok) return failed(answer);
    const { id } = (answer.body.channel ?? {}) as { id?: unknown };
    if (typeof id !== 'string') return { refused: 'Slack opened no conversation with an approver' };
    if (this.#conversations.size >= conversationsMax) this.#conversations.clear();
    this.#conversations.set(to, id);
    return id;
  }
}

/** Slack adds nothing of its own to the text: no links of words that look like one, no mentions. */
const asItIs = { parse: 'none', link_names: false };

function failed(answer: Extract<SlackAnswer, { ok: false }>): Delivery {
  if (answer.retry === 'never') return { refused: answer.error };
  return {
    later: answer.error,
    all: answer.retry === 'everything',
    ...(answer.afterMs !== undefined && { afterMs: answer.afterMs }),
  };
}
