// The oracle's verdict on Holdpoint, and on itself: where a wall is taken away it must find what gets through.

import { expect, test } from 'vitest';
import { runOracle, summary } from './oracle.ts';

const testMs = 300_000;

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
