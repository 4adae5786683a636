// Report: what a verification found, for people's and programs' eyes. audit-approval §12.

import type { Witnessed } from './anchors.ts';
import type { OffenceKind } from './offence.ts';
import type { Releases, Story } from './releases.ts';

/** What was wrong, where, and the exit code for it. */
export interface Finding {
  readonly kind: OffenceKind | 'nothing';
  readonly code: number;
  readonly file: string;
  /** From 1; 0 where no line is at fault. */
  readonly line: number;
  readonly message: string;
}

export interface Report {
  /** True only if records were checked, signatures cover all of them (`live`: all but the newest), and all of it held. */
  readonly ok: boolean;
  /** 0, or the code of the first finding. */
  readonly code: number;
  readonly findings: readonly Finding[];
  readonly origin: string;
  readonly root: { readonly kid: string; readonly pinned: boolean } | undefined;
  /** Segments that are here. */
  readonly segments: number;
  /** What was not looked at before the records that were: pruned, or before `from`. `notes` say which. */
  readonly skipped: { readonly segments: number; readonly records: number } | undefined;
  /** Size of the log as far as it was looked at, with what was skipped. */
  readonly records: number;
  readonly seals: number;
  /** What the last seal vouches for: remember it, and give it to `expect` next time. */
  readonly sealed: { readonly size: number; readonly root: string; readonly ts: number } | undefined;
  /** The newest checkpoint that enough of the witnesses cosigned who were named; undefined if none were. */
  readonly witnessed: Witnessed | undefined;
  readonly epochs: number;
  readonly kinds: Readonly<Record<string, number>>;
  /** Places where the log itself says that a crash or a gap was; the first thousand of them. */
  readonly breaks: readonly { readonly seq: number; readonly kind: string }[];
  /** Held statements that were released, by what the evidence proves to somebody who has these files only. */
  readonly releases: Releases['counts'];
  /** Of the request that was asked about. */
  readonly story: Story | undefined;
  /** Statements that had no outcome yet when the log was read, while its process may still be running. */
  readonly running: number;
  /** True if the last record is a clean end. */
  readonly ended: boolean;
  readonly notes: readonly string[];
}

/** How far a verification has come. */
export interface Progress {
  /** Segments that are done, of so many. */
  readonly segment: number;
  readonly segments: number;
  readonly records: number;
  readonly bytes: number;
}
