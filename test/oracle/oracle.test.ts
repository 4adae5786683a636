// The oracle's verdict on Holdpoint in front of PostgreSQL 18, and on itself: where the rules let everything pass it must
// find what is gone.

import { expect, test } from 'vitest';
import { runOracle, summary } from './oracle.ts';

const testMs = 1_800_000;
/** Any would do; a fixed one fails for everybody alike. */
const seed = 20_261_122;

test(
  'of 10,000 generated statements none that passed as a read changed anything, and no row is gone',
  async () => {
    const report = await runOracle({ seed, statements: 10_000 });
    expect(report.breaches.length, summary(report)).toBe(0);
    // A guard that holds everything would pass as well.
    const passed = [...report.verdicts].filter(([key]) => /^pass (read|write|code)/.test(key));
    expect(passed.length).toBe(3);
    expect(passed.reduce((sum, [, n]) => sum + n, 0)).toBeGreaterThan(report.statements / 5);
  },
  testMs,
);

test(
  'under rules that let everything pass, rows that are gone are found, with the seed and the statement',
  async () => {
    const report = await runOracle({ seed: 1, statements: 2000, rules: 'observe', breachesMax: 1 });
    expect(report.breaches).not.toEqual([]);
    const [breach] = report.breaches;
    expect(breach!.what).toMatch(/rows gone|changed/);
    expect(breach!.text).toMatch(/^seed 1, script \d+\n {2}"[QP]" "/);
    expect(summary(report)).toContain(breach!.text);
  },
  testMs,
);
