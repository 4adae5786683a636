// Crowds: which requests are told one by one, and which only as a number. An agent that asks a thousand times a minute
// would train people to approve without reading, so each agent has so many messages in a while, and what comes faster is
// gathered in one message that is kept up to date. Pure given now. audit-approval §15 P8, §19 B17.

import type { Crowd } from './channel.ts';

/** Messages one agent may cause at once, and how long it takes until it may cause one more. */
export const messagesAtOnce = 5;
export const messageEveryMs = 20_000;

/** A crowd is over when nothing of it waits and nothing was added for so long; then the next one is a new message. */
const crowdQuietMs = 5 * 60_000;

const agentsMax = 10_000;

interface Gathered {
  readonly waiting: Set<string>;
  readonly targets: Set<string>;
  readonly since: number;
  asked: number;
  last: number;
}

/** What came of one look: told by itself, or in the message of the crowd that it joined. */
export type Admission = 'each' | { readonly crowd: string };

/** The rates of all agents. */
export class Crowds {
  /** Messages an agent has left, and when that was true. */
  readonly #left = new Map<string, { messages: number; at: number }>();
  readonly #gathered = new Map<string, Gathered>();
  /** Request → agent, of requests that are in a crowd. */
  readonly #members = new Map<string, string>();

  /** A new request. `now` in milliseconds; it must not go back. */
  admit(request: { rid: string; agent: string; target: string }, now: number): Admission {
    const { rid, agent, target } = request;
    if (this.#spend(agent, now)) return 'each';
    const before = this.#gathered.get(agent);
    const over = before !== undefined && before.waiting.size === 0 && now - before.last > crowdQuietMs;
    const crowd: Gathered =
      before === undefined || over
        ? { waiting: new Set(), targets: new Set(), since: now, asked: 0, last: now }
        : before;
    crowd.waiting.add(rid);
    crowd.targets.add(target);
    crowd.asked += 1;
    crowd.last = now;
    this.#gathered.set(agent, crowd);
    this.#members.set(rid, agent);
    return { crowd: crowdName(agent, crowd.since) };
  }

  /** Takes a request that is decided or over out of its crowd; the crowd's name, if it was in one. */
  leave(rid: string): string | undefined {
    const agent = this.#members.get(rid);
    const crowd = agent === undefined ? undefined : this.#gathered.get(agent);
    this.#members.delete(rid);
    if (agent === undefined || crowd === undefined || !crowd.waiting.delete(rid)) return undefined;
    return crowdName(agent, crowd.since);
  }

  isMember(rid: string): boolean {
    return this.#members.has(rid);
  }

  /** The crowd of that name as it is now. */
  get(name: string, page: string): Crowd | undefined {
    const agent = name.slice(name.indexOf(' ') + 1);
    const crowd = this.#gathered.get(agent);
    if (crowd === undefined || crowdName(agent, crowd.since) !== name) return undefined;
    const { waiting, asked, since, targets } = crowd;
    return { agent, targets: [...targets], waiting: waiting.size, asked, since, page };
  }

  #spend(agent: string, now: number): boolean {
    const before = this.#left.get(agent) ?? { messages: messagesAtOnce, at: now };
    const regained = Math.floor(Math.max(0, now - before.at) / messageEveryMs);
    const messages = Math.min(messagesAtOnce, before.messages + regained);
    const at = messages === messagesAtOnce ? now : before.at + regained * messageEveryMs;
    if (this.#left.size >= agentsMax && !this.#left.has(agent)) this.#left.clear();
    this.#left.set(agent, { messages: Math.max(0, messages - 1), at });
    return messages > 0;
  }
}

/** A crowd that began anew is another message. */
function crowdName(agent: string, since: number): string {
  return `${since} ${agent}`;
}
