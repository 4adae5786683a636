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
import { Retry } from '../ship/retry.ts';
import type { ShipSettings } from '../ship/settings.ts';
import { Shipping } from '../ship/shipping.ts';

/** What happens to the files of the log behind its back. */
export interface LogKeeping {
  /** Outside stores that keep checkpoints. */
  readonly stores: readonly Anchor[];
  /** For /readyz: the destinations that are required and away. */
  checks(): readonly Check[];
  /** Sends what is there, for at most `ms`, and ends. Never rejects. */
  close(ms: number): Promise<void>;
}

/** Nobody waits for compression; a segment of a gigabyte takes some seconds. */
const packIdleMs = 3_600_000;
const packMs = 15 * 60_000;

/** Begins with the log's files as they are. */
export function keepLog(of: {
  readonly config: Config;
  readonly log: AuditLog;
  readonly metrics: Pick<Metrics, 'logFiles'>;
  readonly version: string;
  readonly report: Report;
}): LogKeeping {
  const { config, log, metrics, version, report } = of;
  const folder = join(config.dataDir, 'audit', folderName(log.origin));
  const stopPacking = config.audit.compress ? packing(folder, of) : async () => {};
  const settings = settingsOf(config.audit.ship);
  if (Object.keys(settings).length === 0) return { stores: [], checks: () => [], close: stopPacking };
  const shipping = new Shipping({
    settings,
    folder,
    cursors: join(config.dataDir, 'ship', folderName(log.origin)),
    origin: log.origin,
    host: hostname(),
    version,
    packed: config.audit.compress,
    log,
    report,
    refused: (name, records) => metrics.logFiles.refused(name, records),
  });
  metrics.logFiles.shipping(() => ({ sealed: log.health.sealed, states: shipping.states }));
  const { anchor } = shipping;
  return {
    stores: anchor === undefined ? [] : [anchor],
    checks: () => checksOf(shipping, config),
    async close(ms) {
      await stopPacking();
      await shipping.close(ms);
    },
  };
}

function packing(
  folder: string,
  { log, metrics, report }: Parameters<typeof keepLog>[0],
): () => Promise<void> {
  const packer = new Packer({ folder, manifest: new Manifest(folder), packed: metrics.logFiles.packed });
  let told: string | undefined;
  const retry = new Retry({
    round: (signal) => packer.round(signal),
    idleMs: packIdleMs,
    roundMs: packMs,
    random: Math.random,
    outcome: (why) => {
      if (why !== undefined && why !== told)
        report('error', 'a closed segment of the log cannot be compressed', { cause: why });
      told = why;
    },
  });
  const stop = log.listen({ segmentClosed: () => retry.wake() });
  return async () => {
    stop();
    await retry.close();
  };
}

function checksOf(shipping: Shipping, { audit: { ship } }: Config): Check[] {
  return shipping.states.flatMap(({ name, problem }) => {
    if (problem === undefined) return [];
    const check = { name: `log at ${name}` };
    return [ship[name]?.required === true ? { ...check, problem } : { ...check, warnings: [problem] }];
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
