// Runs of operator characters: refused exactly where the scanner might spend too many steps, however the text is looked at.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { refusal } from '../../src/sql/limits.ts';

const stepsMax = 64_000_000;

/** Each run costs its length times the places in it at which the scanner begins anew: a comment's opening, a plus. */
function steps(text: string): number {
  const runs = text.match(/[~!@#^&|`?+\-*/%<>=]+/g) ?? [];
  return runs.reduce((sum, run) => sum + run.length * (run.match(/\+|(?<=\/)\*/g) ?? []).length, 0);
}

const run = fc
  .record({
    unit: fc.constantFrom('+', '/*', '=', '+=', '-', '/* ', '+a', '<>+'),
    times: fc.oneof(fc.nat(60), fc.nat(9000), fc.integer({ min: 7_900, max: 8_100 })),
    blanks: fc.oneof(fc.nat(3), fc.nat(3000)),
    again: fc.oneof(fc.constant(1), fc.nat(40)),
  })
  .map(({ unit, times, blanks, again }) => (unit.repeat(times) + 'a'.repeat(blanks)).repeat(again));

test('a text is refused exactly where its runs may cost more than is allowed', () => {
  let refused = 0;
  fc.assert(
    fc.property(fc.array(run, { minLength: 1, maxLength: 6 }), (parts) => {
      const text = parts.join('').slice(0, 700_000);
      const isRefused = refusal(Buffer.from(text), 1 << 24)?.code === 'too-complex';
      expect(isRefused).toBe(steps(text) > stepsMax);
      if (isRefused) refused += 1;
    }),
    { numRuns: 400 },
  );
  // Both answers are given.
  expect(refused).toBeGreaterThan(20);
  expect(refused).toBeLessThan(380);
});

test('a megabyte of anything else is let through, and so are short runs without end', () => {
  for (const text of ['x', "'", ' + ', '1+', 'a=b,', '/**/ '])
    expect(refusal(Buffer.from(text.repeat((1 << 20) / text.length)), 1 << 24)).toBeUndefined();
  expect(refusal(Buffer.from(`select ${'+'.repeat(8_001)}1`), 1 << 24)?.code).toBe('too-complex');
  expect(refusal(Buffer.from(`select ${'+'.repeat(7_990)}1`), 1 << 24)).toBeUndefined();
});
