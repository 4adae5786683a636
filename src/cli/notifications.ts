// Notifications: the courier and its channels from the configuration, and what Slack's callbacks need. Refuses to know
// what is told and when.

import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { foldName } from '../approval/approvers.ts';
import type { Desk } from '../approval/desk.ts';
import type { DeskNotify } from '../approval/ports.ts';
import { type Request, requestDigest } from '../approval/request.ts';
import type { SlackConfig } from '../config.ts';
import type { SlackPorts } from '../http/slack.ts';
import type { Metrics } from '../metrics.ts';
import type { Channel } from '../notify/channel.ts';
import { Courier } from '../notify/courier.ts';
import { noticeOf } from '../notify/notice.ts';
import { Posted } from '../notify/posted.ts';
import { SlackChannel, type SlackPerson } from '../notify/slack.ts';
import { approvalObstacle } from '../notify/slack-blocks.ts';
import { SlackClient } from '../notify/slack-client.ts';
import { SlackForms } from '../notify/slack-forms.ts';
import { WebhookChannel, webhookKey } from '../notify/webhook.ts';
import type { Registry } from '../registry.ts';
import type { Approver } from '../registry-book.ts';
import type { Parts } from './parts.ts';

/** Told of every new request with the link that shows it. The link is for approvers. */
export type Announce = (request: Request, link: string) => void;

/** Tells people through every channel of the configuration. `desk` is asked only once requests are opened. */
export function courierOf(parts: Omit<Parts, 'desk' | 'courier'>, desk: () => Desk): Courier {
  const { config, publicUrl, log, metrics, report } = parts;
  const link = async (rid: string, rd: string, recipient: string): Promise<string> => {
    const { intact } = await desk().get(rid);
    return desk().link(intact.request, rd, recipient);
  };
  const told = (channel: string) => (rid: string, message: string, to: string) => {
    try {
      log.append({ kind: 'notify', rid, channel, message, to: [to] });
    } catch (error) {
      // The message stands; a log that cannot be written stops statements and says so by itself.
      report('error', 'who was told of a request is not in the log', {
        rid,
        cause: (error as Error).message,
      });
    }
  };
  const channels: Channel[] = config.webhooks.map(
    ({ name, url, secret, environments, targets, links }) =>
      new WebhookChannel({
        name,
        url,
        key: webhookKey(secret)!,
        environments,
        targets,
        links,
        link,
        told: told(name),
        now: Date.now,
      }),
  );
  if (config.slack !== undefined) {
    channels.unshift(
      new SlackChannel({
        client: new SlackClient(config.slack),
        channel: config.slack.channel,
        people: (request) => slackPeople(parts.registry, request),
        link,
        told: told('slack'),
      }),
    );
  }
  const courier = new Courier({
    channels,
    look: (rid) => desk().get(rid),
    publicUrl,
    now: Date.now,
    mono: () => performance.now(),
    random: () => randomInt(1_000_000) / 1_000_000,
    after: (ms, then) => {
      const timer = setTimeout(then, ms).unref();
      return () => clearTimeout(timer);
    },
    outcome: (channel, outcome) => metrics.notifications(channel).outcome(outcome),
    report,
    ...(channels.length > 0 && {
      posted: new Posted(join(config.dataDir, 'messages.json'), (cause) =>
        report('warn', 'messages about requests are not remembered over a restart', { cause }),
      ),
    }),
  });
  for (const { channel } of courier.queues()) {
    metrics.notifications(channel).queue(() => {
      const queue = courier.queues().find((each) => each.channel === channel);
      return { letters: queue?.letters ?? 0, lagSeconds: (queue?.lagMs ?? 0) / 1000 };
    });
  }
  return courier;
}

/** The courier's ear at the desk, and the terminal's. */
export function deskNotify(courier: Courier, desk: () => Desk, announce: Announce | undefined): DeskNotify {
  return {
    opened(request) {
      courier.opened(request);
      if (announce === undefined) return;
      desk()
        .link(request, requestDigest(request), 'terminal')
        .then((link) => announce(request, link))
        // The log cannot be written, which is said elsewhere; nobody gets a link that it does not name.
        .catch(() => {});
    },
    changed: (rid) => courier.changed(rid),
  };
}

/** What the callbacks of this Slack need. */
export function slackPorts(
  parts: Pick<Parts, 'desk' | 'store' | 'publicUrl' | 'report'> & {
    readonly registry: Pick<Registry, 'slackUser'>;
    readonly metrics: Pick<Metrics, 'slackCallback'>;
  },
  slack: SlackConfig,
): SlackPorts {
  const { desk, store, registry, publicUrl, metrics, report } = parts;
  const forms = new SlackForms({ client: new SlackClient(slack), ...slack });
  return {
    desk,
    store,
    signingSecret: slack.signingSecret,
    approver: (team, user) => registry.slackUser(team, user)?.approver,
    account: (team, user) => forms.account(team, user),
    obstacle: ({ row, intact }) => approvalObstacle(noticeOf(row, intact, publicUrl)),
    askReason: (trigger, { row, intact }) => forms.askReason(trigger, noticeOf(row, intact, publicUrl)),
    tell: (person, words) => forms.tell(person, words),
    now: Date.now,
    outcome: (outcome) => metrics.slackCallback(outcome),
    onError: (error) => report('error', 'a Slack callback failed', { cause: String(error) }),
  };
}

/** The approvers in Slack who may count for this request. */
export function slackPeople(
  registry: { approvers(): readonly Pick<Approver, 'name' | 'slack' | 'retiredAt'>[] },
  { need, agent }: Request,
): SlackPerson[] {
  const never = new Set([agent.id, ...(agent.obo ?? [])].map(foldName));
  const only = need.of === undefined ? undefined : new Set(need.of.map(foldName));
  return registry.approvers().flatMap(({ name, slack, retiredAt }) => {
    const folded = foldName(name);
    if (retiredAt !== undefined || never.has(folded) || only?.has(folded) === false) return [];
    return slack.map(({ team, user }) => ({ name, team, user }));
  });
}
