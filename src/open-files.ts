// Open files: how the descriptors that this process may have are shared out, so that no crowd of connections takes those
// that the log is written with. Pure arithmetic; refuses to know where the limit is read and who keeps to his share.
// Source: getrlimit(2), RLIMIT_NOFILE.

import { HoldpointError } from './errors.ts';

/** What the configuration asks for. */
export interface Needs {
  /** limits.connectionsMax */
  readonly connectionsMax: number;
  readonly targets: number;
  /** Other places that it talks to by itself: witnesses, stores and collectors of the log, webhooks, the shared store. */
  readonly peers: number;
}

/** How many there may be at once. */
export interface Shares {
  /** Connections of agents, logged in or not. */
  readonly connectionsMax: number;
  readonly httpConnectionsMax: number;
  /** Connections of agents beyond those, which are told so. */
  readonly turnedAwayMax: number;
}

/**
 * A client's socket and a server's. A login has no more than these: the server's is opened when the client is proven, and
 * a cancel request has its own two. Where a socket is taken over there are both it and its duplicate, but only for the
 * length of one call, so that it is one for all sessions together.
 */
const perConnection = 2;

/**
 * For everything else. A guard at rest has 28, with shipping and a Redis 33; at work, with rotation, packing, tiles,
 * the page of the log and large texts, which take a thread each of about five, 71 were counted with two sessions, three
 * webhooks and four places that the log went to. Twice as many, since files are opened by four threads at once, names are
 * looked up, and a cluster is several servers.
 */
const own = 96;
/** Its catalog, its effects, whether it is ready, and a plan for it. */
const perTarget = 4;
const perPeer = 4;

/**
 * What HTTP and those turned away have at least, of all: pages that stay open to hear of requests, a scrape, the buttons of
 * Slack; and whoever is being told that there is no room.
 */
const sparePart = 1 / 10;
const spareLeast = 24;
const spareMost = 384;
const httpPart = 2 / 3;
/** What either may have where there is room. */
const enough = 1_000;

/** With fewer sessions there is no use in starting, unless no more are asked for. */
const handful = 8;

const remedy =
  'raise the limit of open files (ulimit -n, LimitNOFILE= of a systemd unit, ulimits.nofile of a container)';

/**
 * Shares `limit` descriptors out, which may be Infinity: sessions get what they ask for or what there is, HTTP and those
 * turned away the rest. Throws `bad-config` if that is not even a handful of sessions.
 */
export function share(limit: number, needs: Needs): Shares {
  const others = ownDescriptors(needs);
  const room = Math.floor((limit - others - spare(limit)) / perConnection);
  const connectionsMax = Math.min(needs.connectionsMax, room);
  const least = Math.min(handful, needs.connectionsMax);
  if (connectionsMax < least)
    throw new HoldpointError(
      'bad-config',
      `this process may have ${limit} files open, and ${limitFor({ ...needs, connectionsMax: least })} are the fewest that ` +
        `Holdpoint starts with: ${others} for itself, ${perConnection} for each of ${least} sessions, and some for HTTP; ${remedy}`,
    );
  const rest = limit - others - perConnection * connectionsMax;
  const httpConnectionsMax = Math.min(enough, Math.floor(rest * httpPart));
  return { connectionsMax, httpConnectionsMax, turnedAwayMax: Math.min(enough, rest - httpConnectionsMax) };
}

/** What the operator should know of the shares; undefined where every session that was asked for fits. */
export function shortfall(limit: number, needs: Needs, { connectionsMax }: Shares): string | undefined {
  if (connectionsMax >= needs.connectionsMax) return undefined;
  return (
    `this process may have ${limit} files open: ${connectionsMax} sessions are taken at once, not the ` +
    `${needs.connectionsMax} of limits.connectionsMax, for which it takes ${limitFor(needs)}; ${remedy}, or lower limits.connectionsMax`
  );
}

/** The least limit at which every session that is asked for fits. */
export function limitFor(needs: Needs): number {
  const least = ownDescriptors(needs) + perConnection * needs.connectionsMax;
  let limit = least;
  // A higher limit has a larger spare, each time by less.
  while (limit < least + spare(limit)) limit = least + spare(limit);
  return limit;
}

/** Descriptors that are neither agents' nor HTTP's. */
export function ownDescriptors({ targets, peers }: Pick<Needs, 'targets' | 'peers'>): number {
  return own + perTarget * targets + perPeer * peers;
}

function spare(limit: number): number {
  return Math.min(spareMost, Math.max(spareLeast, Math.floor(limit * sparePart)));
}
