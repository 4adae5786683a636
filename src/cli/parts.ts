// Parts: what one running Holdpoint is made of, as its two listeners need it.

import type { Desk } from '../approval/desk.ts';
import type { Nodes } from '../approval/nodes.ts';
import type { SigningKey } from '../approval/token.ts';
import type { AuditLog } from '../audit/log.ts';
import type { Config } from '../config.ts';
import type { Metrics } from '../metrics.ts';
import type { Courier } from '../notify/courier.ts';
import type { Report, Target } from '../proxy/listener.ts';
import type { Privacy } from '../proxy/recording.ts';
import type { Registry } from '../registry.ts';
import type { Analyzer } from '../sql/parse.ts';
import type { Store } from '../store/store.ts';
import type { LogKeeping } from './shipping.ts';

export interface Parts {
  readonly config: Config;
  readonly publicUrl: string;
  readonly log: AuditLog;
  /** What happens to the log's files behind its back. */
  readonly keeping: LogKeeping;
  readonly store: Store;
  /** This proxy among those that share the store. */
  readonly nodes: Nodes;
  readonly desk: Desk;
  /** Tells people of requests. */
  readonly courier: Courier;
  /** Signs the links that the desk hands out. */
  readonly linkKey: SigningKey;
  readonly registry: Registry;
  /** Tells the log of credentials that have just come or gone: before anything they are good for. */
  readonly enrolled: () => void;
  readonly metrics: Metrics;
  readonly targets: ReadonlyMap<string, Target>;
  readonly analyzer: Analyzer;
  readonly report: Report;
  /** What the log has of values. */
  readonly privacy: Privacy;
}
