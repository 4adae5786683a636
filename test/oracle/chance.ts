// Chance that can be repeated: a small generator of pseudo-random numbers (splitmix32), and choices made of it. The same
// seed and index make the same choices on every machine; nothing else has a part in them.

/** Choices. Each call takes from the same sequence, so the order of calls is part of the result. */
export interface Chance {
  /** 0 ≤ n < below, whole. */
  below(below: number): number;
  /** True with probability `p`. */
  is(p: number): boolean;
  /** One of them, each as likely. */
  of<T>(list: readonly T[]): T;
  /** One of them, as likely as its number says. */
  weighted<T>(list: readonly (readonly [number, T])[]): T;
  /** `least` to `most` results of `make`. */
  several<T>(least: number, most: number, make: (index: number) => T): T[];
}

/** The choices of the script `index` of a `seed`: no other script has a part in them. */
export function chanceOf(seed: number, index: number): Chance {
  let state = mix(mix(seed ^ 0x9e3779b9) + Math.imul(index, 0x85ebca6b));
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    return mix(state) / 0x1_0000_0000;
  };
  const chance: Chance = {
    below: (below) => Math.floor(next() * below),
    is: (p) => next() < p,
    of: (list) => list[chance.below(list.length)]!,
    weighted(list) {
      let left = next() * list.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, choice] of list) {
        left -= weight;
        if (left < 0) return choice;
      }
      return list.at(-1)![1];
    },
    several: (least, most, make) =>
      Array.from({ length: least + chance.below(most - least + 1) }, (_, index) => make(index)),
  };
  return chance;
}

function mix(value: number): number {
  let z = value | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}
