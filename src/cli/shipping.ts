// Shipping of a running Holdpoint's log: composes the destinations of the configuration and the compression of closed
// segments. Refuses to know how any of them works.

import { hostname } from 'node:os';
import { join } from 'node:path';
import { folderName } from '../../verify/src/names.ts';
import type { Anchor } from '../audit/anchor.ts';
import type { AuditLog } from '../audit/log.ts';
import type { Config } from '../config.ts';
import type { Check } from '../http/server.ts';
import type { Metrics } from '../metrics.ts';
import type { Report } from '../proxy/listener.ts';
import { Manifest } from '../ship/manifest.ts';
import { Packer } from '../ship/packer.ts';
import { Retention } from '../ship/retention.ts';
import { Retry } from '../ship/retry.ts';
import type { ShipSettings } from '../ship/settings.ts';
import { Shipping } from '../ship/shipping.ts';
import { keepTiles } from './audit-tiles.ts';

/** What happens to the files of the log behind its back. */
export interface LogKeeping {
  /** Outside stores that keep checkpoints. */
  readonly stores: readonly Anchor[];
  /** For /readyz: the destinations that are required and away. */
  checks(): readonly Check[];
  /** Sends what is there, for at most `ms`, and ends. Never rejects. */
  close(ms: number): Promise<void>;
}

/** Nobody waits for what tends the files; a segment of a gigabyte takes some seconds. */
const tendMs = 3_600_000;
const roundMs = 15 * 60_000;

/** Begins with the log's files as they are. */
export function keepLog(of: {
  readonly config: Config;
  readonly log: AuditLog;
  readonly metrics: Pick<Metrics, 'logFiles'>;
  readonly version: string;
  readonly report: Report;
}): LogKeeping {
  const { config, log, report } = of;
  const folder = join(config.dataDir, 'audit', folderName(log.origin));
  const settings = settingsOf(config.audit.ship);
  const shipping = Object.keys(settings).length === 0 ? undefined : shippingOf(folder, settings, of);
  const stops = [keepTiles(log, join(config.dataDir, 'audit'), report), tending(folder, of, shipping)];
  const anchor = shipping?.anchor;
  return {
    stores: anchor === undefined ? [] : [anchor],
    checks: () => (shipping === undefined ? [] : checksOf(shipping, config)),
    async close(ms) {
      for (const stop of stops) await stop();
      await shipping?.close(ms);
    },
  };
}

type Kept = Parameters<typeof keepLog>[0];

function shippingOf(
  folder: string,
  settings: ShipSettings,
  { config, log, metrics, version, report }: Kept,
): Shipping {
  const shipping = new Shipping({
    settings,
    folder,
    cursors: join(config.dataDir, 'ship', folderName(log.origin)),
    origin: log.origin,
    host: hostname(),
    isClear: config.audit.values === 'clear',
    version,
    packed: config.audit.compress,
    log,
    report,
    refused: (name, records) => metrics.logFiles.refused(name, records),
  });
  metrics.logFiles.shipping(() => ({ sealed: log.health.sealed, states: shipping.states }));
  return shipping;
}

/**
 * Compresses and prunes closed segments, one after the other and never at once: whenever one is closed, and every hour.
 * The way to stop.
 */
function tending(folder: string, of: Kept, shipping: Shipping | undefined): () => Promise<void> {
  const { log, config, metrics, report } = of;
  const { compress, retainDays: days, retainBytes: bytes } = config.audit;
  const manifest = new Manifest(folder);
  const packer = new Packer({ folder, manifest, packed: metrics.logFiles.packed });
  const retention = new Retention({
    folder,
    manifest,
    log,
    days,
    bytes,
    shipped: () => shippedTo(shipping, config),
    now: Date.now,
    pruned: metrics.logFiles.pruned,
  });
  let told: string | undefined;
  const retry = new Retry({
    async round(signal) {
      const done = await Promise.allSettled([compress && packer.round(signal)]);
      const pruned = await Promise.allSettled([(days ?? bytes) !== undefined && retention.round()]);
      for (const result of [...done, ...pruned]) if (result.status === 'rejected') throw result.reason;
      return [...done, ...pruned].some((result) => result.status === 'fulfilled' && result.value);
    },
    idleMs: tendMs,
    roundMs,
    random: Math.random,
    outcome: (why) => {
      if (why !== undefined && why !== told)
        report('error', 'a closed segment of the log cannot be compressed or pruned', { cause: why });
      told = why;
    },
  });
  const stop = log.listen({ segmentClosed: () => retry.wake() });
  return async () => {
    stop();
    await retry.close();
  };
}

/** Segments before this one are at every destination that must have them. The bucket is where they are looked for. */
function shippedTo(shipping: Shipping | undefined, { audit: { ship } }: Config): number {
  const must = (['s3', 'otlp', 'syslog', 'redis'] as const).filter(
    (name) => ship[name] !== undefined && (name === 's3' || ship[name].required),
  );
  const states = new Map(shipping?.states.map((state) => [state.name, state.segment]));
  return Math.min(Number.POSITIVE_INFINITY, ...must.map((name) => states.get(name) ?? 0));
}

function checksOf(shipping: Shipping, { audit: { ship }, targets }: Config): Check[] {
  const waitsForStore = [...targets.values()].some(({ outside }) => outside === 'store');
  return shipping.states.flatMap(({ name, problem }) => {
    if (problem === undefined) return [];
    const check = { name: `log at ${name}` };
    const isRequired = ship[name]?.required === true || (name === 's3' && waitsForStore);
    return [isRequired ? { ...check, problem } : { ...check, warnings: [problem] }];
  });
}

function settingsOf({ s3, otlp, syslog, redis }: Config['audit']['ship']): ShipSettings {
  return {
    ...(s3 !== undefined && {
      s3: {
        place: {
          bucket: s3.bucket,
          region: s3.region,
          endpoint: s3.endpoint,
          forcePathStyle: s3.forcePathStyle,
          credentials: s3.credentials,
        },
        prefix: s3.prefix,
        lock: { mode: s3.mode, retainDays: s3.retainDays },
        everyMs: s3.everyMs,
      },
    }),
    ...(otlp !== undefined && { otlp }),
    ...(syslog !== undefined && { syslog }),
    ...(redis !== undefined && { redis }),
  };
}
