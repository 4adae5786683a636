// Assembly: builds one running Holdpoint from a configuration, and takes it apart again. The only place where the parts
// meet. Refuses to know commands, signals and what is printed.

import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { Desk } from '../approval/desk.ts';
import type { DeskNotify, OwedReview } from '../approval/ports.ts';
import type { AuditLog } from '../audit/log.ts';
import { openLog, type Recovered } from '../audit/opening.ts';
import type { Config } from '../config.ts';
import { Delegations } from '../delegations.ts';
import { HoldpointError } from '../errors.ts';
import { revokeRounds } from '../hop/lanes.ts';
import { createMetrics } from '../metrics.ts';
import type { Courier } from '../notify/courier.ts';
import type { Shares } from '../open-files.ts';
import { Ledger } from '../policy/budget.ts';
import { loadPolicy } from '../policy/packs.ts';
import type { Policy } from '../policy/rules.ts';
import { Blast } from '../proxy/blast.ts';
import { Listener, type Report, type Target } from '../proxy/listener.ts';
import type { ClientTls } from '../proxy/login.ts';
import { type Admit, connectUpstream } from '../proxy/upstream.ts';
import { mayEnter, Registry } from '../registry.ts';
import type { Agent } from '../registry-book.ts';
import { Analyzer } from '../sql/parse.ts';
import { tlsServerEndPoint } from '../wire/channel-binding.ts';
import { parseVerifier } from '../wire/scram.ts';
import { Anchoring } from './anchoring.ts';
import { type CatalogParts, catalogOf } from './catalogs.ts';
import { approverRecorder, withEnrolments } from './enrolments.ts';
import { watchErasures } from './erasures.ts';
import { Issuer } from './issuer.ts';
import { keyAt } from './keys.ts';
import { logMeter } from './log-meter.ts';
import { type Announce, courierOf, deskNotify } from './notifications.ts';
import type { Parts } from './parts.ts';
import { privacyOf } from './privacy.ts';
import { requireApprovers } from './quorums.ts';
import { roomFor } from './room.ts';
import { keepLog } from './shipping.ts';
import { endLeftovers, enterNodes, openStore, spreadDelegations, spreadReviews } from './store.ts';
import { admissions, admittingOwn, meetTargets, requireRootCerts } from './targets.ts';
import { serveWeb } from './web.ts';

export interface AssemblyOptions {
  readonly config: Config;
  readonly version: string;
  readonly report: Report;
  /** Opens the store; a test puts faults into it. */
  readonly open?: typeof openStore;
  /** Opens the log; a bench puts a disk without fdatasync behind it, or a log that keeps nothing. */
  readonly openLog?: typeof openLog;
  readonly notify?: Announce;
}

/** A Holdpoint that listens. */
export interface Running {
  readonly config: Config;
  readonly registry: Registry;
  readonly postgresPort: number;
  readonly httpPort: number;
  readonly recovered: Recovered;
  /** Reads rules, agents and approvers again. Throws and leaves the old in force if anything is wrong. */
  reload(config: Config): Promise<void>;
  /** Drains, seals the log, closes everything. */
  close(): Promise<void>;
}

/** Agents and approvers that commands added are noticed within this time. */
const refreshMs = 1000;

/** How long the last messages, of requests that end with the process, may take, and the last records to leave it. */
const farewellMs = 3_000;

/** Starts everything; throws HoldpointError with a sentence, and leaves nothing behind. */
export async function assemble(options: AssemblyOptions): Promise<Running> {
  const { config, version, report } = options;
  prepareFolder(config.dataDir);
  const undo: (() => Promise<unknown> | unknown)[] = [];
  try {
    const room = roomFor(config, report);
    const metrics = createMetrics({ version, process: true });
    const registry = await Registry.open({
      dataDir: config.dataDir,
      agents: config.agents,
      approvers: config.approvers,
    });
    requireRootCerts(config);
    const policies = loadPolicies(config);
    requireApprovers(config, registry.approvers(), policies);
    const analyzer = await Analyzer.load({
      statementBytesMax: config.limits.statementBytesMax,
      timing: { now: () => performance.now(), parsed: (ms) => metrics.parseSeconds.observe(ms / 1000) },
    });
    undo.push(() => analyzer.close());
    const store = await (options.open ?? openStore)(config.store);
    undo.push(() => store.close());
    const anchoring = await Anchoring.open({ config, metrics, report });
    const { log, recovered } = await (options.openLog ?? openLog)({
      dir: join(config.dataDir, 'audit'),
      keysDir: join(config.dataDir, 'keys', 'audit'),
      origin: config.node,
      version,
      values: config.audit.values,
      auditors: config.audit.auditors,
      sealMs: config.audit.sealMs,
      segmentBytesMax: config.audit.segmentBytesMax,
      compare: () => anchoring.compare(),
      stallMs: config.audit.stallMs,
      ballastBytes: config.audit.ballastBytes,
      meter: logMeter(metrics, report, join(config.dataDir, 'audit', config.node)),
    });
    undo.push(() => log.close('start failed'));
    const keeping = keepLog({ config, log, metrics, version, report });
    undo.push(() => keeping.close(0));
    const stopErasures = watchErasures(log, report);
    undo.push(stopErasures);
    anchoring.begin(log, keeping.stores);
    undo.push(() => anchoring.close());
    recordPolicies(log, policies);
    const recordApprovers = approverRecorder(log, registry);
    recordApprovers();
    const httpPort =
      config.listen.http.port === 0 ? await freePort(config.listen.http.host) : config.listen.http.port;
    const publicUrl = config.publicUrl.replace(/:0$/, `:${httpPort}`);
    const linkKey = await keyAt(join(config.dataDir, 'keys', 'link.jwk'));
    const nodes = await enterNodes({ store, log, recovered, linkKey, publicUrl, report });
    undo.push(() => nodes.close());
    const targets = targetsOf(config, policies, log, await admissions(config, report), {
      analyzer,
      metrics,
      report,
      pollMs: config.catalog.pollMs,
      anchoring,
    });
    const closeCatalogs = (): void => {
      for (const { catalog, blast } of targets.values()) {
        catalog.close();
        blast?.close();
      }
    };
    undo.push(closeCatalogs);
    const delegations = await Delegations.open(config.dataDir, Date.now);
    const common = {
      config,
      publicUrl,
      log,
      store,
      nodes,
      linkKey,
      keeping,
      registry,
      enrolled: recordApprovers,
      metrics,
      targets,
      analyzer,
      report,
      privacy: privacyOf(config, report),
    };
    // The desk tells the courier, and the courier asks the desk.
    const courier: Courier = courierOf(common, () => desk);
    undo.push(() => courier.close(0));
    const desk: Desk = openDesk(
      { ...common, delegations, owedReviews: recovered.reviews },
      deskNotify(courier, () => desk, options.notify),
    );
    undo.push(() => desk.close());
    const stopSpread = spreadDelegations(config.store.kind !== 'memory', store, delegations, desk);
    undo.push(stopSpread);
    const stopReviews = spreadReviews(config.store.kind !== 'memory', store, desk);
    undo.push(stopReviews);
    metrics.reviewsOwed(() =>
      desk.emergencies.owed().map(({ target, due }) => ({ target, overdue: due <= Date.now() })),
    );
    await endLeftovers(desk, recovered);
    const parts: Parts = { ...common, desk, courier };
    await meetTargets(targets, report);
    const http = await serveWeb(parts, httpPort, room.httpConnectionsMax);
    undo.push(() => http.close());
    await courier.resume();
    const listener = proxyListener(parts, room);
    const postgresPort = await listener.listen();
    const changed = (): void => {
      recordApprovers();
      listener.expel();
    };
    const refresh = setInterval(refresher(registry, changed, report), refreshMs);
    return {
      config: { ...config, publicUrl },
      registry,
      postgresPort,
      httpPort: http.port,
      recovered,
      async reload(fresh) {
        const reloaded = loadPolicies(fresh);
        await registry.reload({ agents: fresh.agents, approvers: fresh.approvers });
        for (const [name, policy] of reloaded) {
          const before = policies.get(name);
          if (before === undefined) continue;
          policies.set(name, policy);
          revokeRounds();
          if (before.digest !== policy.digest) desk.grants.rulesChanged(name);
        }
        recordPolicies(log, policies);
        changed();
        // Said, not refused: a reload may be a revocation, and that has to come into force.
        try {
          requireApprovers({ targets: config.targets, agents: fresh.agents }, registry.approvers(), policies);
        } catch (error) {
          report('warn', 'what some rules hold can be released by nobody', {
            cause: (error as Error).message,
          });
        }
      },
      async close() {
        clearInterval(refresh);
        await listener.close(config.limits.drainMs);
        closeCatalogs();
        await http.close();
        await courier.close(Math.min(config.limits.drainMs, farewellMs));
        stopSpread();
        stopReviews();
        desk.close();
        await nodes.close();
        await store.close();
        await stopErasures();
        // A disk that hangs must not keep the process for ever; that sessions are not waited for is no reason to leave
        // the log without its last seal.
        await Promise.race([log.close(), after(Math.max(config.limits.drainMs, farewellMs))]);
        await anchoring.close();
        await keeping.close(Math.min(config.limits.drainMs, farewellMs));
        await analyzer.close();
      },
    };
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

function prepareFolder(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new HoldpointError(
      'bad-config',
      `the data folder ${dataDir} cannot be made: ${(cause as Error).message}; set dataDir to a folder this user may write`,
      { cause },
    );
  }
}

function loadPolicies(config: Config): Map<string, Policy> {
  const policies = new Map<string, Policy>();
  for (const { name, rules } of config.targets.values())
    policies.set(name, loadPolicy(rules, config.baseDir));
  return policies;
}

function recordPolicies(log: AuditLog, policies: ReadonlyMap<string, Policy>): void {
  for (const [target, policy] of policies) log.append({ kind: 'policy', target, digest: policy.digest });
}

/** The agent, if it may use the target now. */
function admitted(registry: Registry, name: string, target: string): Agent | undefined {
  const agent = registry.agent(name);
  return agent !== undefined && mayEnter(agent, target, Date.now()) ? agent : undefined;
}

/** Looks for what commands changed. What is wrong with the files is said once, not at every look. */
function refresher(registry: Registry, changed: () => void, report: Report): () => void {
  let told = '';
  const tell = (message: string, cause: string): void => {
    if (cause !== told && cause !== '') report('warn', message, { cause });
    told = cause;
  };
  return () => {
    registry
      .refresh()
      .then(() => {
        changed();
        tell('some agents or approvers are set aside', registry.clashes.join('. '));
      })
      .catch((error: unknown) => tell('agents and approvers stay as they were', (error as Error).message));
  };
}

function targetsOf(
  config: Config,
  policies: ReadonlyMap<string, Policy>,
  log: AuditLog,
  admission: (target: string) => Admit,
  catalogs: CatalogParts & { readonly anchoring: Anchoring },
): Map<string, Target> {
  const targets = new Map<string, Target>();
  for (const target of config.targets.values()) {
    const { name, address, environment, approval, hold } = target;
    const admit = admission(name);
    const admitOwn = admittingOwn(name, admit, log);
    targets.set(name, {
      name,
      address,
      environment,
      approval,
      hold,
      outside: catalogs.anchoring.outside(target.outside),
      policy: () => policies.get(name)!,
      admit,
      admitOwn,
      catalog: catalogOf(target, admitOwn, catalogs),
      blast: new Blast({
        ...config.effect,
        connect: (settings) => connectUpstream(address, settings, admitOwn),
        analyzer: catalogs.analyzer,
        took: (seconds) => catalogs.metrics.effectSeconds.observe(seconds),
      }),
    });
  }
  return targets;
}

function openDesk(
  parts: Omit<Parts, 'desk' | 'courier'> & { delegations: Delegations; owedReviews: readonly OwedReview[] },
  notify: DeskNotify,
): Desk {
  const { config, publicUrl, log, store, nodes, linkKey, registry, metrics, report } = parts;
  return new Desk({
    store,
    nodes,
    log: withEnrolments(log, parts.enrolled),
    registry,
    delegations: parts.delegations,
    owedReviews: parts.owedReviews,
    oidc: config.oidc && new Issuer(config.oidc, Date.now),
    linkKey,
    publicUrl,
    node: log.origin,
    pendingMax: (target) => config.targets.get(target)?.hold.pendingMax ?? config.hold.pendingMax,
    now: Date.now,
    mono: () => performance.now(),
    planWaits: revokeRounds,
    random: randomBytes,
    after: (ms, then) => {
      const timer = setTimeout(then, ms).unref();
      return () => clearTimeout(timer);
    },
    events: {
      opened: (request) => metrics.target(request.db.target).pending.inc(),
      decided: (request, verdict, level) => metrics.target(request.db.target).decision(verdict, level),
      settled: (target, _state, waitMs) => {
        metrics.target(target).pending.dec();
        metrics.requestWaitSeconds.observe(waitMs / 1000);
      },
      brokeGlass: (request, by) => {
        metrics.target(request.db.target).brokeGlass.inc();
        const { rid } = request;
        report(
          'error',
          'a request was released by one person alone, in an emergency; it has to be reviewed',
          {
            rid,
            by,
            target: request.db.target,
          },
        );
      },
      restored: (rid) =>
        report('warn', 'the store had lost a request that is waited for; it is back', { rid }),
      suspicious: (rid, what) => report('error', what, { rid }),
    },
    notify,
    slackSecret: config.slack?.signingSecret,
  });
}

function proxyListener(parts: Parts, room: Shares): Listener {
  const { config, publicUrl, log, desk, registry, metrics, targets, analyzer, report } = parts;
  return new Listener({
    host: config.listen.postgres.host,
    port: config.listen.postgres.port,
    tls: clientTls(config),
    mockSecret: randomBytes(32),
    verifier: async (name, target) => {
      await registry.refresh().catch(() => undefined);
      const agent = admitted(registry, name, target);
      return agent !== undefined && targets.has(target) ? parseVerifier(agent.verifier) : undefined;
    },
    targets,
    access: (name, target) => admitted(registry, name, target)?.access,
    onBehalfOf: (name) => registry.onBehalfOf(name),
    analyzer,
    log,
    desk,
    plans: desk.plans,
    overdue: (target) => desk.emergencies.overdue(target),
    spending: new Ledger(() => performance.now()),
    metrics: {
      book: (target) => {
        const counts = metrics.target(target);
        return {
          statement: counts.statement,
          repeated: counts.repeated,
          refusal: counts.refusal,
          overhead: (seconds) => metrics.overheadSeconds.observe(seconds),
        };
      },
      opened: () => metrics.sessions.inc(),
      closed: () => metrics.sessions.dec(),
      authFailure: () => metrics.authFailures.inc(),
      upstreamError: (target) => metrics.target(target).upstreamErrors.inc(),
    },
    report,
    node: log.origin,
    boot: log.boot,
    publicUrl,
    privacy: parts.privacy,
    reads: config.audit.reads,
    limits: { ...config.limits, ...room },
  });
}

function clientTls({ tls }: Config): ClientTls | undefined {
  if (tls === undefined) return undefined;
  try {
    const cert = readFileSync(tls.cert);
    const context = createSecureContext({ cert, key: readFileSync(tls.key), minVersion: 'TLSv1.2' });
    return { context, binding: tlsServerEndPoint(new X509Certificate(cert).raw), required: tls.required };
  } catch (cause) {
    throw new HoldpointError(
      'bad-config',
      `the TLS certificate or key cannot be used: ${(cause as Error).message}; check tls.cert and tls.key`,
      { cause },
    );
  }
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

/** A port for the public URL of a server that may take any. */
function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, host, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
