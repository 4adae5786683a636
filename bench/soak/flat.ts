// Whether a figure stays what it was: the median of its last third against that of its first, after the warm-up.

import { spread } from '../cost/figures.ts';

export interface Flatness {
  readonly first: number;
  readonly last: number;
  readonly flat: boolean;
}

const warmUpShare = 0.1;
const leastValues = 6;

/** Undefined where there are too few values to say. `growthMax`: the last third as a multiple of the first, at most. */
export function flatness(values: readonly number[], growthMax: number): Flatness | undefined {
  const warm = values.slice(Math.max(1, Math.floor(values.length * warmUpShare)));
  if (warm.length < leastValues) return undefined;
  const third = Math.floor(warm.length / 3);
  const first = spread(warm.slice(0, third))!.median;
  const last = spread(warm.slice(-third))!.median;
  return { first, last, flat: last <= first * growthMax };
}
