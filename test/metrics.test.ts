// The metrics by their names, which dashboards rely on.

import { expect, test } from 'vitest';
import { createMetrics } from '../src/metrics.ts';

test('every metric of the contract is there before anything happened', async () => {
  const metrics = createMetrics({ version: '1.2.3' });
  metrics.target('shop');
  const { text } = await metrics.render();
  const names = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
  expect(names.sort()).toEqual([
    'holdpoint_audit_anchor_failures_total counter',
    'holdpoint_audit_anchor_lag_seconds gauge',
    'holdpoint_audit_anchored_at_seconds gauge',
    'holdpoint_audit_anchored_records gauge',
    'holdpoint_audit_failures_total counter',
    'holdpoint_audit_packed_bytes_total counter',
    'holdpoint_audit_pruned_segments_total counter',
    'holdpoint_audit_records_total counter',
    'holdpoint_audit_seal_lag_seconds gauge',
    'holdpoint_audit_ship_bytes_total counter',
    'holdpoint_audit_ship_failures_total counter',
    'holdpoint_audit_ship_lag_records gauge',
    'holdpoint_audit_ship_lag_seconds gauge',
    'holdpoint_audit_ship_refused_total counter',
    'holdpoint_audit_writable gauge',
    'holdpoint_auth_failures_total counter',
    'holdpoint_breakglass_total counter',
    'holdpoint_build_info gauge',
    'holdpoint_catalog_age_seconds gauge',
    'holdpoint_catalog_poll_seconds histogram',
    'holdpoint_catalog_read_seconds histogram',
    'holdpoint_decisions_total counter',
    'holdpoint_effect_seconds histogram',
    'holdpoint_notification_lag_seconds gauge',
    'holdpoint_notification_queue gauge',
    'holdpoint_notifications_total counter',
    'holdpoint_overhead_seconds histogram',
    'holdpoint_parse_cache_hits_total counter',
    'holdpoint_parse_cache_misses_total counter',
    'holdpoint_parse_seconds histogram',
    'holdpoint_refusals_total counter',
    'holdpoint_repeated_total counter',
    'holdpoint_request_wait_seconds histogram',
    'holdpoint_requests_pending gauge',
    'holdpoint_reviews_owed gauge',
    'holdpoint_sessions gauge',
    'holdpoint_slack_callbacks_total counter',
    'holdpoint_statements_total counter',
    'holdpoint_upstream_errors_total counter',
  ]);
  expect(text).toContain('holdpoint_auth_failures_total 0');
  expect(text).toContain('holdpoint_requests_pending{target="shop"} 0');
});

test('counts of one target add up over its sessions and over scrapes', async () => {
  const metrics = createMetrics();
  const [one, other] = [metrics.target('shop'), metrics.target('shop')];
  one.statement('read', 'pass');
  other.statement('read', 'pass');
  one.statement('destroy', 'hold');
  one.refusal('42501');
  one.decision('approve', 'key');
  one.upstreamErrors.inc();
  one.pending.inc();
  await metrics.render();
  const { text } = await metrics.render();
  expect(text).toContain('holdpoint_statements_total{target="shop",class="read",verdict="pass"} 2');
  expect(text).toContain('holdpoint_statements_total{target="shop",class="destroy",verdict="hold"} 1');
  expect(text).toContain('holdpoint_refusals_total{target="shop",sqlstate="42501"} 1');
  expect(text).toContain('holdpoint_decisions_total{target="shop",decision="approve",level="key"} 1');
  expect(text).toContain('holdpoint_upstream_errors_total{target="shop"} 1');
  expect(text).toContain('holdpoint_requests_pending{target="shop"} 1');
});

test('notifications are counted by channel and outcome, and their queues asked at each scrape', async () => {
  const metrics = createMetrics();
  metrics.notifications('slack').outcome('sent');
  metrics.notifications('slack').outcome('sent');
  metrics.slackCallback('replay');
  let letters = 3;
  metrics.notifications('slack').queue(() => ({ letters, lagSeconds: 1.5 }));
  expect((await metrics.render()).text).toContain('holdpoint_notification_queue{channel="slack"} 3');
  letters = 0;
  const { text } = await metrics.render();
  expect(text).toContain('holdpoint_notification_queue{channel="slack"} 0');
  expect(text).toContain('holdpoint_notification_lag_seconds{channel="slack"} 1.5');
  expect(text).toContain('holdpoint_notifications_total{channel="slack",outcome="sent"} 2');
  expect(text).toContain('holdpoint_slack_callbacks_total{outcome="replay"} 1');
});

test('two sets of metrics share nothing', async () => {
  const [one, other] = [createMetrics(), createMetrics()];
  one.sessions.inc();
  expect((await one.render()).text).toContain('holdpoint_sessions 1');
  expect((await other.render()).text).toContain('holdpoint_sessions 0');
});

test('with process also Node.js is measured, under the same beginning of the name', async () => {
  const { text } = await createMetrics({ process: true }).render();
  expect(text).toContain('holdpoint_nodejs_eventloop_lag_seconds');
  expect(text.match(/^# TYPE (?!holdpoint_)/gm)).toBeNull();
});
