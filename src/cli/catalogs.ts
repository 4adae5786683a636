// Catalogs: the watch over one target's catalog, put together: its connection, what explains its names, who is told.
// Refuses to know what is read and what it means.

import { Bodies } from '../catalog/bodies.ts';
import { SnapshotReacher } from '../catalog/reach.ts';
import type { TargetConfig } from '../config.ts';
import type { Metrics } from '../metrics.ts';
import { CatalogWatch } from '../proxy/catalog-watch.ts';
import type { Report } from '../proxy/listener.ts';
import { type Admit, connectUpstream } from '../proxy/upstream.ts';
import type { Analyzer } from '../sql/parse.ts';

/** What the catalogs of all targets share. */
export interface CatalogParts {
  readonly analyzer: Analyzer;
  readonly metrics: Metrics;
  readonly report: Report;
  readonly pollMs: number;
}

/** `admit`: whether the server that answers is the one this target means. */
export function catalogOf(
  { name, address }: TargetConfig,
  admit: Admit,
  { analyzer, metrics, report, pollMs }: CatalogParts,
): CatalogWatch {
  // What a body does rests on its text; what its names stand for is asked of each snapshot anew.
  const bodies = new Bodies(analyzer);
  const watch = new CatalogWatch({
    connect: (settings) => connectUpstream(address, settings, admit),
    reacher: (snapshot) => new SnapshotReacher(snapshot, bodies),
    report: (sentence) => report('warn', sentence, { target: name }),
    metrics: {
      readSeconds: (seconds) => metrics.catalogReadSeconds.observe(seconds),
      pollSeconds: (seconds) => metrics.catalogPollSeconds.observe(seconds),
    },
    times: { pollMs },
  });
  metrics.target(name).catalogAge(() => watch.ageSeconds);
  return watch;
}
