// Every metric that CONTRACT's "What an SRE sees" names, on a registry of its own. Knows names, labels and buckets;
// refuses to know who counts what. Counters are plain numbers that prom-client reads when it is scraped, because its
// own `inc` hashes the labels on every call and the relay counts each statement. Labels never hold an agent's text.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { Observations } from './observations.ts';
import type { Action } from './policy/verdict.ts';
import type { StatementClass } from './sql/statement.ts';

/** One counter with its labels fixed. Keep it, do not look it up again: `inc` is an addition. */
export interface Count {
  inc(by?: number): void;
}

/** What is counted of one target. Ask for it once a session. */
export interface TargetMetrics {
  /** A statement got its verdict; `refuse` is a text that never came to a rule (syntax, size, encoding). */
  statement(cls: StatementClass, verdict: Action | 'refuse'): void;
  /** One of them went as one did before, without the session's having a look at it again. */
  readonly repeated: Count;
  /** An ErrorResponse of Holdpoint's own went to a client. `sqlstate` must come from the error table, not from an agent. */
  refusal(sqlstate: string): void;
  /** `level` is the level of the evidence given. */
  decision(decision: 'approve' | 'reject', level: string): void;
  readonly upstreamErrors: Count;
  readonly pending: { inc(): void; dec(): void; set(requests: number): void };
  /** Asked at every scrape: seconds since the target's catalog was last seen as it is known; undefined: not watched. */
  catalogAge(age: () => number | undefined): void;
  /** A request was released by one person alone, in an emergency. */
  readonly brokeGlass: { inc(): void };
}

/** What is counted of one way to tell people. */
export interface NotificationMetrics {
  /** `outcome` must come from a fixed set. */
  outcome(outcome: string): void;
  /** Asked at every scrape: letters that wait, and seconds that the oldest has waited. */
  queue(state: () => { letters: number; lagSeconds: number }): void;
}

/** How one destination of the log is. */
export interface ShipState {
  /** Must come from a fixed set. */
  readonly name: string;
  /** Records that are there. */
  readonly records: number;
  readonly lagMs: number;
  readonly failures: number;
  readonly bytes: number;
}

/** What is counted of the log's files and of where they are carried to. */
export interface LogFilesMetrics {
  /** Asked at each scrape, with how many records are on disk. */
  shipping(ask: () => { readonly sealed: number; readonly states: readonly ShipState[] }): void;
  /** A closed segment was compressed. */
  packed(bytes: number, packedBytes: number): void;
  /** Closed segments were pruned. */
  pruned(segments: number): void;
  /** A destination will not have some records. */
  refused(destination: string, records: number): void;
}

/** All metrics of one process. Durations are in seconds, as Prometheus wants them. */
export interface Metrics {
  readonly registry: Registry;
  /** Authenticated sessions open now. */
  readonly sessions: { inc(): void; dec(): void };
  target(name: string): TargetMetrics;
  /** `channel` must come from the configuration. */
  notifications(channel: string): NotificationMetrics;
  /** Asked at each scrape for the releases in an emergency that nobody has reviewed. */
  reviewsOwed(ask: () => readonly { readonly target: string; readonly overdue: boolean }[]): void;
  /** A callback of Slack, by what came of it. `outcome` must come from a fixed set. */
  slackCallback(outcome: string): void;
  /** Frame complete from the client to forwarded; passes only. */
  readonly overheadSeconds: { observe(seconds: number): void };
  readonly parseSeconds: { observe(seconds: number): void };
  readonly parseCacheHits: Count;
  readonly parseCacheMisses: Count;
  /** From the hold to its settlement. */
  readonly requestWaitSeconds: { observe(seconds: number): void };
  /** A reading of a target's catalog after something in it had changed. */
  readonly catalogReadSeconds: { observe(seconds: number): void };
  /** A look that found a target's catalog unchanged. */
  readonly catalogPollSeconds: { observe(seconds: number): void };
  /** From a statement that needs a person to what it would touch being known, or given up on. */
  readonly effectSeconds: { observe(seconds: number): void };
  readonly auditRecords: Count;
  /** Age of the oldest record that is not sealed and on disk. */
  readonly auditSealLagSeconds: { set(seconds: number): void };
  readonly auditFailures: Count;
  /** Of what keeps checkpoints of the log outside; `name` must come from the configuration. */
  anchor(name: string): AnchorMetrics;
  readonly logFiles: LogFilesMetrics;
  /** 1 while records are taken. */
  readonly auditWritable: { set(value: number): void };
  readonly authFailures: Count;
  /** The text of `GET /metrics`, and its Content-Type. */
  render(): Promise<{ text: string; contentType: string }>;
}

/** Counts of one metric by label values. The number of cells is bounded by the labels' small, fixed sets. */
class Tally {
  readonly #cells = new Map<string, { labels: Record<string, string>; value: number }>();

  constructor(registry: Registry, name: string, help: string, labelNames: string[] = []) {
    const cells = this.#cells;
    new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of cells.values()) this.inc(labels, value);
      },
    });
    if (labelNames.length === 0) this.cell({});
  }

  cell(labels: Record<string, string>): Count {
    const key = Object.values(labels).join('\0');
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      cell = { labels, value: 0 };
      this.#cells.set(key, cell);
    }
    const counted = cell;
    return {
      inc(by = 1) {
        counted.value += by;
      },
    };
  }
}

/** From 10 µs, below what the relay adds, to 1 s, where a person notices. */
const overheadBuckets = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1,
];
/** From a small database to one of 100,000 objects on a slow link. */
const catalogBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** From a second to the hour that a request stays open by default. */
const waitBuckets = [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600];

/**
 * The metrics of one process. With `process` also Node's own (event loop delay, heap, file descriptors), which start
 * timers: leave it out in tests.
 */
export function createMetrics(options: { version?: string; process?: boolean } = {}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (options.process) collectDefaultMetrics({ register: registry, prefix: 'holdpoint_' });
  const tally = (name: string, help: string, labels?: string[]) => new Tally(registry, name, help, labels);
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, buckets, registers });

  new Gauge({
    name: 'holdpoint_build_info',
    help: 'Always 1; the labels tell what runs.',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version: options.version ?? 'unknown', node: process.versions.node }, 1);

  let owed: () => readonly { readonly target: string; readonly overdue: boolean }[] = () => [];
  new Gauge({
    name: 'holdpoint_reviews_owed',
    help: 'Releases in an emergency that nobody has reviewed; with overdue="true", agents only read on the target.',
    labelNames: ['target', 'overdue'],
    registers,
    collect() {
      this.reset();
      for (const { target, overdue } of owed()) this.inc({ target, overdue: String(overdue) });
    },
  });
  const slackCallbacks = tally('holdpoint_slack_callbacks_total', 'Callbacks of Slack.', ['outcome']);

  return {
    registry,
    sessions: gauge('holdpoint_sessions', 'Authenticated client sessions open now.'),
    target: targetMetrics(registry, tally),
    notifications: notificationMetrics(registry, tally),
    reviewsOwed: (ask) => {
      owed = ask;
    },
    slackCallback: (outcome) => slackCallbacks.cell({ outcome }).inc(),
    overheadSeconds: new Observations({
      name: 'holdpoint_overhead_seconds',
      help: 'Time a passed statement spends in Holdpoint, frame complete to forwarded.',
      buckets: overheadBuckets,
      registers,
    }),
    parseSeconds: histogram(
      'holdpoint_parse_seconds',
      'Time to parse and classify a text that was not cached.',
      overheadBuckets,
    ),
    parseCacheHits: tally('holdpoint_parse_cache_hits_total', 'Texts whose facts were cached.').cell({}),
    parseCacheMisses: tally('holdpoint_parse_cache_misses_total', 'Texts that had to be parsed.').cell({}),
    requestWaitSeconds: histogram(
      'holdpoint_request_wait_seconds',
      'Time from a hold to its settlement.',
      waitBuckets,
    ),
    effectSeconds: histogram(
      'holdpoint_effect_seconds',
      'Time to measure what a held statement would touch, before anybody is asked.',
      catalogBuckets,
    ),
    catalogReadSeconds: histogram(
      'holdpoint_catalog_read_seconds',
      "Time to read what has changed in a target's catalog.",
      catalogBuckets,
    ),
    catalogPollSeconds: histogram(
      'holdpoint_catalog_poll_seconds',
      "Time to see that a target's catalog has not changed.",
      catalogBuckets,
    ),
    auditRecords: tally('holdpoint_audit_records_total', 'Records appended to the log.').cell({}),
    auditSealLagSeconds: gauge(
      'holdpoint_audit_seal_lag_seconds',
      'Age of the oldest record not yet sealed and on disk.',
    ),
    logFiles: logFilesMetrics(registry, tally),
    auditFailures: tally('holdpoint_audit_failures_total', 'Failed writes or syncs of the log.').cell({}),
    anchor: anchorMetrics(registry, tally),
    auditWritable: gauge(
      'holdpoint_audit_writable',
      '1 while the log takes records, 0 while statements are refused.',
    ),
    authFailures: tally('holdpoint_auth_failures_total', 'Logins refused.').cell({}),
    async render() {
      return { text: await registry.metrics(), contentType: registry.contentType };
    },
  };
}

/** The metrics with a `target` label, handed out per target. */
function targetMetrics(
  registry: Registry,
  tally: (name: string, help: string, labels: string[]) => Tally,
): (name: string) => TargetMetrics {
  const statements = tally('holdpoint_statements_total', 'Statements by class and verdict.', [
    'target',
    'class',
    'verdict',
  ]);
  const repeated = tally(
    'holdpoint_repeated_total',
    'Statements that passed as one like them did before, without being judged again.',
    ['target'],
  );
  const refusals = tally('holdpoint_refusals_total', "Errors of Holdpoint's own sent to clients.", [
    'target',
    'sqlstate',
  ]);
  const decisions = tally('holdpoint_decisions_total', 'Decisions of approvers by level of evidence.', [
    'target',
    'decision',
    'level',
  ]);
  const upstreamErrors = tally('holdpoint_upstream_errors_total', 'Failed or lost connections to a target.', [
    'target',
  ]);
  const brokeGlass = tally(
    'holdpoint_breakglass_total',
    'Requests released by one person alone, in an emergency.',
    ['target'],
  );
  const pending = new Gauge({
    name: 'holdpoint_requests_pending',
    help: 'Requests waiting for a decision.',
    labelNames: ['target'],
    registers: [registry],
  });
  const ages = new Map<string, () => number | undefined>();
  new Gauge({
    name: 'holdpoint_catalog_age_seconds',
    help: 'Time since the catalog of a target with sessions was last seen to be as it is known.',
    labelNames: ['target'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [target, age] of ages) {
        const seconds = age();
        if (seconds !== undefined) this.set({ target }, seconds);
      }
    },
  });
  const known = new Map<string, TargetMetrics>();
  return (target) => {
    const before = known.get(target);
    if (before !== undefined) return before;
    const counts = new Map<string, Map<string, Count>>();
    const made: TargetMetrics = {
      statement(cls, verdict) {
        // Two plain look-ups: a key joined of both would be a string built on every statement.
        const known = counts.get(cls)?.get(verdict);
        if (known !== undefined) return known.inc();
        const count = statements.cell({ target, class: cls, verdict });
        counts.set(cls, (counts.get(cls) ?? new Map()).set(verdict, count));
        count.inc();
      },
      repeated: repeated.cell({ target }),
      refusal: (sqlstate) => refusals.cell({ target, sqlstate }).inc(),
      decision: (decision, level) => decisions.cell({ target, decision, level }).inc(),
      upstreamErrors: upstreamErrors.cell({ target }),
      pending: {
        inc: () => pending.inc({ target }),
        dec: () => pending.dec({ target }),
        set: (requests) => pending.set({ target }, requests),
      },
      catalogAge: (age) => ages.set(target, age),
      brokeGlass: brokeGlass.cell({ target }),
    };
    made.pending.set(0);
    known.set(target, made);
    return made;
  };
}

/** Of one witness or store that keeps checkpoints of the log. */
export interface AnchorMetrics {
  /** It keeps the first `size` records, `seconds` after the checkpoint of them was made. */
  kept(size: number, seconds: number): void;
  failed(): void;
}

/** The metrics with an `anchor` label, handed out per anchor. */
function anchorMetrics(
  registry: Registry,
  tally: (name: string, help: string, labels: string[]) => Tally,
): (anchor: string) => AnchorMetrics {
  const failures = tally('holdpoint_audit_anchor_failures_total', 'Checkpoints that were not kept outside.', [
    'anchor',
  ]);
  const gauge = (name: string, help: string) =>
    new Gauge({ name, help, labelNames: ['anchor'], registers: [registry] });
  const size = gauge('holdpoint_audit_anchored_records', 'Records of the log that are vouched for outside.');
  const at = gauge(
    'holdpoint_audit_anchored_at_seconds',
    'When a checkpoint was last kept outside, since 1970.',
  );
  const lag = gauge(
    'holdpoint_audit_anchor_lag_seconds',
    'How long the last checkpoint took to be kept outside.',
  );
  return (anchor) => {
    size.set({ anchor }, 0);
    const failed = failures.cell({ anchor });
    return {
      kept(records, seconds) {
        size.set({ anchor }, records);
        lag.set({ anchor }, seconds);
        at.setToCurrentTime({ anchor });
      },
      failed: () => failed.inc(),
    };
  };
}

/** The metrics with a `channel` label, handed out per channel. */
function notificationMetrics(
  registry: Registry,
  tally: (name: string, help: string, labels: string[]) => Tally,
): (channel: string) => NotificationMetrics {
  const outcomes = tally('holdpoint_notifications_total', 'Attempts to tell people of a request.', [
    'channel',
    'outcome',
  ]);
  const queues = new Map<string, () => { letters: number; lagSeconds: number }>();
  const gauge = (name: string, help: string, value: 'letters' | 'lagSeconds') =>
    new Gauge({
      name,
      help,
      labelNames: ['channel'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [channel, state] of queues) this.set({ channel }, state()[value]);
      },
    });
  gauge('holdpoint_notification_queue', 'Messages that wait to be delivered.', 'letters');
  gauge('holdpoint_notification_lag_seconds', 'Age of the oldest message that waits.', 'lagSeconds');
  return (channel) => ({
    outcome: (outcome) => outcomes.cell({ channel, outcome }).inc(),
    queue: (state) => queues.set(channel, state),
  });
}

/** The metrics of the log's files, and those with a `destination` label. */
function logFilesMetrics(
  registry: Registry,
  tally: (name: string, help: string, labels?: string[]) => Tally,
): LogFilesMetrics {
  let ask: Parameters<LogFilesMetrics['shipping']>[0] = () => ({ sealed: 0, states: [] });
  const labelNames = ['destination'];
  const registers = [registry];
  const gauge = (name: string, help: string, value: (state: ShipState, sealed: number) => number) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        const { sealed, states } = ask();
        for (const state of states) this.set({ destination: state.name }, value(state, sealed));
      },
    });
  const counter = (name: string, help: string, value: (state: ShipState) => number) =>
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const state of ask().states) this.inc({ destination: state.name }, value(state));
      },
    });
  gauge(
    'holdpoint_audit_ship_lag_records',
    'Records on disk that a destination has not got.',
    ({ records }, sealed) => Math.max(0, sealed - records),
  );
  gauge(
    'holdpoint_audit_ship_lag_seconds',
    'Age of the oldest record that a destination has not got.',
    ({ lagMs }) => lagMs / 1000,
  );
  counter(
    'holdpoint_audit_ship_failures_total',
    'Failed attempts to bring a destination records.',
    ({ failures }) => failures,
  );
  counter('holdpoint_audit_ship_bytes_total', 'Bytes that a destination has taken.', ({ bytes }) => bytes);
  const refused = tally(
    'holdpoint_audit_ship_refused_total',
    'Records that a destination will not have.',
    labelNames,
  );
  const packed = tally(
    'holdpoint_audit_packed_bytes_total',
    'Bytes of segments that were compressed, and what they were compressed to.',
    ['form'],
  );
  const pruned = tally('holdpoint_audit_pruned_segments_total', 'Closed segments that were pruned.').cell({});
  return {
    shipping: (told) => {
      ask = told;
    },
    packed: (bytes, packedBytes) => {
      packed.cell({ form: 'plain' }).inc(bytes);
      packed.cell({ form: 'zstd' }).inc(packedBytes);
    },
    pruned: (segments) => pruned.inc(segments),
    refused: (destination, records) => refused.cell({ destination }).inc(records),
  };
}
