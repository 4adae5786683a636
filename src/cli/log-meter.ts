// Log meter: what the log tells of itself, as metrics and as lines for the operator. Refuses to know how it is written.

import type { LogMeter } from '../audit/logstate.ts';
import type { Metrics } from '../metrics.ts';
import type { Report } from '../proxy/listener.ts';

/** `folder`: where the log lies, for the operator only. */
export function logMeter(metrics: Metrics, report: Report, folder: string): LogMeter {
  let isStopped = false;
  metrics.auditWritable.set(1);
  return {
    records: (count) => metrics.auditRecords.inc(count),
    sealLag: (seconds) => metrics.auditSealLagSeconds.set(seconds),
    failure: (error) => {
      metrics.auditFailures.inc();
      // While it is stopped every attempt fails; that it is, was said.
      if (!isStopped) report('warn', 'the log met with a failure', { folder, cause: error.message });
    },
    stopped: (error) => {
      isStopped = error !== undefined;
      metrics.auditWritable.set(isStopped ? 0 : 1);
      if (error === undefined) report('info', 'the log takes records again', { folder });
      else
        report('error', 'the log cannot be written; statements are refused', {
          folder,
          cause: error.message,
        });
    },
  };
}
