// Web: the HTTP side of one running Holdpoint, from its parts to a listening socket.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { folderName } from '../../verify/src/names.ts';
import type { Desk } from '../approval/desk.ts';
import { HoldpointError } from '../errors.ts';
import { type Check, type HttpListener, httpApp, listenHttp } from '../http/server.ts';
import type { Metrics } from '../metrics.ts';
import { Planner } from '../proxy/planner.ts';
import { mayEnter, type Registry } from '../registry.ts';
import type { Analyzer } from '../sql/parse.ts';
import { Reader } from '../trail/reader.ts';
import { parseVerifier, passwordFits } from '../wire/scram.ts';
import { pageKeys } from './keys.ts';
import { slackPorts } from './notifications.ts';
import type { Parts } from './parts.ts';
import { readiness } from './ready.ts';

/** Listens on `port` of the configured host, to so many at once. Throws HoldpointError with a sentence if it cannot. */
export async function serveWeb(parts: Parts, port: number, connectionsMax: number): Promise<HttpListener> {
  const {
    config,
    publicUrl,
    desk,
    linkKey,
    registry,
    metrics,
    log,
    store,
    nodes,
    targets,
    analyzer,
    report,
  } = parts;
  const { slack } = config;
  const rootFile = join(config.dataDir, 'audit', log.origin, 'keys', 'root.jwk');
  const root = JSON.parse(readFileSync(rootFile, 'utf8')) as JWK;
  const rootKey = { ...root, kid: await calculateJwkThumbprint(root), use: 'sig' };
  const reader = new Reader({ path: join(config.dataDir, 'audit', folderName(log.origin)) });
  const planner = new Planner({
    targets,
    analyzer,
    node: log.origin,
    boot: log.boot,
    publicUrl,
    now: Date.now,
    random: randomBytes,
    privacy: parts.privacy,
  });
  const app = httpApp({
    desk,
    registry,
    publicUrl,
    ...(await pageKeys(config.dataDir)),
    enrolled: parts.enrolled,
    once: (name, until, now) => store.once(name, until, now),
    now: Date.now,
    random: randomBytes,
    tokens: (sql) => analyzer.tokens(sql),
    oidc: config.oidc,
    agentPassword: async (agent, password) => admits(registry, agent, password),
    submitPlan: async (plan) => {
      const access = registry.agent(plan.agent)?.access ?? 'read-write';
      if (!mayUse(registry, plan.agent, plan.target))
        throw new HoldpointError('not-found', `there is no target ${plan.target} for ${plan.agent}`);
      const request = await planner.request({ ...plan, access, obo: registry.onBehalfOf(plan.agent) });
      await desk.plans.submit(request);
      return request;
    },
    metrics: () => {
      countParses(metrics, analyzer);
      return metrics.render();
    },
    connectionsMax,
    ready: readiness(
      log,
      store,
      nodes,
      targets,
      () => performance.now(),
      () => [...parts.courier.warnings(), ...reviewWarnings(desk), ...parts.keeping.checks()],
    ),
    log: {
      reader,
      origin: log.origin,
      changes: (listener) => log.listen({ sealed: listener }),
    },
    ...(slack !== undefined && { slack: slackPorts(parts, slack) }),
    publicKeys: () => [{ ...linkKey.jwk, kid: linkKey.kid, use: 'sig' }, rootKey],
    onError: (error) => report('error', 'an HTTP request failed', { cause: String(error) }),
  });
  const listener = await listenHttp(app, { host: config.listen.http.host, port }, connectionsMax);
  const close = async () => {
    reader.close();
    await listener.close();
  };
  return { ...listener, close };
}

function mayUse(registry: Registry, name: string, target: string): boolean {
  const agent = registry.agent(name);
  return agent !== undefined && mayEnter(agent, target, Date.now());
}

/** An agent's own password, for reading its own requests. In force for at least one target. */
function admits(registry: Registry, name: string, password: string): boolean {
  const agent = registry.agent(name);
  const verifier = agent === undefined ? undefined : parseVerifier(agent.verifier);
  if (agent === undefined || verifier === undefined) return false;
  return (
    passwordFits(password, verifier) && agent.targets.some((target) => mayEnter(agent, target, Date.now()))
  );
}

/** What was counted at the last scrape: the parser counts for itself. */
const counted = new WeakMap<Analyzer, { hits: number; misses: number }>();

function countParses(metrics: Metrics, analyzer: Analyzer): void {
  const before = counted.get(analyzer) ?? { hits: 0, misses: 0 };
  const { hits, misses } = analyzer.stats;
  metrics.parseCacheHits.inc(hits - before.hits);
  metrics.parseCacheMisses.inc(misses - before.misses);
  counted.set(analyzer, { hits, misses });
}

/** Reviews that are owed: whoever runs this should know before agents only read. */
function reviewWarnings(desk: Desk): Check[] {
  const warnings = desk.emergencies
    .owed()
    .map(
      ({ rid, by, target, due }) =>
        `request ${rid} on ${target} was released by ${by} alone in an emergency; it has to be reviewed by ${new Date(due).toISOString()}`,
    );
  return warnings.length === 0 ? [] : [{ name: 'reviews', warnings }];
}
