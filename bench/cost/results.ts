// Everything that one run found, as it is kept in JSON; the table, the chart and the document are made of it.

import type { Memory } from './memory.ts';
import type { CellRounds } from './rounds.ts';

export interface Results {
  readonly at: string;
  /** As it was typed. */
  readonly command: string;
  readonly machine: { readonly processors: string; readonly memoryGiB: number; readonly system: string };
  /** Of the programs that took part. */
  readonly versions: Readonly<Record<string, string>>;
  readonly rounds: number;
  readonly seconds: number;
  readonly scale: number;
  readonly copyMb: number;
  readonly tls: boolean;
  readonly units: Readonly<Record<string, string>>;
  /** What each workload does, in words. */
  readonly workloads: Readonly<Record<string, string>>;
  readonly subjects: readonly string[];
  /** Why a subject did not take part. */
  readonly absent: Readonly<Record<string, string>>;
  readonly memory: Readonly<Record<string, Memory | undefined>>;
  readonly cells: Readonly<Record<string, CellRounds>>;
  readonly failures: readonly string[];
}
