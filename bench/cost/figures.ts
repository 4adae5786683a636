// Numbers of several rounds: medians, ranges, and ratios of what was measured in the same round.

/** What one cell came to in one round. */
export interface Figures {
  /** Statements, transactions, connections or MB. */
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the subject's process tree; undefined where it has none of its own. */
  readonly cpuUs?: number;
  readonly memoryMiB?: number;
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Undefined of nothing. Of an even count, the mean of the two in the middle. */
export function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)! };
}

/** The value below which that share of the sorted values lies. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** What each round came to; undefined in a round that failed. */
export type Rounds = readonly (Figures | undefined)[];

/** Of the rounds in which both were measured, so that what the machine did meanwhile falls on both. */
export function together(
  of: Rounds | undefined,
  to: Rounds | undefined,
  value: (of: Figures, to: Figures) => number | undefined,
): number[] {
  return (of ?? []).flatMap((one, round) => {
    const other = to?.[round];
    const both = one === undefined || other === undefined ? undefined : value(one, other);
    return both === undefined || !Number.isFinite(both) ? [] : [both];
  });
}

export function values(rounds: Rounds | undefined, key: keyof Figures): number[] {
  return (rounds ?? []).flatMap((figures) => figures?.[key] ?? []);
}
