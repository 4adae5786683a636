import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Briefs } from '../../src/audit/briefs.ts';
import type { Brief } from '../../src/audit/openwork.ts';

const bodies = fc.nat(9).map((n): Brief => ({ kind: 'bye', reason: String(n) }));
const runs = fc.array(
  fc.array(fc.oneof(fc.integer({ min: -4, max: 2 ** 40 }), bodies), { minLength: 100, maxLength: 300 }),
  {
    minLength: 5,
    maxLength: 20,
  },
);

test('they come back in order, each with its seq, however many are taken at once', () => {
  fc.assert(
    fc.property(runs, fc.infiniteStream(fc.nat(400)), (runs, counts) => {
      const briefs = new Briefs();
      const waiting: Brief[] = [];
      let seq = 0;
      for (const run of runs) {
        for (const brief of run) {
          briefs.push(brief);
          waiting.push(brief);
        }
        const count = counts.next().value!;
        const noted: [Brief, number][] = [];
        briefs.shift(count, seq, (brief, seq) => noted.push([brief, seq]));
        const expected = waiting.splice(0, count);
        expect(noted).toEqual(expected.map((brief, at) => [brief, seq + at]));
        seq += expected.length;
        expect(briefs.length).toBe(waiting.length);
      }
    }),
  );
});
