// Erasures in a running Holdpoint: what `holdpoint audit redact` asks for is looked for again and again, since only the process
// that holds the log may write that values were erased. Refuses to know what is erased.

import { eraseRequested } from '../audit/erasure.ts';
import type { AuditLog } from '../audit/log.ts';
import type { Report } from '../proxy/listener.ts';

const lookMs = 500;

/** Looks from now on; answers how to stop. */
export function watchErasures(log: AuditLog, report: Report): () => Promise<void> {
  let looking: Promise<void> | undefined;
  const look = (): void => {
    looking ??= eraseRequested(log)
      .then((done) => {
        if (done > 0) report('info', 'values were erased from the log', { requests: done });
      })
      .catch((error: unknown) =>
        report('error', 'values could not be erased', { cause: (error as Error).message }),
      )
      .finally(() => {
        looking = undefined;
      });
  };
  look();
  const timer = setInterval(look, lookMs);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await looking;
  };
}
