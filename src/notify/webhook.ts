// Webhook: a request's life as signed events for whatever takes them: Teams, mail gateways, pagers. The form is Standard
// Webhooks 1.0: webhook-id (the same at every attempt, so that a receiver can drop what it has), webhook-timestamp,
// webhook-signature. An event never carries what opens a request unless the operator asked for links.

import { createHmac } from 'node:crypto';
import type { Request } from '../approval/request.ts';
import { visibleText } from '../approval/visible.ts';
import type { Address, Channel, Crowd, Delivery, Lost, Memo } from './channel.ts';
import { endingWords, headline, type Notice, standing } from './notice.ts';
import { retryAfter } from './retry-after.ts';

/** Milliseconds for one delivery. */
const deliveryMs = 10_000;
/** Characters of a statement and of a reason that go along. */
const textCharactersMax = 2_000;

export interface WebhookOptions {
  /** Label of its metrics, and its name in the log. */
  readonly name: string;
  readonly url: string;
  /** The secret's bytes. */
  readonly key: Buffer;
  /** Undefined: all. */
  readonly environments: readonly string[] | undefined;
  readonly targets: readonly string[] | undefined;
  /** Whether events carry a link that opens the request. */
  readonly links: boolean;
  readonly link: (rid: string, rd: string, recipient: string) => Promise<string>;
  readonly told: (rid: string, message: string, to: string) => void;
  /** Wall clock, milliseconds. */
  readonly now: () => number;
}

/** One event, before it is signed. `id` is the same whenever the event is sent. */
interface Event {
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The secret of a `whsec_…` text as bytes; undefined if it is none of at least 16. */
export function webhookKey(secret: string): Buffer | undefined {
  const text = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1];
  const key = text === undefined ? undefined : Buffer.from(text, 'base64');
  return key !== undefined && key.length >= 16 ? key : undefined;
}

export class WebhookChannel implements Channel {
  readonly name: string;
  readonly atOnce = 4;
  readonly #options: WebhookOptions;

  constructor(options: WebhookOptions) {
    this.name = options.name;
    this.#options = options;
  }

  addresses({ db }: Request): readonly Address[] {
    const { environments, targets } = this.#options;
    if (environments !== undefined && !environments.includes(db.environment)) return [];
    if (targets !== undefined && !targets.includes(db.target)) return [];
    return [{ to: this.name, name: this.name }];
  }

  /** Sends each event that is due and was not sent, in the order in which things happen. */
  async deliver(notice: Notice, _address: Address, memo: Memo): Promise<Delivery> {
    let done: Delivery = { done: 'unchanged' };
    for (const type of due(notice, memo)) {
      const delivery = await this.#event(type, notice);
      if (!('done' in delivery)) return delivery;
      memo[type] = type === 'decided' ? String(votesOf(notice)) : 'sent';
      done = { done: type === 'opened' ? 'sent' : 'updated' };
    }
    return done;
  }

  async deliverCrowd(crowd: Crowd, _address: Address, memo: Memo): Promise<Delivery> {
    const count = `${crowd.waiting}/${crowd.asked}`;
    if (memo.count === count) return { done: 'unchanged' };
    const summary = `${crowd.agent}: ${crowd.waiting} of ${crowd.asked} more requests wait`;
    const { agent, targets, waiting, asked, page } = crowd;
    const delivery = await this.#send({
      id: `msg_${crowd.since}.${agent}.${asked}.${waiting}`,
      type: 'requests.waiting',
      data: { agent, targets, waiting, asked, link: page, summary },
    });
    if ('done' in delivery) memo.count = count;
    return delivery;
  }

  async deliverLost({ rid, headline: what, page }: Lost, _address: Address, memo: Memo): Promise<Delivery> {
    if (memo.opened === undefined) return { done: 'unchanged' };
    const summary = `${what}. Withdrawn: gone from the store, since Holdpoint was started anew or the store was emptied.`;
    const data = { id: rid, state: 'canceled', link: page, summary };
    return this.#send({ id: `msg_${rid}.ended`, type: 'request.ended', data });
  }

  async #event(type: EventType, notice: Notice): Promise<Delivery> {
    let link = notice.page;
    if (this.#options.links && notice.state === 'pending') {
      try {
        link = await this.#options.link(notice.rid, notice.rd, this.name);
      } catch {
        return { later: 'a link could not be recorded in the log', all: false };
      }
    }
    const id = `msg_${notice.rid}.${type}${type === 'decided' ? `.${votesOf(notice)}` : ''}`;
    const delivery = await this.#send({ id, type: `request.${type}`, data: dataOf(notice, link) });
    if ('done' in delivery && type === 'opened') this.#options.told(notice.rid, id, this.name);
    return delivery;
  }

  async #send(event: Event): Promise<Delivery> {
    const { url, key, now } = this.#options;
    const at = now();
    const seconds = Math.floor(at / 1000);
    const body = JSON.stringify({
      type: event.type,
      timestamp: new Date(at).toISOString(),
      data: event.data,
    });
    const signature = createHmac('sha256', key).update(`${event.id}.${seconds}.${body}`).digest('base64');
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'User-Agent': 'holdpoint',
          'webhook-id': event.id,
          'webhook-timestamp': String(seconds),
          'webhook-signature': `v1,${signature}`,
        },
        body,
        redirect: 'error',
        signal: AbortSignal.timeout(deliveryMs),
      });
      await response.body?.cancel();
      return answered(response, at);
    } catch (error) {
      const { name, cause } = error as { name?: string; cause?: { code?: unknown } };
      const why = name === 'TimeoutError' ? `no answer within ${deliveryMs / 1000} s` : 'no connection';
      return { later: typeof cause?.code === 'string' ? cause.code : why, all: true };
    }
  }
}

type EventType = 'opened' | 'decided' | 'ended' | 'executed';

/** Events that the request's state calls for and the memo does not have, in order. */
function due(notice: Notice, memo: Memo): EventType[] {
  const { state } = notice;
  const events: EventType[] = [];
  // Nobody is called for what was over before the call could be made; what came of it is told all the same.
  if (memo.opened === undefined && state === 'pending') events.push('opened');
  const votes = votesOf(notice);
  if (votes > 0 && memo.decided !== String(votes)) events.push('decided');
  if (['expired', 'canceled'].includes(state) && memo.ended === undefined) events.push('ended');
  if (['executed', 'failed', 'unknown'].includes(state) && memo.executed === undefined)
    events.push('executed');
  return events;
}

function votesOf({ approvals, state }: Notice): number {
  return approvals.length + (state === 'rejected' ? 1 : 0);
}

function dataOf(notice: Notice, link: string): Record<string, unknown> {
  const { rid, code, state, agent, onBehalfOf, target, environment, commands, relations, rows, reason } =
    notice;
  const statement = cut(notice.sql);
  return {
    id: rid,
    link,
    code,
    summary: `${headline(notice)}. ${standing(notice)}`,
    state,
    agent,
    onBehalfOf,
    target,
    environment,
    plan: notice.plan ?? null,
    commands,
    relations,
    rows,
    rule: notice.rule,
    statement,
    bytesNotShown: Buffer.byteLength(notice.sql) - Buffer.byteLength(beginning(notice.sql)),
    parameters: notice.parameters,
    // The agent's own words, and whoever shows them should say so.
    agentReason: reason === undefined ? null : cut(reason),
    created: new Date(notice.created).toISOString(),
    expires: new Date(notice.expires).toISOString(),
    need: notice.need,
    approvals: notice.approvals,
    ending: notice.ending === undefined ? null : { by: notice.ending.by, words: endingWords(notice) ?? null },
  };
}

function cut(text: string): string {
  return visibleText(beginning(text));
}

function beginning(text: string): string {
  return text.length <= textCharactersMax
    ? text
    : text.slice(0, textCharactersMax).replace(/[\ud800-\udbff]$/, '');
}

function answered(response: Response, nowMs: number): Delivery {
  if (response.ok) return { done: 'sent' };
  const why = `HTTP ${response.status}`;
  // Standard Webhooks: the receiver is gone for good.
  if (response.status === 410) return { refused: why };
  const busy = [429, 502, 503, 504].includes(response.status);
  return { later: why, all: busy, ...retryAfter(response.headers.get('retry-after'), nowMs) };
}
