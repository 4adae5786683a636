// Trouble: why a log does not take records, in words. An agent reads them: they name no path of ours, say what happened
// and what to do, and that it may be tried again. audit-approval §4. Refuses to know how the log came into it.

import { HoldpointError } from '../errors.ts';

/** What the system or the signer said, without the paths that it names. */
export function spoken(cause: unknown): string {
  const { message } = cause as Error;
  // "EROFS: read-only file system, open '/var/…'"
  return /^(E[A-Z0-9]+: [^,]+),/.exec(message)?.[1] ?? message;
}

/** A write, a sync or a key failed; the log tries again by itself. */
export function stoppedBy(what: string, cause: unknown, retryMs: number): HoldpointError {
  return new HoldpointError(
    'log-unwritable',
    `${what}: ${spoken(cause)}. What cannot be recorded is not run: statements are refused until the log can be ` +
      `written again, which is tried every ${seconds(retryMs)}; see to the disk of Holdpoint's data folder`,
    { cause },
  );
}

/** There is no room, and what room was kept is given up. */
export function full(cause: unknown, bytes: number): HoldpointError {
  return new HoldpointError(
    'log-unwritable',
    'the disk of the log is full. What cannot be recorded is not run: statements are refused until there is room for ' +
      `${mebibytes(bytes)} on the disk of Holdpoint's data folder; make room there, nothing has to be restarted`,
    { cause },
  );
}

/** Disk or signer do not answer. */
export function stalled(ms: number, waitsFor: string): HoldpointError {
  return new HoldpointError(
    'log-unwritable',
    `the log has been waiting for its ${waitsFor} for ${Math.round(ms / 1000)} s; statements are refused until it ` +
      'answers, then they are taken again',
  );
}

/** So much waits for the disk that no more is taken into memory. */
export function behind(bytes: number): HoldpointError {
  return new HoldpointError(
    'log-unwritable',
    `${mebibytes(bytes)} of records wait for the disk of the log, which does not keep up; statements are refused ` +
      'until it does: try again, more slowly',
  );
}

/** Another process may be writing this log: nothing of ours may be added to what it writes, never again. */
export function taken(origin: string): HoldpointError {
  return new HoldpointError(
    'log-unwritable',
    `the lock of the log ${origin} was taken or removed: another process may be writing it. Statements are refused ` +
      'for good: stop the other one, then start Holdpoint again',
  );
}

export function closed(origin: string): HoldpointError {
  return new HoldpointError('log-unwritable', `the log ${origin} is closed: Holdpoint is shutting down`);
}

function mebibytes(bytes: number): string {
  return bytes >= 1 << 20 ? `${Math.ceil(bytes / (1 << 20))} MiB` : `${Math.ceil(bytes / 1024)} KiB`;
}

function seconds(ms: number): string {
  return ms === 1000 ? 'second' : `${ms} ms`;
}
