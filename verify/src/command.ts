// Command: what `holdpoint-verify` and `holdpoint audit verify` do. Reads what it is pointed at, prints, returns the exit
// code: those of audit-approval §12; 1 where nothing could be checked. Names of options are the caller's.

import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type AnchorFlags, anchorsOf, keptNotes, rememberedOf } from './anchor-input.ts';
import { Crew } from './crew.ts';
import { verifyHandout } from './handout-text.ts';
import { credentialsOf, rootKidOf, UsageError } from './input.ts';
import { type NoteKey, readVkey } from './note.ts';
import type { Progress, Report } from './report.ts';
import { type FolderSource, findLogs } from './source.ts';
import { reportText } from './text.ts';
import { type VerifyOptions, verifyLog } from './verify.ts';

/** What the caller may say beside the path. */
export interface VerifyFlags extends AnchorFlags {
  readonly rootKey?: string | undefined;
  /** `SIZE:ROOT`, or a file with a checkpoint note. */
  readonly expect?: string | undefined;
  readonly approver?: readonly string[] | undefined;
  /** Keys of the log's checkpoints, for a tlog-proof. */
  readonly logKey?: readonly string[] | undefined;
  readonly gaps?: boolean | undefined;
  readonly live?: boolean | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly jobs?: number | undefined;
  readonly json?: boolean | undefined;
}

/** Where output goes. `progress` is shown on `err` while it is a terminal. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  readonly progress?: boolean;
}

const progressMs = 250;

/**
 * Verifies the logs in a folder, or the proof or bundle in a file. Returns the exit code of the first log that is wrong.
 * Throws UsageError, and SourceError where there is nothing to read. `logs` finds those under a path.
 */
export async function runVerify(
  path: string,
  flags: VerifyFlags,
  output: Terminal,
  logs: (path: string) => readonly FolderSource[] = findLogs,
): Promise<number> {
  const rootKid = flags.rootKey === undefined ? undefined : await rootKidOf(flags.rootKey);
  const approvers = await credentialsOf(flags.approver ?? []);
  const { size, notes } = rememberedOf(flags.expect);
  const anchors = anchorsOf(flags, notes, Date.now());
  if (existsSync(path) && statSync(path).isFile()) {
    const { witnesses, need } = anchors;
    const brought = { rootKid, approvers, log: noteKeysOf(flags.logKey ?? []), old: size, witnesses, need };
    return verifyHandout(path, brought, flags.json === true, output);
  }
  const options: VerifyOptions = {
    rootKid,
    expect: size,
    noGaps: flags.gaps === false,
    live: flags.live,
    from: flags.from,
    to: flags.to,
    approvers,
  };
  const reports: Report[] = [];
  for (const source of logs(path))
    reports.push(
      await verifyFolder(
        source,
        { ...options, anchors: { ...anchors, kept: keptNotes(source.path) } },
        flags,
        output,
      ),
    );
  const isOk = reports.length > 0 && reports.every(({ ok }) => ok);
  if (flags.json === true) output.out(`${JSON.stringify({ ok: isOk, logs: reports }, null, 2)}\n`);
  else output.out(reports.map(reportText).join('\n'));
  return isOk ? 0 : (reports.find(({ ok }) => !ok)?.code ?? 1);
}

async function verifyFolder(
  source: FolderSource,
  options: VerifyOptions,
  flags: VerifyFlags,
  output: Terminal,
): Promise<Report> {
  const width = Math.min(flags.jobs ?? availableParallelism(), (await source.segments()).length);
  const crew = width > 1 ? new Crew(source.path, width) : undefined;
  const progress = output.progress === true ? new ProgressBar(output) : undefined;
  try {
    return await verifyLog(source, {
      ...options,
      readers: crew,
      progress: progress && ((at) => progress.show(at)),
    });
  } finally {
    progress?.clear();
    await crew?.close();
  }
}

/** Throws UsageError. */
function noteKeysOf(texts: readonly string[]): NoteKey[] {
  return texts.map((text) => {
    try {
      return readVkey(text);
    } catch (cause) {
      throw new UsageError(`${text}: ${(cause as Error).message}`, { cause });
    }
  });
}

/** One line on a terminal that is written over again. */
class ProgressBar {
  readonly #output: Terminal;
  readonly #startMs = performance.now();
  #shownMs = 0;

  constructor(output: Terminal) {
    this.#output = output;
  }

  show({ segment, segments, records }: Progress): void {
    const nowMs = performance.now();
    if (nowMs - this.#shownMs < progressMs) return;
    this.#shownMs = nowMs;
    const filled = Math.floor((segment / Math.max(1, segments)) * 30);
    const perSecond = Math.round((records / Math.max(1, nowMs - this.#startMs)) * 1000);
    this.#output.err(
      `\r\x1b[K[${'#'.repeat(filled)}${'.'.repeat(30 - filled)}] segment ${segment} of ${segments}, ` +
        `${records.toLocaleString('en')} records, ${perSecond.toLocaleString('en')} a second`,
    );
  }

  clear(): void {
    if (this.#shownMs > 0) this.#output.err('\r\x1b[K');
  }
}
