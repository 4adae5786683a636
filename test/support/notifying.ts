// A bench whose desk tells a courier, which tells a Slack-like server or whatever channels a test brings. The desk's
// clock stands still; the courier's queues run in real time, with waits cut short so that no test sleeps for seconds.

import type { Request } from '../../src/approval/request.ts';
import type { Channel } from '../../src/notify/channel.ts';
import { Courier, type CourierOptions } from '../../src/notify/courier.ts';
import { SlackChannel, type SlackPerson } from '../../src/notify/slack.ts';
import { SlackClient } from '../../src/notify/slack-client.ts';
import { type Bench, newBench, publicUrl } from './approvals.ts';
import type { FakeSlack } from './slack.ts';

export interface Notifying {
  readonly bench: Bench;
  readonly courier: Courier;
  /** `channel outcome`, in order. */
  readonly outcomes: string[];
  readonly reports: string[];
}

/** Waits of the queues are divided by this. */
const haste = 50;

/** Waits for a condition that work under way, or a timer, will bring about; the test's own limit ends it. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((done) => setTimeout(done, 2));
}

/** `channels` is asked with the bench, because channels ask the desk for links. */
export async function newNotifying(
  channels: (ports: {
    link: (rid: string, rd: string, recipient: string) => Promise<string>;
    told: (rid: string, message: string, to: string) => void;
  }) => Channel[],
  options: Parameters<typeof newBench>[0] &
    Partial<Pick<CourierOptions, 'after' | 'posted'>> & {
      /** Hears of new requests, and of no change. */
      deaf?: true;
    } = {},
): Promise<Notifying> {
  const outcomes: string[] = [];
  const reports: string[] = [];
  const ports = {
    link: async (rid: string, rd: string, recipient: string) =>
      bench.desk.link((await bench.desk.get(rid)).intact.request, rd, recipient),
    told: (rid: string, message: string, to: string) =>
      void bench.log.append({ kind: 'notify', rid, channel: 'test', message, to: [to] }),
  };
  const courier = new Courier({
    channels: channels(ports),
    look: (rid) => bench.desk.get(rid),
    publicUrl: options.publicUrl ?? publicUrl,
    now: () => bench.clock.now(),
    mono: () => performance.now() * haste,
    random: () => 0,
    after: (ms, then) => {
      const timer = setTimeout(then, ms / haste).unref();
      return () => clearTimeout(timer);
    },
    outcome: (channel, outcome) => outcomes.push(`${channel} ${outcome}`),
    report: (level, message, fields) => reports.push(`${level} ${message} ${JSON.stringify(fields)}`),
    ...(options.posted !== undefined && { posted: options.posted }),
    ...(options.after !== undefined && { after: options.after }),
  });
  const bench: Bench = await newBench({
    ...options,
    notify: options.deaf ? { opened: (request) => courier.opened(request), changed: () => {} } : courier,
  });
  return { bench, courier, outcomes, reports };
}

/** The Slack channel of a Slack-like server. */
export function slackChannel(
  slack: FakeSlack,
  ports: Pick<ConstructorParameters<typeof SlackChannel>[0], 'link' | 'told'>,
  people: (request: Request) => readonly SlackPerson[] = () => [],
): SlackChannel {
  return new SlackChannel({ client: new SlackClient(slack), channel: slack.channel, people, ...ports });
}
