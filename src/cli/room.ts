// Room: how many connections this process has descriptors for, from its limit and the configuration. Told once, at the
// start. Refuses to know how they are shared out (open-files.ts).

import type { Config } from '../config.ts';
import { type Shares, share, shortfall } from '../open-files.ts';
import type { Report } from '../proxy/listener.ts';

/** Throws `bad-config` if the limit of open files is too low for any use. */
export function roomFor(config: Config, report: Report): Shares {
  const limit = openFilesMax();
  const needs = {
    connectionsMax: config.limits.connectionsMax,
    targets: config.targets.size,
    peers: peersOf(config),
  };
  const shares = share(limit, needs);
  const warning = shortfall(limit, needs, shares);
  if (warning !== undefined)
    report('warn', warning, { openFilesMax: limit, configured: needs.connectionsMax, ...shares });
  return shares;
}

/**
 * The limit in force: Node has raised it to the hard one before any of this ran. Asked of Node, which knows it on every
 * system, and not read in /proc, which only Linux has: that takes 7 to 30 ms, once, and before there are threads, which
 * would be interrupted for it and may take longer. Infinity where there is none.
 */
function openFilesMax(): number {
  // Its types do not know the property.
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  const before = report.excludeNetwork ?? false;
  // Else it would look up the names of whoever is connected.
  report.excludeNetwork = true;
  try {
    const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
    const soft = userLimits?.open_files?.soft;
    return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
  } finally {
    report.excludeNetwork = before;
  }
}

/** Places that it connects to beside its targets. Of Sentinels and of a Cluster each server is one. */
function peersOf({ store, audit, webhooks, slack, oidc }: Config): number {
  const { s3, otlp, syslog, redis } = audit.ship;
  const single = [s3, otlp, syslog, slack, oidc].filter((place) => place !== undefined);
  const servers = [
    ...(store.kind === 'redis' ? store.hosts : []),
    ...(redis === undefined ? [] : redis.address.hosts),
  ];
  return single.length + servers.length + audit.witnesses.length + webhooks.length;
}
