import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SeqTable } from '../../src/audit/seqtable.ts';

/** Few, so that they meet; with some that are far apart and want the same slots, and some that 32 bits do not hold. */
const seqs = fc.oneof(
  fc.nat(40),
  fc.nat(20).map((n) => n * 64 + 3),
  fc.nat(20).map((n) => 2 ** 33 + n),
  fc.nat(20).map((n) => 2 ** 52 + n * 128),
);

test('it is a map of seqs', () => {
  const steps = fc.array(fc.tuple(fc.constantFrom('set', 'set', 'delete'), seqs, fc.nat(255)), {
    minLength: 150,
    maxLength: 400,
  });
  fc.assert(
    fc.property(steps, (steps) => {
      const [table, map] = [new SeqTable(), new Map<number, number>()];
      for (const [step, seq, value] of steps) {
        if (step === 'set') {
          table.set(seq, value);
          map.set(seq, value);
        } else expect(table.delete(seq)).toBe(map.delete(seq));
        expect(table.get(seq)).toBe(map.get(seq));
        expect(table.size).toBe(map.size);
      }
      expect(table.entries()).toEqual([...map].sort(([a], [b]) => a - b));
      for (const [seq, value] of map) expect(table.get(seq)).toBe(value);
    }),
    { numRuns: 500 },
  );
});

test('what is no seq is not in it', () => {
  const table = new SeqTable();
  for (const seq of [-1, 0.5, Number.NaN, '0', undefined, null] as unknown as number[]) {
    expect(table.get(seq)).toBeUndefined();
    expect(table.delete(seq)).toBe(false);
  }
  table.set(0, 1);
  expect([table.get(-1), table.delete(-1), table.get(0.5), table.size]).toEqual([
    undefined,
    false,
    undefined,
    1,
  ]);
});
