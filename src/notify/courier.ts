// Courier: keeps what people were told of each request up to date, through every channel. It learns of requests from the
// desk, reads their state only when a message is about to be written, and so always tells the last one. Nobody waits for
// it: its two calls put letters into bounded queues and return. Refuses to know how a channel looks.

import { isEnd } from '../approval/decision.ts';
import type { DeskNotify } from '../approval/ports.ts';
import type { IntactRequest } from '../approval/release.ts';
import type { Request } from '../approval/request.ts';
import { HoldpointError } from '../errors.ts';
import type { StoredRequest } from '../store/store.ts';
import type { Address, Channel, Delivery, Memo } from './channel.ts';
import { Crowds } from './crowd.ts';
import { Lane, type LaneOptions, type LaneOutcome } from './lane.ts';
import { headline, noticeOf } from './notice.ts';
import type { Kept, Posted } from './posted.ts';

/** Messages remembered per channel, so that they can be brought up to date. */
const messagesMax = 20_000;
/** How long after its time a request may still change: a released statement runs as long as it runs. */
const overMs = 24 * 3_600_000;
/** The message of a crowd is changed at most so often: it changes with every request of an agent in haste. */
const crowdEveryMs = 5_000;
/** Every message is looked at so often, so many of them: the event that should have changed one can be lost. */
const lookEveryMs = 60_000;
const looksMax = 500;
/** A queue that stands for so long is worth a warning. */
const lateMs = 30_000;

export interface CourierOptions extends Pick<LaneOptions, 'mono' | 'after' | 'random'> {
  readonly channels: readonly Channel[];
  /** A stored request whose digest was checked. Rejects with `not-found`, `conflict`, `store-unreachable`. */
  readonly look: (rid: string) => Promise<{ row: StoredRequest; intact: IntactRequest }>;
  readonly publicUrl: string;
  /** Wall clock, milliseconds. */
  readonly now: () => number;
  /** Counts an attempt. */
  readonly outcome: (channel: string, outcome: LaneOutcome) => void;
  readonly report: (level: 'info' | 'warn', message: string, fields: Record<string, unknown>) => void;
  /** Where messages are remembered over a restart; without it they are not. */
  readonly posted?: Posted;
}

/** One message: a request or a crowd at one address. */
interface Message extends Kept {
  readonly address: Address;
  memo: Memo;
  /** False for one of the process before. */
  readonly own: boolean;
}

interface Post {
  readonly channel: Channel;
  readonly lane: Lane;
  /** By the name of their letter, in the order of their first one. */
  readonly messages: Map<string, Message>;
}

/** One a process. */
export class Courier implements DeskNotify {
  readonly #options: CourierOptions;
  readonly #posts: readonly Post[];
  readonly #crowds = new Crowds();
  #stopLooking: () => void = () => {};
  /** Crowds whose message was changed a moment ago; `again` if there is more to tell. */
  readonly #crowdTurns = new Map<string, { again: boolean }>();

  constructor(options: CourierOptions) {
    this.#options = options;
    this.#posts = options.channels.map((channel) => this.#post(channel));
    if (this.#posts.length > 0) this.#lookAgain();
  }

  /** Takes up the messages of the process before. What became of their requests, the store tells, or its silence. */
  async resume(): Promise<void> {
    const kept = (await this.#options.posted?.load()) ?? [];
    for (const { channel, ...message } of kept) {
      const post = this.#posts.find((each) => each.channel.name === channel);
      const name = letterOf(message.subject, message.address);
      post?.messages.set(name, { ...message, memo: { ...message.memo }, own: false });
      post?.lane.put(name);
    }
  }

  opened(request: Request): void {
    const { now } = this.#options;
    const { rid } = request;
    const admission = this.#crowds.admit({ rid, agent: request.agent.id, target: request.db.target }, now());
    for (const post of this.#posts) {
      const addresses = post.channel.addresses(request);
      const each = admission === 'each';
      const told = each ? addresses : addresses.slice(0, 1);
      const subject = each ? { rid } : admission;
      for (const address of told)
        this.#begin(post, { subject, address, memo: {}, until: request.exp, headline: '', own: true });
    }
  }

  changed(rid: string): void {
    if (this.#crowds.isMember(rid)) {
      void this.#leaveCrowd(rid);
      return;
    }
    for (const { messages, lane } of this.#posts) {
      for (const [name, { subject }] of messages) if ('rid' in subject && subject.rid === rid) lane.put(name);
    }
  }

  /** What is not as it should be, for /readyz: sentences by channel. Notifications never make a Holdpoint unready. */
  warnings(): { name: string; warnings: string[] }[] {
    return this.#posts.flatMap(({ channel: { name }, lane }) => {
      const late = lane.lagMs > lateMs;
      if (lane.why === undefined && !late) return [];
      const wait = `${lane.length} ${lane.length === 1 ? 'message waits' : 'messages wait'}, the oldest for ${Math.round(lane.lagMs / 1000)} s`;
      const why = lane.why === undefined ? '' : `; the last attempt failed: ${lane.why}`;
      return [{ name: `notifications through ${name}`, warnings: [`${wait}${why}`] }];
    });
  }

  /** Letters waiting and the age of the oldest, by channel. */
  queues(): { channel: string; letters: number; lagMs: number }[] {
    return this.#posts.map(({ channel, lane }) => ({
      channel: channel.name,
      letters: lane.length,
      lagMs: lane.lagMs,
    }));
  }

  /** Sends what it can within `ms`, and then nothing more. */
  async close(ms: number): Promise<void> {
    this.#stopLooking();
    await Promise.all(this.#posts.map(({ lane }) => lane.close(ms)));
    await this.#save();
  }

  #lookAgain(): void {
    this.#stopLooking = this.#options.after(lookEveryMs, () => {
      for (const { messages, lane } of this.#posts) {
        let looks = 0;
        for (const [name, { subject }] of messages) {
          if (looks >= looksMax) break;
          if ('rid' in subject && lane.put(name)) looks += 1;
        }
      }
      this.#lookAgain();
    });
  }

  #post(channel: Channel): Post {
    const { mono, after, random, outcome, report } = this.#options;
    const messages = new Map<string, Message>();
    const lane = new Lane({
      mono,
      after,
      random,
      atOnce: channel.atOnce,
      deliver: (letter) => this.#deliver(channel, messages, letter),
      outcome: (what, letter, why) => {
        outcome(channel.name, what);
        if (what === 'given-up' || what === 'refused') messages.delete(letter);
        if (what === 'refused') report('warn', `a notification through ${channel.name} was refused`, { why });
      },
      trouble: (why) =>
        why === undefined
          ? report('info', `notifications through ${channel.name} get through again`, {})
          : report('warn', `notifications through ${channel.name} do not get through`, { why }),
    });
    return { channel, lane, messages };
  }

  #begin(post: Post, message: Message): void {
    const name = letterOf(message.subject, message.address);
    if (!post.messages.has(name)) {
      this.#makeRoom(post);
      post.messages.set(name, message);
    }
    if ('rid' in message.subject) post.lane.put(name);
    else this.#putCrowd(post, name);
  }

  /** At once if it was quiet, else when the time of the last one is over. */
  #putCrowd({ lane }: Pick<Post, 'lane'>, name: string): void {
    const before = this.#crowdTurns.get(name);
    if (before !== undefined) {
      before.again = true;
      return;
    }
    const turn = { again: false };
    this.#crowdTurns.set(name, turn);
    lane.put(name);
    this.#options.after(crowdEveryMs, () => {
      this.#crowdTurns.delete(name);
      if (turn.again) this.#putCrowd({ lane }, name);
    });
  }

  #makeRoom({ messages }: Post): void {
    const now = this.#options.now();
    for (const [name, { until }] of messages) {
      if (messages.size < messagesMax && until + overMs > now) break;
      messages.delete(name);
    }
  }

  async #deliver(channel: Channel, messages: Map<string, Message>, letter: string): Promise<Delivery> {
    const message = messages.get(letter);
    if (message === undefined) return { done: 'unchanged' };
    const { subject, address, memo } = message;
    if ('crowd' in subject) {
      const crowd = this.#crowds.get(subject.crowd, `${this.#options.publicUrl}/`);
      return crowd === undefined ? { done: 'unchanged' } : channel.deliverCrowd(crowd, address, memo);
    }
    const found = await this.#look(subject.rid);
    if ('later' in found || 'refused' in found) return found;
    if ('lost' in found) return this.#deliverLost(channel, messages, letter, message);
    const notice = noticeOf(found.row, found.intact, this.#options.publicUrl);
    message.headline = headline(notice);
    const delivery = await channel.deliver(notice, address, memo);
    if ('done' in delivery && isEnd(notice.state)) messages.delete(letter);
    if ('done' in delivery && delivery.done !== 'unchanged') void this.#save();
    return delivery;
  }

  /** The request is not in the store. A store that was emptied gets back what this process waits for, in a while. */
  async #deliverLost(
    channel: Channel,
    messages: Map<string, Message>,
    letter: string,
    { subject, address, memo, headline, own, until }: Message,
  ): Promise<Delivery> {
    if (!('rid' in subject) || (own && this.#options.now() < until)) return { done: 'unchanged' };
    const lost = { rid: subject.rid, headline, page: `${this.#options.publicUrl}/` };
    const told = Object.keys(memo).length > 0 ? await channel.deliverLost(lost, address, memo) : undefined;
    if (told === undefined || 'done' in told) messages.delete(letter);
    void this.#save();
    return told ?? { done: 'unchanged' };
  }

  async #look(
    rid: string,
  ): Promise<
    { row: StoredRequest; intact: IntactRequest } | { lost: true } | Exclude<Delivery, { done: string }>
  > {
    try {
      return await this.#options.look(rid);
    } catch (error) {
      const code = error instanceof HoldpointError ? error.code : undefined;
      if (code === 'not-found') return { lost: true };
      if (code === 'conflict')
        return { refused: `request ${rid} in the store is not the one that was recorded` };
      return { later: 'the store cannot be read', all: true };
    }
  }

  async #leaveCrowd(rid: string): Promise<void> {
    const found = await this.#look(rid);
    if ('row' in found && found.row.state === 'pending') return;
    const crowd = this.#crowds.leave(rid);
    if (crowd === undefined) return;
    for (const post of this.#posts) {
      for (const [name, { subject }] of post.messages)
        if ('crowd' in subject && subject.crowd === crowd) this.#putCrowd(post, name);
    }
  }

  async #save(): Promise<void> {
    const { posted } = this.#options;
    if (posted === undefined) return;
    const kept = this.#posts.flatMap(({ channel, messages }) =>
      [...messages.values()]
        .filter(({ subject, memo }) => 'rid' in subject && Object.keys(memo).length > 0)
        .map(({ own: _, ...message }) => ({ ...message, channel: channel.name })),
    );
    await posted.save(kept);
  }
}

function letterOf(subject: Kept['subject'], { to }: Address): string {
  return 'rid' in subject ? `${subject.rid} ${to}` : `crowd ${subject.crowd} ${to}`;
}
